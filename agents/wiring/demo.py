"""The demo: thirteen years of real bars through all agents and jobs on a simulated clock, and all of it on record.

As `replay --persist` does, it computes on arrays and records in bulk: the same step, the same jobs at their due times,
the same rows as a desk would have written that had traded all those years. The jobs run in a process beside, on the
machine's other core, and what they have decided is recorded meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from math import nan
from pathlib import Path
from typing import NamedTuple

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.reader import DeskReader
from agents.adapters.database.wipe import wipe_desk
from agents.adapters.feeds.file_reading import import_file
from agents.core.books import BENCHMARKS
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.meta_types import ReportSummary
from agents.core.ports import Resumption
from agents.core.settings import Settings
from agents.core.types import Bars, as_datetime
from agents.quant.evidence import Claim, beside_holding
from agents.quant.replay_summary import verdict_of
from agents.replay.timeline import Progress
from agents.reports.charts import load_drawing
from agents.reports.report import standalone_html
from agents.wiring.connections import Connections, Say
from agents.wiring.demo_desk import demo_file, demo_settings
from agents.wiring.desk import agents_of
from agents.wiring.desk_record import desk_journal
from agents.wiring.history import ReplayRequest
from agents.wiring.meta import MetaPlane
from agents.wiring.recorded_replay import record_replayed
from agents.wiring.replay_beside import ReplayBeside

REPORT_FILE = Path("reports/quorum-demo.html")
LAST_DAYS = 30.0
LOG = "demo-tuning.log"
PARTS = ("agents and tuning", "writing the record")
ANEW = "starting anew, which wipes the demo's decisions, weights and reports (your own desk is another database)"


class Watching(NamedTuple):
    """How a person is kept informed: a line, and bars for parts that go on beside each other, by their names."""

    say: Say
    parts: Callable[[Sequence[str]], AbstractContextManager[Sequence[Progress]]]


class Demo(NamedTuple):
    """A finished demo: a reader of its record, the report's file, and what is to be said of the desk in a sentence."""

    reader: DeskReader
    report: Path
    verdict: str


def run_demo(settings: Settings, connections: Connections, *, mode: str, watching: Watching) -> Demo:
    """Load the history, trade it through all agents with the jobs due on the way, and write the last report.

    `mode` is "auto" (an unfinished run goes on, a finished one starts anew), "resume" or "restart".
    """
    settings, say = demo_settings(settings), watching.say
    with desk_journal(connections) as journal, ReplayBeside() as replay:  # of two demos at once the second hears it now
        bars = _bars(settings, connections, say)
        anew = _begins_anew(journal.last(), as_datetime(bars.time[-1]), mode, say)
        every = timedelta(days=settings.meta.demo_every_days)
        request = ReplayRequest(settings=settings, every=every, all_scorecards=True, value_added=True)
        say("every agent reads thirteen years of prices; then each day is traded, and each week the weights are tuned")
        clock = SimulatedClock(as_datetime(bars.time[0]))
        plane = MetaPlane(settings, connections, clock, with_pictures=False, every=every)
        try:
            agents = agents_of(settings, SystemClock())
            with watching.parts(PARTS) as (tuned, recorded):
                replay.begin(bars, request, settings.log_folder / LOG, tuned)
                load_drawing()  # while the agents read
                replay.more()  # nothing is wiped before all agents have answered
                _make_room(journal, plane, replay, say, anew=anew)
                say("writing every decision, order and fill to TimescaleDB")
                record_replayed(replay, plane, (agents, journal), (bars, 0), (clock, recorded))
            end = as_datetime(bars.time[-1])
            say("drawing the report")
            plane.run_job("project_manager", end)
            file, told = write_report(plane, end)
        finally:
            plane.jobs.release()
            plane.cache.close()
    return Demo(DeskReader(connections.trader), file, verdict_of(_claims(told)))


def _bars(settings: Settings, connections: Connections, say: Say) -> Bars:
    store = BarsStore(connections.trader)
    report = import_file(demo_file(), settings.data, store, {}, SystemClock().now())
    if report.loaded:
        say(f"loaded {report.loaded:,} daily bars of {', '.join(report.symbols)}")
    return store.after(None, limit=1_000_000)


def _begins_anew(last: Resumption | None, end: datetime, mode: str, say: Say) -> bool:
    """Whether what the last run left is to be wiped, told before anything is computed; whether an unfinished one had
    these settings is known later."""
    if last is None:
        return False
    if mode == "restart":
        say(ANEW)
    elif mode == "auto" and last.time >= end:
        say(f"the last run is complete: {ANEW}")
    else:
        say(f"the last run ended at {last.time:%Y-%m-%d}; this one goes on from there, unless the settings are others")
        return False
    return True


def _make_room(journal: PostgresJournal, plane: MetaPlane, replay: ReplayBeside, say: Say, *, anew: bool) -> None:
    """Go on with what an unfinished run of the same settings left, else begin with nothing."""
    last = journal.last()
    if last is not None and not anew:
        if _same_so_far(plane, replay):
            say(f"continuing after {last.time:%Y-%m-%d}")
            return
        say(f"the last run had other settings: {ANEW}")
    if last is not None:
        wipe_desk(plane.connections.owner)
    plane.cache.forget()  # what Redis holds belongs to a run that was wiped


def _same_so_far(plane: MetaPlane, replay: ReplayBeside) -> bool:
    """Whether the weights on record are those that the replay decides on."""
    published = plane.store.decisions_on_record()
    if published == 0:
        return True
    while len(replay.decisions) < published and replay.more():
        pass
    newest = plane.store.decision(published)
    return (
        newest is not None
        and published <= len(replay.decisions)
        and newest.weights == replay.decisions[published - 1].weights
    )


def _claims(told: ReportSummary) -> dict[str, Claim]:
    """What the report says of each control, as claims: the screen shall not say it in other numbers."""
    claims = {}
    for row in told.tuning_value_added:
        name, shown = row.control.replace(" ", "_"), row.verdict.startswith("shown")
        difference, low, high = (nan if value is None else value for value in (row.difference, row.low, row.high))
        claim = Claim(difference=difference, low=low, high=high, p=nan, shown=shown, trials=1)
        claims[name] = beside_holding(claim) if name in BENCHMARKS else claim
    return claims


def write_report(plane: MetaPlane, at: datetime) -> tuple[Path, ReportSummary]:
    """The report of the demo's last month, with pictures, as one file; and its figures."""
    drawn = replace(plane, with_pictures=True)
    made, figures, _ = drawn.report(at, at - timedelta(days=LAST_DAYS), keep=True)
    REPORT_FILE.parent.mkdir(parents=True, exist_ok=True)
    REPORT_FILE.write_text(standalone_html(made), encoding="utf-8")
    return REPORT_FILE, figures
