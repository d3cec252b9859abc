"""The composition root of replays: settings and a history -> books, decisions, scorecards; no database is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from agents.core.allocator import share_one_arena
from agents.core.clock import INSTANT, SimulatedClock, SystemClock
from agents.core.errors import DataError
from agents.core.log import log_event
from agents.core.meta_types import KeptBeliefs, ScheduledJob
from agents.core.replay_types import JobRecords, Replayed
from agents.core.settings import INTERVALS_S, Settings
from agents.core.types import Bars, Signals, as_datetime
from agents.pipeline.market import panel_of
from agents.replay.agent_days import AgentDayTable
from agents.replay.array_desk import ArrayDesk
from agents.replay.simulate import Observer, SignalSource, SimulatedDesk, Watchers, chunks_of, simulate
from agents.replay.timeline import Progress, SimulatedTime
from agents.trading.guard import AgentPanel
from agents.trading.registry import agent_names
from agents.tuning.desk_beliefs import days_before, past_beliefs
from agents.wiring.desk import agents_of, plan_of, stand_in_of
from agents.wiring.history import History, ReplayRequest, history_of
from agents.wiring.job_settings import thresholds_of, tuning_of
from agents.wiring.jobs_between_bars import JobsBetweenBars
from agents.wiring.manifest import DataDigest, manifest_of
from agents.wiring.replay_jobs import ArrayJobs
from agents.wiring.scheduled_jobs import scheduled_jobs

logger = logging.getLogger(__name__)
CHUNK_CELLS, LEAST_ROWS = 150_000, 1000
"""Symbol-bars of one chunk, so that results and signals of it stay well below a gigabyte."""
LEAD_DAYS = 2.01
"""The newest two days are summed again with what follows."""


def silent(_done: int, _total: int, _at: datetime, _equity: float) -> None:
    """Progress that nobody watches."""


def lead_of(settings: Settings, bars_needed: int) -> int:
    """Rows that a chunk needs before its first new one: the agents' memory behind that of their scale, as live."""
    per_day = max(1, round(86400 / INTERVALS_S[settings.data.interval]))
    windows = (
        bars_needed + settings.combine.scale_window_bars,
        settings.combine.volatility_window_bars + 1,
        round(LEAD_DAYS * per_day),
    )
    return max(windows)


