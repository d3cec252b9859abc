"""The parity check: one desk's records and bars -> the recomputed decisions -> what differs, on record."""

from __future__ import annotations

import itertools
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Engine

from agents.adapters.database.agent_books import AgentBookStore
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.desk_history import DeskHistory
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.meta_store import MetaStore
from agents.adapters.files.market_actions import Decided
from agents.core.clock import INSTANT, SystemClock
from agents.core.errors import JournalError
from agents.core.recorded import Recorded, RecordedSpan
from agents.core.settings import Settings
from agents.core.types import Bars, Floats, Signals, WeightSet, WeightsLevel, as_datetime, as_stamp
from agents.pipeline.ledger import Ledger
from agents.pipeline.market import panel_of
from agents.pipeline.saved_state import pack_state, unpack_state
from agents.pipeline.state import new_state
from agents.quant.regimes import REGIME_BARS
from agents.replay.differences import Parity
from agents.replay.parity import RecordedBatch, compare_signals, compare_steps
from agents.trading.guard import raw_forecasts
from agents.trading.registry import AGENTS
from agents.tuning.listened_to import Seating, Turn, for_all
from agents.tuning.tuning_settings import Tuning, tuning_digest
from agents.tuning.value_added import value_added
from agents.tuning.weight_decision import DecisionInputs, Occasion, decide, seated
from agents.wiring.desk import agents_of, plan_of

BATCH_DECISIONS, MOST_BATCHES = 2000, 10
"""A kept check ends after so many, within its deadline; the next one goes on from there."""


class CheckedDesk(NamedTuple):
    """The desk whose decisions are checked: its settings, its database, and what its tuning reads and decides by."""

    settings: Settings
    engine: Engine
    store: MetaStore
    tuning: Tuning


def check_parity(desk: CheckedDesk, at: datetime, *, keep: bool, from_start: bool = False) -> dict[str, Any]:
    """Recompute every decision since the last kept check (all of them, where `from_start`), as the desk made it.

    With `keep` the outcome goes on record, beside what each agent adds to the desk, and a long past is caught up with
    in several runs. Returns decisions,
    differences, counts by kind, examples, slippage, and the period.
    """
    history, parity, store = DeskHistory(desk.engine), Parity(), AgentBookStore(desk.engine)
    span = history.span()
    last = None if from_start or span is None else history.last_check()
    if span is None or (last is not None and last.until >= span.last):
        return parity.as_plain() | {"from": None, "to": None}
    reader = _BatchReader(desk, history, span)
    symbols, names = reader.plan.symbols, reader.names
    if last is None:
        state = new_state(len(names), len(symbols), desk.settings.desk.initial_cash, len(names) + 1)
    else:
        state = unpack_state(last.state, reader.plan, names, beside=True)[0]
    first, until = None, None if last is None else last.until
    for _ in itertools.count() if not keep else range(MOST_BATCHES):
        batch = reader.after(until)
        if batch is None:
            break
        first = first or as_datetime(batch.recorded.time[0])
        compare_signals(batch.recorded, reader.signals_now(batch), parity)
        books = compare_steps(batch, reader.plan, state, parity, desk.settings.tuning.floor)
        if keep:
            store.keep_days(books)
        until = as_datetime(batch.recorded.time[-1])
    assert until is not None and first is not None
    _compare_weights(desk, (None if last is None else last.until, until), parity)
    report = parity.as_plain()
    if keep:
        store.keep_figures(value_added(store.days()))
        history.record_check(at, first, until, report, pack_state(state, symbols, names, Ledger(cash=Decimal(0))))
    return report | {"from": first.isoformat(), "to": until.isoformat()}


