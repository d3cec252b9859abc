"""equity of several books -> their figures by UTC day. What is undefined is NaN.

Books compound (live and controls); the interval of what tuning added comes from a paired block bootstrap, and its
claim is held to a level for all settings that were tried on the same history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.core.books import BENCHMARKS, CONTROLS, LIVE
from agents.core.replay_types import Run
from agents.core.types import Booleans, Floats, Times
from agents.quant.comparison import AgainstBook, against_book, weights_differ
from agents.quant.evidence import (
    Claim,
    beside_holding,
    claim_of,
    expected_best_sharpe,
    probabilistic_sharpe,
    sharpe_difference,
    sharpe_interval,
)
from agents.quant.moments import decay_weights
from agents.quant.returns import annual_return, day_ends, max_drawdown, periods_per_year, sharpe_ratio, simple_returns
from agents.quant.scores import shape_of, sortino_ratio

SEED = 20240120
ROLLING_DAYS = 126
SHOWN_LEVEL = 0.05
"""A claim whose corrected p-value lies below this counts as shown."""
LEAST_DAYS = 60
"""Fewer days say nothing about what tuning added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """The last value of each UTC day: `date` datetime64[D] [D], `equity` [D + 1, books], whose row 0 is the initial
    cash.

    `per_year` is the number of such days in a year.
    """

    date: Times
    equity: Floats
    per_year: float

    def returns(self, book: int) -> Floats:
        """Simple daily returns of one book, [D]; 0 from a book that is ruined."""
        curve = self.equity[:, book]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((curve[:-1] > 0.0) & (curve[1:] > 0.0), simple_returns(curve), 0.0)


def daily_of(run: Run) -> Daily:
    """The books of a run by day."""
    return by_day(run.time, run.equity, run.initial_cash)


def by_day(time: Times, equity: Floats, initial_cash: float) -> Daily:
    """Equity by day, from that of each bar: `time` [T], `equity` [T, books]."""
    day, last = time.astype("datetime64[D]"), day_ends(time)
    start = np.full((1, equity.shape[1]), initial_cash)
    per_year = periods_per_year(day[last].astype("datetime64[us]"))
    return Daily(date=day[last], equity=np.concatenate([start, equity[last]]), per_year=per_year)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookFigures:
    """Growth, risk and their ratios of one book; annual where a year is meant, NaN where a figure is not defined.

    `sharpe_low` to `sharpe_high` is the 90 % interval of `sharpe`. `days_up` is a share of all days; `best_day` and
    `worst_day` are returns. `kurtosis` is 3 for a normal variable. `deflated_sharpe` is the probability that the true
    Sharpe ratio exceeds what the best of all settings tried would show without skill.
    """

    equity: float
    total_return: float
    annual_return: float
    volatility: float
    sharpe: float
    sharpe_low: float
    sharpe_high: float
    sortino: float
    calmar: float
    max_drawdown: float
    best_day: float
    worst_day: float
    days_up: float
    skew: float
    kurtosis: float
    deflated_sharpe: float


def book_figures(daily: Daily, book: int, trials: int = 1) -> BookFigures:
    """The figures of one book (its column), `trials` settings having been tried on its history."""
    equity, returns, pace = daily.equity[:, book], daily.returns(book), daily.per_year
    sharpe, skew, kurtosis = shape_of(returns)
    low, high = sharpe_interval(returns, seed=SEED)
    deepest, growth = max_drawdown(equity), annual_return(equity, pace)
    annual = math.sqrt(pace) if pace > 0 else math.nan
    by_chance = best_by_chance(trials, len(returns))
    return BookFigures(
        equity=float(equity[-1]),
        total_return=float(equity[-1] / equity[0] - 1.0),
        annual_return=growth,
        volatility=float(np.std(returns, ddof=1)) * annual if len(returns) > 1 else math.nan,
        sharpe=sharpe_ratio(returns, pace),
        sharpe_low=low * annual,
        sharpe_high=high * annual,
        sortino=sortino_ratio(returns, pace),
        calmar=growth / deepest if deepest > 0.0 else math.nan,
        max_drawdown=deepest,
        best_day=float(returns.max(initial=-math.inf)),
        worst_day=float(returns.min(initial=math.inf)),
        days_up=float((returns > 0.0).mean()) if len(returns) else math.nan,
        skew=skew,
        kurtosis=kurtosis,
        deflated_sharpe=probabilistic_sharpe(sharpe, by_chance, len(returns), skew, kurtosis),
    )


