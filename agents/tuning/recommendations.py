"""facts -> recommendations: rules that each look at numbers, say what to do, and carry their evidence. Pure.

A rule's fingerprint is its name and subject, so that the same finding in the next report is the same suggestion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from agents.core.meta_types import SEVERITIES, Recommendation

Facts = Mapping[str, Any]
Rule = Callable[[Facts], Iterator[Recommendation]]

COST_SHARE = 0.25
IDLE_DAYS = 30
ERROR_RATE = 0.01
DATABASE_BYTES = 50e9


def recommend(facts: Facts) -> list[Recommendation]:
    """What all rules find, most severe first."""
    found = [r for rule in RULES for r in rule(facts)]
    return sorted(found, key=lambda r: (SEVERITIES.index(r.severity), r.fingerprint))


def _weak_agents(facts: Facts) -> Iterator[Recommendation]:
    """An agent whose Sharpe interval lies below zero loses for sure; one that nobody can measure costs attention."""
    for card in facts["scorecards"]:
        if card["window_days"] != 0:
            continue
        name, high = card["agent_name"], card["sharpe_high"]
        if high is not None and high < 0.0:
            yield Recommendation(
                fingerprint=f"losing_agent:{name}",
                kind="strategy",
                severity="medium",
                title=f"{name} loses after costs, and not by chance",
                action=f"Take {name} out of agents.enabled, or change its parameters as a new variant; its floor weight still trades.",
                evidence={
                    "sharpe": card["sharpe_ratio"],
                    "interval": [card["sharpe_low"], high],
                    "signals": card["total_signals"],
                },
            )
        elif card["total_signals"] == 0:
            yield Recommendation(
                fingerprint=f"silent_agent:{name}",
                kind="strategy",
                severity="low",
                title=f"{name} has never said anything",
                action=f"Feed the data it reads (quorum import-series) or take {name} out of agents.enabled.",
                evidence={"signals": 0},
            )


def _all_losing(facts: Facts) -> Iterator[Recommendation]:
    cards = [c for c in facts["scorecards"] if c["window_days"] == 0 and c["sharpe_ratio"] is not None]
    if cards and all(c["sharpe_ratio"] < 0.0 for c in cards):
        yield Recommendation(
            fingerprint="all_agents_lose",
            kind="strategy",
            severity="high",
            title="Every agent has a negative Sharpe ratio",
            action="No weights make a profit of this. Lower combine.volatility_target or risk.gross_cap, or halt, until an agent earns.",
            evidence={c["agent_name"]: c["sharpe_ratio"] for c in cards},
        )


def _costs(facts: Facts) -> Iterator[Recommendation]:
    costs, totals = facts["costs"][0], facts["trade_totals"][0]
    paid = float(costs["fees"] + costs["spread"] + costs["impact"])
    gross = abs(float(totals["pnl"])) + paid
    if totals["trades"] >= 20 and gross > 0 and paid / gross > COST_SHARE:
        yield Recommendation(
            fingerprint="costs_eat_profits",
            kind="strategy",
            severity="medium",
            title=f"Costs were {paid / gross:.0%} of what trades moved",
            action="Raise execution.buffer so that small changes of target are not traded, or trade fewer symbols.",
            evidence={
                "fees": float(costs["fees"]),
                "spread": float(costs["spread"]),
                "impact": float(costs["impact"]),
                "pnl": float(totals["pnl"]),
            },
        )


def _failing_agents(facts: Facts) -> Iterator[Recommendation]:
    for row in facts["work"]:
        if row["failures"] and row["failures"] / row["cycles"] > ERROR_RATE:
            yield Recommendation(
                fingerprint=f"failing_agent:{row['agent_name']}",
                kind="architecture",
                severity="high",
                title=f"{row['agent_name']} failed in {row['failures']} of {row['cycles']} cycles",
                action="Read the failure, mend the agent; while it fails it abstains and the others trade.",
                evidence={"failure": row["failure"], "longest_ms": row["longest_ms"]},
            )


def _slow_agents(facts: Facts) -> Iterator[Recommendation]:
    for row in facts["work"]:
        if row["mean_ms"] is not None and row["cycles"] >= 20 and row["mean_ms"] > 1000.0:
            yield Recommendation(
                fingerprint=f"slow_agent:{row['agent_name']}",
                kind="performance",
                severity="low",
                title=f"{row['agent_name']} takes {row['mean_ms']:.0f} ms for a bar",
                action="Profile it; a decision waits for its slowest agent.",
                evidence={"mean_ms": row["mean_ms"], "longest_ms": row["longest_ms"]},
            )


def _jobs(facts: Facts) -> Iterator[Recommendation]:
    for name in sorted({row["job"] for row in facts["job_runs"]}):
        runs = [row for row in facts["job_runs"] if row["job"] == name]
        failed = [row for row in runs if row["status"] == "failed"]
        missed = sum(row["missed"] for row in runs)
        if failed:
            yield Recommendation(
                fingerprint=f"failing_job:{name}",
                kind="architecture",
                severity="high",
                title=f"The job {name} failed {len(failed)} times",
                action="See logs/meta_orchestrator.log; quorum jobs shows every run.",
                evidence={"detail": failed[0]["detail"], "runs": len(runs)},
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


def _data(facts: Facts) -> Iterator[Recommendation]:
    bad = facts["quarantine"][0]["rows"]
    if bad:
        yield Recommendation(
            fingerprint="quarantined_rows",
            kind="architecture",
            severity="medium",
            title=f"{bad} rows of bar files were quarantined",
            action="SELECT * FROM bar_quarantine ORDER BY id DESC; fix the source and import the corrected file.",
            evidence={"rows": bad},
        )


def _machine(facts: Facts) -> Iterator[Recommendation]:
    system = facts["system"]
    if system["database_bytes"] > DATABASE_BYTES:
        yield Recommendation(
            fingerprint="large_database",
            kind="performance",
            severity="low",
            title=f"The database has grown to {system['database_bytes'] / 1e9:.0f} GB",
            action="Archive old chunks of signals and decision_details (SELECT drop_chunks(...)) after a dump.",
            evidence={"bytes": system["database_bytes"]},
        )
    if system["slow_queries"]:
        yield Recommendation(
            fingerprint="slow_queries",
            kind="performance",
            severity="medium",
            title=f"{system['slow_queries']} queries have run for more than 5 s",
            action="SELECT query, now() - query_start FROM pg_stat_activity WHERE state = 'active';",
            evidence={"queries": system["slow_queries"]},
        )
    if system["load_1m"] > 2.0 * system["cpus"]:
        yield Recommendation(
            fingerprint="high_load",
            kind="performance",
            severity="medium",
            title="The machine is overloaded",
            action="Move other work away; a late decision is a stale one.",
            evidence={"load": system["load_1m"], "cpus": system["cpus"]},
        )


def _security(facts: Facts) -> Iterator[Recommendation]:
    if facts.get("acts_as_owner"):
        yield Recommendation(
            fingerprint="one_role",
            kind="security",
            severity="medium",
            title="All commands act as the owner of the database",
            action="Let a superuser run quorum's migrations once, so that the least-privilege roles exist.",
            evidence={},
        )


def _tuning(facts: Facts) -> Iterator[Recommendation]:
    tuner = facts["tuner"][0]
    if tuner["scored"] >= 10 and tuner["came_true"] / tuner["scored"] < 0.35:
        yield Recommendation(
            fingerprint="tuning_misses",
            kind="strategy",
            severity="medium",
            title="Changes of weights have mostly not paid",
            action='Lower tuning.false_changes_per_year, or set tuning.method = "equal" until the agents differ more.',
            evidence={"scored": tuner["scored"], "came_true": tuner["came_true"]},
        )
    recent = facts["weight_history"][:7]
    if len(recent) == 7 and all(row["status"] == "fallback" for row in recent):
        yield Recommendation(
            fingerprint="tuning_fallback",
            kind="strategy",
            severity="high",
            title="The optimizer has had no answer seven times in a row",
            action="quorum weights history shows why; usually too few agents have enough signals.",
            evidence={"reason": recent[0]["reason"]},
        )


def _idle(facts: Facts) -> Iterator[Recommendation]:
    decisions = facts["decisions"][0]
    whole = facts["period_end"] - facts["period_start"] >= timedelta(days=5)
    if whole and decisions["decisions"] and not decisions["orders"]:
        reasons = {row["reason"]: row["times"] for row in facts["no_trade"]}
        yield Recommendation(
            fingerprint="nothing_traded",
            kind="strategy",
            severity="low",
            title="The desk decided but never ordered anything",
            action="See the reasons; a smaller execution.buffer or minimum_trade_fraction would let it trade.",
            evidence=reasons,
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
    _security,
    _tuning,
    _idle,
)
