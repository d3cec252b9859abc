"""The demo's market history, and the settings of the desk that trades it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from agents.core.errors import DataError
from agents.core.settings import DataSettings, Settings


def demo_file() -> Path:
    """The market history that the extra `demo` installs: AAPL, FB, GOOG, IBM, MSFT, 2000-2013, daily."""
    spec = find_spec("bokeh_sampledata")
    file = Path(spec.origin).parent / "_data" / "stocks.csv.gz" if spec and spec.origin else None
    if file is None or not file.exists():
        raise DataError(
            "the demo's market history is not installed; run: .venv/bin/pip install 'bokeh_sampledata==2026.1'"
        )
    return file


def demo_settings(settings: Settings) -> Settings:
    """The demo's desk: the user's limits and costs on daily sessions of US stocks. No person watches it, so drawdown
    reduces its positions but does not halt it."""
    changes = {
        "data": DataSettings(interval="1d", time_means="session"),
        "desk": settings.desk.model_copy(update={"name": "demo"}),
        "risk": settings.risk.model_copy(update={"halt_drawdown": 1.0}),
    }
    return settings.model_copy(update=changes)
