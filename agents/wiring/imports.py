"""Files that a person loads into the desk's database: bars, exogenous series, dated texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from agents.adapters.database.bar_loads import LoadReport
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.renames import Renames
from agents.adapters.database.series_store import SeriesReport, SeriesStore
from agents.adapters.feeds.file_reading import import_file
from agents.adapters.files.series_files import SeriesFile, read_series, read_texts
from agents.core.clock import SystemClock
from agents.core.settings import Settings
from agents.trading.text_scores import score_texts
from agents.wiring.connections import Connections


def import_bars(settings: Settings, connections: Connections, file: Path, columns: Mapping[str, str]) -> LoadReport:
    """Load one bar file into the desk's database."""
    return import_file(file, settings.data, BarsStore(connections.trader), columns, SystemClock().now())


def import_series(
    settings: Settings, connections: Connections, file: SeriesFile, *, lag: timedelta, texts: bool
) -> SeriesReport:
    """Load one file of exogenous series, or of dated texts, which are scored."""
    file = replace(file, aliases={**Renames(connections.trader).all(), **settings.data.aliases})
    rows = read_texts(file, score_texts, settings.data.timezone) if texts else read_series(file, lag)
    return SeriesStore(connections.trader).store(rows)
