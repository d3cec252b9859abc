"""The rows of a replay's run, collected chunk by chunk into arrays that are made once."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from agents.core.books import FIRST_SHADOW, LIVE, book_names
from agents.core.replay_types import Fills, Run
from agents.core.types import Bars, Floats
from agents.pipeline.parameters import DeskPlan
from agents.pipeline.state import Outputs
from agents.replay.profit_parts import ProfitSums

FILLS_KEPT = 500_000


class RunRows:
    """Collects the rows of all chunks, into arrays that are made once: a year of minutes is not held twice."""

    _BOOKS = ("equity", "cash", "turnover")
    _COSTS = ("notional", "fee", "spread", "impact", "delay")
    """And the funding that was paid."""

    def __init__(self, plan: DeskPlan, agents: tuple[str, ...], total_bars: int, beside: int = 0) -> None:
        self._plan, self._agents, self._width = plan, agents, FIRST_SHADOW + len(agents)
        count = len(agents)
        widths = {
            **dict.fromkeys(self._BOOKS, FIRST_SHADOW + count),
            "contribution": count + 1,
            "agent_cost": count + 1,
            "shadow_return": count,
            "weights": count,
            "beside": beside,
        }
        self._rows: dict[str, Any] = {name: np.empty((total_bars, width)) for name, width in widths.items()}
        self._rows |= {name: np.empty(total_bars) for name in ("gross", "net")}
        self._rows |= {name: np.empty(total_bars, dtype=np.int64) for name in ("risk_state",)}
        self._rows["time"] = np.empty(total_bars, dtype="datetime64[us]")
        self._fills: list[Fills] = []
        self._kept = self._count = self.bars = self._symbol_bars = 0
        self._costs = dict.fromkeys((*self._COSTS, "funding"), 0.0)
        self._mark = np.full(len(plan.symbols), np.nan)
        self._profit = ProfitSums(len(plan.symbols))

    def add(self, bars: Bars, lead: int, out: Outputs, weights: Floats) -> Fills:
        """Take in the new rows of a chunk; returns its fills."""
        value = np.where(out.position[lead:] != 0.0, out.position[lead:] * out.mark[lead:], 0.0)
        live = out.equity[lead:, LIVE]
        new: dict[str, Any] = {name: getattr(out, name)[lead:, : self._width] for name in self._BOOKS}
        by_agent = ("contribution", "agent_cost", "shadow_return")
        new |= {name: getattr(out, name)[lead:] for name in (*by_agent, "risk_state")}
        new["beside"] = out.equity[lead:, self._width :]
        new |= {
            "time": bars.time[lead:],
            "weights": weights[lead:],
            "gross": np.abs(value).sum(axis=1) / live,
            "net": value.sum(axis=1) / live,
        }
        rows = slice(self.bars, self.bars + len(live))
        for name, values in new.items():
            self._rows[name][rows] = values
        self._profit.add(bars, lead, out)
        fills = self._fills_of(bars, lead, out)
        self._costs["notional"] += float(np.abs(fills.quantity * fills.price).sum())
        for name in self._COSTS[1:]:
            self._costs[name] += float(getattr(fills, name).sum())
        self._costs["funding"] -= float(out.funding[lead:].sum() + out.funding_within[lead:].sum())
        if self._kept < FILLS_KEPT:
            self._fills.append(fills)
            self._kept += len(fills.bar)
        self._count += len(fills.bar)
        self.bars = rows.stop
        self._symbol_bars += int(np.isfinite(bars.close[lead:]).sum())
        return fills

    def _fills_of(self, bars: Bars, lead: int, out: Outputs) -> Fills:
        """Fills of the new rows, of each bar those of stops last."""
        ordered, stopped = self._ordered(bars, lead, out), self._stopped(lead, out)
        if not len(stopped.bar):
            return ordered
        both = {f.name: np.concatenate([getattr(ordered, f.name), getattr(stopped, f.name)]) for f in fields(Fills)}
        by_bar = np.argsort(both["bar"], kind="stable")
        return Fills(**{name: values[by_bar] for name, values in both.items()})

    def _stopped(self, lead: int, out: Outputs) -> Fills:
        t, s = np.nonzero(out.stop_quantity[lead:])
        names = ("quantity", "price", "fee", "spread", "impact")
        parts = {name: getattr(out, f"stop_{name}")[lead:][t, s] for name in names}
        return Fills(bar=t + self.bars, symbol=s, delay=np.zeros(len(t)), **parts)

    def _ordered(self, bars: Bars, lead: int, out: Outputs) -> Fills:
        t, s = np.nonzero(out.fill_quantity[lead:])
        quantity = out.fill_quantity[lead:][t, s]
        before = np.concatenate([self._mark[None], out.mark[lead:-1]])[t, s] / bars.split[lead:][t, s]
        self._mark = out.mark[-1].copy()
        price, fee, spread, impact = (
            getattr(out, f"fill_{name}")[lead:][t, s] for name in ("price", "fee", "spread", "impact")
        )
        delay = quantity * (bars.open[lead:][t, s] - before)
        return Fills(
            bar=t + self.bars,
            symbol=s,
            quantity=quantity,
            price=price,
            fee=fee,
            spread=spread,
            impact=impact,
            delay=delay,
        )

    def run(self) -> Run:
        """All rows; ValueError where there were none."""
        if self.bars == 0:
            raise ValueError("a replay needs at least one bar")
        whole = {name: rows[: self.bars] for name, rows in self._rows.items()}
        names = [field.name for field in fields(Fills)]
        kept = {name: np.concatenate([getattr(part, name) for part in self._fills]) for name in names}
        return Run(
            **whole,
            symbols=self._plan.symbols,
            agents=self._agents,
            books=book_names(self._plan.book, self._agents),
            fills=Fills(**kept),
            fill_count=self._count,
            costs=dict(self._costs),
            initial_cash=self._plan.parameters.initial_cash,
            symbol_bars=self._symbol_bars,
            profit=self._profit.parts(),
        )
