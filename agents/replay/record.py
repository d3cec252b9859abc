"""bars -> the same decisions that the live desk would have made, recorded segment by segment.

Agents speak once over the whole panel (they are causal, so it is the same), the step runs compiled over a segment,
and a segment is committed as one transaction with the state after it: a kill at any moment loses at most the segment
that was being computed, and resuming continues to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import numpy as np

from agents.core.clock import INSTANT, SimulatedClock
from agents.core.killpoint import killpoint
from agents.core.ports import Journal
from agents.core.types import (
    Bars,
    Floats,
    Order,
    OrderOutcome,
    Signals,
    Times,
    WeightSet,
    WorkLogEntry,
    as_datetime,
    as_stamp,
    to_decimal,
    to_float,
)
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.ledger import Ledger
from agents.pipeline.market import bar_volatility, panel_of
from agents.pipeline.parameters import DeskPlan
from agents.pipeline.record import Opinions, Traded, build_cycle, orders_of, outcomes_of
from agents.pipeline.saved_state import unpack_state
from agents.pipeline.state import State, matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars
from agents.trading.guard import AgentPanel, raw_forecasts, word_reason

SEGMENT_BARS = 128

Progress = Callable[[int, int, datetime, float], None]
"""(bars done, bars in all, simulated time, equity)."""


class Interludes(Protocol):
    """What falls due between bars: the meta plane's jobs on simulated time. A job due at D sees every bar up to D, and
    the bars after D are traded with the weights that it left."""

    def next_due(self, after: datetime) -> datetime:
        """The first due time later than `after`."""
        ...

    def run(self, at: datetime) -> None:
        """Run what is due at `at`; again, after a kill, it does what is left of it."""
        ...


class Timeline:
    """Cuts a history where interludes fall due and runs them between the cuts, on a simulated clock. Due times are followed by
    themselves, not by bars: a job that is due with a bar's very close runs after it."""

    def __init__(self, clock: SimulatedClock, interludes: Interludes | None, since: datetime) -> None:
        self._clock, self._interludes, self._ran = clock, interludes, since

    def segments(self, time: Times, first: int, longest: int | None = None) -> Iterator[tuple[int, int]]:
        """(first, stop) of rows to trade one after the other, at most `longest` of them at once; the clock stands at the first bar
        of a segment while it is traded."""
        while first < len(time):
            due = self._interludes.next_due(self._ran) if self._interludes is not None else None
            reach = len(time) if due is None else int(np.searchsorted(time, as_stamp(due), side="right"))
            stop = min(reach, first + longest) if longest else reach
            if stop <= first:
                assert self._interludes is not None and due is not None
                self._clock.advance_to(due)
                self._interludes.run(due)
                self._ran = due
                continue
            self._clock.advance_to(as_datetime(time[first]))
            yield first, stop
            self._clock.advance_to(as_datetime(time[stop - 1]))
            first = stop


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is computed once for the whole history."""

    signals: list[Signals]
    log: list[WorkLogEntry]
    forecast: Floats
    correlation: Floats
    volatility: Floats


def replay(
    bars: Bars,
    plan: DeskPlan,
    agents: AgentPanel,
    weights_at: Callable[[datetime], WeightSet],
    journal: Journal,
    clock: SimulatedClock,
    progress: Progress,
    interludes: Interludes | None = None,
    memory: int = 0,
) -> int:
    """Trade `bars`, from where the journal ends, on a new one after the first `memory` rows, which the agents only remember; returns
    the number of bars that were decided on now.

    Segments are cut where an interlude falls due; it runs after the bars up to its due time are on record.
    """
    names = agents.names
    last = journal.last()
    start = memory
    state, ledger = (
        new_state(len(names), len(bars.symbols), plan.parameters.initial_cash),
        Ledger(cash=to_decimal(plan.parameters.initial_cash)),
    )
    working: list[Order] = []
    if last is not None:
        start = int(np.searchsorted(bars.time, np.datetime64(last.time.replace(tzinfo=None), "us"), side="right"))
        state, cash = unpack_state(last.state, bars.symbols, names, plan.parameters.initial_cash)
        ledger = Ledger(cash=Decimal(cash), positions=dict(last.positions))
        working = [order for order, _ in journal.open_orders()]
    total = len(bars.time)
    if start >= total:
        return 0
    prepared = _prepare(bars, plan, agents)
    timeline = Timeline(clock, interludes, (last.time if last is not None else as_datetime(bars.time[start])) - INSTANT)
    for first, stop in timeline.segments(bars.time, start, SEGMENT_BARS):
        weights = weights_at(clock.now())
        state, ledger, working, equity = _run_segment(
            bars.rows(first, stop),
            slice(first, stop),
            plan,
            agents,
            prepared,
            weights,
            journal,
            (state, ledger, working),
        )
        progress(stop, total, as_datetime(bars.time[stop - 1]), equity)
    return total - start


def _prepare(bars: Bars, plan: DeskPlan, agents: AgentPanel) -> Prepared:
    panel = panel_of(bars)
    signals, log = agents.ask(panel, as_datetime(bars.time[-1]), action="replay")
    forecast, correlation = scale_forecasts(
        raw_forecasts(signals), plan.scale_window_bars, plan.parameters.sizing.forecast_cap
    )
    return Prepared(signals, log, forecast, correlation, bar_volatility(panel, plan.volatility_window_bars))


def _run_segment(
    segment: Bars,
    rows: slice,
    plan: DeskPlan,
    agents: AgentPanel,
    prepared: Prepared,
    weights: WeightSet,
    journal: Journal,
    before: tuple[State, Ledger, list[Order]],
) -> tuple[State, Ledger, list[Order], float]:
    state, ledger, working = before
    names, symbols = agents.names, segment.symbols
    vector = np.array([to_float(weights.weights[name]) for name in names])
    inputs = matched_inputs(
        segment, prepared.volatility[rows], prepared.forecast[rows], prepared.correlation[rows], vector
    )
    out = new_outputs(len(segment.time), len(names), len(symbols))
    run_bars(state, inputs, plan.parameters, out)
    orders = orders_of(out, segment, plan.desk)
    outcomes = outcomes_of(out, segment, [working, *orders[:-1]])
    signals = [_rows(s, rows) for s in prepared.signals]
    opinions = Opinions(
        agents=names,
        signals=signals,
        reasons=_reasons(agents, signals, prepared.log),
        forecast=prepared.forecast[rows],
        weights=[weights] * len(segment.time),
        work_log=_log_of(prepared.log, as_datetime(segment.time[-1])),
    )
    traded = Traded(out=out, state=state, orders=orders, outcomes=outcomes, placed=_acked(orders[-1]))
    cycle, ledger = build_cycle(plan, segment, opinions, traded, ledger)
    killpoint("decision.before_commit")
    journal.record(cycle)
    killpoint("decision.after_commit")
    return state, ledger, orders[-1], float(out.equity[-1, 0])


def _acked(orders: Sequence[Order]) -> list[OrderOutcome]:
    """Orders of the last bar are working when the segment ends."""
    return [OrderOutcome(client_order_id=order.client_order_id, state="acked") for order in orders]


def _rows(signals: Signals, rows: slice) -> Signals:
    return Signals(
        strength=signals.strength[rows],
        confidence=signals.confidence[rows],
        abstained=signals.abstained[rows],
        evidence={name: values[rows] for name, values in signals.evidence.items()},
    )


def _reasons(
    agents: AgentPanel, signals: Sequence[Signals], log: Sequence[WorkLogEntry]
) -> tuple[tuple[tuple[str, ...], ...], ...]:
    bars, symbols = signals[0].strength.shape
    return tuple(
        tuple(
            tuple(word_reason(agent, s, t, k, "" if entry.ok else entry.detail) for k in range(symbols))
            for t in range(bars)
        )
        for agent, s, entry in zip(agents.agents, signals, log, strict=True)
    )


def _log_of(log: Sequence[WorkLogEntry], at: datetime) -> list[WorkLogEntry]:
    return [
        WorkLogEntry(
            time=at,
            agent_name=e.agent_name,
            action=e.action,
            duration_ms=e.duration_ms,
            opinions=e.opinions,
            ok=e.ok,
            detail=e.detail,
        )
        for e in log
    ]
