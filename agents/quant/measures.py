"""a run -> the figures of its tear sheet, by UTC day. Pure; what is undefined is NaN.

Books compound (live and controls); the interval of what tuning added comes from a paired block bootstrap, and its claim is held to
a level for all settings that were tried on the same history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.core.books import CONTROLS, FIRST_SHADOW, LIVE
from agents.core.replay_types import Run
from agents.core.types import REMAINDER, Floats, Integers, Times
from agents.quant.evidence import (
    Claim,
    claim_of,
    expected_best_sharpe,
    probabilistic_sharpe,
    sharpe_difference,
    sharpe_interval,
)
from agents.quant.moments import decay_weights
from agents.quant.returns import annual_return, max_drawdown, periods_per_year, sharpe_ratio, simple_returns
from agents.quant.scores import shape_of, sortino_ratio

SEED = 20240120
ROLLING_DAYS = 126
SHOWN_LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Daily:
    """The last value of each UTC day: `date` datetime64[D] [D], `equity` [D, books] after the initial cash, which is row 0."""

    date: Times
    equity: Floats
    per_year: float

    def returns(self, book: int) -> Floats:
        """Simple daily returns of one book, [D]; 0 from a book that is ruined."""
        curve = self.equity[:, book]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((curve[:-1] > 0.0) & (curve[1:] > 0.0), simple_returns(curve), 0.0)


def day_ends(time: Times) -> Integers:
    """The last row of each UTC day."""
    day = time.astype("datetime64[D]")
    return np.append(np.flatnonzero(day[1:] != day[:-1]), len(day) - 1)


def daily_of(run: Run) -> Daily:
    """The books of a run by day."""
    return by_day(run.time, run.equity, run.initial_cash)


def by_day(time: Times, equity: Floats, initial_cash: float) -> Daily:
    """Equity by day, from that of each bar: `time` [T], `equity` [T, books]."""
    day, last = time.astype("datetime64[D]"), day_ends(time)
    start = np.full((1, equity.shape[1]), initial_cash)
    per_year = periods_per_year(day[last].astype("datetime64[us]"))
    return Daily(date=day[last], equity=np.concatenate([start, equity[last]]), per_year=per_year)


def book_figures(daily: Daily, book: int, trials: int = 1) -> dict[str, float]:
    """Growth, risk and their ratios of one book; annual where a year is meant. `deflated_sharpe` is the probability that the true
    ratio exceeds what the best of `trials` skill-less settings would show."""
    equity, returns, pace = daily.equity[:, book], daily.returns(book), daily.per_year
    sharpe, skew, kurtosis = shape_of(returns)
    low, high = sharpe_interval(returns, seed=SEED)
    deepest, growth = max_drawdown(equity), annual_return(equity, pace)
    annual = math.sqrt(pace) if pace > 0 else math.nan
    by_chance = best_by_chance(trials, len(returns))
    return {
        "equity": float(equity[-1]),
        "total_return": float(equity[-1] / equity[0] - 1.0),
        "annual_return": growth,
        "volatility": float(np.std(returns, ddof=1)) * annual if len(returns) > 1 else math.nan,
        "sharpe": sharpe_ratio(returns, pace),
        "sharpe_low": low * annual,
        "sharpe_high": high * annual,
        "sortino": sortino_ratio(returns, pace),
        "calmar": growth / deepest if deepest > 0.0 else math.nan,
        "max_drawdown": deepest,
        "best_day": float(returns.max(initial=-math.inf)),
        "worst_day": float(returns.min(initial=math.inf)),
        "days_up": float((returns > 0.0).mean()) if len(returns) else math.nan,
        "skew": skew,
        "kurtosis": kurtosis,
        "deflated_sharpe": probabilistic_sharpe(sharpe, by_chance, len(returns), skew, kurtosis),
    }


def best_by_chance(trials: int, periods: int) -> float:
    """Per-period ratio that the best of `trials` skill-less settings shows; each scatters with variance 1 / periods."""
    return expected_best_sharpe(1.0 / max(periods - 1, 1), trials)


def value_added(daily: Daily, trials: int = 1) -> dict[str, Claim]:
    """Live against each control, annual Sharpe: what tuning added after its costs."""
    live = daily.returns(LIVE)
    if len(live) < 60:
        return {}
    found = {}
    for k, name in enumerate(CONTROLS, 1):
        test = sharpe_difference(live, daily.returns(k), decay_weights(len(live), math.inf), daily.per_year, seed=SEED)
        found[name] = claim_of(test, trials, SHOWN_LEVEL)
    return found


def monthly(daily: Daily, book: int = LIVE) -> tuple[Sequence[int], Floats]:
    """(years, returns [years, 13]): twelve months and the year; NaN where there was no day."""
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


def costs(run: Run, daily: Daily) -> dict[str, float]:
    """What trading cost the live book, in money, and how much of the book moved in a year."""
    years = len(daily.date) / daily.per_year if daily.per_year > 0 else math.nan
    return {
        "fills": float(run.fill_count),
        "notional": run.costs["notional"],
        "fees": run.costs["fee"],
        "spread": run.costs["spread"],
        "impact": run.costs["impact"],
        "delay": run.costs["delay"],
        "turnover_a_year": float(run.turnover[:, LIVE].sum()) / years if years > 0 else math.nan,
        "tuning_turnover_a_year": float(np.abs(np.diff(run.weights, axis=0)).sum()) / 2.0 / years
        if years > 0
        else math.nan,
    }


def contributions(run: Run) -> dict[str, float]:
    """Each agent's part of the live book's profit, the remainder last; they sum to it."""
    return dict(zip((*run.agents, REMAINDER), (float(v) for v in run.contribution.sum(axis=0)), strict=True))


def shadow_figures(run: Run) -> dict[str, dict[str, float]]:
    """Every agent's own book at unit size: annual Sharpe with its interval, by day."""
    day = run.time.astype("datetime64[D]")
    starts = np.concatenate([[0], day_ends(run.time)[:-1] + 1])
    returns = np.add.reduceat(run.shadow_return, starts, axis=0)
    pace = periods_per_year(day[starts].astype("datetime64[us]"))
    annual = math.sqrt(pace) if pace > 0 else math.nan
    found = {}
    for k, name in enumerate(run.agents):
        own = np.ascontiguousarray(returns[:, k])
        low, high = sharpe_interval(own, seed=SEED)
        turned = float(run.turnover[:, FIRST_SHADOW + k].sum()) / len(own) * pace
        found[name] = {
            "sharpe": sharpe_ratio(own, pace),
            "low": low * annual,
            "high": high * annual,
            "turnover_a_year": turned,
        }
    return found


