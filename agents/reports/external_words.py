"""What is advised about strategies that trade elsewhere, in words: one line for each, apart from the desk's weights."""

from __future__ import annotations

from collections.abc import Sequence

from agents.core.external import ExternalAdvice
from agents.reports.formatting import interval, number, percent


def advice_sentence(advice: ExternalAdvice) -> str:
    """One strategy's line."""
    if advice.problem:
        return f"{advice.name} (trades elsewhere): no advice: {advice.problem}"
    return (
        f"{advice.name} (trades elsewhere): advised {percent(advice.weight)} of the risk of desk and {advice.name}"
        f" together ({percent(advice.anchor)} while nothing is known), from {advice.days:,} days in common; adds to the"
        f" desk with a chance of {percent(advice.belief, 0)}: appraisal ratio {number(advice.ratio, sign=True)}"
        f" {interval(advice.low, advice.high)}. Advice only: no part of the desk's weights."
    )


def advice_sentences(advice: Sequence[ExternalAdvice]) -> list[str]:
    """A line for each."""
    return [advice_sentence(one) for one in advice]
