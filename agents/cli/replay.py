"""`quorum replay`: what the desk would have done, on any history, under any settings."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from agents.adapters.database.trials_store import TrialsStore
from agents.cli.compiling import compile_once
from agents.cli.history import OpenHistory, open_history
from agents.cli.history_arguments import changes_of
from agents.cli.replay_output import demo_line, observers_of, speed_of, tables_of, write_out
from agents.cli.screen import Screen, remark_on
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.replay_types import Replayed, Run
from agents.core.settings import Settings, load_settings, with_changes
from agents.core.types import Floats, Times
from agents.quant.evidence import claim_of, sharpe_difference
from agents.quant.measures import SEED, SHOWN_LEVEL, by_day, daily_of
from agents.quant.moments import decay_weights
from agents.quant.replay_summary import summary_of
from agents.replay.timeline import Progress
from agents.reports.formatting import true_minuses
from agents.wiring.history import ReplayRequest
from agents.wiring.job_words import kinds_of
from agents.wiring.meta import meta_plane
from agents.wiring.own_history import OwnHistory, own_history
from agents.wiring.parity import check_parity
from agents.wiring.recorded_replay import Notices, count_trial, persist
from agents.wiring.replay import replay_history

LEAST_DAYS = 20
"""Fewer days in common with the record say nothing."""
WEEKLY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class OwnPast:
    """The desk's own past, its database, and, if asked for, its decisions compared with their recomputation."""

    past: OwnHistory
    database: Engine
    parity: Mapping[str, Any] | None

    @property
    def differs(self) -> bool:
        """Whether a decision was recomputed otherwise than it was made."""
        return self.parity is not None and bool(self.parity["differences"])


def replay(options: Namespace, screen: Screen) -> int:
    """The command; exit status 1 where the desk's own past was recomputed otherwise than it is on record."""
    changes = changes_of(options)
    with ExitStack() as stack:
        settings = load_settings(options.settings)
        own = _own_past(options, settings, stack, screen) if options.history else None
        if own is not None:
            opened = OpenHistory(own.past.history, settings, own.database)
            changes = {"agents.static_weights": own.past.first_weights, **changes}
        else:
            opened = open_history(options, settings, stack, screen, changes)
        request = _request(options, opened, changes)
        replayed = _replay(options, opened, request, own, screen)
        if opened.database is not None and (changes_of(options) or options.no_tuning):
            count_trial(TrialsStore(opened.database), replayed)  # looking at other settings on this history is a trial
        if options.persist:
            _persist(options.persist, opened, request, replayed, screen)
    _show(options, replayed, request, own, screen)
    return 1 if own is not None and own.differs else 0


def _own_past(options: Namespace, settings: Settings, stack: ExitStack, screen: Screen) -> OwnPast:
    """The desk's own past, and, where nothing is changed, the comparison of every decision with its recomputation."""
    if options.persist:
        raise UsageError("--history is on record already; --persist is for --demo and --bars")
    if options.agents:
        raise UsageError("--history replays the recorded signals of all agents; give --start-weights, or use --bars db")
    plane = stack.enter_context(meta_plane(settings, demo=False, say=screen.say))
    past = own_history(settings, plane.engine, options.start, options.end)
    if changes_of(options) or options.start or options.end or options.no_tuning:
        return OwnPast(past, plane.engine, None)
    compile_once(settings, screen)
    screen.say("recomputing every decision")
    now = SystemClock().now()
    parity = check_parity(plane.checked_desk, now, keep=False, from_start=True)
    return OwnPast(past, plane.engine, parity)


def _request(options: Namespace, opened: OpenHistory, changes: Mapping[str, Any]) -> ReplayRequest:
    """What is asked of the history, and how many settings were tried on it before."""
    trials = 0
    if opened.database is not None:
        span = opened.history.first_bar(), options.end or SystemClock().now()
        trials = TrialsStore(opened.database).tried_on(opened.history.symbols, *span)
    return ReplayRequest(
        value_added=True,
        settings=with_changes(opened.settings, changes),
        tuning=not options.no_tuning,
        report_every=WEEKLY if options.reports == "weekly" else None,
        trials=trials,
    )


