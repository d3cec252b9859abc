"""A folder of bar files -> one `Bars`, without a database; for replays.

Files are read one after the other and kept on disk meanwhile, and a history that is large stays on disk, mapped into
memory: a replay then reads it chunk by chunk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.adapters.files.bar_files import SUFFIXES, BadRow, read_bytes, read_table
from agents.adapters.files.bar_rows import GRIDS, NEUTRAL, BarBatch, limits_of, validate_rows
from agents.adapters.files.funding_files import SUFFIX, is_funding, parse_funding, with_funding
from agents.adapters.files.market_actions import ActionGrids, put_action
from agents.adapters.files.price_guard import NEW, Doubt, Track, judge
from agents.core.errors import DataError
from agents.core.market import PriceLimits
from agents.core.settings import DataSettings
from agents.core.types import Bars, Floats, Integers, Times

MAPPED_CELLS = 4_000_000
"""Above this many symbol-bars the grids are files."""


@dataclass(frozen=True, slots=True)
class FolderBars:
    """The bars of a folder; `bad` are rows that were left out, with their file's name.

    `conflicts` counts bars to which a later file gives another close; the first is kept.
    """

    bars: Bars
    bad: Sequence[tuple[str, BadRow]]
    conflicts: int


def read_folder(
    path: Path, settings: DataSettings, columns: Mapping[str, str], at: datetime, symbols: Sequence[str] = ()
) -> FolderBars:
    """All bars of a folder's files, or of one file; only those of `symbols` where some are given.

    `at` is now, `columns` maps our names of columns to the files'. DataError where there are no bars, or where a file
    as a whole cannot be trusted.
    """
    files = _bar_files(path)
    with tempfile.TemporaryDirectory(prefix="quorum-bars-") as spill:
        axes, names, bad = [], set(), []
        for k, file in enumerate(files):
            batch = validate_rows(read_table(file, {**settings.columns, **columns}), settings, at=at)
            bad += [(file.name, row) for row in batch.bad]
            axes.append(np.unique(batch.time))
            names |= set(batch.symbols)
            _spill(Path(spill) / f"{k}.npz", batch)
        chosen = tuple(sorted(set(symbols) or names))
        missing = sorted(set(chosen) - names)
        if missing:
            raise DataError(f"{path}: no bars of {', '.join(missing)}; there are {', '.join(sorted(names))}")
        time = np.unique(np.concatenate(axes))
        if not len(time):
            raise DataError(
                f"{path}: none of its rows is a good, closed bar; the first: {bad[0][1].reason if bad else 'empty'}"
            )
        pieces = _Pieces(Path(spill), tuple(file.name for file in files))
        raw, view, conflicts = _assembled(pieces, time, chosen)
        bars, doubts = _judged(raw, view, limits_of(settings), pieces)
    if path.is_dir():
        bars, refused = _funded(bars, path, settings, at)
        doubts += refused
    return FolderBars(bars, bad + doubts, conflicts)


class _Pieces(NamedTuple):
    """Files that were read one after the other, each kept as one file in the folder `spill`."""

    spill: Path
    names: tuple[str, ...]

    def load(self, k: int) -> Any:
        return np.load(self.spill / f"{k}.npz", allow_pickle=False)


def _bar_files(path: Path) -> list[Path]:
    """The file itself, or the bar files of a folder by name; DataError where there are none."""
    files = [path] if path.is_file() else []
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.name.endswith(SUFFIXES) and not is_funding(f))
    if not files:
        raise DataError(f"{path}: no bar files there; expected files ending in {', '.join(SUFFIXES)}")
    return files


def _funded(bars: Bars, path: Path, settings: DataSettings, at: datetime) -> tuple[Bars, list[tuple[str, BadRow]]]:
    """The bars with the folder's funding, and the rows of it that were left out."""
    files = sorted(path.glob(f"*{SUFFIX}"))
    read = [parse_funding(file, read_bytes(file), settings.aliases, at) for file in files]
    known = {(rate.symbol, rate.time): rate for rows in reversed(read) for rate in reversed(rows.rates)}
    bad = [(file.name, row) for file, rows in zip(files, read, strict=True) for row in rows.bad]
    return with_funding(bars, known.values()) if known else bars, bad


def _spill(file: Path, batch: BarBatch) -> None:
    np.savez(
        file,
        symbols=np.array(batch.symbols, dtype=np.str_),
        symbol=batch.symbol,
        time=batch.time,
        opened=batch.bar_open,
        row_numbers=batch.row_numbers,
        **{name: getattr(batch, name) for name in GRIDS},
    )


