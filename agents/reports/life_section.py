"""facts -> who comes and goes: states of agents, what they add, what they still have to show and about when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from agents.core.facts import DeskFacts
from agents.reports.content import LifeLine
from agents.reports.formatting import MISSING, interval, number, percent

ORDER = ("probation", "shadow", "decaying", "retired", "full")
LEAST_EVIDENCE = 0.01
FAR_DAYS = 3650
"""What is further away is not told by a date."""
TWO_WINDOWS = "Who comes and goes is judged by the newest two years; what it adds a year is of all, and may differ."


def life_sentence(facts: DeskFacts) -> str:
    """Who comes and who goes, in one sentence; "" before the tuner has looked."""
    lives = _lives(facts)
    if not lives:
        return ""
    count = {state: sum(told["state"] == state for told in lives.values()) for state in ORDER}
    full = f"{count['full']} agents are full" if count["full"] != 1 else "1 agent is full"
    others = [
        f"{count[state]} {words}"
        for state, words in (
            ("probation", "on probation"),
            ("shadow", "in shadow, without effect"),
            ("decaying", "decaying"),
            ("retired", "retired"),
        )
        if count[state]
    ]
    if not others:
        return f"{full}; nobody comes or goes."
    return f"{full}, {', '.join(others)}. {TWO_WINDOWS}"


def life_lines(facts: DeskFacts) -> list[LifeLine]:
    """Every agent that is not simply full, and then those that are, where somebody is not."""
    lives = _lives(facts)
    if all(told["state"] == "full" for told in lives.values()):
        return []
    names = sorted(lives, key=lambda name: (ORDER.index(lives[name]["state"]), name))
    return [_line(name, lives[name], facts) for name in names]


def _lives(facts: DeskFacts) -> Mapping[str, Mapping[str, Any]]:
    """What the newest decision that looked at agents said of each."""
    for recorded in facts.weight_history:
        lives = recorded.decision.evidence.get("life")
        if lives:
            return dict(lives)
    return {}


def _line(name: str, told: Mapping[str, Any], facts: DeskFacts) -> LifeLine:
    known = told.get("periods", 0) > 0
    ratio = (
        f"{number(told['ratio'], sign=True)} {interval(told['ratio_low'], told['ratio_high'])}" if known else MISSING
    )
    return LifeLine(
        agent=name,
        state=told["state"],
        days=f"{told['days']:,}",
        belief=percent(told["belief"], 0) if known else MISSING,
        ratio=ratio,
        to_show=to_show(told, facts.period.end),
    )


def to_show(told: Mapping[str, Any], at: Any) -> str:
    """What the agent still has to show, and about when it has at its present pace."""
    state, days = told["state"], told.get("days_to_go")
    if state == "decaying":
        return f"retired in {days or 0} days, unless the belief that it adds rises above 15 %"
    if state == "retired":
        return "back when the belief that it adds is above 50 %, where the tuner retired it; or: quorum agent promote"
    if state not in ("shadow", "probation"):
        return ""
    if "evidence" not in told:
        return "not measured yet"
    evidence = f"{told['evidence']:.3g}" if told["evidence"] >= LEAST_EVIDENCE else f"below {LEAST_EVIDENCE:g}"
    words = f"evidence {evidence} of {told['needed']:,.0f}"
    words += " to be listened to" if state == "shadow" else " to be tuned as a full one"
    if days is None or days > FAR_DAYS:
        return f"{words}; not in sight"
    return f"{words}; about {at + timedelta(days=days):%B %Y} at this pace"
