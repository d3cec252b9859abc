"""What alarms look at: facts of the desk at one moment, and what counts as late on it.

A new alarm needs a fact here (with a default, so that old facts stay whole), the query that reads it in
`adapters/database/alarm_facts.py`, and a rule in `tuning/alarms.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.core.facts import NewestDecision, ParityCheck, SystemState


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMail:
    """Reports that have not left yet, and since when the oldest waits."""

    mails: int
    oldest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmLimits:
    """What counts as late on a desk: a symbol without a new bar for `stale_after`."""

    stale_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmFacts:
    """The desk at the moment `at`. `freshness` maps a symbol to its newest bar (None: it never had one);
    `unknown_orders` are ids of all orders whose outcome is not known, oldest first."""

    at: datetime
    newest: NewestDecision | None
    freshness: Mapping[str, datetime | None]
    weights_published: bool
    unknown_orders: Sequence[str]
    waiting_mail: WaitingMail | None
    parity: ParityCheck | None
    system: SystemState