def _replay(
    options: Namespace, opened: OpenHistory, request: ReplayRequest, own: OwnPast | None, screen: Screen
) -> Replayed:
    compile_once(request.settings, screen)
    with ExitStack() as stack:
        observers = observers_of(options.out, stack) if options.out is not None else []
        screen.say("agents are reading the history" if own is None else "signals come from the record")
        return replay_history(
            opened.history,
            request,
            observers=observers,
            signal_source=own.past.signal_source if own is not None else None,
            progress=_progress(screen, stack, len(opened.history.symbols)),
        )


def _persist(place: str, opened: OpenHistory, request: ReplayRequest, replayed: Replayed, screen: Screen) -> None:
    """Record the finished replay in a database of its own."""
    with ExitStack() as stack:
        progress = _progress(screen, stack, len(opened.history.symbols))
        recorded, psql = persist(place, opened.history, request, replayed, Notices(screen.say, progress))
    screen.say(f"recorded {recorded:,} decisions; look around:")
    screen.say(f"  {psql}")


def _progress(screen: Screen, stack: ExitStack, symbols: int) -> Progress:
    """A display with the simulated date, the equity and bars a second."""
    progress = screen.progress(stack, "replay", "bars")
    clock = SystemClock()
    started_s = clock.monotonic_s()

    def show(done: int, total: int, at: datetime, equity: float) -> None:
        pace = done * symbols / max(clock.monotonic_s() - started_s, 1e-6)
        progress(done, total, f"{remark_on(at, equity)}  {pace:,.0f} bars/s")

    return show


def _show(options: Namespace, replayed: Replayed, request: ReplayRequest, own: OwnPast | None, screen: Screen) -> None:
    """Figures and tables, the comparison with the record, and the files."""
    summary = summary_of(replayed.run, 1 + request.trials)
    beside: dict[str, Any] = {}
    remarks = [demo_line(request.settings.meta)] if options.demo and not changes_of(options) and request.tuning else []
    if own is not None:
        against = against_record(replayed.run, own.past.time, own.past.equity)
        beside = {"against_record": against, "parity": own.parity}
        remarks.append(f"Against what the desk did: {true_minuses(against['words'])}.")
        if own.parity is not None:
            kinds = kinds_of(dict(own.parity))
            differ = "differs" if kinds == "nothing" else "differ"
            remarks.append(f"{own.parity['decisions']:,} decisions recomputed as they were made: {kinds} {differ}.")
    if options.out is not None:
        write_out(options, replayed, summary, beside)
        remarks.append(f"written to {options.out}/: tear_sheet.html, *.parquet, manifest.json")
    document = summary.as_plain() | {"speed": speed_of(replayed), "manifest": replayed.manifest} | beside
    screen.result(document, *tables_of(summary, replayed), *remarks)


def against_record(run: Run, time: Times, equity: Floats) -> dict[str, Any]:
    """The replay's live book less the recorded one (`equity` [T] at `time` [T]), by day."""
    ours, theirs = daily_of(run), by_day(time, equity[:, None], run.initial_cash)
    if len(ours.date) != len(theirs.date) or len(ours.date) < LEAST_DAYS:
        return {"words": f"fewer than {LEAST_DAYS} days in common: nothing can be said"}
    day_weights = decay_weights(len(ours.date), math.inf)
    test = sharpe_difference(ours.returns(0), theirs.returns(0), day_weights, ours.per_year, seed=SEED)
    return claim_of(test, 1, SHOWN_LEVEL).as_plain() | {
        "recorded_equity": float(equity[-1]),
        "replayed_equity": float(run.equity[-1, 0]),
    }