def replay_history(
    history: History,
    request: ReplayRequest,
    *,
    observers: Sequence[Observer] = (),
    signal_source: SignalSource | None = None,
    progress: Progress = silent,
) -> Replayed:
    """Replay `history` under the settings of `request`; what is before its start is memory for the agents.

    `signal_source` None asks the settings' agents; else these are the signals. `observers` see every finished chunk.
    DataError where there are no bars, or an agent fails.
    """
    share_one_arena()
    settings, stopwatch = request.settings, SystemClock()
    started_s = stopwatch.monotonic_s()
    panel = agents_of(settings, SystemClock())
    lead = lead_of(settings, panel.bars_needed)
    clock, days = SimulatedClock(history.first_bar()), AgentDayTable(panel.names)
    desk = ArrayDesk(panel.names, stand_in_of(settings), days, clock, trials=request.trials)
    desk.on_decision = request.on_decision
    jobs = jobs_of(request, desk) if request.tuning else None
    if jobs is not None and not request.optimizer_only and settings.tuning.history_trust > 0.0:
        desk.keep_beliefs("past", past_of(history, request, signal_source), clock.now())
    digest = DataDigest()
    size = max(LEAST_ROWS, CHUNK_CELLS // len(history.symbols))
    between = JobsBetweenBars(replayed_jobs(request), jobs.run) if jobs is not None else None
    run = simulate(
        chunks_of(history.source, lead, size, history.start, history.end),
        SimulatedDesk(
            plan_of(settings, history.symbols),
            panel.names,
            signal_source or asking(panel, settings.agents.shadow),
            panel.bars_needed,
            desk.weights_in_force,
            settings.tuning.floor if request.value_added else None,
        ),
        SimulatedTime(clock, between),
        Watchers(progress, history.total_bars, [digest, *observers]),
        days,
    )
    panel.close()
    desk.refresh_days()
    if jobs is not None and not request.optimizer_only:
        jobs.finish(as_datetime(run.time[-1]))
    return Replayed(
        run=run,
        days=desk.agent_days(until=as_datetime(run.time[-1])),
        decisions=tuple(desk.decisions),
        realised=dict(desk.realised),
        scorecards=desk.scorecards,
        findings=tuple(jobs.findings) if jobs else (),
        jobs=_records_of(jobs, desk),
        manifest=manifest_of(request, run, digest.hexdigest()),
        seconds=stopwatch.monotonic_s() - started_s,
    )


def _records_of(jobs: ArrayJobs | None, desk: ArrayDesk) -> JobRecords:
    return JobRecords(
        runs=jobs.runs if jobs else (),
        scorecards=tuple(jobs.scorecards) if jobs and jobs.scorecards else desk.scorecards,
        lives=tuple(desk.lives),
        beliefs={kind: replace(kept, at_hand=None) for kind, kept in desk.beliefs.items()},
    )


def past_of(history: History, request: ReplayRequest, signal_source: SignalSource | None = None) -> KeptBeliefs:
    """What a replay of all bars before `history` teaches about its agents, by whole days; nothing where there are none.

    The desk that begins with it decides first on the history's first bar: none of its own time is looked at.
    """
    first, chosen = history.first_bar(), request.settings.agents
    names = agent_names(chosen.enabled, chosen.own, chosen.shadow)
    days = AgentDayTable(names).days(np.datetime64(first.date()))
    bars = history.source.window(until=first - INSTANT, count=10**9)
    if len(bars.time):
        days = replay_history(history_of(bars), replace(request, tuning=False), signal_source=signal_source).days
    # an agent is believed relative to the others: one in shadow must not be among them
    days = days_before(days.of_agents([n for n in names if n not in chosen.shadow]), np.datetime64(first.date()))
    tuning = tuning_of(request.settings)
    return past_beliefs(days, days_per_year=tuning.days_per_year, trust=tuning.history_trust)


def jobs_of(request: ReplayRequest, desk: ArrayDesk) -> ArrayJobs:
    """The scheduled jobs, on arrays."""
    settings = request.settings
    tuning = replace(tuning_of(settings), solver="direct")
    return ArrayJobs(replayed_jobs(request), desk, thresholds_of(settings), tuning, request.all_scorecards)


def replayed_jobs(request: ReplayRequest) -> tuple[ScheduledJob, ...]:
    """The jobs that a replay runs: not the parity check, for it is a replay itself."""
    scheduled = scheduled_jobs(request.settings, paced_by=request.every)
    jobs = tuple(job for job in scheduled if job.name != "parity_check")
    if request.optimizer_only:
        return tuple(job for job in jobs if job.name == "weight_optimizer")
    if request.report_every is not None and request.every is None:
        return tuple(replace(job, every=request.report_every) if job.name == "project_manager" else job for job in jobs)
    return jobs


def asking(panel: AgentPanel, shadow: Sequence[str] = ()) -> SignalSource:
    """The signals of live agents; DataError where one fails: a replay without it would answer another question. One in
    `shadow` that fails says nothing, as live: nothing is decided by what it says."""

    def ask(bars: Bars) -> list[Signals]:
        signals, log = panel.ask(panel_of(bars), as_datetime(bars.time[-1]), action="replay", worded=False)
        for entry in log:
            if not entry.ok and entry.agent_name not in shadow:
                raise DataError(f"{entry.agent_name} failed in the replay: {entry.detail}")
            if not entry.ok:
                what = "an agent in shadow failed in the replay, and says nothing in it"
                log_event(logger, what, level=logging.WARNING, agent=entry.agent_name, problem=entry.detail)
        return signals

    return ask
