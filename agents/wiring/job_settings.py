"""What the settings say of the jobs' work: the analyzer's and the optimizer's numbers, today's agents."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from importlib.metadata import version as package_version
from importlib.resources import files
from typing import Any

from agents.core.ports import Agent
from agents.core.settings import Settings
from agents.quant.allocation import Limits
from agents.trading.registry import AGENTS, agent_names
from agents.tuning.agent_life import LifeRules
from agents.tuning.scorecards import Thresholds
from agents.tuning.tuning_settings import Tuning
from agents.wiring.calendar import bars_per_year

LEXICON = "vader_lexicon.txt"


def thresholds_of(settings: Settings) -> Thresholds:
    """The analyzer's numbers."""
    t = settings.tuning
    return Thresholds(
        top_sharpe=t.top_sharpe,
        under_sharpe=t.under_sharpe,
        under_win_rate=t.under_win_rate,
        allow_short=settings.risk.allow_short,
    )


def tuning_of(settings: Settings) -> Tuning:
    """The optimizer's numbers."""
    t, chosen = settings.tuning, settings.agents
    limits = Limits(
        floor=t.floor if "floor" in t.model_fields_set else None,
        cap=t.cap if "cap" in t.model_fields_set else None,
        step=t.step,
        minimum_sharpe=t.minimum_sharpe,
        minimum_signals=t.minimum_signals,
        false_changes_per_year=t.false_changes_per_year,
        meant_for=len(agent_names(chosen.enabled, chosen.own, chosen.shadow)) - len(chosen.shadow),
    )
    return Tuning(
        method=t.method,
        limits=limits,
        look_back_days=t.look_back_days,
        history_days=t.history_days,
        turnover_cost=t.turnover_cost_bps / 1e4,
        score_after_days=t.score_after_days,
        days_per_year=bars_per_year(settings.data.model_copy(update={"interval": "1d"})),
        anchor=dict(chosen.static_weights),
        history_trust=t.history_trust,
        life=LifeRules(false_hires=chosen.life.false_hires, retire_after_days=chosen.life.retire_after_days),
    )


def variants_of(settings: Settings) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Today's agents with their parameters, named by a digest of them, and the one model that an agent reads."""
    variants = {}
    own = settings.agents.own
    for name in agent_names(settings.agents.enabled, own, settings.agents.shadow):
        parameters = _parameters_of(AGENTS[name]()) if name in AGENTS else {"place": own[name]}
        digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
        variants[name] = {"variant": f"v-{digest[:10]}", "parameters": parameters}
    release = package_version("vaderSentiment")
    lexicon = {
        "name": "vader-sentiment",
        "sha256": hashlib.sha256(files("vaderSentiment").joinpath(LEXICON).read_bytes()).hexdigest(),
        "format": "lexicon",
        "parameters": {
            "package": "vaderSentiment",
            "release": release,
            "file": LEXICON,
            "used_by": "SentimentAnalyst",
        },
    }
    return variants, [lexicon]


def _parameters_of(agent: Agent) -> dict[str, Any]:
    raw = getattr(agent, "parameters", None)
    return dataclasses.asdict(raw) if dataclasses.is_dataclass(raw) and not isinstance(raw, type) else {}
