"""The composition root of the meta plane: settings -> one desk's jobs, reports and mail."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from agents.adapters.cache.redis_weights import RedisWeightCache
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.desk_history import DeskHistory
from agents.adapters.database.job_store import PostgresJobStore
from agents.adapters.database.meta_store import MetaStore
from agents.adapters.database.outbox import PostgresOutbox
from agents.adapters.database.report_store import ReportStore, forget_old_metrics
from agents.adapters.mail.mailer import SmtpMailer
from agents.adapters.mail.ping import Pinger
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import Clock, SystemClock
from agents.core.errors import UsageError
from agents.core.external import ExternalAdvice
from agents.core.facts import Period
from agents.core.log import log_event
from agents.core.meta_types import Alarm
from agents.core.regimes import ByRegime
from agents.core.settings import Settings, load_settings
from agents.reports.external_words import advice_sentences
from agents.trading.registry import agent_names
from agents.tuning.alarms import desk_alarms, job_alarms, worst_first
from agents.tuning.delivery import deliver
from agents.tuning.job_runner import JOBS
from agents.tuning.scorecards import Thresholds, update_scorecards
from agents.tuning.tuning_settings import Tuning
from agents.tuning.weight_decision import decide_weights
from agents.wiring.alarm_limits import alarm_limits, fresh_since
from agents.wiring.calendar import calendar_of
from agents.wiring.connections import Connections, Say, connect
from agents.wiring.demo_desk import demo_settings
from agents.wiring.desk import stand_in_of
from agents.wiring.exposure import exposure_of
from agents.wiring.external import advice_of_desk
from agents.wiring.integrity import check_record
from agents.wiring.job_settings import thresholds_of, tuning_of, variants_of
from agents.wiring.parity import CheckedDesk, check_parity
from agents.wiring.regimes import by_regime_of
from agents.wiring.reporting import Composed, Reporting, compose_report, period_until, write_report
from agents.wiring.scheduled_jobs import scheduled_jobs
from agents.wiring.weights import weight_cache

logger = logging.getLogger(__name__)
GRAVE = ("critical", "high")


@dataclass(frozen=True)
class MetaPlane:
    """Everything of one desk's meta plane; stateless but for its connections."""

    settings: Settings
    connections: Connections
    clock: Clock
    with_pictures: bool = True
    every: timedelta | None = None
    cache_in_memory: bool = False
    """For a recorded replay, whose weights are nobody else's business."""
    in_bars_time: bool = False
    """Whether jobs work as of the newest decision: on a desk whose clock is its bars, which may be years old."""

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """Names of the desk's agents, in the registry's order."""
        chosen = self.settings.agents
        return agent_names(chosen.enabled, chosen.own, chosen.shadow)

    @property
    def engine(self) -> Engine:
        return self.connections.meta

    @cached_property
    def cache(self) -> RedisWeightCache | MemoryWeightCache:
        return MemoryWeightCache() if self.cache_in_memory else weight_cache(self.settings, self.connections)

    @cached_property
    def store(self) -> MetaStore:
        return MetaStore(
            self.engine,
            self.cache,
            self.agents,
            stand_in_of(self.settings),
            self.clock,
        )

    @cached_property
    def reports(self) -> ReportStore:
        look = (
            None
            if self.cache_in_memory
            else partial(exposure_of, self.settings, self.engine, self.connections.redis_url)
        )
        return ReportStore(self.engine, self.cache, self.clock, Path.cwd(), look)

    @cached_property
    def jobs(self) -> PostgresJobStore:
        return PostgresJobStore(self.engine)

    @cached_property
    def outbox(self) -> PostgresOutbox:
        return PostgresOutbox(self.engine)

    @property
    def thresholds(self) -> Thresholds:
        """Who counts as a top performer, who as an underperformer."""
        return thresholds_of(self.settings)

    @property
    def tuning(self) -> Tuning:
        """How weights are tuned."""
        return tuning_of(self.settings)

    @property
    def checked_desk(self) -> CheckedDesk:
        """What the parity check looks at."""
        return CheckedDesk(self.settings, self.engine, self.store, self.tuning)

    @property
    def reporting(self) -> Reporting:
        """How reports are made."""
        usual = self.every or timedelta(hours=self.settings.meta.report_hours)
        external = tuple(advice_sentences(self.external_advice(self.desk_time())))
        return Reporting(
            desk=self.settings.desk.name,
            period=usual,
            with_pictures=self.with_pictures,
            external=external,
            by_regime=self.by_regime,
            fresh_since=partial(fresh_since, self.settings),
        )

    def by_regime(self, at: datetime) -> ByRegime:
        """Agents' skill by the market's regime, of the days up to `at`."""
        return by_regime_of(self.engine, self.store.agent_days(until=at), at)

    def external_advice(self, at: datetime) -> tuple[ExternalAdvice, ...]:
        """What is advised about the strategies that trade elsewhere, beside the desk with the weights of `at`."""
        return advice_of_desk(self.settings, self.store, at)

    def report(
        self, at: datetime, start: datetime | None = None, *, keep: bool, wrong: Sequence[Alarm] | None = None
    ) -> Composed:
        """A report up to `at` with its summary and suggestions, not stored; `start` None means since the last one.
        `wrong` is what is wrong at `at`; None: the alarms that are on record."""
        period = Period(start, at) if start is not None else period_until(self.reports, self.reporting, at)
        return compose_report(self.reports, self.reporting, period, keep=keep, wrong=wrong)

    def run_job(self, name: str, at: datetime | None = None, due_at: datetime | None = None) -> dict[str, Any]:
        """Run one job here, as of `at` (default: the desk's time); what it did as plain values. UsageError where no job
        has this name."""
        now, machine = at or self.desk_time(), at or self.clock.now()
        if name == "performance_analyzer":
            self.reports.register_variants(now, *variants_of(self.settings))
            forget_old_metrics(self.engine, machine, metrics_days=self.settings.meta.keep_metrics_days)
            return update_scorecards(self.store, self.thresholds, now)
        if name == "weight_optimizer":
            self._remember_past(now)
            return decide_weights(self.store, self.tuning, now, due_at)
        if name == "parity_check":
            chain = check_record(self.engine, machine, whole=True)
            return check_parity(self.checked_desk, now, keep=True) | {"chain_differences": len(chain.differences)}
        if name == "project_manager":
            self.raise_alarms(machine)
            return write_report(self.reports, self.outbox, replace(self.reporting, posted_at=machine), now)
        raise UsageError(f"no job is named '{name}'; known are {', '.join(JOBS)}")

    def desk_time(self) -> datetime:
        """The machine's time; that of the newest decision, where there is one, on a desk in its bars' time."""
        newest = DeskHistory(self.engine).span() if self.in_bars_time else None
        return newest.last if newest is not None else self.clock.now()

    def _remember_past(self, at: datetime) -> None:
        from agents.wiring.past import remember_past  # a replay knows the jobs, and those know this plane

        remember_past(self.settings, self.store, DeskHistory(self.engine), BarsStore(self.engine), at)

    @cached_property
    def pinger(self) -> Pinger | None:
        """Tells the user's own watchman that all is well; None where the settings name none."""
        url = self.settings.meta.ping_url.get_secret_value()
        return Pinger(url) if url else None

    def watch(self, at: datetime) -> None:
        """Alarms, a heartbeat, waiting mail, and a ping where nothing is badly wrong."""
        wrong = self.raise_alarms(at)
        open_now = len(wrong)
        self.reports.record_metrics(at, {"meta.heartbeat": 1.0, "alarms.open": float(open_now)})
        deliver(self.outbox, SmtpMailer(), at)
        if self.pinger is not None and not any(alarm.severity in GRAVE for alarm in wrong):
            problem = self.pinger.ping()
            if problem:
                log_event(logger, "the ping was not taken", level=logging.WARNING, problem=problem)

    def raise_alarms(self, at: datetime) -> list[Alarm]:
        """Compare what is wrong at `at` with the open alarms, and write and log the edges; what is wrong."""
        wrong = self.wrong_at(at)
        opened, closed = self.reports.sync_alarms(at, wrong)
        log_alarms(opened, closed)
        return wrong

    def wrong_at(self, at: datetime) -> list[Alarm]:
        """What is wrong at `at`, worst first."""
        jobs, limits = scheduled_jobs(self.settings, paced_by=self.every), alarm_limits(self.settings, at)
        wrong = job_alarms(
            jobs, {job.name: self.jobs.newest(job.name, at) for job in jobs}, at, self.jobs.began_at() or at
        )
        fresh = calendar_of(self.settings.data).stale_before(at)
        return worst_first([*wrong, *desk_alarms(self.reports.alarm_facts(at, fresh), limits)])


