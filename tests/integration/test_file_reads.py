"""What was read of a file is a row beside its bars: failures, restarts, files that grow, are replaced or come too
early, and corrections."""

from __future__ import annotations

import gzip
import io
import os
import random
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pandas as pd
import pytest
from sqlalchemy import text

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.feeds.folder_feed import FolderFeed
from agents.core.errors import ServiceError
from agents.core.settings import DataSettings
from tests.conftest import SERVERS

NOW = datetime(2024, 12, 1, tzinfo=UTC)
HEAD = "symbol,time,open,high,low,close,volume\n"
DAYS = [day.date().isoformat() for day in pd.bdate_range("2024-01-02", periods=90)]


def rows(days, *, symbol="MSFT", digits=2, change=None) -> str:
    """A row for each day, the price by its place in DAYS; `change` maps a day to another close."""
    lines = []
    for day in days:
        price = 100.0 + DAYS.index(day)
        close = (change or {}).get(day, price)
        lines.append(
            f"{symbol},{day},{price:.{digits}f},{price + 9:.{digits}f},{price - 9:.{digits}f},{close:.{digits}f},77\n"
        )
    return "".join(lines)


def all_rows(engine, query="SELECT symbol, time::date::text, close FROM bars ORDER BY 1, 2"):
    with engine.connect() as connection:
        return connection.execute(text(query)).all()


def expected(days, symbol="MSFT", change=None):
    return [(symbol, day, (change or {}).get(day, 100.0 + DAYS.index(day))) for day in days]


@pytest.fixture
def feed_of(trader, tmp_path):
    """A daemon's feed, as at its start."""
    return lambda: FolderFeed(DataSettings(feed_folder=tmp_path), BarsStore(trader))


@contextmanager
def database_away(name, *engines):
    """Nobody gets in, and whoever is in is thrown out."""
    with SERVERS.superuser() as session:
        session.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            session.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    for engine in engines:
        engine.dispose()


def packed(content: str, kind: str) -> bytes:
    if kind == "csv":
        return content.encode()
    if kind == "csv.gz":
        return gzip.compress(content.encode())
    out = io.BytesIO()
    pd.read_csv(io.StringIO(content), dtype={"symbol": str}).to_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_file_that_the_database_could_not_take_is_read_when_it_is_back(feed_of, database, trader, tmp_path, kind):
    """Nobody touches the file meanwhile. Seen before: its rows were never loaded."""
    feed = feed_of()
    (tmp_path / f"a.{kind}").write_bytes(packed(HEAD + rows(DAYS[:5]), kind))
    with database_away(database, trader), pytest.raises(ServiceError):
        feed.read(NOW)
    assert [report.loaded for report in feed.read(NOW)] == [5]
    assert feed.read(NOW) == []
    assert all_rows(trader) == expected(DAYS[:5])


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_after_a_restart_what_was_read_is_not_read_again(feed_of, trader, tmp_path, kind):
    (tmp_path / f"a.{kind}").write_bytes(packed(HEAD + rows(DAYS[:5]), kind))
    feed_of().read(NOW)
    assert feed_of().read(NOW) == []
    (tmp_path / f"a.{kind}").write_bytes(packed(HEAD + rows(DAYS[:7]), kind))
    (report,) = feed_of().read(NOW)
    assert (report.loaded, report.equal) == (2, 0 if kind == "csv" else 5), "of a CSV only what is new"
    reads = all_rows(
        trader, "SELECT id, rows_read, rows_loaded, rows_equal, consumed_rows, consumed = size FROM bar_reads"
    )
    assert [read[2:] for read in reads] == [(5, 0, 5, True), (2, 0 if kind == "csv" else 5, 7, True)]
    assert all_rows(trader, "SELECT DISTINCT read_id FROM bars ORDER BY 1") == [(read[0],) for read in reads]


