"""`quorum meta` and `job`: run the scheduled jobs."""

from __future__ import annotations

import logging
import os
from argparse import Namespace
from datetime import datetime

from agents.adapters.database.engine import Row
from agents.adapters.database.heartbeats import HeartbeatTable
from agents.adapters.services.notify import notify
from agents.cli.screen import Screen, rows_table
from agents.core.errors import AgentsError
from agents.core.log import configure_logging
from agents.core.meta_types import DaemonName, ScheduledJob
from agents.core.settings import Settings, load_settings
from agents.core.stopping import stop_in_time
from agents.meta.meta_orchestrator import MetaOrchestrator, Ticker
from agents.orchestrator.pulse import DaemonPulse
from agents.tuning.job_runner import JOBS, Runner
from agents.wiring.job_process import OwnProcess, in_this_process
from agents.wiring.job_words import headline
from agents.wiring.meta import MetaPlane, meta_plane
from agents.wiring.scheduled_jobs import scheduled_jobs
from agents.wiring.tending import endurance_of, tending

GRACE_S = 300.0
"""A turn may take this much longer than the deadlines of all its jobs before it counts as hung."""


def meta(options: Namespace, screen: Screen) -> int:
    """The daemon; with --once one cycle of all jobs, or one job with its outcome as the answer."""
    settings = load_settings(options.settings)
    if options.once and options.only:
        return _run_one(options, screen, settings)
    log = "meta_orchestrator.log" if options.only is None else f"meta_{options.only}.log"
    configure_logging(settings.log_folder / log, level=settings.log_level, console=not options.once)
    with meta_plane(settings, demo=False, say=screen.say) as plane:
        child = OwnProcess(options.settings)
        runner: Runner = child if settings.meta.own_process else in_this_process(plane)
        scheduled = scheduled_jobs(settings, options.only)
        if options.once:
            runner = _announced(runner, screen)
        orchestrator = MetaOrchestrator(plane.jobs, scheduled, runner, plane.clock, plane.watch)
        if options.once:
            return _run_all(orchestrator, screen)
        if not _run_until_told(orchestrator, (plane, options.only or "meta"), child):
            logging.shutdown()
            os._exit(1)  # a thread that hangs would keep the process for ever; the supervisor starts a new one
    return 0


def _run_until_told(orchestrator: MetaOrchestrator, named: tuple[MetaPlane, DaemonName], child: OwnProcess) -> bool:
    """Ticks until a signal; False where the scheduler stopped ticking by itself. The heartbeat bears the daemon's name:
    that of its job where it runs one only, so that it is missed beside one that runs the others."""
    plane, name = named
    settings, pulse = plane.settings.meta, DaemonPulse(HeartbeatTable(plane.engine), name, plane.clock)
    tend, endurance = tending(plane.settings, plane.clock), endurance_of("meta", plane.clock, plane.engine)

    def tick() -> None:
        try:
            tend()
            orchestrator.tick()
            endurance.worked()
        except Exception as error:  # nothing that comes from outside, and no defect, ends the daemon
            endurance.failed(error, pause_s=settings.tick_s)

    def stop() -> None:
        orchestrator.stop()
        child.stop()
        ticker.stop()

    def alive() -> None:
        notify("WATCHDOG=1")
        pulse.beat(endurance.problem)

    ticker = Ticker(
        tick,
        plane.clock,
        every_s=settings.tick_s,
        longest_turn_s=len(JOBS) * settings.deadline_s + GRACE_S,
        alive=alive,
    )
    stop_in_time(stop, farewell=pulse.end)
    notify("READY=1")
    pulse.beat()
    ended_by_signal = ticker.run()
    notify("STOPPING=1")
    if ended_by_signal:
        pulse.end()  # else nobody stopped it: its silence is what is to be told
    return ended_by_signal


def _run_one(options: Namespace, screen: Screen, settings: Settings) -> int:
    """One job in this process; AgentsError where it failed."""
    configure_logging(settings.log_folder / f"{options.only}.log", level=settings.log_level, console=False)
    outcomes: list[Row] = []
    with meta_plane(settings, demo=False, say=screen.say) as plane:

        def run(job: ScheduledJob, due_at: datetime) -> str:
            outcomes.append(plane.run_job(job.name, None, due_at))
            return headline(job.name, outcomes[0])

        scheduled = scheduled_jobs(settings, options.only)
        (ran,) = MetaOrchestrator(plane.jobs, scheduled, run, plane.clock, plane.watch).run_now()
    if not ran.ok:
        raise AgentsError(ran.detail)
    screen.result(outcomes[0], ran.detail)
    return 0


def _announced(runner: Runner, screen: Screen) -> Runner:
    """The runner, which says before each job that it runs."""

    def run(job: ScheduledJob, due_at: datetime) -> str:
        screen.say(f"running {job.name}")
        return runner(job, due_at)

    return run


def _run_all(orchestrator: MetaOrchestrator, screen: Screen) -> int:
    ran = orchestrator.run_now()
    rows = [{"job": r.job, "outcome": "done" if r.ok else "FAILED", "detail": r.detail} for r in ran]
    screen.result(rows, rows_table("One cycle", rows, ("job", "outcome", "detail")))
    return 0 if all(r.ok for r in ran) else 1


def job(options: Namespace, screen: Screen) -> int:
    """One job's work without its bookkeeping: the daemon's child."""
    settings = load_settings(options.settings)
    configure_logging(settings.log_folder / f"{options.name}.log", level=settings.log_level, console=False)
    with meta_plane(settings, demo=False, say=lambda _line: None) as plane:
        outcome = plane.run_job(options.name, None, options.due_at)
    screen.result(outcome, headline(options.name, outcome))
    return 0