def log_alarms(opened: Sequence[Alarm], closed: Sequence[Alarm]) -> None:
    """Each alarm is logged once when it opens and once when it closes."""
    for alarm in opened:
        level = logging.ERROR if alarm.severity in ("critical", "high") else logging.WARNING
        log_event(logger, "ALARM", level=level, kind=alarm.kind, subject=alarm.subject, detail=alarm.detail)
    for alarm in closed:
        log_event(logger, "alarm is over", kind=alarm.kind, subject=alarm.subject)


@contextmanager
def meta_plane(settings: Settings, *, demo: bool, say: Say, clock: Clock | None = None) -> Iterator[MetaPlane]:
    """The meta plane of the desk, or of the demo; connections are closed at the end."""
    if demo:
        settings = demo_settings(settings)
    connections = connect(settings, demo=demo, say=say)
    in_bars_time = settings.data.clock == "bars" and not demo and clock is None
    plane = MetaPlane(settings, connections, clock or SystemClock(), in_bars_time=in_bars_time)
    try:
        yield plane
    finally:
        plane.jobs.release()
        plane.cache.close()
        connections.close()


@contextmanager
def meta_plane_of_settings() -> Iterator[MetaPlane]:
    """As `meta_plane`, from the settings file and environment of this process."""
    with meta_plane(load_settings(), demo=False, say=lambda _line: None) as plane:
        yield plane
