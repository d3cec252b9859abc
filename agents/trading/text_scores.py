"""dated texts -> scores: VADER (Hutto and Gilbert, 2014) with words of finance on top of its everyday lexicon.

VADER reads "bear", "vice" or "crude" as feelings and does not know "downgrade": the words below, with valences on
its own scale of -4 to 4, set that right. They are ours, common words of market reports, checked on one half of the
headlines that docs/agents.md says how well they do on, by the other half. Known lists were left alone: that of Loughran
and McDonald is not free for commercial use, and FinVADER (Apache-2.0) pins Python below 3.12 and an nltk of 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from agents.core.types import Floats

TEXT_LIMIT = 5_000
GOOD = {
    1.0: "accumulate advance advanced advances approval approves approved bags buy clears expands expansion firm firms "
    "hires inflow inflows launches launch listing lists outpaces overweight partnership raise recovers recovery "
    "resilient resumes secures stabilises stabilizes steady up win",
    1.8: "beats boost boosts bullish buyback climb climbed climbs dividend doubles edge exceeds gain gained gaining "
    "gains growth grew grows higher jump jumped jumps outperform outperforms profit profits profitable raises rally "
    "rallied rallies rallying rebound rebounds rise rises rising robust rose tops uptick upbeat upside uptrend zoom "
    "zooms",
    2.6: "bonanza boom breakout record skyrockets soar soaring soars soared spurt surge surges surged surging "
    "upgrade upgraded upgrades",
}
BAD = {
    1.0: "avoid cautious caution delay delays delayed dip down dull halts headwinds layoffs lower muted outflow "
    "outflows pares probe resigns sell shuts slow slows slowdown soft sluggish underweight volatile warns weigh weighs "
    "weak weaker weakness",
    1.8: "bearish bleed bleeds contracts contraction correction cut cuts decline declined declines declining default "
    "dips downside downtrend drag drags drop dropped drops fall fallen falling falls fell lawsuit liquidation "
    "liquidations lose loses loss losses misses outage plummet recall recession retreat retreats sell-off selloff shed "
    "sheds shrinks sink sinks skid skids slide slides slip slipped slips slump slumped slumps sued tumble tumbled "
    "tumbles underperform underperforms",
    2.6: "bankrupt bankruptcy bloodbath collapse collapses crash crashed crashes defaults delisted downgrade "
    "downgraded downgrades fraud hack hacked insolvency insolvent nosedive plunge plunged plunges plunging plummets "
    "rout scam scandal",
}
NEUTRAL = (
    "alert arrest asset assets bear bull chance credit crude debt demand demands energy fair free gross heavy interest "
    "interested liability liabilities like mine mining natural novel party play please safe save securities security "
    "share shares special tank top trust united value vault vice"
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
