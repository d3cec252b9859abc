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
from typing import Any

import numpy as np

from agents.adapters.files.bar_files import SUFFIXES, BadRow, read_table
from agents.adapters.files.bar_rows import GRIDS, NEUTRAL, BarBatch, validate_rows
from agents.core.errors import DataError
from agents.core.settings import DataSettings
from agents.core.types import Bars, Floats, Times

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
        bars, conflicts = _assembled(Path(spill), len(files), time, chosen)
    return FolderBars(bars, bad, conflicts)


def _bar_files(path: Path) -> list[Path]:
    """The file itself, or the bar files of a folder by name; DataError where there are none."""
    files = [path] if path.is_file() else []
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES))
    if not files:
        raise DataError(f"{path}: no bar files there; expected files ending in {', '.join(SUFFIXES)}")
    return files


def _spill(file: Path, batch: BarBatch) -> None:
    np.savez(
        file,
        symbols=np.array(batch.symbols, dtype=np.str_),
        symbol=batch.symbol,
        time=batch.time,
        opened=batch.bar_open,
        **{name: getattr(batch, name) for name in GRIDS},
    )


def _assembled(spill: Path, files: int, time: Times, symbols: tuple[str, ...]) -> tuple[Bars, int]:
    """The spilled files on one time axis, and the count of conflicts."""
    shape = (len(time), len(symbols))
    grids: dict[str, Any] = {name: _grid(shape, NEUTRAL.get(name, np.nan)) for name in GRIDS}
    opened = np.full(len(time), np.datetime64("9999-01-01", "us"))
    conflicts = 0
    for k in range(files):
        with np.load(spill / f"{k}.npz", allow_pickle=False) as piece:
            place = np.array(
                [symbols.index(name) if name in symbols else -1 for name in piece["symbols"]], dtype=np.int64
            )
            column = place[piece["symbol"]] if len(place) else np.empty(0, dtype=np.int64)
            wanted = column >= 0
            rows, column = np.searchsorted(time, piece["time"][wanted]), column[wanted]
            np.minimum.at(opened, rows, piece["opened"][wanted])
            known = np.isfinite(grids["close"][rows, column])
            conflicts += int((known & (grids["close"][rows, column] != piece["close"][wanted])).sum())
            for name in GRIDS:
                grids[name][rows[~known], column[~known]] = piece[name][wanted][~known]
    used = opened < np.datetime64("9999-01-01", "us")  # times of symbols that were not chosen have no bar
    if not used.all():
        grids = {name: grid[used] for name, grid in grids.items()}
        time, opened = time[used], opened[used]
    return Bars(time=time, opened=opened, symbols=symbols, **grids), conflicts


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
