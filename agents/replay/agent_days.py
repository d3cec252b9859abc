"""The step's arrays -> agent days, as the live desk aggregates them in SQL (`adapters/database/meta_store.py`).

A test holds the two together. Like the live refresh, each one reads only what is new and the two newest days again:
the last was not over, and its signals' outcomes come with the next bar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.core.books import FIRST_SHADOW
from agents.core.facts import FillCosts, Trading
from agents.core.meta_types import AgentDays
from agents.core.types import Bars, Booleans, Floats, Integers, NoTrade, Times
from agents.pipeline.state import Outputs
from agents.quant.compiled import compiled, compiled_inline

REPEATED_DAYS = 2
SPOKEN = 0.02
"""A strength below this names no direction, so nothing can come true."""
SMALLEST_SHARE = 5e-9
"""Half of money's last digit: less is a contribution of nothing."""
NO_TRADE = tuple(str(reason) for reason in NoTrade)
_SIGNALS, _HITS, _CALLS, _TRADES, _PNL, _TURNOVER, _SUMS, _BRIER = 0, 1, 2, 3, 4, 5, 6, 12
_FIGURES = 14


class SignalGrids(NamedTuple):
    """What all agents said of some rows, [A, n, S] each."""

    strength: Floats
    confidence: Floats
    abstained: Booleans


