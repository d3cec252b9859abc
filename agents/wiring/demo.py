"""The demo: thirteen years of real bars through both planes on a simulated clock, into a database of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.job_store import PostgresJobStore
from agents.adapters.database.reader import DeskReader
from agents.adapters.database.wipe import wipe_desk
from agents.adapters.feeds.file_reading import import_file
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import Progress, SimulatedTime
from agents.reports.report import standalone_html
from agents.wiring.connections import Connections, Say
from agents.wiring.demo_desk import demo_file, demo_settings
from agents.wiring.desk import agents_of, desk_weights, plan_of
from agents.wiring.desk_record import desk_journal
from agents.wiring.jobs_between_bars import jobs_on_tables
from agents.wiring.meta import MetaPlane

REPORT_FILE = Path("reports/quorum-demo.html")
LAST_DAYS = 30.0


def run_demo(
    settings: Settings, connections: Connections, *, mode: str, say: Say, progress: Progress
) -> tuple[DeskReader, Path]:
    """Load the history, trade it through all agents with the jobs due on the way, and write the last report.

    `mode` is "auto" (an unfinished run goes on, a finished one starts anew), "resume" or "restart". Returns a reader of
    the result and the report's file.
    """
    settings = demo_settings(settings)
    store = BarsStore(connections.trader)
    report = import_file(demo_file(), settings.data, store, {}, SystemClock().now())
    if report.loaded:
        say(f"loaded {report.loaded:,} daily bars of {', '.join(report.symbols)}")
    bars = store.after(None, limit=1_000_000)
    agents = agents_of(settings, SystemClock())
    with desk_journal(connections) as journal:
        last = journal.last()
        finished = last is not None and last.time >= as_datetime(bars.time[-1])
        if last is not None and (mode == "restart" or (mode == "auto" and finished)):
            say("starting anew" if mode == "restart" else "the last run is complete: starting anew")
            wipe_desk(connections.owner)
            last = None
        if last is not None:
            say(f"continuing after {last.time:%Y-%m-%d}")
            PostgresJobStore(
                connections.owner
            ).forget_unfinished()  # this process holds the desk: they died with the last one
        clock = SimulatedClock(last.time if last is not None else as_datetime(bars.time[0]))
        every = timedelta(days=settings.meta.demo_every_days)
        plane = MetaPlane(settings, connections, clock, with_pictures=False, every=every)
        if last is None:
            plane.cache.forget()  # what Redis holds belongs to a run that was wiped
        weights = desk_weights(settings, connections, agents)
        plan = plan_of(settings, bars.symbols)
        jobs = jobs_on_tables(plane, clock)
        try:
            desk = RecordedDesk(plan, agents, weights.current, journal)
            record_history(bars, desk, SimulatedTime(clock, jobs), progress)
            file = write_report(plane, as_datetime(bars.time[-1]))
        finally:
            plane.jobs.release()
            plane.cache.close()
    return DeskReader(connections.trader), file


def write_report(plane: MetaPlane, at: datetime) -> Path:
    """The report of the demo's last month, with pictures, as one file."""
    drawn = replace(plane, with_pictures=True)
    plane.run_job("performance_analyzer", at)
    made, _, _ = drawn.report(at, at - timedelta(days=LAST_DAYS), keep=True)
    REPORT_FILE.parent.mkdir(parents=True, exist_ok=True)
    REPORT_FILE.write_text(standalone_html(made), encoding="utf-8")
    return REPORT_FILE
