"""Real bars for tests: the demo's five stocks, which are always there, and four ETFs that only some machines have."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from agents.adapters.files.bar_folder import read_folder
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
    return read_folder(file, DataSettings(), {}, datetime(2026, 1, 1, tzinfo=UTC)).bars
