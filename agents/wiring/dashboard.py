"""What the dashboard looks at: one desk's database, read-only, and the facts of a report as of now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from agents.adapters.cache.redis_weights import RedisWeightCache
from agents.adapters.database.dashboard import Dashboard
from agents.adapters.database.job_store import PostgresJobStore
from agents.adapters.database.reader import DeskReader
from agents.adapters.database.report_store import ReportStore
from agents.adapters.database.stored_data import StoredData
from agents.core.alarm_types import SILENT_AFTER
from agents.core.clock import Clock, SystemClock
from agents.core.facts import DeskFacts, Period
from agents.core.meta_types import OpenAlarm, ReportSummary
from agents.core.settings import Settings
from agents.reports.summary import summary_of
from agents.tuning.alarms import absent_daemons
from agents.wiring.connections import open_reader, services_of

PERIOD = timedelta(days=30)
"""What "the period" is on pages: trades, costs and contributions of the last days."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The facts of a desk at `at`, and the figures that a report would show."""

    at: datetime
    facts: DeskFacts
    summary: ReportSummary


@dataclass(frozen=True)
class DeskView:
    """One desk's record to look at: the desk's, or its demo's."""

    settings: Settings
    engine: Engine
    redis_url: str
    demo: bool = False
    clock: Clock = field(default_factory=SystemClock)

    @cached_property
    def dashboard(self) -> Dashboard:
        """Questions that only pages ask."""
        return Dashboard(self.engine)

    @cached_property
    def reader(self) -> DeskReader:
        """Questions of the command line."""
        return DeskReader(self.engine)

    @cached_property
    def stored(self) -> StoredData:
        """What data there are."""
        return StoredData(self.engine)

    @cached_property
    def jobs(self) -> PostgresJobStore:
        """What ran and what is due."""
        return PostgresJobStore(self.engine)

    @cached_property
    def _reports(self) -> ReportStore:
        cache = RedisWeightCache(self.redis_url, f"{self.engine.url.database}:{self.settings.desk.name}", self.clock)
        return ReportStore(self.engine, cache, self.clock, Path.cwd())

    @property
    def in_bars_time(self) -> bool:
        """Whether now is the newest decision: a demo, or a desk whose clock is its bars, may be years old."""
        return self.demo or self.settings.data.clock == "bars"

    def now(self) -> datetime:
        """The desk's time."""
        newest = self.dashboard.newest_decision() if self.in_bars_time else None
        return newest.astimezone(UTC) if newest is not None else self.clock.now()

    def snapshot(self) -> Snapshot:
        """The facts as of now. A daemon that does not run is an alarm here also where it is the one that would have
        raised it."""
        at = self.now()
        facts = self._reports.facts(Period(at - PERIOD, at))
        known = {(opened.alarm.kind, opened.alarm.subject) for opened in facts.alarms}
        absent = [] if self.demo else list(absent_daemons(facts.heartbeats, self.clock.now(), SILENT_AFTER))
        missed = [OpenAlarm(alarm=a, opened_at=at) for a in absent if (a.kind, a.subject) not in known]
        facts = replace(facts, alarms=[*facts.alarms, *missed])
        return Snapshot(at, facts, summary_of(facts, open_suggestions=0))

    def close(self) -> None:
        """Drop all sessions."""
        self.engine.dispose()


def desk_view(settings: Settings, *, demo: bool, say: Callable[[str], None]) -> DeskView:
    """The desk of these settings, to look at. ServiceError where its database cannot be reached."""
    engine = open_reader(settings, demo=demo, say=say)
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else services_of(settings).redis_url
    return DeskView(settings, engine, redis_url, demo)
