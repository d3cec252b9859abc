"""What alarms look at: facts of the desk at one moment, and what counts as late on it.

A new alarm needs a fact here (with a default, so that old facts stay whole), the query that reads it in
`adapters/database/alarm_facts.py`, and a rule in `tuning/alarms.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from agents.core.endurance import Outage
from agents.core.facts import NewestDecision, ParityCheck, SuspectSymbol, SystemState
from agents.core.integrity import ChainCheck
from agents.core.meta_types import Heartbeat

SILENT_AFTER = timedelta(minutes=5)
"""A daemon that has not been heard of for so long is silent; it beats every twenty seconds."""
SENT_WITHIN = timedelta(minutes=2)
REFUSED_IN_A_ROW = 3


LIMIT_REACHED, LIMIT_OVER = "limit reached: ", "limit over: "
"""How the reasons begin of risk events that tell the edges of a limit; its name follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMail:
    """Reports that have not left yet, and since when the oldest waits."""

    mails: int
    oldest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedBars:
    """Bars later than the newest decision (without one: bars that are fresh), the first of which the desk has known
    `since`; `newest` is the close of the last."""

    bars: int
    since: datetime
    newest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureRuns:
    """Runs of jobs that a clock ahead of time made, set aside in the last day: how many, and the latest due time."""

    runs: int
    latest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCorrections:
    """Bars of these symbols, from `first` to `last`, that a later file gave otherwise after decisions had used them."""

    bars: int
    symbols: Sequence[str]
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LateBars:
    """Bars of these symbols that came in the last day, after the decision that should have seen them; at `undecided`
    of their times nobody decided at all."""

    bars: int
    symbols: Sequence[str]
    undecided: int
    newest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedTuning:
    """Since when the monitor has kept the weights at the anchor, and why."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBreak:
    """Since when the desk's books and its account's have differed about `name`, a symbol or the desk's cash."""

    name: str
    kind: str
    ours: Decimal
    theirs: Decimal
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmLimits:
    """What counts as late on a desk: a symbol without a new bar for `stale_after`, a bar that is not decided on within
    `decide_within`, a daemon that is not heard of for `silent_after`."""

    stale_after: timedelta
    decide_within: timedelta = timedelta(minutes=15)
    silent_after: timedelta = SILENT_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmFacts:
    """The desk at the moment `at`. `freshness` maps a symbol to its newest bar (None: it never had one);
    `unknown_orders` are ids of all orders whose outcome is not known, oldest first; `heartbeats` those of the other
    daemons; `refused` maps a recipient of the newest mails to why a server does not take mail for it; `chain` is a
    check of the journal that found differences; `acts_as_owner`: the session has all rights;
    `suspects` are symbols whose newest price is not believed; `outages` are lasting ones that were over lately, the
    newest first."""

    at: datetime
    newest: NewestDecision | None
    freshness: Mapping[str, datetime | None]
    weights_published: bool
    unknown_orders: Sequence[str]
    waiting_mail: WaitingMail | None
    parity: ParityCheck | None
    system: SystemState
    undecided: UndecidedBars | None = None
    heartbeats: Sequence[Heartbeat] = ()
    future_runs: FutureRuns | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    chain: ChainCheck | None = None
    acts_as_owner: bool = False
    suspects: Sequence[SuspectSymbol] = ()
    corrections: OpenCorrections | None = None
    late_bars: LateBars | None = None
    outages: Sequence[Outage] = ()
    tuning_paused: PausedTuning | None = None
    breaks: Sequence[OpenBreak] = ()
    long_sending: Sequence[str] = ()
    """Ids of orders that have been "sending" for more than `SENT_WITHIN`, the oldest first: a broker answers in
    seconds, and a daemon that lives asks about what it got no answer to."""
    refused_orders: Mapping[str, str] = field(default_factory=dict)
    """Symbols whose newest orders the broker all refused, and its newest words."""
    limits_reached: Mapping[str, datetime] = field(default_factory=dict)
    """Limits of `risk.limits` by name, and since when each has been reached."""


def heard_by_others(beats: Sequence[Heartbeat], at: datetime) -> list[Heartbeat]:
    """Whose silence is to be told at `at`: the trading daemon's, and those of the meta plane's daemons while one of
    these lives. Where none does nobody looks, and a cycle that is run by hand is no daemon."""
    alive = any(b.daemon != "trading" and b.state == "running" and not b.is_silent(at, SILENT_AFTER) for b in beats)
    return [beat for beat in beats if alive or beat.daemon == "trading"]
