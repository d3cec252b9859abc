"""The composition root of the meta plane: settings -> one desk's jobs, reports and mail."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from agents.adapters.cache.redis_weights import RedisWeightCache
from agents.adapters.database.desk_facts import DeskFacts, forget_old_metrics
from agents.adapters.database.job_store import PostgresJobStore
from agents.adapters.database.meta_store import MetaStore
from agents.adapters.database.outbox import PostgresOutbox
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.adapters.mail.mailer import SmtpMailer
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import Clock, SimulatedClock, SystemClock
from agents.core.errors import AgentsError, UsageError
from agents.core.log import log_event
from agents.core.meta_types import JobPlan
from agents.core.settings import INTERVALS_S, Settings, load_settings
from agents.meta.meta_orchestrator import JOBS, MetaOrchestrator
from agents.meta.performance_analyzer import PerformanceAnalyzerAgent, Thresholds
from agents.meta.project_manager import ProjectManagerAgent, Reporting, deliver
from agents.meta.weight_optimizer import Tuning, WeightOptimizerAgent
from agents.quant.allocation import Limits
from agents.trading.registry import make_agents
from agents.tuning.alarms import desk_alarms, job_alarms
from agents.tuning.schedule import next_due
from agents.wiring import desk as app
from agents.wiring.connections import Connections, Say, connect
from agents.wiring.parity import check_parity, kinds_of

logger = logging.getLogger(__name__)

OUTPUT_LIMIT_BYTES = 4_000_000


class JobError(AgentsError):
    """A job ended badly or not in time."""


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

    @cached_property
    def agents(self) -> tuple[str, ...]:
        """Names of the desk's agents, in the registry's order."""
        return tuple(agent.name for agent in make_agents(self.settings.agents.enabled))

    @property
    def engine(self) -> Engine:
        return self.connections.meta

    @cached_property
    def cache(self) -> RedisWeightCache | MemoryWeightCache:
        return (
            MemoryWeightCache()
            if self.cache_in_memory
            else RedisWeightCache(self.connections.redis_url, self.settings.desk.name, SystemClock())
        )

    @cached_property
    def store(self) -> MetaStore:
        return MetaStore(
            self.engine,
            self.cache,
            PostgresWeightStore(self.engine),
            self.agents,
            self.settings.agents.static_weights,
            self.clock,
        )

    @cached_property
    def facts(self) -> DeskFacts:
        return DeskFacts(self.engine, self.cache, self.clock, Path.cwd())

    @cached_property
    def jobs(self) -> PostgresJobStore:
        return PostgresJobStore(self.engine)

    @cached_property
    def outbox(self) -> PostgresOutbox:
        return PostgresOutbox(self.engine)

    def analyzer(self) -> PerformanceAnalyzerAgent:
        """The job of the same name."""
        return PerformanceAnalyzerAgent(self.store, thresholds_of(self.settings))

    def optimizer(self) -> WeightOptimizerAgent:
        """The job of the same name."""
        return WeightOptimizerAgent(self.store, tuning_of(self.settings))

    def project_manager(self, period: timedelta | None = None) -> ProjectManagerAgent:
        """The job of the same name."""
        usual = period or self.every or timedelta(hours=self.settings.meta.report_hours)
        reporting = Reporting(desk=self.settings.desk.name, period=usual, with_pictures=self.with_pictures)
        return ProjectManagerAgent(self.facts, self.outbox, reporting)

    def run_job(self, name: str, at: datetime | None = None, due_at: datetime | None = None) -> dict[str, Any]:
        """One job, here and now; UsageError for a name that is none."""
        if name == "performance_analyzer":
            now = at or self.clock.now()
            self.facts.register_variants(now, *variants_of(self.settings))
            forget_old_metrics(self.connections.owner, now, metrics_days=self.settings.meta.keep_metrics_days)
            return self.analyzer().execute(at)
        if name == "weight_optimizer":
            return self.optimizer().execute(at, due_at)
        if name == "parity_check":
            now = at or self.clock.now()
            return check_parity(self.settings, self.engine, self.store, tuning_of(self.settings), now, keep=True)
        if name == "project_manager":
            self.raise_alarms(at or self.clock.now())
            return self.project_manager().execute(at)
        raise UsageError(f"no job is named '{name}'; known are {', '.join(JOBS)}")

    def watch(self, at: datetime) -> None:
        """Alarms, a heartbeat, and waiting mail."""
        open_now = self.raise_alarms(at)
        self.facts.record_metrics(at, {"meta.heartbeat": 1.0, "alarms.open": float(open_now)})
        deliver(self.outbox, SmtpMailer(), at)

    def raise_alarms(self, at: datetime) -> int:
        """Compare what is wrong at `at` with the open alarms, and write and log the edges; how many are open."""
        plans = plans_of(self.settings, paced_by=self.every)
        facts = self.facts.alarm_facts(at)
        stale = timedelta(
            seconds=INTERVALS_S[self.settings.data.interval] * max(2.0, self.settings.data.stale_after_intervals)
        )
        wrong = job_alarms(plans, {plan.name: self.jobs.newest(plan.name) for plan in plans}, at)
        wrong += desk_alarms(facts, stale_after=_trading_gap(self.settings, stale), at=at)
        opened, closed = self.facts.sync_alarms(at, wrong)
        app.tell_alarms(opened, closed)
        return len(wrong)


def _trading_gap(settings: Settings, stale: timedelta) -> timedelta:
    """Sessions pause over nights, weekends and holidays; a market that never closes does not."""
    around_the_clock = app.bars_per_year(settings.data.model_copy(update={"interval": "1d"})) > 300
    return stale if around_the_clock else max(stale, timedelta(days=4, hours=12))


def thresholds_of(settings: Settings) -> Thresholds:
    """The analyzer's numbers."""
    t = settings.tuning
    return Thresholds(top_sharpe=t.top_sharpe, under_sharpe=t.under_sharpe, under_win_rate=t.under_win_rate)


