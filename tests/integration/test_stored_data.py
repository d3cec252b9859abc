"""`quorum data` and `quorum reset` on a real database: what there is, what is missing, taking bars back, starting anew."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from agents.adapters.database.alarm_facts import read_alarm_facts
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.series_store import SeriesStore
from agents.adapters.database.stored_data import StoredData
from agents.adapters.database.tables import metadata
from agents.adapters.database.wipe import DATA_TABLES, JOURNAL_TABLES, KEPT_TABLES, META_TABLES
from agents.adapters.feeds.file_reading import import_file
from agents.adapters.feeds.folder_feed import FolderFeed
from agents.adapters.files.series_files import SeriesFile, read_series
from agents.cli.main import main
from agents.core.alarm_types import AlarmLimits
from agents.core.errors import ServiceError
from agents.core.facts import SystemState
from agents.core.settings import DataSettings
from agents.tuning.alarms import desk_alarms
from agents.wiring.calendar import calendar_of
from agents.wiring.connections import Connections
from tests.conftest import SERVICES

NOW = datetime(2024, 12, 1, tzinfo=UTC)
ANY_HOURS = calendar_of(DataSettings())
HEAD = "symbol,time,open,high,low,close,volume\n"
SYSTEM = SystemState(
    cpu_percent=1.0, load_1m=0.1, cpus=2, memory_percent=1.0, disk_free_bytes=10**12, database_bytes=1,
    slow_queries=0, commits=1, rollbacks=0, redis_alive=True,
)  # fmt: skip


def rows(symbol, *days, close=10.5):
    return "".join(f"{symbol},2024-01-{day:02d},10,11,9,{close},1000\n" for day in days)


@pytest.fixture
def desk(owner, trader, tmp_path):
    """Three symbols, two with gaps; decisions up to January 5th."""
    file = tmp_path / "a.csv"
    file.write_text(
        HEAD + rows("A", 2, 3, 4, 5, 8, 9) + rows("B", 3, 5, 8, 9) + rows("T", 8) + "A,2024-01-10,3,2,3,3,1\n"
    )
    import_file(file, DataSettings(), BarsStore(trader), {}, NOW)
    decide_until(trader, 5, 1)
    return StoredData(owner)


def decide_until(engine, day, version, symbols=("A", "B", "T", "LATE")):
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO decisions (time, weights_version, weights_level, weights, risk_state, equity, cash, orders,"
                " reason, data_version) VALUES (:time, 0, 'equal', '{}', 'active', 1, 1, 0, '', :version)"
            ),
            {"time": f"2024-01-{day:02d}T21:00Z", "version": version},
        )
        connection.execute(
            text(
                "INSERT INTO decision_details (time, symbol, combined, multiplier, raw_weight, target_weight, clamps,"
                " no_trade, order_quantity, position, mark) SELECT CAST(:time AS timestamptz), s,"
                " 0, 1, 0, 0, '', '', 0, 0, 1 FROM unnest(CAST(:symbols AS text[])) s"
            ),
            {"time": f"2024-01-{day:02d}T21:00Z", "symbols": list(symbols)},
        )


def correct(trader, tmp_path, symbol="A", day=3, close=9.5):
    file = tmp_path / "later.csv"
    file.write_text(HEAD + rows(symbol, day, close=close))
    return import_file(file, DataSettings(), BarsStore(trader), {}, NOW)


def test_symbols_and_gaps(desk):
    table = [
        [row[name] for name in ("symbol", "bars", "missing", "suspect", "corrections")]
        for row in desk.symbols(ANY_HOURS)
    ]
    assert table == [["A", 6, 0, 0, 0], ["B", 4, 1, 0, 0], ["T", 1, 0, 0, 0]]
    first, last = (desk.symbols(ANY_HOURS)[1][name].isoformat()[:10] for name in ("first", "last"))
    assert (first, last) == ("2024-01-03", "2024-01-09")
    (gap,) = desk.gaps(None, ANY_HOURS)
    assert (gap["symbol"], gap["missing"]) == ("B", 1)
    assert [gap[name].isoformat()[:10] for name in ("last_before", "first_after")] == ["2024-01-03", "2024-01-05"]
    assert desk.gaps("A", ANY_HOURS) == []
    (refused,) = desk.quarantine(5)
    assert (refused["file"], refused["row"], refused["reason"]) == ("a.csv", 12, "high below low")


def test_only_bars_that_no_decision_has_used_are_removed(desk):
    used = desk.chosen("A", None, None)
    assert (used["bars"], used["used"], used["used_until"].isoformat()[:10]) == (6, 4, "2024-01-05")
    assert desk.remove("T", None, None) == 1
    assert desk.remove("A", None, None) == 2, "those of the 8th and 9th"
    assert [row["bars"] for row in desk.symbols(ANY_HOURS)] == [4, 4]


def test_a_bar_that_came_after_the_decision_was_made_can_be_removed(desk, trader, tmp_path):
    """Its read is newer than the data that the newest decision knew."""
    correct(trader, tmp_path, "LATE", 4)
    assert desk.chosen("LATE", None, None)["used"] == 0
    decide_until(trader, 8, 2)
    assert desk.chosen("LATE", None, None)["used"] == 1


def test_a_symbol_that_no_decision_was_about_can_be_removed(desk, trader, tmp_path):
    """Seen: a symbol outside data.symbols was refused, since its bars are older than a decision."""
    file = tmp_path / "typo.csv"
    file.write_text(HEAD + rows("TYPO", 2, 3))
    import_file(file, DataSettings(), BarsStore(trader), {}, NOW)
    decide_until(trader, 9, 99, symbols=("A", "B"))
    assert desk.chosen("TYPO", None, None)["used"] == 0
    assert desk.remove("TYPO", None, None) == 2
    assert desk.chosen("A", None, None)["used"] == 6


def test_gaps_follow_the_calendar_of_the_market(trader, tmp_path):
    """January 1st and 15th of 2024 were holidays in New York; the 4th and 5th lack a bar, of any symbol."""
    stored, calendar = StoredData(trader), calendar_of(DataSettings(calendar="XNYS"))
    file = tmp_path / "a.csv"
    file.write_text(HEAD + rows("A", 2, 3, 8, 9, 10, 11, 12, 16, 17) + rows("B", 2, 3, 8))
    settings = DataSettings(calendar="XNYS")
    import_file(file, settings, BarsStore(trader), {}, NOW)
    assert stored.gaps(None, ANY_HOURS) == [], "seen: nobody has one, so nothing is missing"
    gaps = stored.gaps("A", calendar)
    assert [(gap["last_before"].day, gap["first_after"].day, gap["missing"]) for gap in gaps] == [(3, 8, 2)]
    assert [row["missing"] for row in stored.symbols(calendar)] == [2, 2]


def test_a_symbol_that_trades_at_other_hours_is_held_against_the_others(trader, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(HEAD + rows("COIN", 1, 2, 3, 6, 7, 8))
    import_file(
        file, DataSettings(timezone="UTC", session_close="24:00", session_open="00:00"), BarsStore(trader), {}, NOW
    )
    calendar = calendar_of(DataSettings(calendar="XNYS"))
    assert StoredData(trader).gaps("COIN", calendar) == []


def test_the_list_counts_what_is_open_and_with_history_what_ever_was(trader, tmp_path):
    """Seen: a doubt that was settled long ago still stood in the column."""
    file = tmp_path / "a.csv"
    lines = [f"A,2024-01-{day:02d},{p},{p},{p},{p},1000\n" for day, p in ((2, 10), (3, 30), (4, 10), (5, 10))]
    file.write_text(HEAD + "".join(lines))
    import_file(file, DataSettings(), BarsStore(trader), {}, NOW)
    (row,) = StoredData(trader).symbols(ANY_HOURS)
    assert (row["suspect"], row["suspect_ever"]) == (0, 1)
    file.write_text(HEAD + "A,2024-01-08,30,30,30,30,1000\n")
    import_file(file, DataSettings(), BarsStore(trader), {}, NOW)
    (row,) = StoredData(trader).symbols(ANY_HOURS)
    assert (row["suspect"], row["suspect_ever"]) == (1, 2)


def alarms(engine):
    with engine.connect() as connection:
        facts = read_alarm_facts(connection, NOW, NOW, SYSTEM)
    return [
        alarm.detail
        for alarm in desk_alarms(facts, AlarmLimits(stale_after=timedelta(days=9999)))
        if alarm.kind == "data_corrected"
    ]


def test_a_kept_correction_is_an_alarm_until_a_person_has_seen_it(desk, owner, trader, tmp_path):
    assert alarms(owner) == []
    assert correct(trader, tmp_path).corrections[0].taken is False
    assert correct(trader, tmp_path, day=9).corrections[0].taken is True
    (detail,) = alarms(owner)
    assert detail.startswith("a later file gives 1 bar of A (2024-01-03) other prices than decisions have used")
    assert StoredData(trader).corrections_seen(NOW) == 1
    assert alarms(owner) == []
    newest, older = desk.corrections(None, 9)
    assert (newest["taken"], older["taken"], older["kept"]["close"], older["given"]["close"]) == (
        True,
        False,
        10.5,
        9.5,
    )


def test_series_that_no_bar_meets_are_named(desk, trader, tmp_path):
    file = tmp_path / "chain.csv"
    file.write_text("symbol,time,market_cap\nBTC,2024-01-01,1\nA,2024-01-01,1\n*,2024-01-01,1\n")
    SeriesStore(trader).store(read_series(SeriesFile(path=file, columns={}, symbol=None), timedelta(days=1)))
    assert desk.series_without_bars() == ["BTC"]


def test_every_table_is_forgotten_or_kept_on_purpose():
    assert set(JOURNAL_TABLES) | set(META_TABLES) | set(DATA_TABLES) | set(KEPT_TABLES) == set(metadata.tables)


@pytest.fixture
def own_desk(desk, database, monkeypatch):
    """Commands find this database as a user's own server."""
    monkeypatch.setenv("DATABASE_URL", SERVICES.database_url(database, "postgres"))
    monkeypatch.setenv("REDIS_URL", SERVICES.redis_url)
    monkeypatch.setenv("QUORUM_STATE_DIR", str(SERVICES.root))
    return desk


