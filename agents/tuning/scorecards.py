"""agent days -> scorecards: how good is each agent, over which window, and is that shown or chance?

Skill is read from the shadow book, which trades all of an agent's signals at unit size whatever its weight; money from
attribution. All figures are of UTC days with bars, annualised by the bars' own calendar.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np

from agents.core.log import log_event
from agents.core.meta_ports import AnalyzerDesk
from agents.core.meta_types import AgentDays, Scorecard
from agents.core.types import Floats, to_decimal
from agents.quant.confidence_sequence import FIRST_LOOK, sharpe_sequence
from agents.quant.evidence import (
    expected_best_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_interval,
)
from agents.quant.returns import MINIMUM_PERIODS, first_of_window, periods_per_year, sharpe_ratio
from agents.quant.scores import (
    by_agent,
    calmar_ratio,
    capital_drawdown,
    column_sums,
    pooled_correlation,
    shape_of,
    sortino_ratio,
    wins_and_losses,
)

logger = logging.getLogger(__name__)
WINDOWS_DAYS = (7, 30, 90, 0)
"""0 is all history."""
TRACK_RECORD_CONFIDENCE = 0.95
SEED = 20240117


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Who counts as a top performer, who as an underperformer; Sharpe ratios annual, the win rate a fraction."""

    top_sharpe: float = 1.5
    under_sharpe: float = 0.5
    under_win_rate: float = 0.45
    allow_short: bool = True
    """Whether the shadow books could sell short: what was measured."""

    @property
    def measured(self) -> str:
        return "long and short" if self.allow_short else "long-only books"


def update_scorecards(
    desk: AnalyzerDesk, thresholds: Thresholds, at: datetime, windows: Sequence[int] = WINDOWS_DAYS
) -> dict[str, Any]:
    """Bring the agent days up to date and write one scorecard for each agent and window; twice changes nothing.

    Returns agents_analyzed (names), top_performers and underperformers (names, best and worst first), date, days, and
    the scorecards of the longest window.
    """
    added = desk.refresh_days()
    days = desk.agent_days(until=at)
    trials = desk.variants_tried(days.agents)
    cards = analyze(days, thresholds, trials=trials, windows=windows)
    desk.record_scorecards(cards)
    outcome = _outcome(days, cards)
    log_event(
        logger,
        "analyzed",
        agents=len(outcome["agents_analyzed"]),
        days=len(days.date),
        new_days=added,
        top=",".join(outcome["top_performers"]),
        under=",".join(outcome["underperformers"]),
    )
    return outcome


def _outcome(days: AgentDays, cards: Sequence[Scorecard]) -> dict[str, Any]:
    whole = [card for card in cards if card.window_days == 0]
    ranked = sorted(
        whole, key=lambda c: c.figures["sharpe_ratio"] if c.figures["sharpe_ratio"] is not None else -math.inf
    )
    return {
        "agents_analyzed": [c.agent_name for c in whole],
        "top_performers": [c.agent_name for c in reversed(ranked) if c.verdict.startswith("top")],
        "underperformers": [c.agent_name for c in ranked if c.verdict.startswith("under")],
        "date": whole[0].date.isoformat() if whole else None,
        "days": len(days.date),
        "scorecards": [
            {"agent_name": c.agent_name, "verdict": c.verdict, **c.figures, "undefined": dict(c.undefined)}
            for c in whole
        ],
    }


# ---------------------------------------------------------------- pure