def _assembled(pieces: _Pieces, time: Times, symbols: tuple[str, ...]) -> tuple[Bars, Integers, int]:
    """The spilled files on one time axis, as they say; the file of each bar [T, S]; and the count of conflicts."""
    shape = (len(time), len(symbols))
    grids: dict[str, Any] = {name: _grid(shape, NEUTRAL.get(name, np.nan)) for name in GRIDS}
    opened = np.full(len(time), np.datetime64("9999-01-01", "us"))
    view = np.zeros(shape, dtype=np.int64)
    conflicts = 0
    for k in range(len(pieces.names)):
        with pieces.load(k) as piece:
            place = np.array(
                [symbols.index(name) if name in symbols else -1 for name in piece["symbols"]], dtype=np.int64
            )
            column = place[piece["symbol"]] if len(place) else np.empty(0, dtype=np.int64)
            wanted = column >= 0
            rows, column = np.searchsorted(time, piece["time"][wanted]), column[wanted]
            np.minimum.at(opened, rows, piece["opened"][wanted])
            known = np.isfinite(grids["close"][rows, column])
            conflicts += int((known & (grids["close"][rows, column] != piece["close"][wanted])).sum())
            view[rows[~known], column[~known]] = k
            for name in GRIDS:
                grids[name][rows[~known], column[~known]] = piece[name][wanted][~known]
    used = opened < np.datetime64("9999-01-01", "us")  # times of symbols that were not chosen have no bar
    if not used.all():
        grids = {name: grid[used] for name, grid in grids.items()}
        time, opened, view = time[used], opened[used], view[used]
    return Bars(time=time, opened=opened, symbols=symbols, **grids), view, conflicts


def _judged(bars: Bars, view: Integers, limits: PriceLimits, pieces: _Pieces) -> tuple[Bars, list[tuple[str, BadRow]]]:
    """The same bars, each price held against those before it as the database does when it stores them: suspect ones
    marked, adjustment, splits and dividends from what became known. The grids of `bars` are overwritten."""
    bad: list[tuple[str, BadRow]] = []
    grids = ActionGrids(bars.adjustment, bars.split, bars.dividend, bars.delisting)
    for s, symbol in enumerate(bars.symbols):
        rows = np.nonzero(np.isfinite(bars.close[:, s]))[0]
        if not len(rows):
            continue
        columns: dict[str, Any] = {name: getattr(bars, name)[rows, s] for name in GRIDS if name != "volume"}
        fresh, new = np.ones(len(rows), dtype=bool), np.full(len(rows), NEW)
        track = Track(symbol=symbol, time=bars.time[rows], view=view[rows, s], fresh=fresh, verdict=new, **columns)
        judged = judge(track, (), limits)
        bars.suspect[rows, s] = judged.suspect
        grids.adjustment[rows, s], grids.split[:, s], grids.dividend[:, s] = 1.0, 1.0, 0.0
        for action in judged.actions:
            put_action(grids, (bars.time, s), action, 0)
        for doubt in judged.doubts:
            bad.append(_bad_row(pieces, int(view[rows[doubt.row], s]), symbol, (track, doubt)))
    return bars, bad


def _bad_row(pieces: _Pieces, k: int, symbol: str, doubted: tuple[Track, Doubt]) -> tuple[str, BadRow]:
    """A suspect row under its file's name and its number there."""
    track, doubt = doubted
    time = track.time[doubt.row]
    with pieces.load(k) as piece:
        mine = (piece["symbols"][piece["symbol"]] == symbol) & (piece["time"] == time)
        number = int(piece["row_numbers"][mine][0])
    content = f"{symbol},{time},{track.close[doubt.row]:g}"
    return pieces.names[k], BadRow(number, f"suspect: {doubt.reason}", content)


def _grid(shape: tuple[int, int], value: float) -> Floats:
    """A grid full of `value`, in memory or, where it is large, in a file mapped into memory."""
    if shape[0] * shape[1] < MAPPED_CELLS:
        return np.full(shape, value)
    # The file's name goes at once; the mapping keeps the file.
    with tempfile.NamedTemporaryFile(prefix="quorum-grid-") as file:
        grid = np.memmap(file.name, dtype=np.float64, mode="w+", shape=shape)
    for start in range(0, shape[0], 65536):
        grid[start : start + 65536] = value
    return grid
