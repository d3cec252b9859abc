"""A desk's own past as a history: the bars it decided on, and what its agents said then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from sqlalchemy import Engine

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.desk_history import DeskHistory
from agents.core.clock import INSTANT, SystemClock
from agents.core.errors import UsageError
from agents.core.settings import Settings
from agents.core.types import Bars, Floats, Signals, Times, as_datetime
from agents.replay.simulate import SignalSource
from agents.wiring.desk import agents_of
from agents.wiring.history import History, history_of, span_of
from agents.wiring.replay import asking


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnHistory:
    """A desk's own past: the bars it decided on, what its agents said then, its first weights, and its equity [T], as
    if no capital had come or gone."""

    history: History
    signal_source: SignalSource
    first_weights: dict[str, float]
    time: Times
    equity: Floats


def own_history(settings: Settings, engine: Engine, start: datetime | None, end: datetime | None) -> OwnHistory:
    """The desk's decisions from `start` to `end`; UsageError where it has made none."""
    desk, agents = DeskHistory(engine), agents_of(settings, SystemClock())
    span = desk.span()
    if span is None:
        raise UsageError(
            "this desk has not decided anything yet; replay a folder of bars with --bars,"
            " or the demo's history with --demo"
        )
    symbols, names = desk.symbols(), agents.names
    recorded = desk.read(symbols, names, None if start is None else start - INSTANT, span.decisions)
    kept = 0 if recorded is None else span_of(recorded.time, None, end)[1]
    if recorded is None or kept == 0:
        raise UsageError(
            f"no decisions from {start or 'the first'} to {end or 'the last'};"
            f" there are some from {span.first} to {span.last}"
        )
    bars = BarsStore(engine, symbols).after(None, limit=10**9)
    first = recorded.time[0]
    chosen = (bars.time < first) | np.isin(bars.time, recorded.time[:kept])
    bars = bars.where(chosen)

    def signal_source(chunk: Bars) -> list[Signals]:
        memory = int(np.searchsorted(chunk.time, first))
        rows = np.searchsorted(recorded.time, chunk.time[memory:])
        before = asking(agents, settings.agents.shadow)(chunk.rows(0, memory)) if memory else []
        signals = []
        for a in range(len(names)):
            pieces = [(recorded.strength[rows, a], recorded.confidence[rows, a], recorded.abstained[rows, a])]
            if memory:
                pieces.insert(0, (before[a].strength, before[a].confidence, before[a].abstained))
            strength, confidence, abstained = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
            signals.append(Signals(strength=strength, confidence=confidence, abstained=abstained))
        return signals

    return OwnHistory(
        history=history_of(bars, as_datetime(first), as_datetime(recorded.time[kept - 1])),
        signal_source=signal_source,
        first_weights={name: float(w) for name, w in zip(names, recorded.weights[0], strict=True)},
        time=recorded.time[:kept],
        equity=recorded.unit_value[:kept],
    )