class AgentDayTable:
    """Agent days of a replay."""

    def __init__(self, agents: tuple[str, ...]) -> None:
        self._agents = agents
        self._date: Times = np.empty(0, dtype="datetime64[D]")
        self._returns = np.empty((0, len(agents)))
        self._table = np.empty((_FIGURES, 0, len(agents)))
        self._counts = np.empty((_PNL, 0, len(agents)), dtype=np.int64)
        self._shares, self._shared = np.empty((3, 64)), 0
        self._days = 0
        self._seen = 0
        self._before = 0
        self._known: tuple[np.datetime64, AgentDays] | None = None
        self.available = 0
        """How many rows of the current chunk the simulated desk has seen."""

    def open_chunk(self, bars: Bars, signals: SignalGrids, out: Outputs, seen: int) -> None:
        """Go on with these rows [n, S], their signals and results; the first `seen` are taken in already."""
        self.refresh()  # what a job sees that is due before the first new row
        self._before += self.available - seen
        self._bars, self._out, self._signals = bars, out, signals
        self._price = np.where(bars.suspect, np.nan, bars.close * bars.adjustment)
        self._day = bars.time.astype("datetime64[D]")
        self._opened_day = bars.opened.astype("datetime64[D]").astype(np.int64)
        self._seen = self.available = seen
        # Rows of a first lead are memory for agents, not days of this desk.
        self._floor = seen if self._days == 0 else 0
        self._reserve(self._day[self._floor :])

    def _reserve(self, day: Times) -> None:
        new = np.unique(day)
        kept = self._date[: self._days]
        new = new[new > kept[-1]] if len(kept) else new
        self._date = np.concatenate([kept, new])
        room = len(new)
        self._returns = np.concatenate([self._returns[: self._days], np.full((room, len(self._agents)), np.nan)])
        self._table = np.concatenate(
            [self._table[:, : self._days], np.zeros((_FIGURES, room, len(self._agents)))], axis=1
        )
        self._counts = np.concatenate(
            [self._counts[:, : self._days], np.zeros((_PNL, room, len(self._agents)), dtype=np.int64)], axis=1
        )

    def refresh(self) -> int:
        """Aggregate the rows that are available; how many days are new."""
        stop = self.available
        if stop <= self._seen:
            return 0
        self._known = None
        first_day = max(0, self._days - REPEATED_DAYS)
        last_day = int(self._date.searchsorted(self._day[stop - 1]))
        start = max(self._floor, int(self._day.searchsorted(self._date[first_day])))
        day = self._date.searchsorted(self._day[start:stop]) - first_day
        dates = self._date[first_day : last_day + 1].astype(np.int64)
        out = self._out
        strength, confidence, abstained = self._signals
        rows = DayRows(
            day=day,
            dates=dates,
            opened_day=self._opened_day[start:stop],
            price=self._price[start:stop],
            strength=strength[:, start:stop],
            confidence=confidence[:, start:stop],
            abstained=abstained[:, start:stop],
            shadow_return=out.shadow_return[start:stop],
            hits=out.hits[start:stop],
            calls=out.calls[start:stop],
            contribution=out.contribution[start:stop],
            turnover=out.turnover[start:stop],
            realised=out.realised[start:stop],
        )
        returns, table = _sum_days(rows)
        for closed_on, agent, _ in self._stopped_shares(start, stop).T:
            if closed_on in dates:
                table[_TRADES, int(np.searchsorted(dates, closed_on)), int(agent)] += 1.0
        self._returns[first_day : last_day + 1] = returns
        self._table[:, first_day : last_day + 1] = table
        self._counts[:, first_day : last_day + 1] = table[:_PNL]
        self._share(self._shares_of(max(self._floor, self._seen), stop))
        added, self._days, self._seen = last_day + 1 - self._days, last_day + 1, stop
        return added

    def _share(self, new: Floats) -> None:
        """Keep these, too; room grows by doubling."""
        count = self._shared + new.shape[1]
        if count > self._shares.shape[1]:
            self._shares = np.concatenate([self._shares[:, : self._shared], np.empty((3, 2 * count))], axis=1)
        self._shares[:, self._shared : count] = new
        self._shared = count

    def _shares_of(self, start: int, stop: int) -> Floats:
        """[3, N]: what each agent had of the trades that closed at these rows."""
        shares = self._out.realised[start:stop, :, : len(self._agents)]
        t, s, a = np.nonzero(np.abs(shares) >= SMALLEST_SHARE)
        closed = np.array([self._opened_day[start:stop][t], a, shares[t, s, a]], dtype=np.float64)
        return np.concatenate([closed, self._stopped_shares(start, stop)], axis=1)

    def _stopped_shares(self, start: int, stop: int) -> Floats:
        """The same of those that a stop closed."""
        out = self._out
        if not out.stop_quantity[start:stop].any():
            return np.empty((3, 0))
        t, s = np.nonzero(out.stop_quantity[start:stop])
        shares = out.stop_realised[start:stop][t, s, : len(self._agents)]
        at_open = out.stop_at[start:stop][t, s] == self._bars.open[start:stop][t, s]
        day = np.where(at_open, self._opened_day[start:stop][t], self._day[start:stop].astype(np.int64)[t])
        k, a = np.nonzero(np.abs(shares) >= SMALLEST_SHARE)
        return np.array([day[k], a, shares[k, a]], dtype=np.float64)

    @property
    def seen(self) -> int:
        """Bars that the simulated desk has seen in all."""
        return self._before + self.available

    def trading(self, since: int) -> Trading:
        """What the desk did at the bars seen after the first `since` (as far as the chunk reaches back)."""
        rows = slice(max(0, since - self._before), self.available)
        out = self._out
        costs = (out.fill_fee[rows], out.fill_spread[rows], out.fill_impact[rows])
        reasons, orders, trades, sums = _traded(out.order[rows], out.no_trade[rows], costs, out.realised[rows])
        fees, spread, impact, pnl = sums.tolist()
        stops = np.nonzero(out.stop_quantity[rows])
        if len(stops[0]):
            fees += float(out.stop_fee[rows][stops].sum())
            spread += float(out.stop_spread[rows][stops].sum())
            impact += float(out.stop_impact[rows][stops].sum())
            trades += len(stops[0])
            pnl += float(out.stop_realised[rows][stops].sum())
        return Trading(
            decisions=self.available - rows.start,
            orders=orders,
            no_trade={NO_TRADE[k]: n for k, n in enumerate(reasons.tolist()) if k and n},
            costs=FillCosts(fees=fees, spread=spread, impact=impact),
            trades=trades,
            pnl=pnl,
        )

    def days(self, last: np.datetime64) -> AgentDays:
        """All days up to `last`, as views."""
        if self._known is None or self._known[0] != last:
            self._known = last, self._days_up_to(last)
        return self._known[1]

    def _days_up_to(self, last: np.datetime64) -> AgentDays:
        n = int(self._date[: self._days].searchsorted(last, side="right"))
        table = self._table[:, :n]
        shares = self._shares[:, : self._shared]
        return AgentDays(
            date=self._date[:n],
            agents=self._agents,
            returns=self._returns[:n],
            signals=self._counts[_SIGNALS, :n],
            hits=self._counts[_HITS, :n],
            calls=self._counts[_CALLS, :n],
            trades=self._counts[_TRADES, :n],
            pnl=table[_PNL],
            turnover=table[_TURNOVER],
            correlation_sums=table[_SUMS:_BRIER],
            brier_sums=table[_BRIER:],
            trade_shares=shares[:, : int(shares[0].searchsorted(last.astype(np.int64), side="right"))],
        )


