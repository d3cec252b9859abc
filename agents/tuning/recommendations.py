"""facts -> recommendations: rules that each look at numbers, say what to do, and carry their evidence. Pure.

A recommendation's fingerprint is its rule and subject, so that the same one in the next report is recognised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from agents.core.believed import WORSE_THAN_AVERAGE, AgentView, newest_belief
from agents.core.facts import RuleFacts
from agents.core.meta_types import SEVERITIES, Recommendation, Scorecard
from agents.tuning.security_rules import security_rules
from agents.tuning.tuning_pause import PAUSED, WAITING

Rule = Callable[[RuleFacts], Iterator[Recommendation]]

COST_SHARE = 0.25
"""Of what trades moved (P&L and costs together)."""
TRADES_LEAST = 20
ERROR_RATE = 0.01
SLOW_MS = 1000.0
CYCLES_LEAST = 20
DATABASE_BYTES = 50e9
LOAD_PER_CPU = 2.0
SCORED_LEAST, GAINED_SHARE = 10, 0.35
FALLBACKS_IN_A_ROW = 7
LEAST_TILT = 0.001
"""A weight closer to the anchor's than this is the anchor's."""
IDLE_LEAST = timedelta(days=5)


def recommend(facts: RuleFacts) -> list[Recommendation]:
    """What all rules recommend, most severe first."""
    recommendations = [r for rule in RULES for r in rule(facts)]
    return sorted(recommendations, key=lambda r: (SEVERITIES.index(r.severity), r.fingerprint))


def _weak_agents(facts: RuleFacts) -> Iterator[Recommendation]:
    """An agent that loses, by bounds that hold at every look; the weights' own belief says whether it is worse than the
    others. One that nobody can measure costs attention."""
    for card in facts.scorecards:
        if card.window_days != 0:
            continue
        name, signals = card.agent_name, card.figures["total_signals"]
        most = card.figures.get("sharpe_always_high")
        listened_to = not facts.recent_decisions or facts.recent_decisions[0].weights.get(name, 0) > 0
        if most is not None and most < 0.0 and listened_to:
            yield from _losing(facts, card)
        elif signals == 0:
            yield Recommendation(
                fingerprint=f"silent_agent:{name}",
                kind="strategy",
                severity="low",
                title=f"{name} has never said anything",
                action=f"Feed the data it reads (quorum import-series) or take {name} out of agents.enabled.",
                evidence={"signals": 0},
            )


def _losing(facts: RuleFacts, card: Scorecard) -> Iterator[Recommendation]:
    """No agent is called worse than the weights treat it: with the others it may lose as well."""
    name, belief = card.agent_name, newest_belief(facts.recent_decisions)
    view = belief.agents.get(name) if belief else None
    evidence = {
        "sharpe": card.figures["sharpe_ratio"],
        "at every look": [card.figures[f"sharpe_always_{end}"] for end in ("low", "high")],
        "signals": card.figures["total_signals"],
    }
    paused = bool(facts.recent_decisions) and facts.recent_decisions[0].method in (PAUSED, WAITING)
    if paused or (belief and not (view and _is_treated_as_worse(facts, name, view, belief.anchor))):
        yield Recommendation(
            fingerprint=f"loses_like_the_others:{name}",
            kind="strategy",
            severity="medium",
            title=f"{name} loses after costs, and the weights do not tell it from the others",
            action=(
                "Weights only tell agents apart. If the others lose as well, lower combine.volatility_target or"
                f" risk.gross_cap; or take {name} out of agents.enabled."
            ),
            evidence=evidence,
        )
        return
    known = {} if view is None else {"believed above average": view.mean, "better than average": view.better}
    yield Recommendation(
        fingerprint=f"losing_agent:{name}",
        kind="strategy",
        severity="medium",
        title=f"{name} loses after costs, and not by chance",
        action=(
            f"Take {name} out of agents.enabled, or change its parameters as a new variant;"
            " at a low weight it still trades."
        ),
        evidence=known | evidence,
    )


def _is_treated_as_worse(facts: RuleFacts, name: str, view: AgentView, anchor: Mapping[str, float]) -> bool:
    weight = float(facts.recent_decisions[0].weights.get(name, 0))
    return view.better <= WORSE_THAN_AVERAGE and weight < anchor.get(name, 1.0) - LEAST_TILT


def _all_losing(facts: RuleFacts) -> Iterator[Recommendation]:
    ratios = {c.agent_name: c.figures["sharpe_ratio"] for c in facts.scorecards if c.window_days == 0}
    known = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    if known and all(ratio < 0.0 for ratio in known.values()):
        yield Recommendation(
            fingerprint="all_agents_lose",
            kind="strategy",
            severity="high",
            title="Every agent has a negative Sharpe ratio",
            action=(
                "No weights make a profit of this. Lower combine.volatility_target or risk.gross_cap, or halt,"
                " until an agent earns."
            ),
            evidence=known,
        )


def _costs(facts: RuleFacts) -> Iterator[Recommendation]:
    costs, pnl = facts.trading.costs, float(facts.trading.pnl)
    moved = abs(pnl) + costs.total
    if facts.trading.trades >= TRADES_LEAST and moved > 0 and costs.total / moved > COST_SHARE:
        yield Recommendation(
            fingerprint="costs_eat_profits",
            kind="strategy",
            severity="medium",
            title=f"Costs were {costs.total / moved:.0%} of what trades moved",
            action="Raise execution.buffer so that small changes of target are not traded, or trade fewer symbols.",
            evidence={
                "fees": float(costs.fees),
                "spread": float(costs.spread),
                "impact": float(costs.impact),
                "pnl": pnl,
            },
        )


def _failing_agents(facts: RuleFacts) -> Iterator[Recommendation]:
    for work in facts.work:
        if work.failures and work.failures / work.cycles > ERROR_RATE:
            yield Recommendation(
                fingerprint=f"failing_agent:{work.agent_name}",
                kind="architecture",
                severity="high",
                title=f"{work.agent_name} failed in {work.failures} of {work.cycles} cycles",
                action="Read the failure, mend the agent; while it fails it abstains and the others trade.",
                evidence={"failure": work.failure, "longest_ms": work.longest_ms},
            )


def _slow_agents(facts: RuleFacts) -> Iterator[Recommendation]:
    for work in facts.work:
        if work.cycles >= CYCLES_LEAST and work.mean_ms > SLOW_MS:
            yield Recommendation(
                fingerprint=f"slow_agent:{work.agent_name}",
                kind="performance",
                severity="low",
                title=f"{work.agent_name} takes {work.mean_ms:.0f} ms for a bar",
                action="Profile it; a decision waits for its slowest agent.",
                evidence={"mean_ms": work.mean_ms, "longest_ms": work.longest_ms},
            )


def _jobs(facts: RuleFacts) -> Iterator[Recommendation]:
    for name in sorted({run.job for run in facts.job_runs}):
        runs = [run for run in facts.job_runs if run.job == name]
        failed = [run for run in runs if run.status == "failed"]
        missed = sum(run.missed for run in runs)
        if failed:
            yield Recommendation(
                fingerprint=f"failing_job:{name}",
                kind="architecture",
                severity="high",
                title=f"The job {name} failed {len(failed)} times",
                action="See meta_orchestrator.log; quorum jobs shows every run.",
                evidence={"detail": failed[0].detail, "runs": len(runs)},
            )
        if missed:
            yield Recommendation(
                fingerprint=f"missed_job:{name}",
                kind="architecture",
                severity="medium",
                title=f"{missed} runs of {name} were missed",
                action="Keep the meta daemon running: scripts/install_systemd.sh sets it up with a watchdog.",
                evidence={"missed": missed},
            )


def _data(facts: RuleFacts) -> Iterator[Recommendation]:
    rows = facts.quarantined_rows
    if rows:
        yield Recommendation(
            fingerprint="quarantined_rows",
            kind="architecture",
            severity="medium",
            title=f"{rows} rows of bar files were quarantined",
            action="Look at them: quorum data quarantine; fix the source and import the corrected file.",
            evidence={"rows": rows},
        )


def _machine(facts: RuleFacts) -> Iterator[Recommendation]:
    system = facts.system
    if system is None:
        return
    if system.database_bytes > DATABASE_BYTES:
        yield Recommendation(
            fingerprint="large_database",
            kind="performance",
            severity="low",
            title=f"The database has grown to {system.database_bytes / 1e9:.0f} GB",
            action="Archive old chunks of signals and decision_details (SELECT drop_chunks(...)) after a dump.",
            evidence={"bytes": system.database_bytes},
        )
    if system.slow_queries:
        yield Recommendation(
            fingerprint="slow_queries",
            kind="performance",
            severity="medium",
            title=f"{system.slow_queries} queries have run for more than 5 s",
            action="SELECT query, now() - query_start FROM pg_stat_activity WHERE state = 'active';",
            evidence={"queries": system.slow_queries},
        )
    if system.load_1m > LOAD_PER_CPU * system.cpus:
        yield Recommendation(
            fingerprint="high_load",
            kind="performance",
            severity="medium",
            title="The machine is overloaded",
            action="Move other work away; a late decision is a stale one.",
            evidence={"load": system.load_1m, "cpus": system.cpus},
        )


def _tuning(facts: RuleFacts) -> Iterator[Recommendation]:
    scored = facts.scored
    if scored.count >= SCORED_LEAST and scored.gained / scored.count < GAINED_SHARE:
        yield Recommendation(
            fingerprint="tuning_misses",
            kind="strategy",
            severity="medium",
            title="Changes of weights have mostly not paid",
            action='Single months tell little; if tuning has cost over years, too, set tuning.method = "equal".',
            evidence={"scored": scored.count, "came_true": scored.gained},
        )
    recent = facts.recent_decisions[:FALLBACKS_IN_A_ROW]
    if len(recent) == FALLBACKS_IN_A_ROW and all(decision.status == "fallback" for decision in recent):
        yield Recommendation(
            fingerprint="tuning_fallback",
            kind="strategy",
            severity="high",
            title="The optimizer has had no answer seven times in a row",
            action="quorum weights history shows why; usually too few agents have enough signals.",
            evidence={"reason": recent[0].reason},
        )


def _idle(facts: RuleFacts) -> Iterator[Recommendation]:
    trading = facts.trading
    if facts.period.end - facts.period.start >= IDLE_LEAST and trading.decisions and not trading.orders:
        yield Recommendation(
            fingerprint="nothing_traded",
            kind="strategy",
            severity="low",
            title="The desk decided but never ordered anything",
            action="See the reasons; a smaller execution.buffer or minimum_trade_fraction would let it trade.",
            evidence=dict(trading.no_trade),
        )


RULES: tuple[Rule, ...] = (
    _all_losing,
    _weak_agents,
    _failing_agents,
    _jobs,
    _costs,
    _data,
    _machine,
    _slow_agents,
    security_rules,
    _tuning,
    _idle,
)
