"""The composition root of replays: settings and a history -> books, decisions, scorecards; nothing is written to the desk."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from agents import app
from agents.adapters.memory import MemoryBars
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.errors import DataError
from agents.core.ports import BarSource
from agents.core.settings import INTERVALS_S, Settings, plain_settings
from agents.core.tuning import JobPlan, Scorecard, WeightDecision
from agents.core.types import Bars, Signals, as_datetime
from agents.meta.meta_orchestrator import JOBS
from agents.meta.performance_analyzer import SEED as ANALYZER_SEED
from agents.meta.performance_analyzer import PerformanceAnalyzerAgent
from agents.meta.replayed_jobs import Finding, ReplayedJobs
from agents.meta.weight_optimizer import SEED as OPTIMIZER_SEED
from agents.meta.weight_optimizer import Tuning, WeightOptimizerAgent
from agents.meta_app import plans_of, thresholds_of, tuning_of
from agents.pipeline.market import panel_of
from agents.quant.compiled import sources_digest
from agents.replay.agent_days import DayBook
from agents.replay.array_desk import ArrayDesk
from agents.replay.replay import Progress
from agents.replay.simulate import Observer, Run, Segmented, Voices, chunks_of, simulate

CHUNK_CELLS = 500_000
"""Symbol-bars of one chunk, so that results and signals of it stay well below a gigabyte."""
LEAD_DAYS = 3.0
LIBRARIES = ("numpy", "numba", "scipy", "cvxpy", "daqp", "pandas")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is replayed: the desk's settings, whether weights are tuned, the pace of the report job (None: the settings'), and how many
    settings were tried on this history before."""

    settings: Settings
    tuning: bool = True
    report_every: timedelta | None = timedelta(days=7)
    trials: int = 0
    progress: Progress = field(default=lambda _done, _total, _at, _equity: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Everything that a replay leaves: the books, every decision about weights with what it later brought, the last scorecards,
    what the report's rules found, and what it was computed from."""

    run: Run
    decisions: tuple[WeightDecision, ...]
    realised: dict[int, float | None]
    scorecards: tuple[Scorecard, ...]
    findings: tuple[Finding, ...]
    manifest: dict[str, Any]
    seconds: float


def lead_of(settings: Settings, bars_needed: int) -> int:
    """Rows of history that a chunk needs before its first new one."""
    per_day = max(1, round(86400 / INTERVALS_S[settings.data.interval]))
    windows = (bars_needed, settings.combine.volatility_window_bars + 1, round(LEAD_DAYS * per_day))
    return max(windows)


def replay_bars(source: BarSource, symbols: tuple[str, ...], total_bars: int, plan: Plan, *, observers: Sequence[Observer] = (),
                voices: Voices | None = None, until: datetime | None = None) -> Replayed:  # fmt: skip
    """Replay a history under `plan.settings`. `voices` None asks the settings' agents; else these are the signals."""
    settings, stopwatch = plan.settings, SystemClock()
    started_s = stopwatch.monotonic_s()
    panel = app.agents_of(settings, SystemClock())
    names = panel.names

    def ask(bars: Bars) -> list[Signals]:
        signals, log = panel.ask(panel_of(bars), as_datetime(bars.time[-1]), action="replay")
        for entry in log:
            if not entry.ok:
                raise DataError(f"{entry.agent_name} failed in the replay: {entry.detail}")
        return signals

    first = source.after(None, limit=1)
    if not len(first.time):
        raise DataError("there are no bars to replay")
    start = as_datetime(first.time[0])
    lead = lead_of(settings, panel.bars_needed)
    clock, days = SimulatedClock(start), DayBook(names)
    desk = ArrayDesk(names, settings.agents.static_weights, days, clock, trials=plan.trials)
    jobs = jobs_of(plan, desk, clock) if plan.tuning else None
    digest = DataDigest()
    run = simulate(
        chunks_of(source, lead, max(lead, CHUNK_CELLS // len(symbols)), until), app.plan_of(settings, symbols), names, voices or ask,
        desk.weights_in_force, clock, plan.progress, total_bars=total_bars, days=days, interludes=jobs, observers=[digest, *observers],
    )  # fmt: skip
    if jobs is not None:
        jobs.finish(as_datetime(run.time[-1]))
    return Replayed(
        run=run, decisions=tuple(desk.decisions), realised=dict(desk.realised), scorecards=desk.scorecards,
        findings=tuple(jobs.findings) if jobs else (), manifest=manifest_of(plan, run, digest.hexdigest()),
        seconds=stopwatch.monotonic_s() - started_s,
    )  # fmt: skip


def jobs_of(plan: Plan, desk: ArrayDesk, clock: SimulatedClock) -> ReplayedJobs:
    """The meta plane's jobs between bars, on arrays."""
    settings = plan.settings
    tuning: Tuning = replace(tuning_of(settings), solver="direct")
    plans: tuple[JobPlan, ...] = plans_of(settings)
    if plan.report_every is not None:
        plans = tuple(replace(p, every=plan.report_every) if p.name == JOBS[2] else p for p in plans)
    analyzer = PerformanceAnalyzerAgent(desk, thresholds_of(settings))
    return ReplayedJobs(plans, analyzer, WeightOptimizerAgent(desk, tuning), desk, clock)


class DataDigest:
    """A digest of all bars that a replay saw, the same however they were cut into chunks."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def __call__(self, chunk: Segmented) -> None:
        bars = chunk.bars
        grids = {
            name: getattr(bars, name)
            for name in ("open", "high", "low", "close", "volume", "adjustment", "split", "dividend")
        }
        for name, grid in {"time": bars.time, "opened": bars.opened, **grids, **bars.exogenous}.items():
            self._parts.setdefault(name, hashlib.sha256()).update(np.ascontiguousarray(grid[chunk.first :]))
        self._parts.setdefault("symbols", hashlib.sha256("|".join(bars.symbols).encode()))

    def hexdigest(self) -> str:
        whole = hashlib.sha256()
        for name in sorted(self._parts):
            whole.update(f"{name}={self._parts[name].hexdigest()};".encode())
        return whole.hexdigest()[:32]


def manifest_of(plan: Plan, run: Run, data: str) -> dict[str, Any]:
    """What the result was computed from: the same manifest means the same bytes."""
    return {
        "quorum": package_version("quorum-desk") if _installed("quorum-desk") else "source",
        "code": sources_digest(),
        "python": platform.python_version(),
        "libraries": {name: package_version(name) for name in LIBRARIES if _installed(name)},
        "data_sha256": data,
        "first_bar": f"{run.time[0]}Z",
        "last_bar": f"{run.time[-1]}Z",
        "bars": len(run.time),
        "symbols": list(run.symbols),
        "agents": list(run.agents),
        "tuned": plan.tuning,
        "trials_before": plan.trials,
        "seeds": {"performance_analyzer": ANALYZER_SEED, "weight_optimizer": OPTIMIZER_SEED},
        "settings": plain_settings(plan.settings),
    }


def _installed(name: str) -> bool:
    try:
        package_version(name)
    except ModuleNotFoundError:
        return False
    return True


# ---------------------------------------------------------------- histories


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Where bars come from, and the settings that fit them."""

    source: BarSource
    symbols: tuple[str, ...]
    total_bars: int
    settings: Settings


def between(bars: Bars, start: datetime | None, end: datetime | None) -> Bars:
    """The bars with a close from `start` to before or at `end`."""
    from agents.core.types import as_stamp

    low = 0 if start is None else int(np.searchsorted(bars.time, as_stamp(start), side="left"))
    high = len(bars.time) if end is None else int(np.searchsorted(bars.time, as_stamp(end), side="right"))
    if low >= high:
        raise DataError(
            f"no bars between {start or 'the first'} and {end or 'the last'}; there are bars from {bars.time[0]}Z to {bars.time[-1]}Z"
        )
    return bars.rows(low, high)


def history_of(bars: Bars, settings: Settings) -> History:
    """Bars in memory as a history."""
    return History(source=MemoryBars(bars), symbols=bars.symbols, total_bars=len(bars.time), settings=settings)


def now_utc() -> datetime:
    """The present moment."""
    return SystemClock().now().astimezone(UTC)


Say = Callable[[str], None]
PathLike = Path
