"""dated texts -> scores: VADER (Hutto and Gilbert, 2014) with words of finance on top of its everyday lexicon.

VADER reads "bear", "vice" or "crude" as feelings and does not know "downgrade": the words below, with valences on
its own scale of -4 to 4, set that right. They are ours, chosen for headlines of markets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from agents.core.types import Floats

TEXT_LIMIT = 5_000
GOOD = {
    1.0: "accumulate approval approves approved expands expansion hires inflow inflows launches launch listing lists "
    "outpaces overweight partnership recovers recovery resilient stabilises stabilizes",
    1.8: "beats bullish buyback dividend gains growth higher jumps outperform outperforms profit profits profitable "
    "raises rally rallies rebound rebounds rise rises rising upbeat upside",
    2.6: "boom breakout record skyrockets soar soars soared surge surges surged upgrade upgraded upgrades",
}
BAD = {
    1.0: "cautious delay delays delayed layoffs lower outflow outflows probe resigns slows slowdown underweight "
    "volatile warns weak weaker",
    1.8: "bearish cuts decline declines declined dips downside drop drops fall falls fell lawsuit liquidation "
    "liquidations loss losses misses outage recall recession selloff sinks slides slips slump slumps sued tumbles "
    "underperform",
    2.6: "bankrupt bankruptcy collapse collapses crash crashes default defaults delisted downgrade downgraded "
    "downgrades fraud hack hacked insolvency insolvent plunge plunges plunged plummets scandal",
}
NEUTRAL = (
    "bear bull crude vice share shares interest gross tank liability liabilities mine mining arrest vault trust novel"
)
"""Words that VADER feels something about and a market does not."""


def finance_lexicon() -> dict[str, float]:
    """Our words with their valences."""
    words = {word: valence for valence, text in GOOD.items() for word in text.split()}
    words |= {word: -valence for valence, text in BAD.items() for word in text.split()}
    return words | dict.fromkeys(NEUTRAL.split(), 0.0)


@cache
def _analyser() -> SentimentIntensityAnalyzer:
    analyser = SentimentIntensityAnalyzer()
    analyser.lexicon.update(finance_lexicon())
    return analyser


def score_texts(texts: Sequence[str]) -> Floats:
    """VADER's compound score of each text, in [-1, 1]; 0 for an empty one. Texts are cut at 5,000 characters."""
    analyser = _analyser()
    return np.array([analyser.polarity_scores(text[:TEXT_LIMIT])["compound"] for text in texts], dtype=np.float64)
