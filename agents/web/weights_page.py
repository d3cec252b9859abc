"""Weights over time, every decision about them with what it was made of, and what was expected against what came."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.adapters.database.weight_pages import recorded_decision, recorded_decisions
from agents.core.believed import believed
from agents.core.errors import UsageError
from agents.core.facts import AppliedWeights, DeskFacts, RecordedDecision
from agents.core.types import as_stamp
from agents.reports.belief_words import agent_sentence, whole_sentence
from agents.reports.formatting import MISSING, number, percent
from agents.reports.svg_charts import interval_chart, stack_chart
from agents.reports.tuning_sections import change_line, newest_decision, tuner_sentence, weight_lines
from agents.web.site import Query, Site, whole_number

ROWS = 25
LEAST_PART = 0.00005


def weights_page(site: Site, query: Query) -> dict[str, Any]:
    """All of them, or the one of ?version=."""
    if "version" in query:
        return {"one": one_decision(site, whole_number(query["version"], "version"))}
    facts = site.snapshots.newest().facts
    before = whole_number(query["before"], "before") if "before" in query else None
    everything = query.get("show") == "all"
    rows = recorded_decisions(site.view.engine, before=before, moved_only=not everything, limit=ROWS + 1)
    return {
        "one": None,
        "weights": weight_lines(facts),
        "over_time": over_time(facts),
        "beliefs": belief_chart(facts),
        "decision": newest_decision(facts),
        "tuner": tuner_sentence(facts),
        "rows": [_row(recorded) for recorded in rows[:ROWS]],
        "older": rows[ROWS - 1].version if len(rows) > ROWS else None,
        "before": before,
        "everything": everything,
    }


def over_time(facts: DeskFacts) -> str:
    """Weights in force as steps, up to now; "" before the first decision."""
    sets = list(facts.applied)
    if facts.newest is None or not sets:
        return ""
    if facts.newest.time > sets[-1].at:
        sets.append(AppliedWeights(at=facts.newest.time, weights=sets[-1].weights))
    names = [name for name in facts.weights if any(s.weights.get(name) for s in sets)]
    names += sorted({name for s in sets for name in s.weights} - set(names) - set(facts.weights))
    time = np.array([as_stamp(s.at) for s in sets], dtype="datetime64[us]")
    shares = {name: np.array([float(s.weights.get(name, 0.0)) for s in sets]) for name in names}
    return stack_chart(time, shares, label="weights in force over time, by agent")


def belief_chart(facts: DeskFacts) -> str:
    """What is believed of each agent: its Sharpe ratio above the average agent, with 80 %."""
    newest = next(iter(facts.beliefs[-1:]), None)
    if newest is None:
        return ""
    views = sorted(newest.agents.items(), key=lambda named: -named[1].mean)
    rows = [(name, view.mean, view.low, view.high) for name, view in views]
    return interval_chart(rows, label="believed skill by agent, with 80 % intervals")


def one_decision(site: Site, version: int) -> dict[str, Any]:
    """A decision: what was done and why, and each agent's change by its causes, in points of weight."""
    recorded = recorded_decision(site.view.engine, version)
    if recorded is None:
        raise UsageError(f"no decision about weights has version {version}")
    decision, belief = recorded.decision, believed(recorded.decision.evidence)
    before = {name: float(weight) for name, weight in (decision.previous or {}).items()}
    named = {c for parts in decision.causes.values() for c, part in parts.items() if abs(part) >= LEAST_PART}
    causes = sorted(named, key=_place_of_cause)
    agents = sorted(decision.weights, key=lambda name: (-decision.weights[name], name))
    return {
        "version": version,
        "when": decision.at,
        "row": _row(recorded),
        "reason": decision.reason[:1].upper() + decision.reason[1:],
        "worth": whole_sentence(belief) if belief else "",
        "sentences": [
            agent_sentence(name, before.get(name), float(decision.weights[name]), belief.agents[name])
            for name in agents
            if belief and name in belief.agents
        ],
        "causes": causes,
        "agents": [
            {
                "agent": name,
                "before": percent(before.get(name)),
                "after": percent(decision.weights[name]),
                "change": percent(float(decision.weights[name]) - before[name], sign=True)
                if name in before
                else MISSING,
                "parts": [_part(decision.causes.get(name, {}).get(cause)) for cause in causes],
            }
            for name in agents
        ],
        "details": [
            ("method", decision.method),
            ("days looked at", decision.sample_size),
            ("trials", decision.trials),
            ("inputs", (decision.inputs_hash or MISSING)[:16]),
        ],
    }


CAUSES = ("mean", "volatility", "correlation", "cap", "step")


def _place_of_cause(cause: str) -> tuple[int, str]:
    return (CAUSES.index(cause) if cause in CAUSES else len(CAUSES), cause)


def _part(value: float | None) -> str:
    return "" if value is None or abs(value) < LEAST_PART else percent(value, sign=True)


def _row(recorded: RecordedDecision) -> dict[str, Any]:
    decision, line = recorded.decision, change_line(recorded)
    return {
        "version": recorded.version,
        "when": decision.at,
        "status": decision.status,
        "moves": line.moves if decision.status in ("apply", "revert") else decision.reason,
        "expected": number(decision.sharpe_improvement, sign=True),
        "realised": line.realised if decision.status in ("apply", "revert") else "",
    }
