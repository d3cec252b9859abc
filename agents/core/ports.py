"""What trading needs of the outside world, as narrow Protocols; adapters implement them, tests twin them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

import numpy as np

from agents.core.cash_flows import CashRecord
from agents.core.meta_types import Heartbeat
from agents.core.types import (
    Bars,
    Booleans,
    CycleRecord,
    Floats,
    Order,
    OrderOutcome,
    OrderState,
    Panel,
    Position,
    RiskState,
    Signals,
    Times,
    WeightSet,
)


class Agent(Protocol):
    """An alpha model. `signals` is pure and causal, and forgets everything older than `bars_needed` bars."""

    @property
    def name(self) -> str: ...

    @property
    def bars_needed(self) -> int: ...

    def signals(self, panel: Panel) -> Signals: ...

    def reason(self, panel: Panel, time_index: int, symbol_index: int) -> str: ...


class BarSource(Protocol):
    """Where bars are read from."""

    def window(self, *, until: datetime, count: int) -> Bars:
        """The last `count` bar times up to and including `until`, of all symbols of the desk."""
        ...

    def after(self, time: datetime | None, *, limit: int) -> Bars:
        """At most `limit` bar times later than `time` (None: from the beginning), oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class LateBar:
    """A bar that came when the decision that should have seen it was made already. `decided` is False where no decision
    was made at its own time: a whole bar time that nobody decided on."""

    symbol: str
    time: datetime
    decided: bool


class DeskBars(BarSource, Protocol):
    """The bars of a desk's symbols."""

    def symbols(self) -> tuple[str, ...]:
        """The symbols there are bars of, in a fixed order."""
        ...

    def narrowed(self, symbols: tuple[str, ...]) -> DeskBars:
        """The same source, of these symbols only."""
        ...

    def after(self, time: datetime | None, *, limit: int, known: int | None = None) -> Bars:
        """As above. `known` is the data version of the decision at `time`: splits and dividends of before that it did
        not know take effect at the first bar."""
        ...

    def as_of(self, version: int) -> DeskBars:
        """The same source, as it was known at a data version."""
        ...

    def changed(self, version: int, until: datetime) -> bool:
        """Whether bars up to `until`, as they were known at a data version, look different by now."""
        ...

    def note_late(self, until: datetime) -> Sequence[LateBar]:
        """Put on record the bars up to `until`, the last decision, that came after the decision at (or next after)
        their time; those that are new since the last call."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one poll of a feed brought: new bars, and how many seconds ago the newest of its bytes came (None: none)."""

    bars: int
    quiet_s: float | None


class Feed(Protocol):
    """Brings new bars into the desk's store, from which they are read."""

    def poll(self, at: datetime) -> Arrival:
        """Take in what is new and closed at `at`. DataError where the feed cannot be read."""
        ...


class MarketCalendar(Protocol):
    """When the bars of a market close."""

    def expects(self, time: Times) -> Booleans:
        """Which of these times [T] are the close of a bar of this market, for certain."""
        ...

    def closes(self, first: np.datetime64, last: np.datetime64, /) -> Times | None:
        """When bars of this market close from `first` to `last`, in order; None where nobody knows."""
        ...

    def stale_before(self, at: datetime) -> datetime:
        """A desk whose newest bar closed before this has too old a picture of the market at `at`."""
        ...


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a desk stopped: its last decision and the step's state after it."""

    time: datetime
    state: bytes
    positions: Mapping[str, Position]
    data_version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskEvent:
    """A change of the risk state, made by the desk (then it is `applied`) or ordered by a person for its next cycle;
    `flatten` orders every position closed too."""

    at: datetime
    before: RiskState
    after: RiskState
    reason: str
    actor: Literal["desk", "person"]
    applied: bool
    flatten: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A person's order to be in this risk state, by its number on record; `flatten` closes every position too."""

    id: int
    state: RiskState
    flatten: bool = False


class KillSwitch(Protocol):
    """What stops a desk when nothing else answers: no database, no network."""

    def pulled(self) -> str | None:
        """Why it is pulled, in words; None where it is not."""
        ...


