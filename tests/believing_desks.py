"""Desks that were tuned for a while, without a database: returns drawn at random -> decisions, scorecards, facts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from agents.core.believed import PastBeliefs, believed, named
from agents.core.book_curves import BookCurve
from agents.core.facts import (
    AppliedWeights,
    ClosedTrades,
    DeskFacts,
    FillCosts,
    FillTotals,
    NewestDecision,
    Period,
    RecordedDecision,
    ScoredChanges,
    SystemState,
    Trading,
    TunerTotals,
)
from agents.core.meta_types import Scorecard, WeightDecision
from agents.core.types import RiskState, WeightsLevel
from agents.core.weight_sets import normalised
from agents.quant.allocation import propose
from agents.quant.evidence import sharpe_interval
from agents.quant.returns import sharpe_ratio
from agents.tuning.scorecards import Thresholds, verdict

START = datetime(2021, 1, 4, 12, 0, tzinfo=UTC)
NAMES = ("TrendFollower", "MeanReversion", "Breakout", "TechnicalAnalyst", "SentimentAnalyst", "OnChainAnalyst")
NOTHING = Decimal(0)
QUIET = SystemState(
    cpu_percent=3.0,
    load_1m=0.1,
    cpus=2,
    memory_percent=20.0,
    disk_free_bytes=90_000_000_000,
    database_bytes=50_000_000,
    slow_queries=0,
    commits=0,
    rollbacks=0,
    redis_alive=True,
)


class Desk(NamedTuple):
    """What a report, the rules and the console are given."""

    facts: DeskFacts
    decisions: list[WeightDecision]
    names: tuple[str, ...]


def names_of(agents: int) -> tuple[str, ...]:
    return (NAMES + tuple(f"Own{k}" for k in range(agents)))[:agents]


def tuned_desk(skills, days, *, seed=0, every=5, method="adaptive", risk=0.1) -> Desk:
    """A desk whose agents have these annual Sharpe ratios (after costs) at a volatility of `risk`, decided upon every
    `every` days of trading."""
    rng = np.random.default_rng(seed)
    names, agents = names_of(len(skills)), len(skills)
    scale = risk / np.sqrt(252.0)
    returns = scale * (rng.normal(size=(days, agents)) + np.asarray(skills) / np.sqrt(252.0))
    weights = dict.fromkeys(names, Decimal(1) / agents)
    weights = normalised({n: float(w) for n, w in weights.items()}, names)
    decisions, applied, held = [], [], np.zeros((days, agents))
    for day in range(days):
        held[day] = [float(weights[name]) for name in names]
        if day % every and day != days - 1:
            continue
        at = START + timedelta(days=1.45 * (day + 1))
        made = propose(returns[: day + 1], held[day], method=method, periods_per_year=252.0)
        before, status = weights, made.status if decisions or made.status == "apply" else "initial"
        if status == "apply":
            weights = normalised(dict(zip(names, map(float, made.weights), strict=True)), names)
        decisions.append(
            WeightDecision(
                at=at,
                decided_for=at,
                weights=dict(weights),
                previous=dict(before),
                method=method,
                status=status,
                reason=made.reason,
                sharpe_improvement=made.expected_sharpe_improvement,
                return_improvement=made.expected_return_improvement,
                causes={n: dict(c) for n, c in zip(names, made.causes, strict=True)} if status == "apply" else {},
                evidence=named(made.evidence, names),
            )
        )
        if status in ("apply", "initial"):
            applied.append(AppliedWeights(at=at, weights={n: float(w) for n, w in weights.items()}))
    return Desk(_facts(names, returns, held, decisions, applied), decisions, names)


def always(ratio, days, error=0.05):
    """Bounds that hold at every look: Robbins' normal mixture for unrelated days."""
    years = days / 252.0
    width = np.sqrt((years + 1.0) / years**2 * np.log((years + 1.0) / error**2))
    return {"low": float(ratio - width), "high": float(ratio + width)} if np.isfinite(ratio) else {}


def cards_of(names, returns, at) -> list[Scorecard]:
    """All history, and its last 30 days."""
    cards = []
    for window, rows in ((0, returns), (30, returns[-21:])):
        for k, name in enumerate(names):
            own = rows[:, k]
            low, high = (bound * np.sqrt(252.0) for bound in sharpe_interval(own, seed=1))
            ratio = sharpe_ratio(own, 252.0)
            known = {"sharpe_ratio": ratio, "sharpe_low": low, "sharpe_high": high}
            figures = {key: float(value) if np.isfinite(value) else None for key, value in known.items()}
            figures |= {f"sharpe_always_{end}": bound for end, bound in always(ratio, len(own)).items()}
            figures |= {"win_rate": 0.5, "profit_factor": 1.0, "deflated_sharpe": None, "total_signals": len(own)}
            cards.append(
                Scorecard(
                    date=at.date(),
                    agent_name=name,
                    window_days=window,
                    figures=figures,
                    undefined={},
                    pnl=NOTHING,
                    verdict=verdict(figures, Thresholds()),
                )
            )
    return cards


