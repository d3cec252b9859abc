"""bars -> books, on arrays: the same step, agents and due times as live, without a journal. Years in seconds.

History comes in chunks, so that it need not fit into memory. Each chunk begins with rows of the one before (`lead`),
from which agents and windows take their memory. Agents are asked once for each chunk (they are causal and forget, so it
is the same), and the compiled step runs from one due time to the next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np

from agents.core.allocator import give_back
from agents.core.books import LIVE
from agents.core.clock import INSTANT
from agents.core.log import log_event
from agents.core.ports import BarSource
from agents.core.replay_types import Fills, Run
from agents.core.types import (
    Bars,
    Booleans,
    Floats,
    Signals,
    WeightSet,
    as_datetime,
    as_stamp,
)
from agents.core.weight_sets import vector_of
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.desk import desk_of
from agents.pipeline.market import bar_volatility, opened_before, panel_of, tradable, volume_note
from agents.pipeline.parameters import DeskPlan
from agents.pipeline.rows import CELLS_AT_ONCE
from agents.pipeline.state import Inputs, Outputs, matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_rows_on_threads
from agents.quant.leave_one_out import leave_one_out
from agents.replay.agent_days import AgentDayTable, SignalGrids
from agents.replay.run_rows import RunRows
from agents.replay.timeline import Progress, SimulatedTime, Timeline
from agents.trading.guard import raw_forecasts

logger = logging.getLogger(__name__)
FILLS_KEPT = 500_000
SHOWN_TIMES = 200
"""So often, at most, progress is shown within a replay."""
SignalSource = Callable[[Bars], Sequence[Signals]]
"""Every agent's signals on all rows of some bars."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of history; the first `lead` of them were in the chunk before."""

    bars: Bars
    lead: int


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """One finished chunk: its rows from `first` on are new. Shown to observers, which must copy what they keep."""

    bars: Bars
    first: int
    signals: Sequence[Signals]
    forecast: Floats
    out: Outputs
    fills: Fills
    base: int
    """Bars of the run before this chunk's new ones."""
    at_close: Booleans
    """[T, S] where orders met the close of their bar, not its open."""


Observer = Callable[[ChunkResult], None]


def chunks_of(
    source: BarSource, lead: int, size: int, start: datetime | None = None, until: datetime | None = None
) -> Iterator[Chunk]:
    """The bars of `source` from `start` to `until` in chunks of `size` rows, each with up to `lead` rows of what came
    before, also of what is before `start`."""
    after = None if start is None else start - INSTANT
    held = None if after is None else source.window(until=after, count=lead)
    while True:
        new = source.after(after, limit=size)
        if until is not None and len(new.time):
            new = new.rows(0, int(np.searchsorted(new.time, as_stamp(until), side="right")))
        if not len(new.time):
            return
        rows = new if held is None or not len(held.time) else held.followed_by(new)
        before = len(rows.time) - len(new.time)
        yield Chunk(rows, before)
        held, after = rows.rows(max(0, len(rows.time) - lead), len(rows.time)), as_datetime(new.time[-1])


class SimulatedDesk(NamedTuple):
    """Who trades: the desk's fixed part, its agents' names, where their signals come from, how many bars they need
    before what is new, and the weights in force at a time."""

    plan: DeskPlan
    agents: tuple[str, ...]
    signal_source: SignalSource
    bars_needed: int
    weights_at: Callable[[datetime], WeightSet]
    floor: float | None = None
    """Where given, the desk without each agent is traded beside it, and with one of weight 0 at this weight."""


class Watchers(NamedTuple):
    """Who is told: progress of `total_bars`, and observers of every finished chunk."""

    progress: Progress
    total_bars: int
    observers: Sequence[Observer] = ()


