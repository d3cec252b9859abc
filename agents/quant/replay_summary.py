"""a replay's run -> the summary that the console, the tear sheet and summary.json show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from agents.core.books import CONTROLS, FIRST_SHADOW, LIVE
from agents.core.replay_types import Run
from agents.core.types import REMAINDER, Floats
from agents.quant.comparison import AgainstBook
from agents.quant.evidence import Claim, sharpe_interval
from agents.quant.leave_one_out import Added, value_added_by
from agents.quant.measures import (
    LEAST_DAYS,
    SEED,
    BookFigures,
    Daily,
    against_benchmark,
    book_figures,
    daily_of,
    judged_days,
    plain,
    value_added,
)
from agents.quant.returns import day_ends, periods_per_year, sharpe_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowFigures:
    """An agent's own book at unit size: annual Sharpe ratio with its 90 % interval, and how often it turned over in a
    year."""

    sharpe: float
    low: float
    high: float
    turnover_a_year: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingCosts:
    """What trading cost the live book, in money; `delay` is no fee and may be a gain.

    `turnover_a_year` is how much of the book moved in a year, `tuning_turnover_a_year` how much of the weights.
    """

    fills: float
    notional: float
    fees: float
    spread: float
    impact: float
    delay: float
    funding: float
    """Paid of perpetual futures; negative where more was received. It is no cost of trading."""
    turnover_a_year: float
    tuning_turnover_a_year: float
    of_equity_a_year: float
    """Fees, spread and impact as a fraction of the mean equity, a year."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profit:
    """The live book's profit by one agent, in one symbol or on one side, before and after the costs of its fills."""

    gross: float
    costs: float
    net: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Of the live book, as fractions of its equity, over all bars."""

    gross_mean: float
    gross_max: float
    net_mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySummary:
    """All figures of a replay. `period` are the first and the last bar's time; `trials` counts the settings tried on
    this history, these included; `books` has the live one and the controls, `value_added` what live gained over each
    control; `benchmark` what it did beside those that hold; `agents_added` what
    each agent added to the desk (empty where nobody asked); `contributions` sum to the live book's profit, the
    remainder last, as do the parts of `by_agent`, `by_symbol` and `by_side`."""

    period: tuple[str, str]
    bars: int
    symbol_bars: int
    symbols: tuple[str, ...]
    trials: int
    books: dict[str, BookFigures]
    value_added: dict[str, Claim]
    benchmark: dict[str, AgainstBook]
    verdict: str
    agents: dict[str, ShadowFigures]
    agents_added: dict[str, Added]
    contributions: dict[str, float]
    by_agent: dict[str, Profit]
    by_symbol: dict[str, Profit]
    by_side: dict[str, Profit]
    costs: TradingCosts
    exposure: Exposure
    final_weights: dict[str, float]

    def as_plain(self) -> dict[str, Any]:
        """Numbers and words, fit for JSON: what is undefined is None."""
        claims = {name: claim.as_plain() for name, claim in self.value_added.items()}
        fields: dict[str, Any] = plain(asdict(self) | {"value_added": claims})
        return fields


def summary_of(run: Run, trials: int = 1) -> ReplaySummary:
    """The summary of `run`, which is one of `trials` tried on its history."""
    daily = daily_of(run)
    names = ("live", *(f"control:{name}" for name in CONTROLS))
    claims = value_added(daily, trials, judged_days(run))
    return ReplaySummary(
        period=(f"{run.time[0]}Z", f"{run.time[-1]}Z"),
        bars=len(run.time),
        symbol_bars=run.symbol_bars,
        symbols=run.symbols,
        trials=trials,
        books={name: book_figures(daily, k, trials if k == LIVE else 1) for k, name in enumerate(names)},
        value_added=claims,
        benchmark=against_benchmark(daily),
        verdict=verdict_of(claims),
        agents=shadow_figures(run),
        agents_added=agents_added(run),
        contributions=contributions(run),
        by_agent=profit_by_agent(run),
        by_symbol=_profits(run.symbols, run.profit.symbol_net, run.profit.symbol_costs),
        by_side=_profits(("long", "short"), run.profit.side_net, run.profit.side_costs),
        costs=trading_costs(run, daily),
        exposure=Exposure(
            gross_mean=float(run.gross.mean()), gross_max=float(run.gross.max()), net_mean=float(run.net.mean())
        ),
        final_weights=dict(zip(run.agents, (float(w) for w in run.weights[-1]), strict=True)),
    )


def verdict_of(claims: Mapping[str, Claim]) -> str:
    """What is shown of tuning, and of all of it against holding, from the claims against each control."""
    if not claims:
        return f"fewer than {LEAST_DAYS} days: nothing can be said of tuning, or against holding"
    tuned = claims["first"]
    said = (
        f"tuning {tuned.words}"
        if math.isfinite(tuned.difference)
        else "tuning changed no weights: nothing to judge yet"
    )
    return f"{said}; against holding at the same volatility the desk is {claims['hold_at_volatility'].words}"


def trading_costs(run: Run, daily: Daily) -> TradingCosts:
    """What trading cost the live book; turnovers are NaN below two days."""
    years = len(daily.date) / daily.per_year if daily.per_year > 0 else math.nan
    weights_moved = float(np.abs(np.diff(run.weights, axis=0)).sum()) / 2.0
    return TradingCosts(
        fills=float(run.fill_count),
        notional=run.costs["notional"],
        fees=run.costs["fee"],
        spread=run.costs["spread"],
        impact=run.costs["impact"],
        delay=run.costs["delay"],
        funding=run.costs["funding"],
        turnover_a_year=float(run.turnover[:, LIVE].sum()) / years,
        tuning_turnover_a_year=weights_moved / years,
        of_equity_a_year=sum(run.costs[name] for name in ("fee", "spread", "impact"))
        / float(run.equity[:, LIVE].mean())
        / years,
    )


def _profits(names: Sequence[str], net: Floats, costs: Floats) -> dict[str, Profit]:
    """By name, best first."""
    parts = {
        n: Profit(gross=float(a + b), costs=float(b), net=float(a)) for n, a, b in zip(names, net, costs, strict=True)
    }
    return dict(sorted(parts.items(), key=lambda part: -part[1].net))


def contributions(run: Run) -> dict[str, float]:
    """Each agent's part of the live book's profit, the remainder last; they sum to it."""
    return dict(zip((*run.agents, REMAINDER), (float(v) for v in run.contribution.sum(axis=0)), strict=True))


def profit_by_agent(run: Run) -> dict[str, Profit]:
    """Each agent's part of the profit and of the costs, the remainder last; they sum to the desk's."""
    net, costs = run.contribution.sum(axis=0), run.agent_cost.sum(axis=0)
    costs[-1] = sum(run.costs[name] for name in ("fee", "spread", "impact")) - costs[:-1].sum()
    names = (*run.agents, REMAINDER)
    return {
        n: Profit(gross=float(a + b), costs=float(b), net=float(a)) for n, a, b in zip(names, net, costs, strict=True)
    }


def agents_added(run: Run) -> dict[str, Added]:
    """What each agent added to the desk, by its name: the desk less the one without it."""
    if not run.beside.shape[1]:
        return {}
    last = day_ends(run.time)
    date, start = run.time[last].astype("datetime64[D]"), np.full((1, run.beside.shape[1]), run.initial_cash)
    equity = np.concatenate([start, run.beside[last]])
    date = np.concatenate([date[:1] - np.timedelta64(1, "D"), date])
    with_agent = np.concatenate([[run.weights[0] == 0.0], run.weights[last] == 0.0])
    return {
        name: value_added_by(date, equity[:, 0], equity[:, 1 + k], with_agent[:, k], 0)
        for k, name in enumerate(run.agents)
    }


def shadow_figures(run: Run) -> dict[str, ShadowFigures]:
    """Every agent's own book, by the agent's name; its returns are those of a constant capital, summed by day."""
    day = run.time.astype("datetime64[D]")
    starts = np.concatenate([[0], day_ends(run.time)[:-1] + 1])
    returns = np.add.reduceat(run.shadow_return, starts, axis=0)
    pace = periods_per_year(day[starts].astype("datetime64[us]"))
    annual = math.sqrt(pace) if pace > 0 else math.nan
    figures = {}
    for k, name in enumerate(run.agents):
        own = np.ascontiguousarray(returns[:, k])
        low, high = sharpe_interval(own, seed=SEED)
        figures[name] = ShadowFigures(
            sharpe=sharpe_ratio(own, pace),
            low=low * annual,
            high=high * annual,
            turnover_a_year=float(run.turnover[:, FIRST_SHADOW + k].sum()) / len(own) * pace,
        )
    return figures
