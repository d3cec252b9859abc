"""facts -> the first lines of a report: is all well, and what was decided about the weights. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from agents.core.facts import DeskFacts
from agents.core.meta_types import DecisionStatus
from agents.reports.formatting import ago

Tone = Literal["good", "watch", "alarm"]

_OF_WEIGHTS: dict[DecisionStatus, str] = {
    "apply": "Weights were moved",
    "hold": "Weights are held",
    "fallback": "Weights stay as they are",
    "revert": "Weights were reverted",
    "initial": "Weights stay as they are",
}


class Verdict(NamedTuple):
    """The headline of a report with its tone, and one more sentence."""

    tone: Tone
    headline: str
    sentence: str


def verdict_of(facts: DeskFacts) -> Verdict:
    """The state of the desk in one line, and the newest decision about the weights."""
    newest, alarms = facts.newest, facts.alarms
    if newest is None:
        return Verdict(
            "watch", "No decision has been made yet", "The desk has no bars, or the trading daemon does not run."
        )
    count = f"{len(alarms)} alarm{'s' if len(alarms) > 1 else ''}"
    weights = _weights_sentence(facts)
    if any(open_alarm.alarm.severity in ("critical", "high") for open_alarm in alarms):
        return Verdict("alarm", f"Look now: {count}, desk {newest.risk_state}", weights)
    if alarms:
        return Verdict("watch", f"Keep an eye on it: {count}, desk {newest.risk_state}", weights)
    last = ago(newest.time, facts.period.end)
    return Verdict("good", f"All well: desk {newest.risk_state}, last decision {last}", weights)


def _weights_sentence(facts: DeskFacts) -> str:
    if not facts.weight_history:
        return "No weights were decided yet."
    decision = facts.weight_history[0].decision
    return f"{_OF_WEIGHTS[decision.status]}: {decision.reason}."
