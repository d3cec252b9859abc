"""The composition root of replays: settings and a history -> books, decisions, scorecards; nothing is written to the desk."""

from __future__ import annotations

import bisect
import hashlib
import json
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.desk_history import DeskHistory
from agents.adapters.database.engine import normalise_url
from agents.adapters.database.meta_store import MetaStore
from agents.adapters.database.trials_store import TrialOutcome, TrialsStore, TriedHistory
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.adapters.twins.in_memory import MemoryBars
from agents.core.allocator import share_one_arena
from agents.core.books import LIVE
from agents.core.clock import INSTANT, SimulatedClock, SystemClock
from agents.core.errors import DataError, UsageError
from agents.core.meta_types import IN_FORCE, JobPlan, WeightDecision
from agents.core.ports import BarSource
from agents.core.replay_types import Replayed, Run
from agents.core.settings import INTERVALS_S, Settings, plain_settings, with_changes
from agents.core.types import Bars, Floats, Signals, Times, as_datetime, as_stamp
from agents.orchestrator.weights_in_force import DeskWeights
from agents.pipeline.market import panel_of
from agents.quant.measures import daily_of
from agents.quant.returns import sharpe_ratio
from agents.replay.agent_days import DayBook
from agents.replay.array_desk import ArrayDesk
from agents.replay.record import Progress
from agents.replay.record import replay as record_replay
from agents.replay.simulate import ChunkResult, Observer, SignalSource, chunks_of, simulate
from agents.trading.guard import AgentPanel
from agents.tuning.scorecards import SEED as ANALYZER_SEED
from agents.tuning.weight_decision import SEED as OPTIMIZER_SEED
from agents.wiring import desk as app
from agents.wiring.connections import DEMO_DATABASE, DESK_DATABASE, Say, connect, ensure_database
from agents.wiring.desk_record import desk_journal
from agents.wiring.job_settings import plans_of, thresholds_of, tuning_of
from agents.wiring.jobs_between_bars import JobsBetweenBars
from agents.wiring.meta import MetaPlane
from agents.wiring.replay_jobs import ArrayJobs

CHUNK_CELLS, LEAST_ROWS = 150_000, 1000
"""Symbol-bars of one chunk, so that results and signals of it stay well below a gigabyte."""
LEAD_DAYS = 2.01
"""The newest two days are summed again with what follows."""
REPLAY_DESK = "replay"
LIBRARIES = ("numpy", "numba", "scipy", "cvxpy", "daqp", "pandas")


