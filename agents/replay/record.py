"""bars -> the same decisions that the live desk would have made, recorded segment by segment.

Agents speak once over the whole panel (they are causal, so it is the same), the step runs compiled over a stretch of
bars with the same weights, and a segment, one or more of them, is committed as one transaction with the state after it:
a kill at any moment loses at most the segment that was being computed, and resuming continues to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from agents.core.clock import INSTANT
from agents.core.killpoint import killpoint
from agents.core.ports import Journal
from agents.core.types import (
    Bars,
    Floats,
    Integers,
    Order,
    OrderOutcome,
    Signals,
    WarmUp,
    WeightSet,
    WorkLogEntry,
    as_datetime,
    as_stamp,
    to_decimal,
)
from agents.core.weight_sets import vector_of
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.ledger import Ledger
from agents.pipeline.market import bar_volatility, panel_of, tradable, volume_note
from agents.pipeline.parameters import DeskPlan
from agents.pipeline.record import Opinions, Traded, build_cycle, orders_of, outcomes_of
from agents.pipeline.saved_state import unpack_state
from agents.pipeline.state import Outputs, State, matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars
from agents.pipeline.stop_orders import stop_orders, with_stops
from agents.quant.regimes import regimes_of
from agents.replay.timeline import Progress, SimulatedTime, Timeline
from agents.trading.guard import AgentPanel, raw_forecasts

SEGMENT_BARS = 128


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is computed once for the whole history."""

    signals: list[Signals]
    log: list[WorkLogEntry]
    forecast: Floats
    correlation: Floats
    volatility: Floats
    regime: Integers


def _nothing() -> None:
    """Nothing is to be written before a segment."""


class RecordedDesk(NamedTuple):
    """The desk whose decisions are recorded: its fixed part, its agents, its weights at a time, and its journal.

    Where nothing that falls due between bars reads the record, a segment is of `together` bars or little more, whatever
    weights they have; `publish` puts on record, before it, what it refers to."""

    plan: DeskPlan
    agents: AgentPanel
    weights_at: Callable[[datetime], WeightSet]
    journal: Journal
    together: int = 1
    publish: Callable[[], None] = _nothing


def record_history(bars: Bars, desk: RecordedDesk, time: SimulatedTime, progress: Progress, memory: int = 0) -> int:
    """Trade `bars` from where the journal ends; returns how many bars were decided on now.

    A new desk begins after the first `memory` rows, which its agents only remember. Stretches are cut where something
    falls due; that runs after the bars up to its due time are on record, but for a desk that commits many `together`.
    """
    plan, names, journal = desk.plan, desk.agents.names, desk.journal
    last = journal.last()
    start, cash = memory, plan.parameters.initial_cash
    state = new_state(len(names), len(bars.symbols), cash)
    ledger = Ledger(cash=to_decimal(cash))
    working: list[Order] = []
    if last is not None:
        start = int(np.searchsorted(bars.time, as_stamp(last.time), side="right"))
        state, kept_cash = unpack_state(last.state, plan, names)
        ledger = Ledger(cash=Decimal(kept_cash), positions=dict(last.positions))
        working = [order for order, _ in journal.open_orders()]
    total = len(bars.time)
    if start >= total:
        return 0
    prepared = _prepare(bars, plan, desk.agents)
    timeline = Timeline(time, (last.time if last is not None else as_datetime(bars.time[start])) - INSTANT)
    first_row = FirstRow("", None)
    if last is None:
        opinions = raw_forecasts(prepared.signals)[max(0, start - plan.scale_window_bars) : start]
        first_row = FirstRow(volume_note(bars.rows(0, start + 1)), WarmUp(names, bars.symbols, opinions))
    met, stretches = tradable(bars, plan.publication_delay_s), list[Stretch]()
    for first, stop in timeline.segments(bars.time, start, SEGMENT_BARS):
        stretches.append(Stretch(slice(first, stop), desk.weights_at(time.clock.now())))
        begun = stretches[0].rows.start
        if stop < total and stop - begun < desk.together:
            continue
        segment = Segment(met.rows(begun, stop), stretches, first_row)
        first_row, stretches = FirstRow("", None), []
        state, ledger, working, equity = _run_segment(segment, desk, prepared, (state, ledger, working))
        progress(stop, total, as_datetime(bars.time[stop - 1]), equity)
    return total - start


