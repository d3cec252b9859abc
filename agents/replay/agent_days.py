"""the step's arrays -> agent days, as the live desk aggregates them in SQL (`adapters/meta_store.py`); held to it by a test.

Like the live refresh, each one reads only what is new and the two newest days again: the last was not over, and its
signals' outcomes come with the next bar.
"""

from __future__ import annotations

import numpy as np

from agents.core.books import FIRST_SHADOW
from agents.core.facts import FillCosts, Trading
from agents.core.meta_types import AgentDays
from agents.core.types import Bars, Floats, Integers, NoTrade, Times
from agents.pipeline.state import Outputs
from agents.quant.compiled import compiled

REPEATED_DAYS = 2
SPOKEN = 0.02
"""A strength below this names no direction, so nothing can come true."""
SMALLEST_SHARE = 5e-9
"""Half of money's last digit: less is a contribution of nothing."""
_SIGNALS, _HITS, _CALLS, _TRADES, _PNL, _TURNOVER, _SUMS, _BRIER = 0, 1, 2, 3, 4, 5, 6, 12
_FIGURES = 14


class AgentDayTable:
    """Agent days of a replay."""

    def __init__(self, agents: tuple[str, ...]) -> None:
        self._agents = agents
        self._date: Times = np.empty(0, dtype="datetime64[D]")
        self._returns = np.empty((0, len(agents)))
        self._table = np.empty((_FIGURES, 0, len(agents)))
        self._counts = np.empty((_PNL, 0, len(agents)), dtype=np.int64)
        self._days = 0
        self._seen = 0
        self._before = 0
        self.available = 0
        """How many rows of the current chunk the simulated desk has seen."""

    def open_chunk(
        self,
        bars: Bars,
        strength: Floats,
        confidence: Floats,
        abstained: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
        out: Outputs,
        seen: int,
    ) -> None:
        """Go on with these rows [n, S], signals [A, n, S] and results, of which the first `seen` are taken in already."""
        self._before += self.available - seen
        self._bars, self._out = bars, out
        self._strength, self._confidence, self._abstained = strength, confidence, abstained
        self._price = bars.close * bars.adjustment
        self._day = bars.time.astype("datetime64[D]")
        self._opened_day = bars.opened.astype("datetime64[D]").astype(np.int64)
        self._seen = self.available = seen
        self._floor = (
            seen if self._days == 0 else 0
        )  # rows of a first lead are memory for agents, not days of this desk
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
        first_day = max(0, self._days - REPEATED_DAYS)
        last_day = int(np.searchsorted(self._date, self._day[stop - 1]))
        start = max(self._floor, int(np.searchsorted(self._day, self._date[first_day])))
        index = np.searchsorted(self._date, self._day[start:stop]) - first_day
        dates = self._date[first_day : last_day + 1].astype(np.int64)
        out = self._out
        returns, table = _sum_days(
            index,
            dates,
            self._opened_day[start:stop],
            self._price[start:stop],
            self._strength[:, start:stop],
            self._confidence[:, start:stop],
            self._abstained[:, start:stop],
            out.shadow_return[start:stop],
            out.hits[start:stop],
            out.calls[start:stop],
            out.contribution[start:stop],
            out.turnover[start:stop],
            out.realised[start:stop],
        )
        self._returns[first_day : last_day + 1] = returns
        self._table[:, first_day : last_day + 1] = table
        self._counts[:, first_day : last_day + 1] = table[:_PNL]
        added, self._days, self._seen = last_day + 1 - self._days, last_day + 1, stop
        return added

    @property
    def seen(self) -> int:
        """Bars that the simulated desk has seen in all."""
        return self._before + self.available

    def trading(self, since: int) -> Trading:
        """What the desk did at the bars seen after the first `since` (as far as the chunk reaches back)."""
        rows = slice(max(0, since - self._before), self.available)
        out = self._out
        closed = np.abs(out.realised[rows]).max(axis=2) >= SMALLEST_SHARE
        reasons = np.bincount(out.no_trade[rows].ravel(), minlength=len(NoTrade))
        return Trading(
            decisions=self.available - rows.start,
            orders=int(np.count_nonzero(out.order[rows])),
            no_trade={str(NoTrade(k)): int(n) for k, n in enumerate(reasons) if k and n},
            costs=FillCosts(
                fees=float(out.fill_fee[rows].sum()),
                spread=float(out.fill_spread[rows].sum()),
                impact=float(out.fill_impact[rows].sum()),
            ),
            trades=int(closed.sum()),
            pnl=float(out.realised[rows].sum()),
        )

    def days(self, last: np.datetime64) -> AgentDays:
        """All days up to `last`, as views."""
        n = int(np.searchsorted(self._date[: self._days], last, side="right"))
        table = self._table[:, :n]
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
        )


@compiled
def _sum_days(
    index: Integers,
    dates: Integers,
    opened_day: Integers,
    price: Floats,
    strength: Floats,
    confidence: Floats,
    abstained: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    shadow_return: Floats,
    hits: Integers,
    calls: Integers,
    contribution: Floats,
    turnover: Floats,
    realised: Floats,
) -> tuple[Floats, Floats]:
    bars, agents = shadow_return.shape
    symbols = price.shape[1]
    returns, table = np.zeros((len(dates), agents)), np.zeros((_FIGURES, len(dates), agents))
    upcoming = np.full(symbols, np.nan)
    moves = np.full((bars, symbols), np.nan)
    for t in range(bars - 1, -1, -1):
        for s in range(symbols):
            if np.isfinite(price[t, s]):
                moves[t, s] = upcoming[s] / price[t, s] - 1.0
                upcoming[s] = price[t, s]
    for t in range(bars):
        d = index[t]
        closed = np.searchsorted(dates, opened_day[t])
        inside = closed < len(dates) and dates[closed] == opened_day[t]
        for a in range(agents):
            returns[d, a] += shadow_return[t, a]
            table[_HITS, d, a] += hits[t, a]
            table[_CALLS, d, a] += calls[t, a]
            table[_PNL, d, a] += contribution[t, a]
            table[_TURNOVER, d, a] += turnover[t, FIRST_SHADOW + a]
            for s in range(symbols):
                if inside and abs(realised[t, s, a]) >= SMALLEST_SHARE:
                    table[_TRADES, closed, a] += 1.0
                if abstained[a, t, s]:
                    continue
                table[_SIGNALS, d, a] += 1.0
                y = moves[t, s]
                if not np.isfinite(y):
                    continue
                x = strength[a, t, s] * confidence[a, t, s]
                table[_SUMS, d, a] += 1.0
                table[_SUMS + 1, d, a] += x
                table[_SUMS + 2, d, a] += y
                table[_SUMS + 3, d, a] += x * x
                table[_SUMS + 4, d, a] += y * y
                table[_SUMS + 5, d, a] += x * y
                if y != 0.0 and abs(strength[a, t, s]) > SPOKEN:
                    came_true = 1.0 if strength[a, t, s] * y > 0.0 else 0.0
                    table[_BRIER, d, a] += 1.0
                    table[_BRIER + 1, d, a] += (confidence[a, t, s] - came_true) ** 2
    return returns, table