def silent(_done: int, _total: int, _at: datetime, _equity: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Bars to replay, from `start` to `end` (None: all); `total_bars` is their number, for progress."""

    source: BarSource
    symbols: tuple[str, ...]
    total_bars: int
    start: datetime | None = None
    end: datetime | None = None

    def first_bar(self) -> datetime:
        """Time of the first bar to decide on; DataError where there is none."""
        after = None if self.start is None else self.start - INSTANT
        first = self.source.after(after, limit=1)
        found = as_datetime(first.time[0]) if len(first.time) else None
        if found is None or (self.end is not None and found > self.end):
            raise DataError(f"no bars from {self.start or 'the first'} to {self.end or 'the last'}")
        return found


def _span_of(time: Times, start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """The rows from `start` to `end`, as (first, row after the last)."""
    low = 0 if start is None else int(np.searchsorted(time, as_stamp(start), side="left"))
    return low, len(time) if end is None else int(np.searchsorted(time, as_stamp(end), side="right"))


def history_of(bars: Bars, start: datetime | None = None, end: datetime | None = None) -> History:
    """Bars in memory as a history."""
    low, high = _span_of(bars.time, start, end)
    if low >= high:
        raise DataError(
            f"no bars from {start or 'the first'} to {end or 'the last'}; there are some from {bars.time[0]}Z to {bars.time[-1]}Z"
        )
    return History(source=MemoryBars(bars), symbols=bars.symbols, total_bars=high - low, start=start, end=end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is asked of history: the desk's settings, whether weights are tuned, the pace of the report job (None: the settings'), and
    how many settings were tried on this history before."""

    settings: Settings
    tuning: bool = True
    report_every: timedelta | None = timedelta(days=7)
    trials: int = 0
    optimizer_only: bool = False
    """Leave out the jobs that decide nothing: for searches, which read only the books."""


def lead_of(settings: Settings, bars_needed: int) -> int:
    """Rows of history that a chunk needs before its first new one: the agents' memory behind that of their scale, as live."""
    per_day = max(1, round(86400 / INTERVALS_S[settings.data.interval]))
    windows = (
        bars_needed + settings.combine.scale_window_bars,
        settings.combine.volatility_window_bars + 1,
        round(LEAD_DAYS * per_day),
    )
    return max(windows)


def replay_history(
    history: History,
    plan: Plan,
    *,
    observers: Sequence[Observer] = (),
    signal_source: SignalSource | None = None,
    progress: Progress = silent,
) -> Replayed:
    """Replay `history` under `plan.settings`; history before its start is memory for the agents. `signal_source` None asks the settings'
    agents; else these are the signals. DataError where there are no bars, or an agent fails."""
    share_one_arena()
    settings, stopwatch = plan.settings, SystemClock()
    started_s = stopwatch.monotonic_s()
    panel = app.agents_of(settings, SystemClock())
    names = panel.names
    first = history.first_bar()
    lead = lead_of(settings, panel.bars_needed)
    clock, days = SimulatedClock(first), DayBook(names)
    desk = ArrayDesk(names, settings.agents.static_weights, days, clock, trials=plan.trials)
    jobs = jobs_of(plan, desk) if plan.tuning else None
    digest = DataDigest()
    size = max(LEAST_ROWS, CHUNK_CELLS // len(history.symbols))
    run = simulate(
        chunks_of(history.source, lead, size, history.start, history.end),
        app.plan_of(settings, history.symbols),
        names,
        signal_source or asking(panel),
        desk.weights_in_force,
        clock,
        progress,
        total_bars=history.total_bars,
        memory=panel.bars_needed,
        days=days,
        interludes=JobsBetweenBars(job_plans_of(plan), jobs.run) if jobs is not None else None,
        observers=[digest, *observers],
    )
    desk.refresh_days()
    if jobs is not None and not plan.optimizer_only:
        jobs.finish(as_datetime(run.time[-1]))
    return Replayed(
        run=run,
        days=desk.agent_days(until=as_datetime(run.time[-1])),
        decisions=tuple(desk.decisions),
        realised=dict(desk.realised),
        scorecards=desk.scorecards,
        findings=tuple(jobs.findings) if jobs else (),
        manifest=manifest_of(plan, run, digest.hexdigest()),
        seconds=stopwatch.monotonic_s() - started_s,
    )


def asking(panel: AgentPanel) -> SignalSource:
    """The signals of live agents; DataError where one fails: a replay without it would answer another question."""

    def ask(bars: Bars) -> list[Signals]:
        signals, log = panel.ask(panel_of(bars), as_datetime(bars.time[-1]), action="replay")
        for entry in log:
            if not entry.ok:
                raise DataError(f"{entry.agent_name} failed in the replay: {entry.detail}")
        return signals

    return ask


def jobs_of(plan: Plan, desk: ArrayDesk) -> ArrayJobs:
    """The scheduled jobs, on arrays."""
    settings = plan.settings
    tuning = replace(tuning_of(settings), solver="direct")
    return ArrayJobs(job_plans_of(plan), desk, thresholds_of(settings), tuning)


def job_plans_of(plan: Plan) -> tuple[JobPlan, ...]:
    """The jobs that a replay runs: not the parity check, for it is a replay itself."""
    plans: tuple[JobPlan, ...] = tuple(p for p in plans_of(plan.settings) if p.name != "parity_check")
    if plan.optimizer_only:
        return tuple(p for p in plans if p.name == "weight_optimizer")
    if plan.report_every is not None:
        return tuple(replace(p, every=plan.report_every) if p.name == "project_manager" else p for p in plans)
    return plans


class DataDigest:
    """A digest of all bars that a replay saw, the same however they were cut into chunks."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def __call__(self, chunk: ChunkResult) -> None:
        self.add(chunk.bars, chunk.first)

    def add(self, bars: Bars, first: int) -> None:
        """Take in the rows from `first` on."""
        grids = {
            name: getattr(bars, name)
            for name in ("open", "high", "low", "close", "volume", "adjustment", "split", "dividend")
        }
        for name, grid in {"time": bars.time, "opened": bars.opened, **grids, **bars.exogenous}.items():
            self._parts.setdefault(name, hashlib.sha256()).update(np.ascontiguousarray(grid[first:]))
        self._parts.setdefault("symbols", hashlib.sha256("|".join(bars.symbols).encode()))

    def hexdigest(self) -> str:
        whole = hashlib.sha256()
        for name in sorted(self._parts):
            whole.update(f"{name}={self._parts[name].hexdigest()};".encode())
        return whole.hexdigest()[:32]


def manifest_of(plan: Plan, run: Run, data: str) -> dict[str, Any]:
    """What the result was computed from: the same manifest means the same bytes."""
    return {
        **versions(),
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


def versions() -> dict[str, Any]:
    """What computes: this program, Python and the libraries whose numbers go into results."""
    return {
        "quorum": package_version("quorum-desk") if _installed("quorum-desk") else "source",
        "code": code_digest(),
        "python": platform.python_version(),
        "libraries": {name: package_version(name) for name in LIBRARIES if _installed(name)},
    }


def code_digest() -> str:
    """A digest of this program's own sources."""
    folder, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _installed(name: str) -> bool:
    try:
        package_version(name)
    except ModuleNotFoundError:
        return False
    return True


# ---------------------------------------------------------------- what the desk has on record


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnHistory:
    """A desk's own past: the bars it decided on, what its agents said then, its first weights, and its equity [T]."""

    history: History
    signal_source: SignalSource
    first_weights: dict[str, float]
    time: Times
    equity: Floats


def own_history(settings: Settings, engine: Engine, start: datetime | None, end: datetime | None) -> OwnHistory:
    """The desk's decisions from `start` to `end`; UsageError where it has made none."""
    desk, agents = DeskHistory(engine), app.agents_of(settings, SystemClock())
    span = desk.span()
    if span is None:
        raise UsageError(
            "this desk has not decided anything yet; replay a folder of bars with --bars, or the demo's history with --demo"
        )
    symbols, names = desk.symbols(), agents.names
    recorded = desk.read(symbols, names, None if start is None else start - INSTANT, span.decisions)
    kept = 0 if recorded is None else _span_of(recorded.time, None, end)[1]
    if recorded is None or kept == 0:
        raise UsageError(
            f"no decisions from {start or 'the first'} to {end or 'the last'}; there are some from {span.first} to {span.last}"
        )
    bars = BarsStore(engine, symbols).after(None, limit=10**9)
    first = recorded.time[0]
    chosen = (bars.time < first) | np.isin(bars.time, recorded.time[:kept])
    bars = bars.where(chosen)

    def signal_source(chunk: Bars) -> list[Signals]:
        memory = int(np.searchsorted(chunk.time, first))
        said = np.searchsorted(recorded.time, chunk.time[memory:])
        before = asking(agents)(chunk.rows(0, memory)) if memory else []
        found = []
        for a in range(len(names)):
            pieces = [(recorded.strength[said, a], recorded.confidence[said, a], recorded.abstained[said, a])]
            if memory:
                pieces.insert(0, (before[a].strength, before[a].confidence, before[a].abstained))
            strength, confidence, abstained = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
            found.append(Signals(strength=strength, confidence=confidence, abstained=abstained))
        return found

    return OwnHistory(
        history=history_of(bars, as_datetime(first), as_datetime(recorded.time[kept - 1])),
        signal_source=signal_source,
        first_weights={name: float(w) for name, w in zip(names, recorded.weights[0], strict=True)},
        time=recorded.time[:kept],
        equity=recorded.equity[:kept],
    )


# ---------------------------------------------------------------- on record


def count_trial(store: TrialsStore, replayed: Replayed) -> None:
    """Put a replay's settings on record as tried on its history, with its manifest and what came out."""
    manifest, daily = replayed.manifest, daily_of(replayed.run)
    returns = daily.returns(LIVE)
    digest = hashlib.sha256(json.dumps([manifest["settings"], manifest["tuned"]], sort_keys=True).encode()).hexdigest()[
        :32
    ]
    first, last = as_datetime(replayed.run.time[0]), as_datetime(replayed.run.time[-1])
    sharpe = sharpe_ratio(returns, daily.per_year)
    result = {
        "objective": sharpe if np.isfinite(sharpe) else None,
        "per_year": daily.per_year,
        "equity": float(replayed.run.equity[-1, LIVE]),
    }
    history = TriedHistory(manifest["data_sha256"], manifest["symbols"], first, last)
    store.record(history, digest, manifest, TrialOutcome(result, returns))


class DecisionsOnRecord:
    """Interludes of a recorded replay whose decisions about weights are known: each is published before the bars it is for."""

    def __init__(self, decisions: Sequence[WeightDecision], store: MetaStore) -> None:
        self._decisions = list(decisions)
        self._store = store
        self._published = 0
        self._changes = [d for d in decisions if d.status in IN_FORCE]

    def next_due(self, after: datetime) -> datetime:
        """The next decision that changes the weights in force."""
        place = bisect.bisect_right(self._changes, after, key=lambda d: d.at)
        return self._changes[place].at if place < len(self._changes) else datetime.max.replace(tzinfo=UTC)

    def run(self, at: datetime) -> None:
        """Publish every decision up to `at`."""
        while self._published < len(self._decisions) and self._decisions[self._published].at <= at:
            self._store.publish(self._decisions[self._published])
            self._published += 1


def persist(
    place: str, history: History, plan: Plan, replayed: Replayed, say: Say, progress: Progress
) -> tuple[int, str]:
    """Record a finished replay in a database of its own, so that all views work as on a live desk. `place` is a URL, or a name for one
    beside the desk's; it is made where it is missing. Returns the number of decisions and a psql command. UsageError where that
    database is the desk's, or holds anything already."""
    settings = with_changes(plan.settings, {"desk.name": REPLAY_DESK})
    own = settings.database_url
    desk = make_url(normalise_url(own.get_secret_value())) if own is not None else None
    url = make_url(normalise_url(place)) if "://" in place else desk.set(database=place) if desk is not None else None
    name = place if url is None else str(url.database)
    if name in (DESK_DATABASE, DEMO_DATABASE) if url is None else url == desk:
        raise UsageError("--persist names the desk's own database; a replay needs one of its own")
    if url is not None:
        secret = url.render_as_string(hide_password=False)
        ensure_database(secret)
        settings = settings.model_copy(update={"database_url": SecretStr(secret)})
    connections = connect(settings, demo=False, say=say, database=name)
    try:
        bars, memory = _with_memory(history, plan)
        store = BarsStore(connections.trader)
        with desk_journal(connections) as journal:
            if journal.last() is not None or store.symbols():
                raise UsageError(
                    f"the database {connections.owner.url.database!r} holds bars or decisions already; name a new one"
                )
            store.put(bars, "replay")
            end = as_datetime(bars.time[-1])
            agents, clock = app.agents_of(settings, SystemClock()), SimulatedClock(as_datetime(bars.time[memory]))
            plane = MetaPlane(
                settings, connections, clock, with_pictures=False, every=plan.report_every, cache_in_memory=True
            )
            weights = DeskWeights(
                agents.names, PostgresWeightStore(connections.trader), plane.cache, settings.agents.static_weights, 0.0
            )
            decisions = DecisionsOnRecord(replayed.decisions, plane.store)
            recorded = record_replay(
                bars,
                app.plan_of(settings, bars.symbols),
                agents,
                weights.current,
                journal,
                clock,
                progress,
                decisions,
                memory,
            )
            decisions.run(end)
            for version, value in sorted(replayed.realised.items()):
                plane.store.score_change(version, value, end)
            for job in ("performance_analyzer", "project_manager"):
                plane.run_job(job, end)
            count_trial(TrialsStore(connections.meta), replayed)  # its manifest lies beside it
        return recorded, shlex.join(connections.psql)
    finally:
        connections.close()


def whole_of(history: History) -> Bars:
    """All bars of a history at once, without what is before its start."""
    bars, low, high = _all_rows(history)
    if low >= high:
        raise DataError(f"no bars from {history.start or 'the first'} to {history.end or 'the last'}")
    return bars.rows(low, high)


def _all_rows(history: History) -> tuple[Bars, int, int]:
    bars = history.source.after(None, limit=10**9)
    return bars, *_span_of(bars.time, history.start, history.end)


def _with_memory(history: History, plan: Plan) -> tuple[Bars, int]:
    """All bars of a history at once, and how many of them lie before its start, for the agents to remember."""
    bars, low, high = _all_rows(history)
    memory = min(low, lead_of(plan.settings, app.agents_of(plan.settings, SystemClock()).bars_needed))
    return bars.rows(low - memory, high), memory
