"""FAULTS section G on files: what is refused whole, what is quarantined by row, and exact instants."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.adapters.files.bar_files import parse_table, read_table
from agents.adapters.files.bar_rows import validate_rows
from agents.core.errors import DataError
from agents.core.settings import DataSettings
from agents.wiring.demo_desk import demo_file
from tests.conftest import shared_data

NOW = datetime(2024, 6, 1, tzinfo=UTC)
HEAD = "symbol,time,open,high,low,close,volume\n"
GOOD = HEAD + "A,2024-01-02,10,11,9,10.5,1000\nA,2024-01-03,10.5,12,10,11,1100\n"
HOURLY = DataSettings(interval="1h", time_means="open", timezone="UTC")


def load(content: str | bytes, settings: DataSettings | None = None, name: str = "bars.csv", **mapping: str):
    data = content.encode() if isinstance(content, str) else content
    return validate_rows(parse_table(Path(name), data, mapping), settings or DataSettings(), at=NOW)


def load_file(file: Path):
    return validate_rows(read_table(file, {}), DataSettings(), at=NOW)


def reasons(batch) -> list[tuple[int, str]]:
    return [(bad.row_number, bad.reason) for bad in batch.bad]


def stamps(*iso: str) -> list[np.datetime64]:
    return [np.datetime64(i, "us") for i in iso]


def test_a_session_date_becomes_the_exchange_hours_in_utc():
    """New York closes at 16:00: 21:00Z in winter, 20:00Z in summer."""
    batch = load(HEAD + "A,2024-01-02,10,11,9,10.5,1000\nA,2023-07-02,10,11,9,10,1\n")
    assert sorted(batch.time.tolist()) == sorted(
        t.astype("datetime64[us]").tolist() for t in stamps("2024-01-02T21:00", "2023-07-02T20:00")
    )
    winter = int(np.argmax(batch.time))
    assert batch.bar_open[winter] == stamps("2024-01-02T14:30")[0]
    assert (batch.available_at == batch.time).all()


def test_open_and_close_times_and_the_delay():
    row = "A,2024-01-02T10:00:00Z,10,11,9,10.5,1000\n"
    opened = load(HEAD + row, HOURLY)
    closed = load(HEAD + row, HOURLY.model_copy(update={"time_means": "close", "publication_delay_s": 60.0}))
    assert (opened.bar_open[0], opened.time[0]) == tuple(stamps("2024-01-02T10:00", "2024-01-02T11:00"))
    assert (closed.bar_open[0], closed.time[0]) == tuple(stamps("2024-01-02T09:00", "2024-01-02T10:00"))
    assert closed.available_at[0] == stamps("2024-01-02T10:01")[0]


REFUSED = [
    ("", "is empty"),
    ("\n\n", "is empty"),
    (HEAD, "no rows"),
    (GOOD[:-1], "last line has no end"),
    (GOOD.replace("10.5,1000", "10.5,10\x0000"), "NUL bytes"),
    (GOOD.encode("utf-16"), "UTF-16"),
    (GOOD.replace("close", "last"), "no column for close"),
    (GOOD.replace("low", "high"), "two columns have the same name"),
    (b"\xff\xfa\xfbsymbol,time\n1,2\n", "not a UTF-8 CSV|no column"),
    (GOOD.replace("2024-01-02", "12"), "quarantine"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED[:-1])
def test_files_that_cannot_be_trusted_are_refused_whole(content, message):
    with pytest.raises(DataError, match=message) as caught:
        load(content)
    assert "bars.csv" in str(caught.value)


@given(cut=st.integers(1, len(GOOD) - 1))
def test_a_file_cut_anywhere_never_gives_a_wrong_bar(cut):
    """Cut at every offset: refused, or (cut just after a line) fewer whole bars; never a shortened number."""
    try:
        batch = load(GOOD[:cut])
    except DataError:
        return
    assert GOOD[:cut].endswith("\n")
    assert set(batch.close.tolist()) <= {10.5, 11.0}


def test_a_cut_gzip_and_a_bomb_are_refused(tmp_path):
    packed = gzip.compress(GOOD.encode() * 50)
    (tmp_path / "cut.csv.gz").write_bytes(packed[:-20])
    with pytest.raises(DataError, match="damaged or cut off"):
        read_table(tmp_path / "cut.csv.gz", {})
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"0" * 60_000_000))
    with pytest.raises(DataError, match="decompression bomb"):
        read_table(tmp_path / "bomb.csv.gz", {})
    (tmp_path / "no.csv.gz").write_bytes(b"plain text")
    with pytest.raises(DataError, match="damaged"):
        read_table(tmp_path / "no.csv.gz", {})


def test_a_missing_or_strange_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"none.csv: cannot be read"):
        read_table(tmp_path / "none.csv", {})
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match="expected a file ending in"):
        read_table(tmp_path / "x.xlsx", {})
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="not a complete Parquet"):
        read_table(tmp_path / "x.parquet", {})


ROWS = [
    ("A,2024-01-04,nan,11,9,10,1", "open is not a|open is not finite"),
    ("A,2024-01-04,inf,11,9,10,1", "open is not"),
    ("A,2024-01-04,1e400,11,9,10,1", "open is not finite"),
    ("A,2024-01-04,0,11,9,10,1", "open is not positive"),
    ("A,2024-01-04,-10,11,9,10,1", "open is not positive"),
    ("A,2024-01-04,10,9,11,10,1", "high below low"),
    ("A,2024-01-04,10,11,9,12,1", "close outside low to high"),
    ("A,2024-01-04,8,11,9,10,1", "open outside low to high"),
    ("A,2024-01-04,10,11,9,10,-5", "volume is negative"),
    ('A,2024-01-04,"1,234.5",11,9,10,1', "open outside low to high"),  # read as 1234.5, which the others contradict
    ('A,2024-01-04,"12,34.5",11,9,10,1', "open is not a number"),
    ("A,2024-01-04,ten,11,9,10,1", "open is not a number"),
    ("A,04/01/2024,10,11,9,10,1", "time is not an ISO 8601"),
    ("A,2024-13-41,10,11,9,10,1", "time is not an ISO 8601"),
    ("A,2031-01-04,10,11,9,10,1", "lies in the future"),
    ("A,2024-01-04,10,11,9", "5 fields instead of 7"),
    ("A,2024-01-04,10,11,9,10,1,7", "8 fields instead of 7"),
    (",2024-01-04,10,11,9,10,1", "symbol is empty"),
    ("=cmd(),2024-01-04,10,11,9,10,1", "symbol is empty or holds characters"),
    ("\U0001f680,2024-01-04,10,11,9,10,1", "symbol is empty or holds characters"),
]


@pytest.mark.parametrize(("row", "reason"), ROWS)
def test_a_bad_row_is_quarantined_and_the_good_ones_load(row, reason):
    content = GOOD + row + "\nA,2024-01-05,11,12,10,11,1\n"
    batch = load(content)
    assert len(batch.time) == 3
    assert [bad.row_number for bad in batch.bad] == [3]
    import re

    assert re.search(reason, batch.bad[0].reason)


@pytest.mark.parametrize("symbol", ["NA", "NULL", "TRUE", "1E5", "nan", "None", "BTC/USDT", "^GSPC"])
def test_strange_tickers_stay_text(symbol):
    assert load(GOOD.replace("\nA,", f"\n{symbol},")).symbols == (symbol,)


def test_bom_crlf_spaces_and_empty_lines_are_fine():
    content = "\ufeff" + GOOD.replace("\n", "\r\n").replace("A,2024-01-03,10.5", "\r\nA,2024-01-03, 10.5")
    batch = load(content)
    assert (len(batch.time), batch.bad) == (2, [])


def test_row_numbers_survive_skipped_rows():
    content = HEAD + "A,2024-01-02,10,11\n" + "\n" + "A,2024-01-03,0,11,9,10,1\nA,2024-01-04,10,11,9,10,1\n"
    assert [n for n, _ in reasons(load(content))] == [1, 3]


def test_duplicates_equal_and_different():
    first = "A,2024-01-04,10,11,9,10,1\n"
    batch = load(GOOD + first + first + "A,2024-01-04,10,11,9,10.5,1\n")
    assert batch.equal_duplicates == 1
    assert len(batch.time) == 3
    assert batch.close[-1] == 10.0
    assert reasons(batch) == [(5, "same symbol and time as an earlier row, other values: the first is kept")]


@given(seed=st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(seed):
    rows = [f"{s},2024-01-{d:02d},10,11,9,{10 + d / 100},{d}\n" for s in "AB" for d in range(2, 20)]
    shuffled = np.random.default_rng(seed).permutation(rows)
    one, two = load(HEAD + "".join(rows)), load(HEAD + "".join(shuffled))
    for name in ("symbol", "time", "close", "volume"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_epoch_units_are_recognised(unit, factor):
    at = 1_704_189_600  # 2024-01-02T10:00Z
    batch = load(HEAD + f"A,{at * factor},10,11,9,10,1\nA,{(at + 3600) * factor},10,11,9,10,1\n", HOURLY)
    assert batch.bar_open.tolist() == [t.tolist() for t in stamps("2024-01-02T10:00", "2024-01-02T11:00")]


def test_mixed_units_zones_and_grids_are_quarantined():
    at = 1_704_189_600
    mixed = load(HEAD + "".join(f"A,{t},10,11,9,10,1\n" for t in (at, at + 3600, (at + 7200) * 1000)), HOURLY)
    assert reasons(mixed) == [(3, "time is not in s like the file's other times")]
    zones = ["2024-01-02T10:00:00Z", "2024-01-02T11:00:00Z", "2024-01-02T12:00:00"]
    mixed = load(HEAD + "".join(f"A,{t},10,11,9,10,1\n" for t in zones), HOURLY)
    assert reasons(mixed) == [(3, "time has no zone, unlike the file's other times")]
    off = load(HEAD + "A,2024-01-02T10:00:00Z,10,11,9,10,1\nA,2024-01-02T11:07:00Z,10,11,9,10,1\n", HOURLY)
    assert reasons(off) == [(2, "time is not on the 1h grid")]


def test_local_times_that_do_not_exist_are_quarantined():
    """In New York 2024-03-10 02:30 does not exist and 2023-11-05 01:00 happens twice."""
    settings = HOURLY.model_copy(update={"timezone": "America/New_York"})
    times = ["2024-03-10 02:00:00", "2023-11-05 01:00:00", "2024-03-11 12:00:00"]
    batch = load(HEAD + "".join(f"A,{t},10,11,9,10,1\n" for t in times), settings)
    assert {reason for _, reason in reasons(batch)} == {"local time does not exist or is ambiguous in America/New_York"}
    assert batch.bar_open.tolist() == [stamps("2024-03-11T16:00")[0].tolist()]


def test_a_bar_that_is_not_closed_waits():
    """NOW is midnight of June 1st: the hour that began at 23:30 or later is no bar yet."""
    batch = load(HEAD + "A,2024-05-31T22:00:00Z,10,11,9,10,1\nA,2024-06-01T00:00:00Z,10,11,9,10,1\n", HOURLY)
    assert (len(batch.time), batch.not_closed, batch.bad) == (1, 1, [])


def test_a_batch_holds_what_the_file_says():
    """Adjusting factor 0.5 then 1, no column of splits: none is said."""
    content = "symbol,time,open,high,low,close,volume,Adj Close\nA,2024-01-02,100,101,99,100,5,50\nA,2024-01-03,50,52,49,51,9,51\n"
    batch = load(content)
    assert batch.adjustment.tolist() == [0.5, 1.0]
    assert batch.split.tolist() == [1.0, 1.0]
    given_ = load(content.replace("Adj Close", "split").replace(",5,50", ",5,1").replace(",9,51\n", ",9,2\n"))
    assert given_.split.tolist() == [1.0, 2.0]
    assert given_.bad == []


def test_written_ratios_are_the_fractions_they_mean():
    head = HEAD.replace("volume", "volume,split")
    batch = load(head + "A,2024-01-02,10,11,9,10,1,1.333333\nA,2024-01-03,10,11,9,10,1,7.000007\n")
    assert batch.split.tolist() == [4 / 3, 7.0]


def test_mapping_parquet_and_a_symbol_from_the_file_name(tmp_path):
    frame = pd.DataFrame(
        {
            "Date": pd.to_datetime(["2024-01-02", "2024-01-03"]),
            "o": [10.0, 10],
            "h": [11.0, 11],
            "l": [9.0, 9],
            "Last": [10.0, 10.5],
            "v": [1, 2],
        }
    )
    file = tmp_path / "msft.parquet"
    pq.write_table(pa.Table.from_pandas(frame), file)
    batch = validate_rows(read_table(file, {"close": "Last"}), DataSettings(), at=NOW)
    assert (batch.symbols, batch.close.tolist(), batch.bad) == (("MSFT",), [10.0, 10.5], [])
    with pytest.raises(DataError, match="'shut' is none of"):
        read_table(file, {"shut": "Last"})
    with pytest.raises(DataError, match="has no column 'Lst'"):
        read_table(file, {"close": "Lst"})
    with pytest.raises(DataError, match="needs data.interval = '1d'"):
        validate_rows(read_table(file, {"close": "Last"}), DataSettings(interval="1h"), at=NOW)


def test_the_demos_file_is_clean():
    """FB is listed in 2012, GOOG in 2004."""
    batch = validate_rows(read_table(demo_file(), {}), DataSettings(), at=NOW)
    assert (len(batch.time), batch.bad) == (12_154, [])
    listed = {name: str(batch.time[batch.symbol == k].min())[:10] for k, name in enumerate(batch.symbols)}
    assert (listed["FB"], listed["GOOG"], listed["IBM"]) == ("2012-05-18", "2004-08-19", "2000-03-01")


def test_real_files():
    """us_daily is clean and holds 7:1 for Apple in 2014; the gold future has 441 rows out of range, as its source says."""
    clean = validate_rows(read_table(shared_data("equities", "us_daily.csv.gz"), {}), DataSettings(), at=NOW)
    assert (len(clean.time), clean.bad) == (220_607, [])
    apple = (clean.symbol == clean.symbols.index("AAPL")) & (clean.split != 1)
    assert clean.split[apple].tolist() == [2.0, 2.0, 7.0]
    gold = shared_data("dirty", "gold_future_daily_2000_2018.csv.gz")
    assert len(validate_rows(read_table(gold, {}), DataSettings(), at=NOW).bad) == 441
