"""The journal in memory with the promises of the real one: a call is one transaction, which happens wholly or not at
all, whose answer may be lost, and which a power cut may undo where it was not to be durable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from agents.adapters.database.journal_writes import must_be_durable
from agents.core.cash_flows import CashFlow, NewFlow, TakenFlow
from agents.core.errors import JournalError, ServiceError
from agents.core.orders import NEXT_STATES, Order, OrderOutcome, OrderState
from agents.core.ports import Command, RiskEvent
from agents.core.types import CycleRecord, as_datetime
from agents.core.venues import Break, BreakKind, Dividends, ForeignOrder, adopted_id
from tests.simulation.world import World
from tests.twins import MemoryJournal

BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
ON_DISK_WITHIN = timedelta(milliseconds=600)
"""What is not durable is on disk so soon all the same: three of PostgreSQL's wal_writer_delay."""


class SimulatedJournal(MemoryJournal):
    """The journal, and what a desk keeps of its account."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.writer = SimpleNamespace(engine=None)
        self.sent_at: dict[str, int] = {}
        """The number of the call that put "sending" on record, by the order's id."""
        self.looked_for_commands = 0
        """The number of the last call that did."""
        self.commanded: list[tuple[int, Command]] = []
        """With the number of the call before which a person said it."""
        self.new_flows: list[NewFlow] = []
        self.breaks_: list[Break] = []
        self.closed: list[tuple[Break, str]] = []
        self.outside_: dict[str, Decimal] = {}
        self.told_until_ = BEFORE_ALL
        self._undo: list[tuple[datetime, dict[str, Any]]] = []

    # ------------------------------------------------------------ transactions

    def _read(self, name: str) -> None:
        self.world.call(name)
        if self.world.away_until["database"] > self.world.clock.true or self.world.meets("database away"):
            raise ServiceError("the database is away")

    def _commit(self, name: str, do, *, durable: bool = True):
        self._read(name)
        if self.world.meets("commit lost", 2.0):
            raise ServiceError("the connection ended before the commit")
        if durable:
            self._undo.clear()
        else:
            self._undo.append((self.world.clock.true, {"orders": dict(self.orders), "fills": dict(self.fills)}))
        result = do()
        self.world.may_die(f"{name} is committed")
        if self.world.meets("answer to commit lost", 2.0):
            raise ServiceError("the connection ended before the answer to the commit")
        return result

    def power_cut(self) -> None:
        """What was not on disk is gone, the newest first."""
        while self._undo and self.world.clock.true - self._undo[-1][0] < ON_DISK_WITHIN:
            _, kept = self._undo.pop()
            self.orders, self.fills = kept["orders"], kept["fills"]
        self._undo.clear()

    # ------------------------------------------------------------ the journal

    def last(self):
        self._read("last")
        return super().last()

    def record(self, cycle: CycleRecord, obeyed: Sequence[Command] | None = None) -> bool:
        return self._commit("record", lambda: self._recorded(cycle, obeyed))

    def _recorded(self, cycle: CycleRecord, obeyed: Sequence[Command] | None) -> bool:
        newest = as_datetime(self.cycles[-1].time[-1]) if self.cycles else BEFORE_ALL
        if as_datetime(cycle.time[0]) <= newest:
            if as_datetime(cycle.time[-1]) == newest and self.cycles[-1].state == cycle.state:
                return True
            raise JournalError(f"decisions up to {newest} are recorded; {cycle.time[0]} does not follow")
        self.looked_for_commands = self.world.number
        if obeyed is not None and list(obeyed) != self._commands:
            return False
        self._obey(obeyed or (), newest if self.cycles else None)
        self.cycles.append(cycle)
        self.world.tell(f"   decided at {cycle.time[-1]}: {_words_of(cycle)}")
        for order in cycle.orders:
            self.orders[order.client_order_id] = (order, "intent", "")
        self._outcomes(cycle.outcomes)
        return True

    def record_outcomes(self, at: datetime, outcomes: Iterable[OrderOutcome]) -> None:
        given = list(outcomes)
        self._commit("outcomes", lambda: self._outcomes(given), durable=must_be_durable(given))

    def _outcomes(self, outcomes: Sequence[OrderOutcome]) -> None:
        for outcome in outcomes:
            key = outcome.client_order_id
            if outcome.state == "sending":
                self.sent_at[key] = self.world.number
            if key not in self.orders:
                continue  # the order that goes on for one that chased has no row of its own
            order, state, _ = self.orders[key]
            if outcome.state in NEXT_STATES.get(state, ()):
                self.orders[key] = order, outcome.state, outcome.reason
                self.world.tell(f"   on record: {key} {state} -> {outcome.state} {outcome.reason}")
            for fill in outcome.fills:
                self.fills.setdefault(fill.fill_id, fill)

    def open_orders(self) -> list[tuple[Order, OrderState]]:
        self._read("open orders")
        return super().open_orders()

    def forecasts(self, agents, symbols, *, until, count):
        self._read("forecasts")
        return super().forecasts(agents, symbols, until=until, count=count)

    def record_risk_event(self, event: RiskEvent) -> None:
        self._commit("risk event", lambda: MemoryJournal.record_risk_event(self, event))

    def pending_commands(self) -> list[Command]:
        self._read("commands")
        self.looked_for_commands = self.world.number
        return super().pending_commands()

    def obey(self, commands: Sequence[Command], *, after: datetime) -> None:
        def do() -> None:
            MemoryJournal.obey(self, commands, after=after)
            self.world.tell(f"   obeyed after {after}: {commands}")

        self._commit("obey", do)

    def obeyed_since(self, decision: datetime) -> list[Command]:
        self._read("obeyed")
        return super().obeyed_since(decision)

    def waiting_flows(self, decision: datetime) -> list[CashFlow]:
        self._read("flows")
        return super().waiting_flows(decision)

    def take_flows(self, taken: Sequence[TakenFlow], *, after: datetime, at: datetime) -> None:
        def do() -> None:
            MemoryJournal.take_flows(self, taken, after=after, at=at)
            self.world.tell(f"   flows taken after {after}: {[flow.flow.amount for flow in taken]}")

        self._commit("take flows", do)

    # ------------------------------------------------------------ a person, and who looks from outside

    def command(self, event: RiskEvent) -> None:
        """A person says something, whatever else happens."""
        MemoryJournal.record_risk_event(self, event)
        self.commanded.append((self.world.number, self._commands[-1]))

    def waiting_commands(self) -> list[Command]:
        return list(self._commands)

    def without_end(self) -> list[tuple[Order, OrderState]]:
        return MemoryJournal.open_orders(self)

    def ask_remedy(self, name: str) -> None:
        """A person says of each difference of this name that it is not the desk's."""
        self.breaks_ = [replace(b, asked="ignore", reason="not ours") if b.name == name else b for b in self.breaks_]

    # ------------------------------------------------------------ the account, as the record has it

    def booked(self, fill_ids: Sequence[str]) -> frozenset[str]:
        self._read("booked")
        return frozenset(key for key in fill_ids if key in self.fills)

    def known(self, client_order_ids: Sequence[str]) -> frozenset[str]:
        self._read("known")
        return frozenset(key for key in client_order_ids if key in self.orders)

    def outside(self) -> Mapping[str, Decimal] | None:
        self._read("outside")
        return dict(self.outside_) or None

    def set_outside(self, amounts: Mapping[str, Decimal], at: datetime, reason: str) -> None:
        def do() -> None:
            self.outside_ |= amounts
            self.told_until_ = max(self.told_until_, at)

        self._commit("outside", do)

    def told_until(self) -> datetime:
        return self.told_until_

    def dividends(self, since: datetime) -> Mapping[str, Dividends]:
        return {}

    def reserved(self) -> Decimal:
        return Decimal(0)

    def paid_elsewhere(self) -> list[tuple[str, str, Decimal, Decimal]]:
        self._read("paid elsewhere")
        return [
            (f.symbol, f.fee_currency, f.fee_paid, f.fee)
            for f in self.fills.values()
            if f.fee_currency and f.fee_currency != f.symbol.partition("/")[0]
        ]

    def book(self, flows: Sequence[NewFlow]) -> int:
        def do() -> int:
            known = {(f.source, f.key) for f in self.new_flows}
            new = [f for f in flows if (f.source, f.key) not in known]
            for f in new:
                self.new_flows.append(f)
                self.flows.append(CashFlow(id=len(self.flows) + 1, kind=f.kind, amount=f.amount, source=f.source))
            return len(new)

        return self._commit("book flows", do)

    def breaks(self) -> list[Break]:
        self._read("breaks")
        return list(self.breaks_)

    def note(self, found: Mapping[tuple[BreakKind, str], tuple[Decimal, Decimal]], at: datetime) -> None:
        gone = [b for b in self.breaks_ if (b.kind, b.name) not in found]
        if not found and not gone:
            return

        def do() -> None:
            self.closed += [(b, "both sides agree again") for b in gone]
            kept = {(b.kind, b.name): b for b in self.breaks_}
            self.breaks_ = []
            for (kind, name), (ours, theirs) in sorted(found.items()):
                before = kept.get((kind, name))
                number = before.id if before else len(self.closed) + len(self.breaks_) + 1
                asked, reason = (before.asked, before.reason) if before else (None, "")
                self.breaks_.append(
                    Break(id=number, kind=kind, name=name, ours=ours, theirs=theirs, asked=asked, reason=reason)
                )
                if not before:
                    self.world.tell(f"   a difference: {kind} {name}, ours {ours:f}, theirs {theirs:f}")

        self._commit("note breaks", do)

    def close(self, broken: Break, resolution: str, at: datetime) -> None:
        def do() -> None:
            self.closed.append((broken, resolution))
            self.breaks_ = [b for b in self.breaks_ if (b.kind, b.name) != (broken.kind, broken.name)]

        self._commit("close break", do)

    def adopt(self, orders: Sequence[ForeignOrder]) -> None:
        for order in orders:
            assert adopted_id(order.venue_id) not in self.orders
        raise NotImplementedError("nobody adopts here")


def _words_of(cycle: CycleRecord) -> str:
    ordered = [f"{o.side} {o.quantity:f} {o.symbol} ({o.client_order_id})" for o in cycle.orders]
    fills = [f"{f.side} {f.quantity:f} {f.symbol} at {f.price:f}" for o in cycle.outcomes for f in o.fills]
    held = {s: f"{p.quantity:f}" for s, p in cycle.positions.items()}
    return f"orders {ordered or 'none'}, booked {fills or 'nothing'}, holds {held or 'nothing'}"