def test_a_reset_keeps_a_backup_of_everything(own_desk, trader, capsys):
    assert main(["reset", "--yes", "--json"]) == 0
    kept = Path(json.loads(capsys.readouterr().out)["backup"])
    assert json.loads(Path(f"{kept}.json").read_text())["rows"]["decisions"] == 1
    kept.unlink()
    assert [row["bars"] for row in own_desk.symbols(ANY_HOURS)] == [6, 4, 1]
    assert own_desk.chosen("A", None, None)["used"] == 0
    decide_until(trader, 5, 1)
    assert main(["reset", "--yes", "--data"]) == 0
    assert own_desk.symbols(ANY_HOURS) == []


def test_without_a_backup_nothing_is_forgotten(own_desk, trader, capsys, monkeypatch):
    journal = PostgresJournal(trader)
    journal.hold_desk()
    assert main(["reset", "--yes"]) == 1
    assert "already; stop it first" in capsys.readouterr().err
    journal.release()

    def fails(*_, **__):
        raise ServiceError("no room")

    monkeypatch.setattr("agents.cli.reset.backup", fails)
    assert main(["reset", "--yes"]) == 1
    assert own_desk.chosen("A", None, None)["used"] == 4


# ---------------------------------------------------------------- as a user sees it


@pytest.fixture
def connections(owner, trader, database):
    psql = (str(SERVICES.psql()), "-h", str(SERVICES.run), "-U", "quorum_owner", "-d", database)
    return Connections(owner, trader, trader, "", psql, {})


