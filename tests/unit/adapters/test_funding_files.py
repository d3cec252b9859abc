"""Files of funding rates: which rows are settlements, and which bar's position pays each."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from agents.adapters.files.bar_folder import read_folder
from agents.adapters.files.funding_files import funding_in, parse_funding, with_funding
from agents.adapters.files.market_actions import Decided
from agents.core.errors import DataError
from agents.core.market import FundingRate
from agents.core.settings import Settings
from agents.core.types import Bars

NOW = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = np.timedelta64(1, "h")
START = np.datetime64("2024-01-01T00:00", "us")


def hourly(count: int, hours: int = 1) -> Bars:
    """Bars of so many hours without a gap."""
    opened = START + np.arange(count) * hours * HOUR
    ones = np.ones((count, 1))
    grids = dict.fromkeys(("open", "high", "low", "close", "volume", "adjustment", "split"), ones)
    return Bars(time=opened + hours * HOUR, opened=opened, symbols=("X",), dividend=0.0 * ones, **grids)


def settled(hours: float, rate: float = 0.01, read_id: int = 0) -> FundingRate:
    return FundingRate("X", START + np.timedelta64(round(hours * 3600), "s"), rate, 100.0, "f", read_id)


def placed(bars: Bars, *rates: FundingRate, **how: object) -> dict[tuple[int, str], float]:
    """{(row, where): cash of a unit}"""
    found = with_funding(bars, rates, **how)
    grids = {"open": found.funding, "within": found.funding_within}
    return {(int(t), n): float(g[t, 0]) for n, g in grids.items() for t in np.flatnonzero(g[:, 0])}


def test_it_belongs_to_the_bar_in_which_it_is_settled():
    """At a bar's open who held it before pays, since orders at the open come after it; within a bar who holds it then;
    at its close the next bar's open does. Several add up."""
    day = hourly(4, 24)
    assert placed(day, settled(24)) == {(1, "open"): -1.0}
    assert placed(day, settled(32), settled(40, 0.02)) == {(1, "within"): pytest.approx(-3.0)}
    assert placed(day, settled(24, -0.01)) == {(1, "open"): 1.0}
    assert placed(hourly(5), settled(3)) == {(3, "open"): -1.0}
    assert placed(day, settled(96)) == {}, "the next bar's, which is not there yet"
    gap = hourly(6).where(np.array([True, True, False, False, True, True]))
    assert placed(gap, settled(3)) == {(2, "open"): -1.0}, "the first bar after it"


def test_what_comes_late_is_paid_once_at_the_next_bar():
    """A decision at hour 3 knew version 5. What it knew stays where it was; what it did not is paid before the next open;
    what is settled at its very close is not late."""
    news, decided = hourly(8).rows(3, 8), Decided(START + 3 * HOUR, 5)
    assert placed(news, settled(2, read_id=5), since=decided) == {}
    assert placed(news, settled(2, read_id=6), since=decided) == {(0, "open"): -1.0}
    assert placed(news, settled(3, read_id=5), since=decided) == {(0, "open"): -1.0}
    assert placed(news, settled(2.5, read_id=9), settled(3, read_id=9), since=decided) == {(0, "open"): -2.0}
    assert placed(news, settled(2, read_id=6)) == {}, "nobody has held anything before"


def test_bars_carry_it_into_a_database_and_back():
    rng = np.random.default_rng(3)
    bars = with_funding(hourly(50, 24), [settled(h, rng.normal()) for h in 8 * rng.integers(3, 140, 80)])
    again = with_funding(bars, funding_in(bars, "test"))
    assert np.array_equal(again.funding, bars.funding) and np.array_equal(again.funding_within, bars.funding_within)
    assert (bars.funding != 0).any() and (bars.funding_within != 0).any()


def parsed(*lines: str, name: str = "BTC.funding.csv"):
    return parse_funding(Path(name), ("\n".join(lines) + "\n").encode(), {}, NOW)


def test_rows_are_settlements_or_refused_with_a_reason():
    head = "time,symbol,rate,price"
    rows = parsed(
        head,
        "2024-01-01T08:00:00.013Z,BTC/USDT:USDT,0.0001,42000.5",
        "2024-01-01T08:00:00Z,BTC/USDT:USDT,0.0009,42000.5",
        "2024-01-01T16:00:00Z,BTC/USDT:USDT,-0.0002,42100",
        "2024-01-02T00:00:00Z,,0.0001,42000",
        "yesterday,BTC/USDT:USDT,0.0001,42000",
        "2024-01-02T00:00:00Z,BTC/USDT:USDT,nan,42000",
        "2024-01-02T00:00:00Z,BTC/USDT:USDT,7,42000",
        "2024-01-02T00:00:00Z,BTC/USDT:USDT,0.0001,-1",
        "2024-03-01T08:00:00Z,BTC/USDT:USDT,0.0001,42000",
    )
    assert [(str(r.time), r.rate) for r in rows.rates] == [
        ("2024-01-01T08:00:00.000000", 0.0001),
        ("2024-01-01T16:00:00.000000", -0.0002),
    ], "exchanges stamp some milliseconds late; of the same minute the first counts"
    assert [row.row_number for row in rows.bad] == [4, 5, 6, 7, 8]
    assert rows.due == datetime(2024, 3, 1, 8, tzinfo=UTC), "not settled yet"
    assert rows.rates[0].cash == pytest.approx(-4.20005)


def test_a_file_that_says_too_little_is_refused():
    with pytest.raises(DataError, match="no column price.*mark price"):
        parsed("time,rate", "2024-01-01T08:00:00Z,0.0001")
    assert parsed("time,rate,price").rates == (), "nothing yet"
    cut = parse_funding(
        Path("X.funding.csv"), b"time,rate,price\n2024-01-01T08:00Z,0.1,5\n2024-01-01T16:00Z,0.1,5", {}, NOW
    )
    assert len(cut.rates) == 1, "the last line is not whole yet"


def test_a_folder_is_read_with_its_funding(tmp_path):
    (tmp_path / "X.csv").write_text(
        "time,open,high,low,close,volume\n" + "".join(f"2024-01-{d:02}T00:00Z,10,11,9,10,5\n" for d in range(1, 9))
    )
    (tmp_path / "X.funding.csv").write_text(
        "time,rate,price\n2024-01-03T00:00Z,0.01,10\n2024-01-04T08:00Z,-0.01,10\n2024-01-05T16:00Z,x,10\n"
    )
    data = {"time_means": "open", "interval": "1d", "calendar": "24/7", "timezone": "UTC"}
    folder = read_folder(tmp_path, Settings(data=data).data, {}, NOW)
    bars = folder.bars
    assert bars.symbols == ("X",) and len(bars.time) == 8
    assert bars.funding[:, 0].nonzero()[0].tolist() == [2] and bars.funding[2, 0] == -0.1
    assert bars.funding_within[:, 0].nonzero()[0].tolist() == [3] and bars.funding_within[3, 0] == 0.1
    assert [(name, row.row_number) for name, row in folder.bad] == [("X.funding.csv", 3)]