def analyze(
    days: AgentDays, thresholds: Thresholds, *, trials: int, windows: Sequence[int] = WINDOWS_DAYS
) -> list[Scorecard]:
    """A scorecard for each agent and window that ends on the newest day; none where there are no days.

    `trials` counts all agents and variants ever tried, for the deflated Sharpe ratio; the variance among trials is
    taken over the agents' own ratios.
    """
    if not len(days.date):
        return []
    last = date.fromisoformat(str(days.date[-1]))
    per_year = periods_per_year(days.date)
    shares, starts = by_agent(days.trade_shares, len(days.agents))
    cards = []
    for window in windows:
        first = first_of_window(window, days.date)
        shapes = [shape_of(_own(days, k, first)) for k in range(len(days.agents))]
        ratios = [shape[0] for shape in shapes if math.isfinite(shape[0])]
        best_by_chance = expected_best_sharpe(float(np.var(ratios, ddof=1)), trials) if len(ratios) > 1 else math.nan
        sums = _window_sums(days, first)
        for k, name in enumerate(days.agents):
            raw = _figures(
                _own(days, k, first), sums[:, k], per_year, shapes[k], Trials(trials, best_by_chance, window == 0)
            )
            raw |= _trade_figures(shares[:, starts[k] : starts[k + 1]], days.date[first])
            undefined = {key: _why(key, raw) for key, value in raw.items() if not math.isfinite(value)}
            figures = {key: None if key in undefined else _number(key, value) for key, value in raw.items()}
            cards.append(
                Scorecard(
                    date=last,
                    agent_name=name,
                    window_days=window,
                    figures=figures,
                    undefined=undefined,
                    pnl=to_decimal(float(sums[_PNL, k])),
                    verdict=verdict(figures, thresholds),
                    measured=thresholds.measured,
                )
            )
    return cards


def _own(days: AgentDays, k: int, first: int) -> Floats:
    returns = days.returns[first:, k]
    return returns[np.isfinite(returns)]


_SIGNALS, _TRADES, _HITS, _CALLS, _TURNOVER, _PNL, _PAIRS, _BRIER = 0, 1, 2, 3, 4, 5, 6, 12


def _window_sums(days: AgentDays, first: int) -> Floats:
    """[14, A]: what simply adds up over the window's days."""
    counts = [column_sums(values[first:]) for values in (days.signals, days.trades, days.hits, days.calls)]
    tables = (days.turnover, days.pnl, *days.correlation_sums, *days.brier_sums)
    return np.array(counts + [column_sums(values[first:]) for values in tables])


class Trials(NamedTuple):
    """Agents and variants ever tried, and the per-period ratio that the best of so many shows by chance."""

    number: int
    best_by_chance: float
    since_the_first: bool
    """The window is all history, of which alone something can be said at every look."""


def _figures(
    returns: Floats, sums: Floats, per_year: float, shape: tuple[float, float, float], trials: Trials
) -> dict[str, float]:
    """The numbers of one scorecard; NaN where one is undefined."""
    sharpe, skew, kurtosis = shape
    enough = len(returns) >= MINIMUM_PERIODS
    low, high = sharpe_interval(returns, seed=SEED)
    always = sharpe_sequence(returns) if trials.since_the_first else (math.nan, math.nan)
    deepest, longest = capital_drawdown(returns)
    calls, pairs = float(sums[_CALLS]), sums[_PAIRS:_BRIER]
    count, squares = float(sums[_BRIER]), float(sums[_BRIER + 1])
    annual = math.sqrt(per_year) if per_year > 0 else math.nan
    moved = bool(np.any(returns != 0.0))
    return {
        "total_signals": float(sums[_SIGNALS]),
        "total_trades": float(sums[_TRADES]),
        "win_rate": float(sums[_HITS]) / calls if calls else math.nan,
        **wins_and_losses(returns)._asdict(),
        "sharpe_ratio": sharpe_ratio(returns, per_year),
        "sortino_ratio": sortino_ratio(returns, per_year),
        "calmar_ratio": calmar_ratio(returns, per_year),
        "max_drawdown": deepest if moved else math.nan,
        "max_drawdown_bars": float(longest),
        "turnover": float(sums[_TURNOVER]) / len(returns) * per_year if len(returns) else math.nan,
        "information_coefficient": pooled_correlation(pairs),
        "brier_score": squares / count if count >= MINIMUM_PERIODS else math.nan,
        "probabilistic_sharpe": probabilistic_sharpe(sharpe, 0.0, len(returns), skew, kurtosis) if enough else math.nan,
        "deflated_sharpe": probabilistic_sharpe(sharpe, trials.best_by_chance, len(returns), skew, kurtosis)
        if enough
        else math.nan,
        "minimum_track_record": minimum_track_record(sharpe, 0.0, skew, kurtosis, TRACK_RECORD_CONFIDENCE)
        if enough
        else math.nan,
        "sharpe_low": low * annual,
        "sharpe_high": high * annual,
        "sharpe_always_low": always[0] * annual,
        "sharpe_always_high": always[1] * annual,
        "periods_per_year": per_year,
        "number_of_trials": float(trials.number),
    }