def simulate(
    chunks: Iterable[Chunk],
    desk: SimulatedDesk,
    time: SimulatedTime,
    watchers: Watchers,
    days: AgentDayTable | None = None,
) -> Run:
    """Trade everything that `chunks` hold, from cash; ValueError where they hold nothing.

    `days` is kept up to date for what runs between bars, which sees the bars up to its due time.
    """
    plan, agents, total_bars = desk.plan, desk.agents, watchers.total_bars
    beside = 0 if desk.floor is None else len(agents) + 1
    state = new_state(len(agents), len(plan.symbols), plan.parameters.initial_cash, beside)
    reader, rows = _ChunkReader(desk), RunRows(plan, agents, total_bars, beside)
    books = desk_of(state, plan.parameters, CELLS_AT_ONCE)
    previous: Outputs | None = None
    timeline: Timeline | None = None
    done = 0
    for chunk in chunks:
        bars, lead = chunk.bars, chunk.lead
        signals, inputs = reader.read(chunk)
        out = _room(previous, lead, (len(bars.time), len(agents), len(plan.symbols), beside))
        if days is not None:
            days.open_chunk(bars, reader.opinions.grids, out, lead)
        if previous is None and (note := volume_note(bars)):
            log_event(logger, note)
        timeline, shown = timeline or Timeline(time, as_datetime(bars.time[lead]) - INSTANT), done
        row_weights = np.zeros((len(bars.time), len(agents)))
        for first, stop in timeline.segments(bars.time, lead):
            weights = desk.weights_at(time.clock.now()).weights
            vector = vector_of(weights, agents)
            now = inputs._replace(weights=vector)
            if desk.floor is not None:
                now = now._replace(beside=leave_one_out(vector, desk.floor))
            run_rows_on_threads(books, now, out, first, stop)
            row_weights[first:stop] = vector
            done += stop - first
            if days is not None:
                days.available = stop
            if done - shown >= total_bars // SHOWN_TIMES:
                shown = done
                watchers.progress(done, total_bars, as_datetime(bars.time[stop - 1]), float(out.equity[stop - 1, LIVE]))
        at_close = opened_before(bars, plan.publication_delay_s)
        base, fills = rows.bars, rows.add(bars, lead, out, row_weights)
        for observe in watchers.observers:
            observe(ChunkResult(bars, lead, signals, inputs.forecast, out, fills, base, at_close))
        watchers.progress(done, total_bars, as_datetime(bars.time[-1]), float(out.equity[-1, LIVE]))
        previous = out
        if lead:
            give_back()  # the second chunk and later: a long history
    return rows.run()


class _ChunkReader:
    """Chunks -> signals, and the step's inputs; it keeps what the agents' scale needs of the chunk before."""

    def __init__(self, desk: SimulatedDesk) -> None:
        self._plan, self._agents = desk.plan, desk.agents
        self._history: Floats | None = None
        self.opinions = _Opinions(desk.signal_source, desk.bars_needed)

    def read(self, chunk: Chunk) -> tuple[list[Signals], Inputs]:
        """Signals and inputs on all rows of a chunk; weights are zero."""
        bars, lead, plan = chunk.bars, chunk.lead, self._plan
        signals = self.opinions.of(bars, lead)
        raw = raw_forecasts(signals if self._history is None else [_rows_of(s, lead) for s in signals])
        known = raw if self._history is None else np.concatenate([self._history, raw])
        self._history = known[-plan.scale_window_bars :]
        forecast, correlation = (
            _on_rows(values, len(bars.time))
            for values in scale_forecasts(known, plan.scale_window_bars, plan.parameters.sizing.forecast_cap)
        )
        volatility = bar_volatility(panel_of(bars), plan.volatility_window_bars)
        met = tradable(bars, plan.publication_delay_s)
        inputs = matched_inputs(met, volatility, forecast, correlation, np.zeros(len(signals)))
        return signals, inputs._replace(counted=plan.counted(self._agents))


class _Opinions:
    """What the agents said on a chunk's rows; they are asked again only about what is new."""

    def __init__(self, signal_source: SignalSource, bars_needed: int) -> None:
        self._source, self._bars_needed = signal_source, bars_needed
        self._asked = False
        nothing = np.empty((0, 0, 0))
        self.grids = SignalGrids(nothing, nothing, nothing.astype(bool))

    def of(self, bars: Bars, lead: int) -> list[Signals]:
        """Signals on all rows of a chunk; those of its lead are as they were."""
        before = min(lead, self._bars_needed) if self._asked else lead
        signals = self._source(bars.rows(lead - before, len(bars.time)))
        grids = [np.stack([getattr(s, name) for s in signals]) for name in SignalGrids._fields]
        if self._asked:
            grids = [
                np.concatenate([old[:, old.shape[1] - lead :], new[:, before:]], axis=1)
                for old, new in zip(self.grids, grids, strict=True)
            ]
        self.grids = SignalGrids(*grids)
        self._asked = True
        return [Signals(strength=s, confidence=c, abstained=a) for s, c, a in zip(*self.grids, strict=True)]


def _rows_of(signals: Signals, first: int) -> Signals:
    return Signals(
        strength=signals.strength[first:], confidence=signals.confidence[first:], abstained=signals.abstained[first:]
    )


def _on_rows(values: Floats, rows: int) -> Floats:
    """The last `rows` of [known, ...]; what is missing is in front, where nothing is decided any more."""
    if len(values) >= rows:
        return values[len(values) - rows :]
    return np.concatenate([np.zeros((rows - len(values), *values.shape[1:])), values])


def _room(previous: Outputs | None, lead: int, shape: tuple[int, int, int, int]) -> Outputs:
    """Results for a chunk of (bars, agents, symbols, books beside), with what is known already of its lead: the newest
    days are summed again with it."""
    out = new_outputs(*shape)
    if previous is not None and lead:
        for name in Outputs._fields:
            old = getattr(previous, name)
            getattr(out, name)[:lead] = old[len(old) - lead :]
    return out
