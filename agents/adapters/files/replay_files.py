"""A replay's decisions, fills, equity and weights as Parquet files; the same values give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.core.types import Times

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class ParquetTable:
    """One file that grows by row groups; a file that was not closed does not exist: it is renamed at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> ParquetTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
            if kind is None:
                self._part.replace(self._path)
            else:
                self._part.unlink()

    def add(self, columns: Mapping[str, Any]) -> None:
        """One row group; times are datetime64[us] in UTC, texts lists or object arrays."""
        import pyarrow as pa  # the only writer of Parquet here
        import pyarrow.parquet as pq

        table = pa.table({name: _column(values) for name, values in columns.items()})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._part, table.schema, compression="zstd")
        self._writer.write_table(table)


def _column(values: Any) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.datetime64):
        return (
            pa.array(values.astype("datetime64[us]").astype(np.int64), type=pa.int64())
            .cast(pa.timestamp("us"))
            .cast(pa.timestamp("us", tz="UTC"))
        )
    if isinstance(values, pa.Array | pa.DictionaryArray):
        return values
    return pa.array(values) if len(values) or isinstance(values, np.ndarray) else pa.array([], type=pa.string())


def long_form(time: Times, symbols: Sequence[str], grids: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Grids [T, S] as columns of T x S rows, by time, then symbol."""
    import pyarrow as pa  # a column of indexes into few names stays one in the file

    names = pa.DictionaryArray.from_arrays(
        pa.array(np.tile(np.arange(len(symbols), dtype=np.int32), len(time))), pa.array(list(symbols))
    )
    return {
        "time": np.repeat(time, len(symbols)),
        "symbol": names,
        **{name: np.ascontiguousarray(grid).ravel() for name, grid in grids.items()},
    }