def summary_of(run: Run, trials: int = 1) -> dict[str, Any]:
    """All figures as plain numbers and words; NaN is None."""
    daily = daily_of(run)
    names = ("live", *(f"control:{name}" for name in CONTROLS))
    added = value_added(daily, trials)
    figures: dict[str, Any] = plain(
        {
            "period": [f"{run.time[0]}Z", f"{run.time[-1]}Z"],
            "bars": len(run.time),
            "symbol_bars": run.symbol_bars,
            "symbols": list(run.symbols),
            "trials": trials,
            "books": {name: book_figures(daily, k, trials if k == LIVE else 1) for k, name in enumerate(names)},
            "value_added": {name: claim.as_plain() for name, claim in added.items()},
            "verdict": f"tuning {added['first'].words}"
            if added
            else "fewer than 60 days: nothing can be said of tuning",
            "agents": shadow_figures(run),
            "contributions": contributions(run),
            "costs": costs(run, daily),
            "exposure": {
                "gross_mean": float(run.gross.mean()),
                "gross_max": float(run.gross.max()),
                "net_mean": float(run.net.mean()),
            },
            "final_weights": dict(zip(run.agents, (float(w) for w in run.weights[-1]), strict=True)),
        }
    )
    return figures


def plain(value: Any) -> Any:
    """Nested values with NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