class _BatchReader:
    """Reads recorded decisions in batches, with the bars and opinions that they were made from."""

    def __init__(self, desk: CheckedDesk, history: DeskHistory, span: RecordedSpan) -> None:
        self._history, self._span = history, span
        self._agents = agents_of(desk.settings, SystemClock())
        self.plan = plan_of(desk.settings, history.symbols())
        known = {*self._agents.names, *history.agents()}
        self.names = (*(name for name in AGENTS if name in known), *sorted(known - set(AGENTS)))
        """All agents of the record and of today, in the registry's order."""
        self._bars = BarsStore(desk.engine, self.plan.symbols)
        self._journal = PostgresJournal(desk.engine)
        self._lead = max(self._agents.bars_needed + self.plan.scale_window_bars, REGIME_BARS)

    def after(self, time: datetime | None) -> RecordedBatch | None:
        """The next decisions later than `time`; None where there are none."""
        recorded = self._history.read(self.plan.symbols, self.names, time, BATCH_DECISIONS)
        if recorded is None:
            return None
        alike = self._bars.seen_alike(recorded.time, recorded.data_version)
        if alike < len(recorded.time):
            recorded = self._history.read(self.plan.symbols, self.names, time, alike)
            assert recorded is not None
        bars, memory = self._bars_of(recorded)
        before, count = as_datetime(recorded.time[0]) - INSTANT, self.plan.scale_window_bars
        on_record = self._journal.forecasts(self.names, self.plan.symbols, until=before, count=count)
        old = len(on_record) < count and self._journal.warm_up() is None
        warm_up = self._warm_up() if old else on_record[:0]
        return RecordedBatch(recorded, bars, memory, warm_up, on_record)

    def signals_now(self, batch: RecordedBatch) -> dict[str, Signals]:
        """What today's agents say of the decisions' bars; one that has left the desk cannot be asked any more."""
        signals, _ = self._agents.ask(panel_of(batch.bars), as_datetime(batch.bars.time[-1]), action="replay")
        new = slice(batch.memory, None)
        return {
            name: Signals(strength=s.strength[new], confidence=s.confidence[new], abstained=s.abstained[new])
            for name, s in zip(self._agents.names, signals, strict=True)
        }

    def _bars_of(self, recorded: Recorded) -> tuple[Bars, int]:
        """The bars that were decided on, as they were known then, behind what the agents remember of before."""
        first = as_datetime(recorded.time[0])
        store = self._bars.as_of(int(recorded.data_version[-1]))
        bars, memory = _bars_of(store, recorded, self._lead)
        before = self._history.version_before(first)
        since = None if before is None else Decided(as_stamp(before[0]), before[1])
        return store.taken_by(bars, memory, since), memory

    def _warm_up(self) -> Floats:
        """Opinions on the bars that a desk was shown before its first decision, if it began before they were kept."""
        bars, until = self._bars.as_of(self._span.first_version), max(self._span.first_recorded_at, self._span.first)
        window = bars.window(until=until, count=self._lead)
        shown = window.rows(0, int(np.searchsorted(window.time, as_stamp(self._span.first))))
        opinions = np.full((len(shown.time), len(self.names), len(self.plan.symbols)), np.nan)
        if len(shown.time):
            signals, _ = self._agents.ask(panel_of(shown), as_datetime(shown.time[-1]), action="replay")
            opinions[:, [self.names.index(name) for name in self._agents.names]] = raw_forecasts(signals)
        return opinions


def _bars_of(store: BarsStore, recorded: Recorded, lead: int) -> tuple[Bars, int]:
    """The bars that were decided on, behind what the agents remember of before."""
    first, last = as_datetime(recorded.time[0]), as_datetime(recorded.time[-1])
    memory = store.window(until=first - INSTANT, count=lead)
    news = store.after(first - INSTANT, limit=store.count(first, last))
    decided = np.isin(news.time, recorded.time)
    if int(decided.sum()) != len(recorded.time):
        raise JournalError(
            f"{len(recorded.time) - int(decided.sum())} decisions from {first} on have no bar any more:"
            " parity cannot be checked"
        )
    if not decided.all():
        news = news.where(decided)
    return (memory.followed_by(news) if len(memory.time) else news), len(memory.time)


def _compare_weights(desk: CheckedDesk, period: tuple[datetime | None, datetime], parity: Parity) -> None:
    """The optimizer's decisions after the first time up to the second, made again from the same days; and the weights
    that were traded with against those that were published."""
    history, store, tuning = DeskHistory(desk.engine), desk.store, desk.tuning
    past = store.kept_beliefs("past")
    for time, version, traded, published in history.traded_weights_that_differ(*period):
        parity.differ("weight", time, f"version {version}, as traded", published, traded)
    for version, recorded in history.weight_decisions(*period):
        at, previous = recorded.at, recorded.previous or {}
        seating = Seating.of(recorded.evidence.get("seats"), previous)
        before = WeightSet(
            version=0 if recorded.status == "initial" else 1,
            weights=previous,
            created_at=at,
            valid_until=None,
            level=WeightsLevel.DATABASE,
            reason="",
        )
        days, moved = store.agent_days(until=at, whole_days_only=True), recorded.evidence.get("moved_today", 0.0)
        inputs = seated(DecisionInputs(days, before, tuning, moved, past), seating)
        known = {*previous, *seating.tuned} <= set(store.agents)
        if not known or recorded.evidence.get("tuning") != tuning_digest(inputs.tuning):
            parity.skipped += 1  # other agents, or other settings of the tuner: what it saw then is gone
            continue
        again = decide(inputs, Occasion(at, recorded.decided_for, recorded.trials or 1))
        again = for_all(again, previous, Turn((), seating, {name: {} for name in store.agents}))
        if again.inputs_hash != recorded.inputs_hash:
            parity.differ("weight", at, f"version {version}, inputs", recorded.inputs_hash, again.inputs_hash)
        then = {name: f"{float(w):.6f}" for name, w in sorted(recorded.weights.items())}
        now = {name: f"{float(w):.6f}" for name, w in sorted(again.weights.items())}
        if (recorded.status, then) != (again.status, now):
            parity.differ("weight", at, f"version {version}", f"{recorded.status} {then}", f"{again.status} {now}")