@pytest.fixture
def quorum(connections, monkeypatch, capsys):
    """Runs a command on the desk's database; (exit status, stdout, stderr)."""
    kept = Connections(connections.owner, connections.trader, connections.meta, "", connections.psql, {})
    monkeypatch.setattr(Connections, "close", lambda _self: None)
    monkeypatch.setenv("COLUMNS", "80")
    for module in ("stored_data.connect_to_read", "bars.connect_to_read", "reset.connect", "data.connect"):
        monkeypatch.setattr(f"agents.cli.{module}", lambda *_a, **_k: kept)

    def run(line):
        status = main(line.split())
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_the_command_shows_removes_and_says_why_not(desk, quorum):
    status, out, _ = quorum("data")
    assert status == 0
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80
    assert "2024-01-09 21:00" in out
    head = out.splitlines()[1].split()
    assert head == ["symbol", "first", "last", "bars", "missing", "suspect", "corrected"]
    told = quorum("data --history")[1].splitlines()
    assert told[1].split() == ["symbol", "bars", "suspect", "suspect", "ever", "corrections", "corrections", "ever"]
    assert [row["symbol"] for row in json.loads(quorum("data --json")[1])["symbols"]] == ["A", "B", "T"]
    assert json.loads(quorum("data gaps B --json")[1])[0]["missing"] == 1
    assert "high below low" in quorum("data quarantine")[1]
    for line, problem in (
        ("data remove X", "there are no such bars of X"),
        ("data remove A --yes", "4 of these 6 bars of A, up to 2024-01-05 21:00 UTC, may have been used by decisions"),
        ("data remove T", "this would remove 1 bars of T; add --yes to do it"),
        ("reset", "a backup is kept; add --yes to do it"),
    ):
        status, _, err = quorum(line)
        assert status == 2
        assert problem in err
    assert "removed 2 bars of A" in quorum("data remove A --from 2024-01-06 --yes")[1]
    assert json.loads(quorum("data remove T --yes --json")[1]) == {"symbol": "T", "removed": 1}


