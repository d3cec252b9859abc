"""Files as people export them: each loads with the numbers that it means, or is refused with one line that says why."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from agents.adapters.files.bar_files import read_table
from agents.adapters.files.bar_rows import validate_rows
from agents.adapters.files.dialects import time_formats
from agents.core.errors import DataError
from agents.core.settings import DataSettings

NOW = datetime(2024, 12, 1, tzinfo=UTC)
ISO = "Date,Open,High,Low,Close,Volume\n"
DAYS = ["2024-01-30", "2024-01-31"]

# name: (content, settings, closes, volumes, days); all say the same two bars
LOADS = {
    "semicolons and decimal commas": (
        "Datum;Open;High;Low;Close;Volume\n2024-01-30;1.234,50;1.300,00;1.200,00;1.250,25;1.234.567\n"
        "2024-01-31;999,50;1.000,00;990,00;998,75;1.000\n",
        {"columns": {"time": "Datum"}},
        [1250.25, 998.75],
        [1234567, 1000],
    ),
    "semicolons and points": (
        "Date;Open;High;Low;Close;Volume\n2024-01-30;10.5;11;10;10.75;5\n2024-01-31;10.5;11;10;10.5;6\n",
        {},
        [10.75, 10.5],
        [5, 6],
    ),
    "semicolons, thousands with commas, points": (
        "Date;Open;High;Low;Close;Volume\n2024-01-30;1,234.5;1,300;1,200;1,250.25;1,234,567\n"
        "2024-01-31;1,234.5;1,300;1,200;1,250.5;1,000\n",
        {},
        [1250.25, 1250.5],
        [1234567, 1000],
    ),
    "tabs": ("Date\tOpen\tHigh\tLow\tClose\n2024-01-30\t1\t2\t1\t2\n2024-01-31\t1\t2\t1\t1\n", {}, [2, 1], None),
    "quoted thousands and dollars": (
        ISO + '2024-01-30,"$1,234.50","$1,300.00","$1,200.00","$1,250.25","1,234,567"\n2024-01-31,$10,$11,$9,$10,1\n',
        {},
        [1250.25, 10],
        [1234567, 1],
    ),
    "volumes in millions": (
        ISO + "2024-01-30,10,11,9,10,1.5M\n2024-01-31,10,11,9,10,20k\n",
        {},
        [10, 10],
        [1.5e6, 2e4],
    ),
    "quotes around everything": (
        '"Date","Open","High","Low","Close"\n"2024-01-30","1","2","1","2"\n"2024-01-31","1","2","1","1"\n',
        {},
        [2, 1],
        None,
    ),
    "Windows line ends and a byte order mark": (
        "\ufeff" + ISO.replace("\n", "\r\n") + "2024-01-30,10,11,9,10,1\r\n2024-01-31,10,11,9,10,1\r\n",
        {},
        [10, 10],
        [1, 1],
    ),
    "day first": (
        ISO + "30/01/2024,10,11,9,10,1\n31/01/2024,10,11,9,10,1\n",
        {"time_format": "%d/%m/%Y"},
        [10, 10],
        [1, 1],
    ),
    "a stock exchange's names of months": (
        ISO + "30-Jan-2024,10,11,9,10,1\n31-Jan-2024,10,11,9,10,1\n",
        {"time_format": "%d-%b-%Y"},
        [10, 10],
        [1, 1],
    ),
    "Nasdaq's export": (
        "Date,Close/Last,Volume,Open,High,Low\n01/30/2024,$188.04,55859370,$190.94,$191.80,$187.47\n"
        "01/31/2024,$184.40,55467800,$187.04,$187.10,$184.35\n",
        {"time_format": "%m/%d/%Y"},
        [188.04, 184.40],
        [55859370, 55467800],
    ),
    "midnights of a zone ahead of UTC": (
        ISO + "2024-01-30 00:00:00+09:00,10,11,9,10,1\n2024-01-31 00:00:00+09:00,10,11,9,10,1\n",
        {"timezone": "Asia/Tokyo"},
        [10, 10],
        [1, 1],
    ),
    "midnights in UTC": (
        ISO + "2024-01-30T00:00:00Z,10,11,9,10,1\n2024-01-31T00:00:00Z,10,11,9,10,1\n",
        {},
        [10, 10],
        [1, 1],
    ),
    "slashes in ISO order": (ISO + "2024/01/30,10,11,9,10,1\n2024/01/31,10,11,9,10,1\n", {}, [10, 10], [1, 1]),
    "no separators in dates": (ISO + "20240130,10,11,9,10,1\n20240131,10,11,9,10,1\n", {}, [10, 10], [1, 1]),
    "newest first": (ISO + "2024-01-31,10,11,9,9,1\n2024-01-30,10,11,9,10,1\n", {}, [10, 9], [1, 1]),
    "a row twice": (
        ISO + "2024-01-30,10,11,9,10,1\n2024-01-30,10,11,9,10,1\n2024-01-31,10,11,9,9,1\n",
        {},
        [10, 9],
        [1, 1],
    ),
}


def judged(tmp_path, content, **settings):
    file = tmp_path / "A.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    data = DataSettings(**settings)
    return validate_rows(read_table(file, data.columns), data, at=NOW)


@pytest.mark.parametrize("name", LOADS)
def test_it_loads_as_it_is_meant(name, tmp_path):
    content, settings, closes, volumes = LOADS[name]
    batch = judged(tmp_path, content, **settings)
    assert batch.bad == []
    assert batch.close.tolist() == closes
    assert batch.volume.tolist() == volumes if volumes else np.isnan(batch.volume).all()
    assert batch.time.astype("M8[D]").astype(str).tolist() == DAYS


# name: (content, words of the line)
REFUSED = {
    "day and month cannot be told apart": (
        ISO + "03/04/2024,10,11,9,10,1\n04/04/2024,10,11,9,10,1\n",
        ["03/04/2024", "cannot be told apart", 'data.time_format = "%d/%m/%Y" or "%m/%d/%Y"'],
    ),
    "day first": (ISO + "30/01/2024,10,11,9,10,1\n03/02/2024,10,11,9,10,1\n", ['data.time_format = "%d/%m/%Y"']),
    "a time of the day behind": (ISO + "30.01.2024 16:00,10,11,9,10,1\n", ['"%d.%m.%Y %H:%M"']),
    "a header in other words": (
        "Datum;Eröffnung;Hoch;Tief;Schluss\n2024-01-30;1;2;1;2\n",
        [
            "no column for time, open, high, low, close",
            "Eröffnung",
            '[data.columns] (close = "NAME")',
            "--map close=NAME",
        ],
    ),
    "no header": ("2024-01-30,10,11,9,10,1\n2024-01-31,10,11,9,10,1\n", ["has no header", "time,open,high,low,close"]),
    "Latin-1": ("Datum;Eröffnung\n".encode("latin-1"), ["not a UTF-8 CSV", "byte 9 is 0xf6", "Latin-1"]),
    "a web page": ("<!DOCTYPE html><html>404</html>\n", ["is a web page"]),
    "a date and a time of the day": (
        "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>\n20240130,093000,1,2,1,2\n",
        ["has a column <DATE> and a column <TIME>", 'time = "<DATE>"'],
    ),
    "UTF-16": (ISO.encode("utf-16"), ["is UTF-16; save it as UTF-8"]),
    "the last line is cut off": (ISO + "2024-01-30,10,11,9,10,1", ["the last line has no end"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_or_one_line_says_what_to_do(name, tmp_path):
    content, words = REFUSED[name]
    with pytest.raises(DataError) as refused:
        judged(tmp_path, content)
    assert "\n" not in str(refused.value)
    assert [word for word in words if word not in str(refused.value)] == []


@pytest.mark.parametrize("zone", ["", "Z", "+09:00"])
def test_hourly_bars_of_any_zone_are_no_daily_ones(tmp_path, zone):
    rows = "".join(f"2024-01-{day:02d}T{hour:02d}:00{zone},10,11,9,10,1\n" for day in (30, 31) for hour in range(24))
    with pytest.raises(DataError, match="its bars are 1h apart, but data.interval is 1d"):
        judged(tmp_path, ISO + rows)


def test_numbers_that_cannot_be_told_are_refused_row_by_row(tmp_path):
    batch = judged(tmp_path, ISO + '2024-01-30,"1,5","2,5","1,5","2,5",1\n2024-01-31,10,11,9,10,1\n')
    assert [row.reason for row in batch.bad] == ["open is not a number"]


def test_formats_of_times():
    assert time_formats(["31/01/2024", "01/02/2024"]) == ["%d/%m/%Y"]
    assert time_formats(["01/31/2024 4:00 PM"]) == ["%m/%d/%Y %I:%M %p"]
    assert time_formats(["rubbish"]) == []
