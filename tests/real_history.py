"""Real bars for tests: the demo's five stocks, which are always there, and four ETFs that only some machines have."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from agents.adapters.database.bar_grids import bars_of
from agents.adapters.files.bar_files import read_table
from agents.adapters.files.bar_rows import validate_rows
from agents.core.settings import DataSettings
from agents.core.types import Bars
from agents.wiring.demo_desk import demo_file
from tests.conftest import shared_data


def demo_bars() -> Bars:
    """AAPL, IBM and MSFT from 2000, GOOG from 2004, FB from 2012, to 2013, daily, with three splits."""
    return _read(demo_file())


def etf_bars() -> Bars:
    """Four ETFs, daily; one of them has a hole of six years."""
    return _read(shared_data("equities", "us_etf_daily.csv.gz"))


@cache
def _read(file: Path) -> Bars:
    batch = validate_rows(read_table(file, {}), DataSettings(), at=datetime(2026, 1, 1, tzinfo=UTC))
    time, index = np.unique(batch.time, return_inverse=True)
    names = ("open", "high", "low", "close", "volume", "adjustment", "split", "dividend")
    cells = {name: (index, batch.symbol, getattr(batch, name)) for name in names}
    return bars_of(time, time - np.timedelta64(6, "h"), batch.symbols, cells)