def _facts(names, returns, held, decisions, applied) -> DeskFacts:
    end = decisions[-1].at + timedelta(hours=1)
    history = [
        RecordedDecision(version=k, decision=d, realised_improvement=None, realised_at=None)
        for k, d in reversed(list(enumerate(decisions, 1)))
    ]
    first = (START - datetime(1970, 1, 1, tzinfo=UTC)).days
    stamps = [first + int(1.45 * (k + 1)) for k in range(len(returns))]
    live = 1e6 * np.cumprod(1.0 + (held * returns).sum(axis=1))
    equal = 1e6 * np.cumprod(1.0 + returns.mean(axis=1))
    weights = {n: decisions[-1].weights[n] for n in sorted(names, key=lambda n: -decisions[-1].weights[n])}
    statuses = [d.status for d in decisions]
    views = [(d.at, believed(d.evidence)) for d in decisions]
    return replace(
        blank_facts(Period(end - timedelta(hours=2), end)),
        newest=NewestDecision(
            time=end - timedelta(hours=3),
            equity=float(live[-1]),
            cash=1e5,
            risk_state=RiskState.ACTIVE,
            weights_level=WeightsLevel.REDIS,
        ),
        curves=[
            BookCurve(book="paper", days=stamps, equity=live.tolist()),
            BookCurve(book="control:equal", days=stamps, equity=equal.tolist()),
        ],
        scorecards=cards_of(names, returns, end),
        weights=weights,
        weight_history=history[:40],
        recent_decisions=[recorded.decision for recorded in history[:7]],
        applied=applied,
        beliefs=[PastBeliefs(at=at, agents=view.agents) for at, view in views if view is not None],
        tuner=TunerTotals(
            decisions=len(decisions),
            changes=statuses.count("apply"),
            holds=statuses.count("hold"),
            fallbacks=statuses.count("fallback"),
            reverts=0,
        ),
    )


def blank_facts(period: Period, system: SystemState = QUIET) -> DeskFacts:
    """A desk on which nothing has happened."""
    costs = FillCosts(fees=NOTHING, spread=NOTHING, impact=NOTHING)
    return DeskFacts(
        period=period,
        system=system,
        newest=None,
        curves=[],
        trading=Trading(decisions=0, orders=0, no_trade={}, costs=costs, trades=0, pnl=NOTHING),
        fills=FillTotals(fills=0, notional=NOTHING, delay=NOTHING),
        closed=ClosedTrades(won=0, best=None, worst=None, newest=[]),
        orders={},
        positions=[],
        contributions={},
        scorecards=[],
        weights={},
        weight_history=[],
        recent_decisions=[],
        applied=[],
        tuner=TunerTotals(decisions=0, changes=0, holds=0, fallbacks=0, reverts=0),
        scored=ScoredChanges(count=0, gained=0),
        jobs=[],
        tasks=[],
        freshness={},
        risk_events=[],
        parity=None,
        alarms=[],
    )


def as_row(decision: WeightDecision, version: int = 1) -> dict[str, object]:
    """A row of weight_history as the console reads it."""
    return {
        "version": version,
        "timestamp": decision.at,
        "status": decision.status,
        "method": decision.method,
        "reason": decision.reason,
        "agent_weights": {n: float(w) for n, w in decision.weights.items()},
        "previous_weights": {n: float(w) for n, w in (decision.previous or {}).items()},
        "sharpe_improvement": decision.sharpe_improvement,
        "realised_improvement": None,
        "causes": dict(decision.causes),
        "evidence": dict(decision.evidence),
    }


def replayed(desk: Desk, share: float = 0.9) -> Desk:
    """The same desk, most of whose evidence is from replayed history."""
    marked = [replace(d, evidence={**d.evidence, "from_replay": share}) for d in desk.decisions]
    history = [replace(r, decision=marked[r.version - 1]) for r in desk.facts.weight_history]
    facts = replace(desk.facts, weight_history=history, recent_decisions=[r.decision for r in history[:7]])
    return Desk(facts, marked, desk.names)
