"""facts -> the first lines of a report: is all well, and what was decided about the weights. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

from agents.core.facts import DeskFacts
from agents.core.meta_types import SEVERITIES, Alarm, DecisionStatus, OpenAlarm
from agents.core.types import RiskState
from agents.reports.formatting import ago

Tone = Literal["good", "watch", "alarm"]
OLD_DECISION = timedelta(days=5)
"""No market rests so long without a holiday that deserves a look."""
SUBJECT_CHARACTERS = 40

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
    """The state of the desk in one line, as bad as the worst of its alarms and its own state, and the newest decision
    about the weights. All is well only where a decision was made in the last days."""
    newest, alarms = facts.newest, worst_first(facts.alarms)
    count = f"{len(alarms)} alarm{'s' if len(alarms) > 1 else ''}"
    named = f"{count}, {'first ' if len(alarms) > 1 else ''}{words_of(alarms[0].alarm)}; " if alarms else ""
    grave = bool(alarms) and alarms[0].alarm.severity in ("critical", "high")
    if newest is None:
        sentence = "The desk has no bars, or the trading daemon does not run."
        headline = f"Look now: {named}no decision has been made yet" if grave else "No decision has been made yet"
        return Verdict("alarm" if grave else "watch", headline, sentence)
    state, weights = newest.risk_state, _weights_sentence(facts)
    old = facts.period.end - newest.time > OLD_DECISION
    last = ago(newest.time, facts.period.end)
    if grave or old or state == RiskState.HALTED:
        aged = f"the last decision was made {last}; " if old else ""
        return Verdict("alarm", f"Look now: {named or aged}desk {state}", weights)
    if alarms or state != RiskState.ACTIVE:
        return Verdict("watch", f"Keep an eye on it: {named}desk {state}", weights)
    return Verdict("good", f"All well: desk {state}, last decision {last}", weights)


def worst_first(alarms: Sequence[OpenAlarm]) -> list[OpenAlarm]:
    """Most severe first, the longest open first among equals."""
    return sorted(alarms, key=lambda o: (SEVERITIES.index(o.alarm.severity), o.opened_at, o.alarm.kind))


def words_of(alarm: Alarm) -> str:
    """What an alarm is about, in few words."""
    return named(alarm.kind, alarm.subject)


def named(kind: str, subject: str) -> str:
    """As `words_of`, from an alarm's parts."""
    kind, subject = (word.replace("_", " ") for word in (kind, subject))
    return kind if subject in kind else f"{kind} ({subject[:SUBJECT_CHARACTERS]})"


def _weights_sentence(facts: DeskFacts) -> str:
    if not facts.weight_history:
        return "No weights were decided yet."
    decision = facts.weight_history[0].decision
    return f"{_OF_WEIGHTS[decision.status]}: {decision.reason}."
