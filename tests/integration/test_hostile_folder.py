"""A watched folder full of what is no bar file: one clear line for each, once for each change; the rest loads."""

from __future__ import annotations

import gzip
import os
import resource
import socket
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.feeds.file_reading import import_file
from agents.adapters.feeds.folder_feed import FolderFeed
from agents.core.errors import DataError
from agents.core.settings import DataSettings

NOW = datetime(2024, 12, 1, tzinfo=UTC)
HEAD = b"symbol,time,open,high,low,close,volume\n"
GOOD = HEAD + b"A,2024-01-02,10,11,9,10,1\n"
MEMORY_LIMIT_KIB = 700 << 10


def sparse(path: Path, start: bytes = b"") -> None:
    path.write_bytes(start)
    os.truncate(path, 5 << 30)


def bomb(path: Path, line: bytes, times: int) -> None:
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(HEAD)
        for _ in range(times):
            stream.write(line * 4096)


def nested(path: Path) -> None:
    price = pa.array([[1.0], [2.0]])
    pq.write_table(pa.table(dict.fromkeys(("time", "open", "high", "low", "close"), price)), path)


def no_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


HOSTILE = {
    "a link to nothing": (lambda p: p.symlink_to("nowhere"), "is a link to nothing"),
    "a link to itself": (lambda p: p.symlink_to(p.name), "cannot be read: Too many levels"),
    "a folder": (lambda p: p.mkdir(), "no ordinary file"),
    "a pipe": (lambda p: os.mkfifo(p), "no ordinary file"),
    "a socket": (no_file, "cannot be read"),
    "a device": (lambda p: p.symlink_to("/dev/zero"), "no ordinary file"),
    "unreadable": (lambda p: p.symlink_to("/proc/self/mem"), "cannot be read: Input/output error"),
    "one endless line": (lambda p: sparse(p), "hold no line end"),
    "5 GB of nothing": (lambda p: sparse(p, GOOD), "longer than 32 MiB"),
    "NUL bytes": (lambda p: p.write_bytes(GOOD + b"A,2024-01-03,\0,1,1,1,1\n"), "NUL bytes"),
    "a huge field": (lambda p: p.write_bytes(GOOD + b"A" * 9_000_000 + b",2024-01-03,1,1,1,1,1\n"), "not a UTF-8 CSV"),
    "binary": (lambda p: p.write_bytes(GOOD + b"\xff\xfe\xfa,2024-01-03,1,1,1,1,1\n"), "not a UTF-8 CSV"),
}
PACKED = {
    "huge.csv.gz": (lambda p: sparse(p), "over the limit"),
    "huge.parquet": (lambda p: sparse(p), "over the limit"),
    "zeros.csv.gz": (lambda p: bomb(p, b"\0" * 64, 400), "decompression bomb"),
    "lines.csv.gz": (lambda p: bomb(p, b"A,2024-01-02,10,11,9,10,1\n", 1000), "decompression bomb"),
    "nested.parquet": (nested, "cannot be understood"),
}
CASES = {f"{k}.csv": case for k, case in enumerate(HOSTILE.values())} | PACKED


@pytest.fixture
def settings(tmp_path):
    return DataSettings(feed_folder=tmp_path)


def refusals(caplog):
    return [record.facts["error"] for record in caplog.records if record.message == "file refused"]


def test_a_folder_of_hostile_files_costs_a_line_each_and_the_good_ones_load(trader, settings, tmp_path, caplog):
    """Seen before: a dangling link or a folder `x.csv` ended the daemon, at each start again."""
    for name, (make, _) in CASES.items():
        make(tmp_path / name)
    for name in ("esc\x1b[31m\n.csv", os.fsdecode(b"\xff\xfe.csv")):
        (tmp_path / name).write_bytes(GOOD)
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_bytes(HEAD)
    (tmp_path / "zz.csv").write_bytes(GOOD.replace(b"A,", b"Z,"))
    feed = FolderFeed(settings, BarsStore(trader))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [(report.file, report.loaded) for report in feed.read(NOW)] == [("8.csv", 1), ("zz.csv", 1)], (
        "a row before the hole is good"
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < MEMORY_LIMIT_KIB
    told = refusals(caplog)
    for name, (_, reason) in CASES.items():
        assert any(f"/{name}: " in line and reason in line for line in told), (name, reason, told)
    assert len(told) == len(CASES) + 2
    assert sum("holds characters that cannot be shown" in line for line in told) == 2
    for _ in range(3):
        assert feed.read(NOW) == []
    assert len(refusals(caplog)) == len(told), "not again at each poll"
    (tmp_path / "0.csv").unlink()
    (tmp_path / "0.csv").write_bytes(GOOD.replace(b"A,", b"B,"))
    assert [(report.file, report.loaded) for report in feed.read(NOW)] == [("0.csv", 1)], "mended, it loads"


def test_a_file_that_goes_away_between_listing_and_reading_is_no_news(trader, settings, tmp_path, monkeypatch, caplog):
    (tmp_path / "a.csv").write_bytes(GOOD)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: [*listed(folder), folder / "ghost.csv"])
    assert [report.loaded for report in FolderFeed(settings, BarsStore(trader)).read(NOW)] == [1]
    assert refusals(caplog) == []


def test_a_row_that_only_the_database_refuses_stops_its_file_and_no_other(
    trader, settings, tmp_path, caplog, monkeypatch
):
    """Whatever our own checks let through."""
    from agents.adapters.files import bar_columns

    monkeypatch.setattr(bar_columns, "EARLIEST", bar_columns.EARLIEST - np.timedelta64(400, "D"))
    (tmp_path / "a.csv").write_bytes(GOOD + b"A,1899-06-01,10,11,9,10,1\n")
    (tmp_path / "b.csv").write_bytes(GOOD.replace(b"A,", b"B,"))
    assert [report.file for report in FolderFeed(settings, BarsStore(trader)).read(NOW)] == ["b.csv"]
    assert "the database refuses a row" in refusals(caplog)[0]


def test_importing_one_is_one_clear_line(trader, settings, tmp_path):
    for name, (make, _) in CASES.items():
        make(tmp_path / name)
        with pytest.raises(DataError, match=name):
            import_file(tmp_path / name, settings, BarsStore(trader), {}, NOW)