class Journal(CashRecord, Protocol):
    """The record of everything decided; each call is one transaction that happens wholly or not at all."""

    def last(self) -> Resumption | None:
        """The newest decision, None for a new desk."""
        ...

    def record(self, cycle: CycleRecord, obeyed: Sequence[Command] | None = None) -> bool:
        """Commit decisions with all that belongs to them; repeating the same cycle changes nothing.

        With them it is committed that the commands `obeyed` were obeyed: False, and nothing is recorded, where there is
        another one by now. None: nobody commands here.
        """
        ...

    def record_outcomes(self, at: datetime, outcomes: Iterable[OrderOutcome]) -> None:
        """Commit what a broker said about orders between decisions."""
        ...

    def forecasts(self, agents: Sequence[str], symbols: Sequence[str], *, until: datetime, count: int) -> Floats:
        """Recorded strength x confidence, float64 [<= count, A, S], NaN where abstained, oldest first: of the newest
        decisions, and where these are too few, of the desk's warm-up before them."""
        ...

    def open_orders(self) -> Sequence[tuple[Order, OrderState]]:
        """Orders without a final state, with their state, oldest decision first."""
        ...

    def record_risk_event(self, event: RiskEvent) -> None:
        """Commit a change of the risk state, or a person's order of one."""
        ...

    def pending_commands(self) -> Sequence[Command]:
        """What a person ordered and the desk has not obeyed yet, oldest first."""
        ...

    def obey(self, commands: Sequence[Command], *, after: datetime) -> None:
        """Commit that these were obeyed after the decision at `after` and before the next one."""
        ...

    def obeyed_since(self, decision: datetime) -> Sequence[Command]:
        """What was obeyed after the decision at this time and before the next one, oldest first."""
        ...


class PaperVenue(Protocol):
    """The paper venue's durable list of orders that it accepted."""

    def accept(self, orders: Sequence[Order]) -> None:
        """Keep orders, all or none; the same id again changes nothing."""
        ...

    def has(self, client_order_id: str) -> bool:
        """Whether an order of this id was accepted."""
        ...


class WeightStore(Protocol):
    """The truth about weights."""

    def newest(self) -> WeightSet | None: ...


class WeightCache(Protocol):
    """A versioned copy of the weights that may be missing, stale or wrong; every method answers within 0.5 s."""

    def read(self) -> WeightSet | None:
        """The copy, None on a miss or while the cache is out of order; InvalidWeightsError where it is rubbish."""
        ...

    def write(self, weights: WeightSet) -> bool:
        """Put the copy and announce its version; False where the cache did not take it."""
        ...

    def announced(self) -> int | None:
        """The newest version announced since the last call, without waiting."""
        ...

    @property
    def alive(self) -> bool:
        """False while the cache is known to be out of order."""
        ...


class Broker(Protocol):
    """A venue, real or paper, on one account. Refusals are values; an outcome that is not known is "unknown", never
    "rejected". ServiceError where the venue does not answer."""

    def place(self, orders: Sequence[Order]) -> Sequence[OrderOutcome]:
        """Send the orders of one decision; the same client order id twice is one order. One answer for each."""
        ...

    def cancel(self, client_order_ids: Sequence[str]) -> Sequence[OrderOutcome]:
        """Take orders back; the answer says what became of each until then."""
        ...

    def poll(self, since: datetime) -> Sequence[OrderOutcome]:
        """States and fills of orders that changed after `since`, however often it is asked. "partial" is no final
        state: the order still works, and later answers bring the other fills."""
        ...

    def open_orders(self) -> Sequence[Order]:
        """What works at the venue, placed by this desk or not."""
        ...

    def positions(self) -> Mapping[str, Decimal]:
        """Signed quantity by symbol; symbols without a position are left out."""
        ...

    def balances(self) -> Mapping[str, Decimal]:
        """Money by currency."""
        ...

    def lookup(self, client_order_id: str) -> OrderOutcome | None:
        """What the venue knows of an order; None where it was never placed."""
        ...


class Heartbeats(Protocol):
    """Where daemons leave their signs of life."""

    def beat(self, heartbeat: Heartbeat) -> None:
        """Put this in the place of the daemon's last one; "stopped" not in that of one started later."""
        ...

    def all(self) -> Sequence[Heartbeat]:
        """The last one of each daemon that ever ran."""
        ...