def best_by_chance(trials: int, periods: int) -> float:
    """Sharpe ratio per period that the best of `trials` settings without skill shows; each scatters with variance
    1 / periods."""
    return expected_best_sharpe(1.0 / max(periods - 1, 1), trials)


def value_added(daily: Daily, trials: int = 1, judged: Mapping[str, Booleans] | None = None) -> dict[str, Claim]:
    """Live against each control, by name: the annual Sharpe ratio gained after all costs; empty below 60 days.

    `judged` has for a control the days [D] on which its weights were other ones (default: all). Where there are fewer
    than 60 of them there is nothing to judge: the figures are NaN."""
    live = daily.returns(LIVE)
    if len(live) < LEAST_DAYS:
        return {}
    claims = {}
    for k, name in enumerate(CONTROLS, 1):
        days = (judged or {}).get(name, np.ones(len(live), dtype=bool))
        if days.sum() < LEAST_DAYS:
            claims[name] = Claim(
                difference=math.nan, low=math.nan, high=math.nan, p=math.nan, shown=False, trials=trials
            )
            continue
        weights = decay_weights(int(days.sum()), math.inf)
        test = sharpe_difference(live[days], daily.returns(k)[days], weights, daily.per_year, seed=SEED)
        claim = claim_of(test, trials, SHOWN_LEVEL)
        claims[name] = beside_holding(claim) if name in BENCHMARKS else claim
    return claims


def judged_days(run: Run) -> dict[str, Booleans]:
    """By control, the days of a run on which its weights were not the live book's; what holds has none, and inverse
    volatility never the same for long."""
    starts = np.concatenate([[0], day_ends(run.time)[:-1] + 1])
    counted = (run.weights.max(axis=0) > 0.0).astype(np.float64)  # not those that are only watched
    others = {"equal": counted, "first": run.weights[0]}
    return {
        name: np.asarray(np.logical_or.reduceat(weights_differ(run.weights, weights), starts))
        for name, weights in others.items()
    }


def against_benchmark(daily: Daily) -> dict[str, AgainstBook]:
    """The live book beside each benchmark, by name."""
    live = daily.returns(LIVE)
    return {name: against_book(live, daily.returns(1 + CONTROLS.index(name)), daily.per_year) for name in BENCHMARKS}


def monthly(daily: Daily, book: int = LIVE) -> tuple[Sequence[int], Floats]:
    """(years, returns [years, 13]): twelve months and then the whole year; NaN where there was no day."""
    months = daily.date.astype("datetime64[M]").astype(np.int64)
    years = np.unique(months // 12)
    table = np.full((len(years), 13), np.nan)
    growth = np.log1p(daily.returns(book))
    for k, year in enumerate(years):
        for month in range(12):
            rows = months == year * 12 + month
            if rows.any():
                table[k, month] = math.expm1(float(growth[rows].sum()))
        table[k, 12] = math.expm1(float(growth[months // 12 == year].sum()))
    return [int(year) + 1970 for year in years], table


def rolling_sharpe(daily: Daily, book: int, days: int = ROLLING_DAYS) -> Floats:
    """Annual Sharpe of the last `days` at each day, NaN before."""
    returns = daily.returns(book)
    result = np.full(len(returns), np.nan)
    if len(returns) < days:
        return result
    window = np.lib.stride_tricks.sliding_window_view(returns, days)
    spread = window.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        result[days - 1 :] = np.where(spread > 1e-15, window.mean(axis=1) / spread * math.sqrt(daily.per_year), np.nan)
    return result


def plain(value: Any) -> Any:
    """Nested values with NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