def test_refused_files_are_listed_until_they_are_mended(desk, quorum, trader, tmp_path):
    """Seen: they stood in the log only."""
    folder = tmp_path / "bars"
    folder.mkdir()
    feed = FolderFeed(DataSettings(feed_folder=folder), BarsStore(trader))
    (folder / "odd.csv").write_text("date;price\n2024-01-02;3\n")
    (folder / "b\x1bad.csv").write_text(HEAD)
    feed.poll(NOW)
    feed.poll(NOW)
    shown = json.loads(quorum("data quarantine --json")[1])
    assert {row["file"] for row in shown["files"]} == {"odd.csv", "b\\x1bad.csv"}
    assert [row["reason"] for row in shown["rows"]] == ["high below low"]
    out = quorum("data quarantine")[1]
    assert "no column for" in out
    assert "A file is looked at again when it changes" in out
    assert "2 files of the folder cannot be read" in quorum("data")[1]
    (folder / "odd.csv").write_text(HEAD + rows("ODD", 3))
    (folder / "b\x1bad.csv").unlink()
    FolderFeed(DataSettings(feed_folder=folder), BarsStore(trader)).poll(NOW)  # by another daemon, a day later
    assert json.loads(quorum("data quarantine --json")[1])["files"] == []


def test_what_a_person_takes_for_bars_and_is_not_read_is_named(desk, trader, tmp_path):
    """Seen: a last line without its end waited without a word, and so did other kinds of files, for ever."""
    folder = tmp_path / "bars"
    folder.mkdir()
    feed = FolderFeed(DataSettings(feed_folder=folder), BarsStore(trader))
    (folder / "prices.xlsx").write_bytes(b"PK")
    (folder / "notes.md").touch()
    file = folder / "end.csv"
    file.write_text((HEAD + rows("END", 3, 4)).rstrip("\n"))
    os.utime(file, (NOW.timestamp() - 120, NOW.timestamp() - 120))
    for name, content in (("empty.csv", ""), ("mac.csv", HEAD.replace("\n", "\r") * 2), ("young.csv", HEAD)):
        (folder / name).write_text(content)
        long_ago = NOW.timestamp() - (10 if name == "young.csv" else 120)
        os.utime(folder / name, (long_ago, long_ago))
    for _ in range(3):
        feed.poll(NOW)
    reasons = {row["file"]: row["reason"] for row in desk.refused_files()}
    assert sorted(reasons) == ["empty.csv", "end.csv", "mac.csv", "prices.xlsx"]
    assert "holds no row" in reasons["mac.csv"]
    assert "its last line has no line end" in reasons["end.csv"]
    assert desk.chosen("END", None, None)["bars"] == 1
    file.write_text(HEAD + rows("END", 3, 4))
    feed.poll(NOW)
    assert desk.chosen("END", None, None)["bars"] == 2
    assert "end.csv" not in {row["file"] for row in desk.refused_files()}