class DayRows(NamedTuple):
    """n rows to be summed by day: prices [n, S], signals [A, n, S], results [n, ...] as in the step's outputs.

    `day` [n] is the place of each row's day in `dates` (days since 1970), `opened_day` [n] the day its bar opened.
    """

    day: Integers
    dates: Integers
    opened_day: Integers
    price: Floats
    strength: Floats
    confidence: Floats
    abstained: Booleans
    shadow_return: Floats
    hits: Integers
    calls: Integers
    contribution: Floats
    turnover: Floats
    realised: Floats


@compiled
def _traded(
    order: Floats, no_trade: Integers, costs: tuple[Floats, Floats, Floats], realised: Floats
) -> tuple[Integers, int, int, Floats]:
    """(how often each reason not to trade held, orders, trades closed, sums of the three costs and of the P&L), of rows
    [n, S] and [n, S, A + 1]."""
    reasons, sums, orders, trades = np.zeros(len(NO_TRADE), dtype=np.int64), np.zeros(4), 0, 0
    for t in range(order.shape[0]):
        for s in range(order.shape[1]):
            reasons[no_trade[t, s]] += 1
            orders += order[t, s] != 0.0
            largest = 0.0
            for share in realised[t, s]:
                largest = max(largest, abs(share))
                sums[3] += share
            trades += largest >= SMALLEST_SHARE
            for k in range(3):
                sums[k] += costs[k][t, s]
    return reasons, orders, trades, sums


@compiled
def _sum_days(rows: DayRows) -> tuple[Floats, Floats]:
    """(shadow returns [D, A], figures [_FIGURES, D, A]) of the rows' days."""
    bars, agents = rows.shadow_return.shape
    symbols = rows.price.shape[1]
    dates = rows.dates
    returns, table = np.zeros((len(dates), agents)), np.zeros((_FIGURES, len(dates), agents))
    moves = _next_moves(rows.price)
    for t in range(bars):
        d = rows.day[t]
        closed = np.searchsorted(dates, rows.opened_day[t])
        inside = closed < len(dates) and dates[closed] == rows.opened_day[t]
        for a in range(agents):
            returns[d, a] += rows.shadow_return[t, a]
            table[_HITS, d, a] += rows.hits[t, a]
            table[_CALLS, d, a] += rows.calls[t, a]
            table[_PNL, d, a] += rows.contribution[t, a]
            table[_TURNOVER, d, a] += rows.turnover[t, FIRST_SHADOW + a]
            for s in range(symbols):
                if inside and abs(rows.realised[t, s, a]) >= SMALLEST_SHARE:
                    table[_TRADES, closed, a] += 1.0
                if not rows.abstained[a, t, s]:
                    _add_opinion(table[:, d, a], rows.strength[a, t, s], rows.confidence[a, t, s], moves[t, s])
    return returns, table


@compiled
def _next_moves(price: Floats) -> Floats:
    """[n, S]: the return from each bar to the symbol's next one; NaN where there is none."""
    bars, symbols = price.shape
    upcoming = np.full(symbols, np.nan)
    moves = np.full((bars, symbols), np.nan)
    for t in range(bars - 1, -1, -1):
        for s in range(symbols):
            if np.isfinite(price[t, s]):
                moves[t, s] = upcoming[s] / price[t, s] - 1.0
                upcoming[s] = price[t, s]
    return moves


@compiled_inline
def _add_opinion(figures: Floats, strength: float, confidence: float, move: float) -> None:
    """Count one opinion, and where the next move is known its sums for correlation and Brier score."""
    figures[_SIGNALS] += 1.0
    if not np.isfinite(move):
        return
    x = strength * confidence
    figures[_SUMS] += 1.0
    figures[_SUMS + 1] += x
    figures[_SUMS + 2] += move
    figures[_SUMS + 3] += x * x
    figures[_SUMS + 4] += move * move
    figures[_SUMS + 5] += x * move
    if move != 0.0 and abs(strength) > SPOKEN:
        came_true = 1.0 if strength * move > 0.0 else 0.0
        figures[_BRIER] += 1.0
        figures[_BRIER + 1] += (confidence - came_true) ** 2