def _trade_figures(shares: Floats, first: np.datetime64) -> dict[str, float]:
    """Of the desk's closed trades, by an agent's own part of each, (day, money) [2, N]: one that it gained with is
    won."""
    start = int(np.searchsorted(shares[0], first.astype("datetime64[D]").astype(np.int64)))
    money = shares[1, start:]
    outcomes = wins_and_losses(money)
    return {
        "trade_win_rate": float(np.mean(money > 0.0)) if len(money) else math.nan,
        "trade_profit_factor": outcomes.profit_factor,
        "longest_winning_trades": float(outcomes.longest_wins),
        "longest_losing_trades": float(outcomes.longest_losses),
    }


WHOLE_NUMBERS = frozenset(
    {"total_signals", "total_trades", "longest_wins", "longest_losses", "max_drawdown_bars", "number_of_trials"}
    | {"longest_winning_trades", "longest_losing_trades"}
)


def _number(key: str, value: float) -> float | int:
    return int(value) if key in WHOLE_NUMBERS else float(value)


def _why(key: str, raw: Mapping[str, float]) -> str:
    """Why a figure has no value."""
    if key == "trade_win_rate" or (key == "trade_profit_factor" and not math.isfinite(raw["trade_win_rate"])):
        return "no trade closed in this window that it had a part in"
    if key == "trade_profit_factor":
        return "no losing trade in this window" if raw["trade_win_rate"] > 0.0 else "no winning trade in this window"
    if raw["total_signals"] == 0:
        return "no signals in this window"
    if key == "win_rate":
        return "no position moved in this window"
    if key in ("profit_factor", "payoff_ratio", "average_loss", "sortino_ratio") and not math.isfinite(
        raw["average_loss"]
    ):
        return "no losing day in this window"
    if key in ("profit_factor", "payoff_ratio", "average_win") and not math.isfinite(raw["average_win"]):
        return "no winning day in this window"
    if key.startswith("sharpe_always"):
        return f"not all history, or fewer than {FIRST_LOOK} days"
    if key == "minimum_track_record" and math.isfinite(raw["probabilistic_sharpe"]):
        return "the Sharpe ratio is not positive"
    if key == "brier_score":
        return f"fewer than {MINIMUM_PERIODS} calls whose outcome is known"
    if key == "information_coefficient":
        return f"fewer than {MINIMUM_PERIODS} signals whose outcome is known, or all alike"
    if key == "deflated_sharpe" and math.isfinite(raw["probabilistic_sharpe"]):
        return "one agent only: the trials have no variance"
    if key == "periods_per_year":
        return "fewer than two days"
    return f"fewer than {MINIMUM_PERIODS} days, or no movement"


def verdict(figures: Mapping[str, float | int | None], thresholds: Thresholds) -> str:
    """top, under or middle, and whether the evidence shows it: the 90 % interval must lie beyond the threshold, over
    all history the one that holds at every look; that of a window holds for one look, and says so."""
    sharpe, win_rate = figures["sharpe_ratio"], figures["win_rate"]
    low, high = (figures.get(f"sharpe_always_{end}") or figures[f"sharpe_{end}"] for end in ("low", "high"))
    if sharpe is None or low is None or high is None:
        return "not measurable yet"
    interval = f"90 % interval [{low:.2f}, {high:.2f}]"
    shown = "significant" if figures.get("sharpe_always_low") else "significant at one look"
    if sharpe > thresholds.top_sharpe:
        return f"top: Sharpe {sharpe:.2f}, " + (
            f"{shown}: {interval}" if low > thresholds.top_sharpe else f"not significant: {interval}"
        )
    if sharpe < thresholds.under_sharpe:
        return f"under: Sharpe {sharpe:.2f}, " + (
            f"{shown}: {interval}" if high < thresholds.under_sharpe else f"not significant: {interval}"
        )
    if win_rate is not None and win_rate < thresholds.under_win_rate:
        return f"under: win rate {win_rate:.1%} below {thresholds.under_win_rate:.0%}, Sharpe {sharpe:.2f} {interval}"
    return f"middle: Sharpe {sharpe:.2f}, {interval}"