def _prepare(bars: Bars, plan: DeskPlan, agents: AgentPanel) -> Prepared:
    panel = panel_of(bars)
    signals, log = agents.ask(panel, as_datetime(bars.time[-1]), action="replay")
    forecast, correlation = scale_forecasts(
        raw_forecasts(signals), plan.scale_window_bars, plan.parameters.sizing.forecast_cap
    )
    volatility = bar_volatility(panel, plan.volatility_window_bars)
    return Prepared(signals, log, forecast, correlation, volatility, regimes_of(panel.close))


class FirstRow(NamedTuple):
    """What a desk's first record brings beside: what its first decision says, and what its agents thought before."""

    note: str
    warm_up: WarmUp | None


class Stretch(NamedTuple):
    """Rows of the whole history, and the weights in force for them."""

    rows: slice
    weights: WeightSet


class Segment(NamedTuple):
    """Bars that are traded as one transaction, their stretches, and what a desk's first record brings beside."""

    bars: Bars
    stretches: Sequence[Stretch]
    first: FirstRow

    @property
    def rows(self) -> slice:
        """Its rows in the whole history."""
        return slice(self.stretches[0].rows.start, self.stretches[-1].rows.stop)


def _run_segment(
    part: Segment, desk: RecordedDesk, prepared: Prepared, before: tuple[State, Ledger, list[Order]]
) -> tuple[State, Ledger, list[Order], float]:
    segment, rows = part.bars, part.rows
    plan, agents = desk.plan, desk.agents
    state, ledger, working = before
    out = _traded(part, desk, prepared, state)
    orders = orders_of(out, segment, plan.desk, plan.parameters.orders)
    outcomes, still = outcomes_of(out, segment, working, orders, plan.publication_delay_s)
    stops = stop_orders(out, segment, plan.desk)
    opinions = Opinions(
        agents=agents.names,
        signals=[_rows(s, rows) for s in prepared.signals],
        reasons=agents.reasons(rows.start, rows.stop, len(segment.symbols)),
        forecast=prepared.forecast[rows],
        regime=prepared.regime[rows],
        weights=[weights for covered, weights in part.stretches for _ in range(covered.start, covered.stop)],
        work_log=[
            entry
            for covered, _ in part.stretches
            for entry in _log_of(prepared.log, as_datetime(segment.time[covered.stop - 1 - rows.start]))
        ],
    )
    traded = Traded(
        out=out,
        state=state,
        orders=orders,
        stops=stops,
        outcomes=with_stops(outcomes, stops, out, segment),
        placed=_acked(still, segment),
        note=part.first.note,
    )
    cycle, ledger = build_cycle(plan, segment, opinions, traded, ledger)
    desk.publish()
    killpoint("decision.before_commit")
    desk.journal.record(replace(cycle, warm_up=part.first.warm_up))
    killpoint("decision.after_commit")
    return state, ledger, still, float(out.equity[-1, 0])


def _traded(part: Segment, desk: RecordedDesk, prepared: Prepared, state: State) -> Outputs:
    """What the step makes of a segment, stretch by stretch; `state` is the one after it then."""
    plan, names, begun = desk.plan, desk.agents.names, part.rows.start
    out = new_outputs(len(part.bars.time), len(names), len(part.bars.symbols))
    for rows, weights in part.stretches:
        own = slice(rows.start - begun, rows.stop - begun)
        inputs = matched_inputs(
            part.bars.rows(own.start, own.stop),
            prepared.volatility[rows],
            prepared.forecast[rows],
            prepared.correlation[rows],
            vector_of(weights.weights, names),
        )._replace(counted=plan.counted(names))
        run_bars(state, inputs, plan.parameters, Outputs._make(values[own] for values in out))
    return out


def _acked(working: Sequence[Order], segment: Bars) -> list[OrderOutcome]:
    """The orders of a segment that work when it ends."""
    first = as_datetime(segment.time[0])
    mine = (order for order in working if order.decision_time >= first)
    return [OrderOutcome(client_order_id=order.client_order_id, state="acked") for order in mine]


def _rows(signals: Signals, rows: slice) -> Signals:
    return Signals(
        strength=signals.strength[rows],
        confidence=signals.confidence[rows],
        abstained=signals.abstained[rows],
        evidence={name: values[rows] for name, values in signals.evidence.items()},
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
