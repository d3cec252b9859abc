"""Strategies that trade elsewhere (`agents.external`): their files beside the desk's days, and the advice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from agents.adapters.database.meta_store import MetaStore
from agents.core.errors import DataError
from agents.core.external import ExternalAdvice
from agents.core.meta_types import AgentDays
from agents.core.settings import Settings
from agents.quant.advised import advised, in_common, mix_of
from agents.wiring.job_settings import tuning_of


def advice_of_desk(settings: Settings, store: MetaStore, at: datetime) -> tuple[ExternalAdvice, ...]:
    """The advice about all of `agents.external`, beside the desk on record with the weights in force at `at`."""
    if not settings.agents.external:
        return ()
    days, weights = store.agent_days(until=at, whole_days_only=True), store.weights_in_force(at).weights
    days_per_year = tuning_of(settings).days_per_year
    return advice_of(settings.agents.external, days, weights, days_per_year=days_per_year)


def advice_of(
    external: Mapping[str, str], days: AgentDays, weights: Mapping[str, Any], *, days_per_year: float
) -> tuple[ExternalAdvice, ...]:
    """The advice about each, by name, beside a desk with these agent days whose agents have these weights; a file that
    cannot be read is told in its place."""
    from agents.adapters.own.returns_table import read_daily_returns  # pandas: 60 MB that few desks need

    shares = np.array([float(weights.get(name, 0)) for name in days.agents])
    if not shares.sum() > 0.0:
        shares = np.ones(len(days.agents))
    desk = mix_of(days.returns, shares)
    told = []
    for name, place in sorted(external.items()):
        try:
            own = read_daily_returns(Path(place).expanduser())
        except DataError as error:
            told.append(ExternalAdvice(name=name, problem=str(error)))
            continue
        mine, theirs = in_common(days.date, desk, own.date, own.value)
        advice = advised(mine, theirs, agents=len(days.agents), days_per_year=days_per_year)
        if advice is None:
            problem = f"{len(theirs)} days in common with the desk, too few to advise on"
            told.append(ExternalAdvice(name=name, problem=problem, days=len(theirs)))
            continue
        adds = advice.adds
        told.append(
            ExternalAdvice(
                name=name,
                days=advice.days,
                weight=advice.weight,
                anchor=advice.anchor,
                ratio=adds.ratio,
                low=adds.low,
                high=adds.high,
                belief=adds.belief,
            )
        )
    return tuple(told)
