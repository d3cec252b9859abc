"""The composition of the parity check: one desk's records and bars -> the recomputed decisions -> what differs, on record."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
from sqlalchemy import Engine

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.desk_history import DeskHistory
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.meta_store import MetaStore
from agents.core.clock import INSTANT, SystemClock
from agents.core.errors import JournalError
from agents.core.recorded import Recorded, RecordedSpan
from agents.core.settings import Settings
from agents.core.types import Bars, Floats, Signals, WeightSet, WeightsLevel, as_datetime, as_stamp
from agents.pipeline.ledger import Ledger
from agents.pipeline.market import panel_of
from agents.pipeline.saved_state import pack_state, unpack_state
from agents.pipeline.state import new_state
from agents.replay.parity import Parity, compare_signals, compare_steps
from agents.trading.guard import AgentPanel, raw_forecasts
from agents.trading.registry import AGENTS
from agents.tuning.weight_decision import DecisionInputs, Occasion, Tuning, decide, tuning_digest
from agents.wiring import desk as app

BATCH_DECISIONS, MOST_BATCHES = 2000, 10
"""A kept check ends after so many, within its deadline; the next one goes on from there."""


def check_parity(
    settings: Settings,
    engine: Engine,
    store: MetaStore,
    tuning: Tuning,
    at: datetime,
    *,
    keep: bool,
    from_start: bool = False,
) -> dict[str, Any]:
    """Recompute every decision since the last kept check (all of them, where `from_start`), as the desk made it; with `keep` the
    outcome goes on record, and a long past is caught up with in several runs.
    Returns decisions, differences, counts by kind, examples, slippage, and the period."""
    desk, found = DeskHistory(engine), Parity()
    span = desk.span()
    last = None if from_start or span is None else desk.last_check()
    if span is None or (last is not None and last.until >= span.last):
        return found.as_plain() | {"from": None, "to": None}
    agents, symbols = app.agents_of(settings, SystemClock()), desk.symbols()
    known = {*agents.names, *desk.agents()}
    names = (*(name for name in AGENTS if name in known), *sorted(known - set(AGENTS)))
    plan, cash = app.plan_of(settings, symbols), settings.desk.initial_cash
    state = (
        new_state(len(names), len(symbols), cash) if last is None else unpack_state(last.state, symbols, names, cash)[0]
    )
    after = start = None if last is None else last.until
    first: datetime | None = None
    bars_store = BarsStore(engine, symbols)
    journal = PostgresJournal(engine)
    lead = agents.bars_needed + plan.scale_window_bars
    for _ in itertools.count() if not keep else range(MOST_BATCHES):
        recorded = desk.read(symbols, names, after, BATCH_DECISIONS)
        if recorded is None:
            break
        bars, memory = _bars_of(bars_store, recorded, lead)
        opened = as_datetime(recorded.time[0])
        first = first or opened
        before = journal.forecasts(names, symbols, until=opened - INSTANT, count=plan.scale_window_bars)
        warm_up = (
            _warm_up(bars_store, agents, names, span, lead) if len(before) < plan.scale_window_bars else before[:0]
        )
        compare_signals(recorded, _asked(agents, bars, memory), found)
        compare_steps(recorded, bars, memory, (warm_up, before), plan, state, found)
        after = as_datetime(recorded.time[-1])
    assert after is not None and first is not None
    _compare_weights(desk, store, tuning, start, after, found)
    report = found.as_plain()
    if keep:
        desk.record_check(at, first, after, report, pack_state(state, symbols, names, Ledger(cash=Decimal(0))))
    return report | {"from": first.isoformat(), "to": after.isoformat()}


def _bars_of(store: BarsStore, recorded: Recorded, lead: int) -> tuple[Bars, int]:
    """The bars that were decided on, behind what the agents remember of before."""
    first, last = as_datetime(recorded.time[0]), as_datetime(recorded.time[-1])
    memory = store.window(until=first - INSTANT, count=lead)
    news = store.after(first - INSTANT, limit=store.count(first, last))
    decided = np.isin(news.time, recorded.time)
    if int(decided.sum()) != len(recorded.time):
        raise JournalError(
            f"{len(recorded.time) - int(decided.sum())} decisions from {first} on have no bar any more: parity cannot be checked"
        )
    if not decided.all():
        news = news.where(decided)
    return (memory.followed_by(news) if len(memory.time) else news), len(memory.time)


def _asked(agents: AgentPanel, bars: Bars, memory: int) -> dict[str, Signals]:
    """What today's agents say of the decisions' bars; one that has left the desk cannot be asked any more."""
    signals, _ = agents.ask(panel_of(bars), as_datetime(bars.time[-1]), action="replay")
    return {
        name: Signals(strength=s.strength[memory:], confidence=s.confidence[memory:], abstained=s.abstained[memory:])
        for name, s in zip(agents.names, signals, strict=True)
    }


def _warm_up(
    store: BarsStore,
    agents: AgentPanel,
    names: tuple[str, ...],
    span: RecordedSpan,
    lead: int,
) -> Floats:
    """Opinions on the bars that a new desk was shown before its first decision; see the daemon's start."""
    window = store.window(until=max(span.first_recorded_at, span.first), count=lead)
    shown = window.rows(0, int(np.searchsorted(window.time, as_stamp(span.first))))
    found = np.full((len(shown.time), len(names), len(store.symbols())), np.nan)
    if len(shown.time):
        signals, _ = agents.ask(panel_of(shown), as_datetime(shown.time[-1]), action="replay")
        found[:, [names.index(name) for name in agents.names]] = raw_forecasts(signals)
    return found


def _compare_weights(
    desk: DeskHistory, store: MetaStore, tuning: Tuning, after: datetime | None, until: datetime, found: Parity
) -> None:
    """The optimizer's decisions again from the same days, and the weights that were traded with against those that were published."""
    for time, version, traded, published in desk.traded_weights_that_differ(after, until):
        found.differ("weight", time, f"version {version}, as traded", published, traded)
    for version, recorded in desk.weight_decisions(after, until):
        at, previous = recorded.at, recorded.previous or {}
        if set(previous) != set(store.agents) or recorded.evidence.get("tuning") != tuning_digest(tuning):
            found.skipped += 1  # other agents, or other settings of the tuner: what it saw then is not there any more
            continue
        before = WeightSet(
            version=0 if recorded.status == "initial" else 1,
            weights=previous,
            created_at=at,
            valid_until=None,
            level=WeightsLevel.DATABASE,
            reason="",
        )
        days = store.agent_days(until=at, whole_days_only=True)
        again = decide(DecisionInputs(days, before, tuning), Occasion(at, recorded.decided_for, recorded.trials or 1))
        if again.inputs_hash != recorded.inputs_hash:
            found.differ("weight", at, f"version {version}, inputs", recorded.inputs_hash, again.inputs_hash)
        then = {name: f"{float(w):.6f}" for name, w in sorted(recorded.weights.items())}
        now = {name: f"{float(w):.6f}" for name, w in sorted(again.weights.items())}
        if (recorded.status, then) != (again.status, now):
            found.differ("weight", at, f"version {version}", f"{recorded.status} {then}", f"{again.status} {now}")


def kinds_of(report: dict[str, Any]) -> str:
    """ "2 orders, 1 fill", or "nothing"."""
    parts: Sequence[str] = [
        f"{n:,} {kind}{'s' if n > 1 and kind != 'equity' else ''}" for kind, n in report["counts"].items() if n
    ]
    return ", ".join(parts) or "nothing"