def test_a_renamed_symbol_goes_on_under_the_desks_name(desk, quorum, trader, tmp_path):
    folder = tmp_path / "bars"
    folder.mkdir()
    feed = FolderFeed(DataSettings(feed_folder=folder), BarsStore(trader))
    (folder / "new.csv").write_text(HEAD + rows("NEW", 10, 11))
    feed.poll(NOW)
    for line, problem in (
        ("bars rename A A", "has that name already"),
        ("bars rename NOPE NEW", "NOPE has no bars here"),
        ("bars rename A B", "B is a symbol of this desk with decisions of its own"),
        ("bars rename A NEW", "this would take the 2 bars of NEW that no decision used for A; add --yes"),
    ):
        status, _, err = quorum(line)
        assert (status, problem in err) == (2, True), err
    assert "NEW in files is A from now on" in quorum("bars rename A NEW --yes")[1]
    with (folder / "new.csv").open("a") as stream:
        stream.write(rows("NEW", 12))
    feed.poll(NOW)  # the daemon that runs hears of it with the next row, and reads the others again
    table = {row["symbol"]: row["bars"] for row in desk.symbols(ANY_HOURS)}
    assert table == {"A": 9, "B": 4, "T": 1}
    assert "NEW is A already" in quorum("bars rename B NEW")[2]
    series = tmp_path / "chain.csv"
    series.write_text("symbol,time,market_cap\nNEW,2024-01-01,1\n")
    assert quorum(f"import-series {series}")[0] == 0
    assert desk.series_without_bars() == []


def test_suspect_prices_on_the_screen(quorum, trader, tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(HEAD + "A,2024-01-02,10,10,10,10,1\nA,2024-01-03,30,30,30,30,1\n")
    import_file(file, DataSettings(), BarsStore(trader), {}, NOW)
    assert "quorum bars undo A" in quorum("bars accept A")[1]
    assert "Accepted by you" in quorum("bars")[1]
    assert "accepted no more" in quorum("bars undo A")[1]
    assert json.loads(quorum("bars --json")[1])["suspect"][0]["word"] == "withdrawn"
    out = quorum("bars reject A")[1]
    assert "traded again once a bar fits 10" in out
    assert "rejected" in out.split("Suspect symbols")[1]


def test_a_delisting_on_the_screen_is_asked_for_and_taken_back(desk, quorum):
    status, _, err = quorum("bars delist A --price 0")
    assert status == 2
    assert "this would take A off the market: every book that holds it is closed at 0 (its last price: 10.5)" in err
    assert "add --yes" in err
    assert "quorum bars undo A" in quorum("bars delist A --price 0 --yes")[1]
    assert quorum("bars delist A --price 1 --yes")[0] == 2, "it is off the market already"
    assert "A is on the market as before; nothing was closed" in quorum("bars undo A")[1]
    assert quorum("bars undo A")[0] == 2
    assert quorum("bars delist A --price 1 --yes")[0] == 0


def test_corrections_on_the_screen(desk, quorum, trader, tmp_path):
    correct(trader, tmp_path)
    _, out, _ = quorum("data corrections")
    assert "close 10.5 -> 9.5" in out
    assert json.loads(quorum("data corrections --seen --json")[1])["marked_seen"] == 1
    assert "kept, seen" in quorum("data corrections")[1]
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80


def test_a_failed_import_prints_its_error_once(desk, quorum, tmp_path, monkeypatch):
    (tmp_path / "bad.csv").write_text("nonsense\n1\n")
    monkeypatch.chdir(tmp_path)
    status, out, err = quorum("import-bars bad.csv")
    assert status == 1
    assert (out + err).count("no column for") == 1
    status, out, _ = quorum("import-bars bad.csv --json")
    assert "no column for" in json.loads(out)[0]["error"]