@pytest.mark.parametrize("kind", ["csv.gz", "parquet"])
def test_a_packed_file_that_came_in_pieces_is_read_when_it_is_whole(feed_of, trader, tmp_path, kind, caplog):
    """Seen before: half of it at the first poll, and it was never read again."""
    feed, file, whole = feed_of(), tmp_path / f"a.{kind}", packed(HEAD + rows(DAYS), kind)
    for part in (3, 2):
        file.write_bytes(whole[: len(whole) // part])
        for _ in range(3):
            assert feed.read(NOW) == []
    assert len([r for r in caplog.records if r.message == "file refused"]) == 2, "one line for each change"
    file.write_bytes(whole)
    assert [report.loaded for _ in range(3) for report in feed.read(NOW)] == [90]
    assert all_rows(trader) == expected(DAYS)


def test_a_full_download_with_longer_digits_is_read_whole(feed_of, trader, tmp_path):
    """Seen before: it was read from the old offset, in the middle of a row: a symbol T out of MSFT, and bars that never
    were."""
    feed, file = feed_of(), tmp_path / "prices.csv"
    file.write_text(HEAD + rows(DAYS[:60]))
    feed.read(NOW)
    for fresh in (feed, feed_of()):
        for digits in (4, 3, 6):
            file.write_text(HEAD + rows(DAYS, digits=digits))
            fresh.read(NOW)
    assert all_rows(trader) == expected(DAYS)
    assert all_rows(trader, "SELECT * FROM bar_corrections") == []
    assert all_rows(trader, "SELECT * FROM bar_quarantine") == []


@pytest.mark.parametrize("fresh", [True, False], ids=["restarted", "running"])
def test_a_rewritten_file_loses_no_day(feed_of, trader, tmp_path, fresh):
    """Oldest first, then newest first, then only the old half: seen before, 10 of 90 days were missing."""
    feed, file = feed_of(), tmp_path / "prices.csv"
    for days in (DAYS[40:60], DAYS[::-1][:70], DAYS[:45]):
        file.write_text(HEAD + rows(days))
        (feed_of() if fresh else feed).read(NOW)
    assert all_rows(trader) == expected(DAYS)


def decide_until(engine, day):
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO decisions (time, weights_version, weights_level, weights, risk_state, equity, cash, orders,"
                " reason) VALUES (:day, 0, 'equal', '{}', 'active', 1, 1, 0, '')"
            ),
            {"day": f"{day}T21:00Z"},
        )


def test_a_correction_is_taken_only_for_bars_that_no_decision_has_used(feed_of, trader, tmp_path):
    feed, file = feed_of(), tmp_path / "prices.csv"
    file.write_text(HEAD + rows(DAYS[:5]))
    feed.read(NOW)
    decide_until(trader, DAYS[2])
    change = {DAYS[2]: 99.5, DAYS[3]: 104.5}
    for digits in (2, 3, 4):  # each time the file is read again whole; what is known is not told again
        file.write_text(HEAD + rows(DAYS[:6], change=change, digits=digits))
        (report,) = feed.read(NOW)
        assert len(report.quarantined) == 0
    assert all_rows(trader) == expected(DAYS[:6], change={DAYS[3]: 104.5})
    assert all_rows(
        trader, "SELECT time::date::text, kept->'close', given->'close', taken FROM bar_corrections ORDER BY time"
    ) == [(DAYS[2], 102.0, 99.5, False), (DAYS[3], 103.0, 104.5, True)]
    newest = all_rows(trader, "SELECT time::date::text, read_id FROM bars WHERE read_id > 1 ORDER BY time")
    assert newest == [(DAYS[3], 2), (DAYS[5], 2)], "a bar that was taken belongs to the read that brought it"


def test_new_adjusted_closes_are_no_corrections(feed_of, trader, tmp_path):
    """Vendors rewrite all of them after each dividend."""
    feed, file = feed_of(), tmp_path / "prices.csv"
    for factor in (1.0, 0.98):
        lines = [f"{row},{(100.0 + k) * factor:.4f}\n" for k, row in enumerate(rows(DAYS).splitlines())]
        file.write_text(HEAD.replace("\n", ",adj_close\n") + "".join(lines))
        feed.read(NOW)
    assert all_rows(trader, "SELECT * FROM bar_corrections") == []


def test_numbers_that_only_gained_digits_are_equal(feed_of, trader, tmp_path):
    """26.33 as a float32 is written 26.329999923706055 by some."""
    feed, file = feed_of(), tmp_path / "a.csv"
    for close in ("26.33", "26.329999923706055", "26.330000"):
        file.write_text(HEAD + f"A,2024-01-02,26,27,26,{close},\n")
        feed.read(NOW)
    assert all_rows(trader, "SELECT * FROM bar_corrections") == []


@pytest.mark.parametrize("seed", range(6))
def test_however_files_are_written_the_bars_are_theirs(feed_of, database, trader, tmp_path, seed):
    """Three files grow by bytes, are rewritten with other digits, replaced by a rename; feeds restart and the database
    goes away in between. In the end every day of each file is there once, and nothing else."""
    chance = random.Random(seed)
    feed, days = feed_of(), dict.fromkeys(("AA", "BB", "CC"), 1)
    digits = dict.fromkeys(days, 2)

    def whole(symbol):
        return (HEAD + rows(DAYS[: days[symbol]], symbol=symbol, digits=digits[symbol])).encode()

    for _ in range(25):
        symbol = chance.choice(list(days))
        file, action = tmp_path / f"{symbol}.csv", chance.random()
        before = whole(symbol)
        days[symbol] = min(90, days[symbol] + chance.randint(0, 9))
        if action < 0.5:
            written = file.read_bytes() if file.exists() else b""
            after = whole(symbol)
            if not after.startswith(written):
                written = before
            file.write_bytes(written)
            with file.open("ab") as stream:
                stream.write(after[len(written) : chance.randint(len(written), len(after))])
        elif action < 0.8:
            digits[symbol] = chance.randint(1, 6)
            other = tmp_path / "other.tmp"
            other.write_bytes(whole(symbol))
            os.replace(other, file)
        else:
            feed = feed_of()
        if chance.random() < 0.1:
            with database_away(database, trader), suppress(ServiceError):
                feed.read(NOW)
        else:
            feed.read(NOW)
    for symbol in days:
        (tmp_path / f"{symbol}.csv").write_bytes(whole(symbol))
    feed.read(NOW)
    assert all_rows(trader) == [row for symbol in days for row in expected(DAYS[: days[symbol]], symbol)]
    assert all_rows(trader, "SELECT * FROM bar_corrections") == []
    assert all_rows(trader, "SELECT * FROM bar_quarantine") == []
