"""The journal, the paper venue and the weights' history in memory; `contract/test_ports.py` holds them to the same
contracts as the adapters on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import numpy as np

from agents.core.cash_flows import CashFlow, TakenFlow
from agents.core.clock import require_utc
from agents.core.errors import JournalError
from agents.core.orders import NEXT_STATES
from agents.core.ports import Command, Resumption, RiskEvent
from agents.core.types import (
    FINAL_ORDER_STATES,
    CycleRecord,
    Fill,
    Floats,
    Order,
    OrderOutcome,
    OrderState,
    WeightSet,
    WeightsLevel,
    as_datetime,
)


class MemoryJournal:
    """The journal as lists."""

    def __init__(self) -> None:
        self.cycles: list[CycleRecord] = []
        self.orders: dict[str, tuple[Order, OrderState, str]] = {}
        self.fills: dict[str, Fill] = {}
        self.risk_events: list[RiskEvent] = []
        self._commands: list[Command] = []
        self.flows: list[CashFlow] = []
        self.taken: list[tuple[datetime, TakenFlow]] = []
        self._obeyed: list[tuple[datetime | None, Command]] = []

    def last(self) -> Resumption | None:
        if not self.cycles:
            return None
        newest = self.cycles[-1]
        return Resumption(
            time=as_datetime(newest.time[-1]),
            state=newest.state,
            positions=newest.positions,
            data_version=newest.data_version,
        )

    def record(self, cycle: CycleRecord, obeyed: Sequence[Command] | None = None) -> bool:
        last = self.last()
        if last is not None and as_datetime(cycle.time[0]) <= last.time:
            if as_datetime(cycle.time[-1]) == last.time:
                return True
            raise JournalError(f"decisions up to {last.time} are recorded; {cycle.time[0]} does not follow")
        if obeyed is not None and list(obeyed) != self._commands:
            return False
        self._obey(obeyed or (), last.time if last else None)
        self.cycles.append(cycle)
        for order in cycle.orders:
            self.orders[order.client_order_id] = (order, "intent", "")
        self.record_outcomes(as_datetime(cycle.time[-1]), cycle.outcomes)
        return True

    def record_outcomes(self, at: datetime, outcomes: Iterable[OrderOutcome]) -> None:
        for outcome in outcomes:
            order, state, _ = self.orders[outcome.client_order_id]
            if outcome.state in NEXT_STATES.get(state, ()):
                self.orders[outcome.client_order_id] = (order, outcome.state, outcome.reason)
            for fill in outcome.fills:
                self.fills.setdefault(fill.fill_id, fill)

    def forecasts(self, agents: Sequence[str], symbols: Sequence[str], *, until: datetime, count: int) -> Floats:
        rows = []
        for cycle in self.cycles:
            for t in range(len(cycle.time)):
                if as_datetime(cycle.time[t]) <= until:
                    rows.append(_forecast_row(cycle, t, agents, symbols))
        result = np.array(rows[-count:]).reshape(-1, len(agents), len(symbols))
        kept = self.cycles[0].warm_up if self.cycles else None
        missing = count - len(result)
        return np.concatenate([kept.on(agents, symbols)[-missing:], result]) if kept and missing > 0 else result

    def open_orders(self) -> list[tuple[Order, OrderState]]:
        return [(order, state) for order, state, _ in self.orders.values() if state not in FINAL_ORDER_STATES]

    def record_risk_event(self, event: RiskEvent) -> None:
        self.risk_events.append(event)
        if not event.applied:
            self._commands.append(Command(len(self.risk_events), event.after, event.flatten))

    def pending_commands(self) -> list[Command]:
        return list(self._commands)

    def obey(self, commands: Sequence[Command], *, after: datetime) -> None:
        self._obey(commands, after)

    def obeyed_since(self, decision: datetime) -> list[Command]:
        return [command for after, command in self._obeyed if after == decision]

    def waiting_flows(self, decision: datetime) -> list[CashFlow]:
        return [flow for flow in self.flows if flow.id not in {taken.flow.id for _, taken in self.taken}]

    def take_flows(self, taken: Sequence[TakenFlow], *, after: datetime, at: datetime) -> None:
        self.taken += [(after, one) for one in taken]

    def flows_since(self, decision: datetime) -> list[CashFlow]:
        return [one.flow for after, one in self.taken if after == decision and not one.refused]

    def _obey(self, commands: Sequence[Command], after: datetime | None) -> None:
        self._obeyed += [(after, command) for command in commands]
        self._commands = [command for command in self._commands if command not in commands]


class MemoryPaperVenue:
    """The paper venue's orders as a set of ids."""

    def __init__(self) -> None:
        self._accepted: set[str] = set()

    def accept(self, orders: Sequence[Order]) -> None:
        self._accepted.update(order.client_order_id for order in orders)

    def has(self, client_order_id: str) -> bool:
        return client_order_id in self._accepted


class MemoryWeightStore:
    """Versions as a list."""

    def __init__(self) -> None:
        self.versions: list[WeightSet] = []

    def newest(self) -> WeightSet | None:
        return self.versions[-1] if self.versions else None

    def publish(self, weights: Mapping[str, Decimal], *, at: datetime, method: str, reason: str) -> WeightSet:
        self.versions.append(
            WeightSet(
                version=len(self.versions) + 1,
                weights=dict(weights),
                created_at=require_utc(at, "at"),
                valid_until=None,
                level=WeightsLevel.DATABASE,
                reason=reason,
            )
        )
        return self.versions[-1]


def _forecast_row(cycle: CycleRecord, t: int, agents: Sequence[str], symbols: Sequence[str]) -> Floats:
    row = np.full((len(agents), len(symbols)), np.nan)
    for a, name in enumerate(agents):
        if name not in cycle.agents:
            continue
        signals = cycle.signals[cycle.agents.index(name)]
        for s, symbol in enumerate(symbols):
            if symbol in cycle.symbols:
                k = cycle.symbols.index(symbol)
                if not signals.abstained[t, k]:
                    row[a, s] = signals.strength[t, k] * signals.confidence[t, k]
    return row
