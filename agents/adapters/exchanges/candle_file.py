"""The candles of one symbol in one file of bars, which grows at its end: what the desk's folder feed reads.

`time` is when a bar opened. Whoever writes holds the file's lock and looks at its end first, so nothing stands in it
twice; a line that a crash cut is taken away before the next one is written.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from agents.adapters.exchanges.recorded_market import OPENED
from agents.core.arrays import Floats, Integers
from agents.core.errors import DataError

HEADER = b"time,symbol,open,high,low,close,volume\n"
LONGEST_LINE = 300
STAMP = re.compile(r"\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d")
TIME_LENGTH = len("2020-01-01T00:00:00")


@dataclass(frozen=True, slots=True)
class Gap:
    """Candles that are not there: from when the first opened to when the last did (ms since 1970), and how many."""

    first_ms: int
    last_ms: int
    candles: int


@dataclass(frozen=True, slots=True)
class CandleFile:
    """The file of one symbol; its folder is made when the first candle is written."""

    path: Path
    symbol: str
    header: bytes = HEADER
    """Its columns: time and symbol, then the numbers of a row."""

    @classmethod
    def of(cls, folder: Path, exchange: str, symbol: str, interval: str) -> CandleFile:
        """`<folder>/<exchange>-<BASE-QUOTE>-<interval>.csv`."""
        return cls(folder / f"{exchange}-{re.sub('[^A-Za-z0-9.]', '-', symbol)}-{interval}.csv", symbol)

    def newest_ms(self) -> int | None:
        """When the newest candle opened; None where there is none. DataError where the file is another kind."""
        if not self.path.exists():
            return None
        with self.path.open("rb") as stream:
            return self._newest(stream)

    def append(self, candles: Floats) -> int:
        """Write down what is newer than the newest candle, all or nothing of a line; how many that was. On disk when
        it returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as stream:
            newest = self._newest(stream)
            new = candles if newest is None else candles[candles[:, OPENED] > newest]
            whole = _whole_lines(stream)
            stream.truncate(whole)
            stream.seek(whole)
            stream.write(b"".join([b"" if whole else self.header, *(self._line(candle) for candle in new)]))
            stream.flush()
            os.fsync(stream.fileno())
        return len(new)

    def beside(self) -> CandleFile:
        """The file in which candles gather that are older than this one's; no feed reads it."""
        return CandleFile(self.path.with_name(self.path.name + ".earlier"), self.symbol)

    def put_before(self, older: CandleFile) -> None:
        """All of `older`, whose candles come before these, at the beginning; that file goes. Whole or not at all."""
        with self._locked() as stream:
            stream.seek(len(self.header))
            fresh = self.path.with_name(self.path.name + ".new")
            with fresh.open("wb") as joined:
                joined.write(older.path.read_bytes() + stream.read())
                joined.flush()
                os.fsync(joined.fileno())
            fresh.replace(self.path)
        older.path.unlink()

    def times_ms(self) -> Integers:
        """When the candles opened, in the file's order; DataError, with the line, for what is no time."""
        lines = self.path.read_bytes().splitlines()[1:] if self.path.exists() else []
        stamps = [line[:TIME_LENGTH].decode("utf-8", "replace") for line in lines]
        if (wrong := next((k for k, stamp in enumerate(stamps) if not STAMP.fullmatch(stamp)), None)) is not None:
            shown = lines[wrong][:40].decode("utf-8", "replace")
            raise DataError(f"{self.path}:{wrong + 2}: is no candle: {shown!r}; take it away")
        return np.array(stamps, dtype="datetime64[ms]").astype(np.int64)

    def gaps(self, interval_ms: int) -> list[Gap]:
        """What is missing between the first candle and the last."""
        times = self.times_ms()
        jumps = np.nonzero(np.diff(times) > interval_ms)[0]
        missing = (np.diff(times)[jumps] // interval_ms - 1).tolist()
        firsts, lasts = (times[jumps] + interval_ms).tolist(), (times[jumps + 1] - interval_ms).tolist()
        return [Gap(first, last, count) for first, last, count in zip(firsts, lasts, missing, strict=True)]

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        while True:
            with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                if os.fstat(stream.fileno()).st_ino == self.path.stat().st_ino:  # else it was replaced meanwhile
                    yield stream
                    return

    def _newest(self, stream: BinaryIO) -> int | None:
        stream.seek(0)
        header = stream.read(len(self.header))
        if not self.header.startswith(header):
            raise DataError(f"{self.path}: is another kind of file; move it away, or choose another folder")
        whole = _whole_lines(stream)
        if whole <= len(self.header):
            return None
        stream.seek(max(len(self.header), whole - LONGEST_LINE))
        line = stream.read(whole - stream.tell()).splitlines()[-1]
        try:
            return int(np.datetime64(line[:TIME_LENGTH].decode(), "ms").astype(np.int64))
        except ValueError:
            raise DataError(f"{self.path}: its last line is no candle: {line[:40]!r}; take it away") from None

    def _line(self, candle: Floats) -> bytes:
        time = str(np.datetime64(int(candle[OPENED]), "ms").astype("datetime64[s]"))
        return (f"{time}Z,{self.symbol}," + ",".join(repr(float(number)) for number in candle[1:]) + "\n").encode()


def _whole_lines(stream: BinaryIO) -> int:
    """How many bytes lie before the end of the last whole line."""
    size = stream.seek(0, os.SEEK_END)
    start = max(0, size - LONGEST_LINE)
    stream.seek(start)
    return start + stream.read().rfind(b"\n") + 1
