"""SentimentAnalyst: what people say, else what an index of their mood says, else what the market itself shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Floats, Panel, Signals
from agents.quant.indicators import ewma, forgetting_bars, volatility
from agents.quant.opinions import mean_over_symbols, share_above
from agents.quant.ranks import percentile_rank
from agents.quant.windows import rolling_extreme, rolling_mean
from agents.trading.base import TradingAgent, direction, pack_signals

NEWS_SCORE, NEWS_COUNT, FEAR_GREED = "news_score", "news_count", "fear_greed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentimentParameters:
    """Bars, but for `texts_full` (texts that make an opinion fully confident) and `calm_zone` (an index nearer than
    this to 50 is no opinion: the crowd is a contrary indicator at extremes only)."""

    half_life: float = 3.0
    texts_full: float = 5.0
    calm_zone: float = 20.0
    momentum_window: int = 60
    breadth_window: int = 50
    volatility_window: int = 20
    strength_window: int = 120
    rank_window: int = 120


class SentimentAnalyst(TradingAgent):
    """Per symbol and bar, the first source that speaks:

    1. Texts: exogenous `news_score` (sum of the scores in [-1, 1] of the texts that became known since the last bar)
       and `news_count` (how many), both decayed with a half-life of `half_life` bars; strength is the decayed mean
       score, with the crowd; confidence grows with the decayed count.
    2. An external fear-and-greed series, exogenous `fear_greed` in 0..100: against the crowd, (50 - index) / 50.
    3. A fear-and-greed index computed from the panel, 0..100, the mean of four ranks within the last `rank_window`
       bars: momentum (market against its mean), breadth (share of symbols above their mean), calm (low volatility)
       and strength (share of symbols in the upper half of their yearly channel); against the crowd as well.

    Sources 2 and 3 speak at extremes only: abstains while the index is within `calm_zone` of 50.
    The market of source 3 is the mean log price change of the symbols that have a bar.

    Sources: tone moves prices for days and part of it comes back (Tetlock, "Giving content to investor sentiment",
    2007; Tetlock, Saar-Tsechansky, Macskassy 2008), hence a half-life of three daily bars; sentiment as a contrary
    indicator: Baker and Wurgler 2006; the index is put together like CNN's Fear & Greed, whose longer windows (125
    sessions, 52 weeks) are here at most 120 bars, so that its memory stays below a year. Lengths are bars, whatever
    their interval.

    What is known: the effect of news is gone within days, and after costs nearly nothing of it remains in large stocks
    (Tetlock and others 2008). Crowds are wrong at extremes only, which are rare.
    """

    name = "SentimentAnalyst"

    def __init__(self, parameters: SentimentParameters | None = None) -> None:
        self.parameters = parameters or SentimentParameters()
        p = self.parameters
        memory = max(p.momentum_window, p.breadth_window, p.volatility_window, p.strength_window)
        decay_span = _span(p.half_life)
        self.bars_needed = max(memory + p.rank_window + 20, forgetting_bars(decay_span) + 1)

    def signals(self, panel: Panel) -> Signals:
        p = self.parameters
        index = market_fear_greed(panel, p)
        if FEAR_GREED in panel.exogenous:
            outside = panel.exogenous[FEAR_GREED]
            index = np.where(np.isfinite(outside), outside, index)
        strength = np.where(np.abs(index - 50.0) >= p.calm_zone, (50.0 - index) / 50.0, np.nan)
        confidence, news, texts = np.abs(index - 50.0) / 50.0, np.full((1, 1), np.nan), np.zeros((1, 1))
        if NEWS_COUNT in panel.exogenous:
            score = panel.exogenous.get(NEWS_SCORE, np.full(panel.close.shape, np.nan))
            news, texts = _decayed_news(score, panel.exogenous[NEWS_COUNT], p.half_life)
            heard = texts > 0.05
            strength = np.where(heard, news, strength)
            confidence = np.where(heard, np.minimum(1.0, texts / p.texts_full), confidence)
            news = np.where(heard, news, np.nan)
        found = {"news": news, "texts": texts, "index": index}
        evidence = {name: np.broadcast_to(values, panel.close.shape) for name, values in found.items()}
        return pack_signals(panel, strength, confidence, evidence)

    def explain(self, evidence: Mapping[str, float], strength: float) -> str:
        if np.isfinite(evidence["news"]):
            return f"{direction(strength)}: mean tone {evidence['news']:+.2f} of {evidence['texts']:.1f} recent texts"
        mood = "greed" if evidence["index"] > 50 else "fear"
        return f"{direction(strength)}: fear-and-greed index {evidence['index']:.0f} ({mood}), taken the other way"

    def why_abstained(self) -> str:
        return "no texts, and fear and greed are near balance, or no bar or not enough history yet"


def market_fear_greed(panel: Panel, p: SentimentParameters) -> Floats:
    """The market's own fear-and-greed index, 0 (fear) to 100 (greed), [T, 1]; NaN in warm-up."""
    prices = np.log(panel.close)
    market_move = np.full((len(prices), 1), np.nan)
    market_move[1:] = mean_over_symbols(prices[1:] - prices[:-1])
    momentum = rolling_mean(market_move, p.momentum_window, p.momentum_window // 2)
    mean = rolling_mean(prices, p.breadth_window, p.breadth_window // 2)
    breadth = share_above(prices, mean)
    calm = -mean_over_symbols(volatility(panel.close, p.volatility_window, p.volatility_window // 2))
    middle = rolling_extreme(panel.high, p.strength_window, p.strength_window // 2, 1.0)
    middle += rolling_extreme(panel.low, p.strength_window, p.strength_window // 2, -1.0)
    middle /= 2.0
    upper = share_above(panel.close, middle)
    parts = _quantised(np.hstack([momentum, breadth, calm, upper]))
    ranks = percentile_rank(parts, p.rank_window, p.rank_window // 2)
    index: Floats = 100.0 * np.mean(np.ascontiguousarray(ranks.T), axis=0)[:, None]
    return index


def _quantised(values: Floats) -> Floats:
    """Rounded to 12 decimals, so that ranks do not hang on the last bits of a sum."""
    return np.round(values, 12)


def _span(half_life: float) -> float:
    decay = 0.5 ** (1.0 / half_life)
    return float(2.0 / (1.0 - decay) - 1.0)


def _decayed_news(score: Floats, count: Floats, half_life: float) -> tuple[Floats, Floats]:
    """Decayed mean score and decayed number of texts; the number is 0 where there never was a text."""
    span = _span(half_life)
    decay = 0.5 ** (1.0 / half_life)
    filled_score, filled_count = np.nan_to_num(score), np.nan_to_num(count)
    bars = np.arange(1, len(score) + 1)[:, None]
    weight = (1.0 - decay**bars) / (1.0 - decay)
    total, texts = ewma(filled_score, span) * weight, ewma(filled_count, span) * weight
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(texts > 1e-9, np.clip(total / texts, -1.0, 1.0), 0.0), texts
