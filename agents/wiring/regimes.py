"""Agents' skill by the market's regime, from one desk's database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine

from agents.adapters.database.regime_days import regime_days
from agents.core.meta_types import AgentDays
from agents.core.regimes import ByRegime
from agents.tuning.by_regime import by_regime


def by_regime_of(engine: Engine, days: AgentDays, at: datetime) -> ByRegime:
    """As of `at`, of the days up to it."""
    return by_regime(days, *regime_days(engine, at))
