"""What `quorum replay --out` leaves, written part by part."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.adapters.files.replay_files import ParquetTable

NOTHING = {"time": np.array([], dtype="datetime64[us]"), "symbol": [], "quantity": np.array([])}
FILL = {"time": np.array(["2026-01-02"], dtype="datetime64[us]"), "symbol": ["A"], "quantity": np.array([3.0])}


@pytest.mark.parametrize("parts", [(NOTHING, FILL), (FILL, NOTHING), (FILL, NOTHING, FILL), (NOTHING, NOTHING)])
def test_a_stretch_without_fills_is_no_end(tmp_path, parts):
    """B22. Seen: ValueError, since the texts of an empty part had no type."""
    with ParquetTable(tmp_path / "fills.parquet") as table:
        for part in parts:
            table.add(part)
    found = pq.read_table(tmp_path / "fills.parquet")
    assert found.column("symbol").to_pylist() == ["A"] * sum(part is FILL for part in parts)
    assert str(found.schema.field("symbol").type) == "string"