def tuning_of(settings: Settings) -> Tuning:
    """The optimizer's numbers."""
    t = settings.tuning
    limits = Limits(
        floor=t.floor,
        cap=t.cap,
        step=t.step,
        minimum_sharpe=t.minimum_sharpe,
        minimum_signals=t.minimum_signals,
        false_changes_per_year=t.false_changes_per_year,
    )
    return Tuning(
        method=t.method,
        limits=limits,
        look_back_days=t.look_back_days,
        history_days=t.history_days,
        turnover_cost=t.turnover_cost_bps / 1e4,
        score_after_days=t.score_after_days,
    )


def plans_of(settings: Settings, only: str | None = None, *, paced_by: timedelta | None = None) -> tuple[JobPlan, ...]:
    """The jobs with their pace (`paced_by` for all, where given), in the order in which they run; UsageError where `only` names none."""
    meta = settings.meta
    hours = dict(
        zip(JOBS, (meta.analyzer_hours, meta.optimizer_hours, meta.parity_hours, meta.report_hours), strict=True)
    )
    if only is not None and only not in hours:
        raise UsageError(f"no job is named '{only}'; known are {', '.join(JOBS)}")
    return tuple(
        JobPlan(name=name, every=paced_by or timedelta(hours=every), deadline_s=meta.deadline_s)
        for name, every in hours.items()
        if only in (None, name) and not (paced_by and name == "parity_check")  # a paced desk is a replay itself
    )


def variants_of(settings: Settings) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Today's agents with their parameters, named by a digest of them, and the one model that an agent reads."""
    found = {}
    for agent in make_agents(settings.agents.enabled):
        raw = getattr(agent, "parameters", None)
        parameters = dataclasses.asdict(raw) if dataclasses.is_dataclass(raw) and not isinstance(raw, type) else {}
        digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()
        found[agent.name] = {"variant": f"v-{digest[:10]}", "parameters": parameters}
    release = package_version("vaderSentiment")
    lexicon = {
        "name": "vader-sentiment",
        "sha256": hashlib.sha256(release.encode()).hexdigest(),
        "format": "lexicon",
        "parameters": {"package": "vaderSentiment", "release": release, "used_by": "SentimentAnalyst"},
    }
    return found, [lexicon]


@contextmanager
def meta_plane(settings: Settings, *, demo: bool, say: Say, clock: Clock | None = None) -> Iterator[MetaPlane]:
    """The meta plane of the desk, or of the demo; connections are closed at the end."""
    if demo:
        settings = app.demo_settings(settings)
    connections = connect(settings, demo=demo, say=say)
    plane = MetaPlane(settings, connections, clock or SystemClock())
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


# ---------------------------------------------------------------- runners


def here(plane: MetaPlane) -> Callable[[JobPlan, datetime], str]:
    """Runs a job in this process."""

    def run(plan: JobPlan, due_at: datetime) -> str:
        return headline(plan.name, plane.run_job(plan.name, None, due_at))

    return run


def own_process(settings_file: Path | None) -> Callable[[JobPlan, datetime], str]:
    """Runs a job in a process of its own, which is killed with all its children at the plan's deadline."""

    def run(plan: JobPlan, due_at: datetime) -> str:
        command = [sys.executable, "-m", "agents", "job", plan.name, "--due-at", due_at.isoformat(), "--json"]
        command += ["--settings", str(settings_file)] if settings_file else []
        return headline(plan.name, _run_child(command, plan))

    return run


def _run_child(command: Sequence[str], plan: JobPlan) -> dict[str, Any]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=plan.deadline_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise JobError(f"{plan.name} was ended after its deadline of {plan.deadline_s:g} s") from None
    if process.returncode != 0:
        said = err.decode(errors="replace").strip().split("\n")[-1].removeprefix("quorum: ")
        raise JobError(said or f"{plan.name} ended with status {process.returncode}")
    if len(out) > OUTPUT_LIMIT_BYTES:
        raise JobError(f"{plan.name} said {len(out)} bytes")
    outcome = json.loads(out)
    assert isinstance(outcome, dict)
    return outcome


def headline(job: str, outcome: dict[str, Any]) -> str:
    """One line on what a job did."""
    if job == "performance_analyzer":
        return (
            f"{outcome['agents_analyzed']} agents over {outcome['days']} days; top: {', '.join(outcome['top_performers']) or 'none'};"
            f" under: {', '.join(outcome['underperformers']) or 'none'}"
        )
    if job == "weight_optimizer":
        return f"{outcome['decision']}: {outcome['reason']}"
    if job == "parity_check":
        return f"{outcome['decisions']:,} decisions replayed; {kinds_of(outcome)} differ{'s' if kinds_of(outcome) == 'nothing' else ''}"
    return f"report {outcome['report_id']}, mail: {outcome['mail']}"


class JobsBetween:
    """The meta plane's jobs as a replay's interludes: the real jobs on the real tables, at simulated times."""

    def __init__(self, plane: MetaPlane, clock: SimulatedClock, every: timedelta) -> None:
        self._plans = plans_of(plane.settings, paced_by=every)
        self._orchestrator = MetaOrchestrator(plane.jobs, self._plans, here(plane), clock)

    def next_due(self, after: datetime) -> datetime:
        """The first due time of any job later than `after`."""
        return next_due(self._plans, after)

    def run(self, at: datetime) -> None:
        """Every job that is due at `at`, where the clock stands now, and not done."""
        log_event(logger, "jobs between bars", at=at)
        self._orchestrator.tick()
