"""A finished replay on record: in a database of its own with all views, and as a setting that was tried."""

from __future__ import annotations

import bisect
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

import numpy as np
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from agents.adapters.database.agent_books import AgentBookStore
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import normalise_url
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.meta_store import MetaStore
from agents.adapters.database.trials_store import TrialOutcome, TrialsStore, TriedHistory
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.books import LIVE
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.errors import UsageError
from agents.core.life_types import LifeChange
from agents.core.meta_types import IN_FORCE, WeightDecision
from agents.core.replay_types import Replayed
from agents.core.settings import Settings, with_changes
from agents.core.types import Bars, WeightSet, as_datetime
from agents.core.weight_sets import StandIn, published_set
from agents.orchestrator.weights_in_force import DeskWeights
from agents.quant.measures import daily_of
from agents.quant.returns import sharpe_ratio
from agents.replay.parity import books_beside
from agents.replay.record import SEGMENT_BARS, RecordedDesk, record_history
from agents.replay.timeline import Progress, SimulatedTime
from agents.trading.guard import AgentPanel
from agents.tuning.value_added import value_added
from agents.wiring.connections import Connections, Say, connect, embedded_name, ensure_database
from agents.wiring.desk import agents_of, plan_of, stand_in_of
from agents.wiring.desk_record import desk_journal
from agents.wiring.history import History, ReplayRequest, rows_of
from agents.wiring.meta import MetaPlane
from agents.wiring.replay import lead_of

REPLAY_DESK = "replay"


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


class ReplayToRecord(Protocol):
    """A replay that has ended, or that goes on while it is recorded: what it decided so far, of no time in part."""

    decisions: Sequence[WeightDecision]
    lives: Sequence[LifeChange]

    def more(self) -> bool:
        """Wait until more is decided; False where the replay has ended."""
        ...

    def result(self) -> Replayed:
        """All that it leaves; waits for its end."""
        ...


class FinishedReplay:
    """A replay that has ended."""

    def __init__(self, replayed: Replayed) -> None:
        self.decisions: Sequence[WeightDecision] = replayed.decisions
        self.lives: Sequence[LifeChange] = replayed.jobs.lives
        self._replayed = replayed

    def more(self) -> bool:
        """No."""
        return False

    def result(self) -> Replayed:
        """All that it leaves."""
        return self._replayed


class RecordedDecisions:
    """A replay's decisions about weights, by their times: which were in force, whatever is on record by now; and their
    publishing before the bars that they are for."""

    def __init__(self, replay: ReplayToRecord, store: MetaStore, agents: Sequence[str], stand_in: StandIn) -> None:
        self._replay = replay
        self._store = store
        self._published = store.decisions_on_record()
        self._until: datetime | None = None
        self._seen = 0
        self._newest: WeightSet | None = None
        self._copy = MemoryWeightCache()
        self._in_force = DeskWeights(agents, self, self._copy, stand_in, 0.0)

    def next_due(self, after: datetime) -> datetime:
        """The next decision that changes the weights in force; waits until it is made, or known to be none."""
        ended = False
        while True:
            known = self._replay.decisions
            for decision in known[bisect.bisect_right(known, after, key=lambda d: d.at) :]:
                if decision.status in IN_FORCE:
                    return decision.at
            if ended:
                return datetime.max.replace(tzinfo=UTC)
            ended = not self._replay.more()  # whose last decisions come with its end

    def run(self, at: datetime) -> None:
        """Every decision up to `at` is due to be published."""
        self._until = at

    def publish(self) -> None:
        """Publish what is due, each decision with the agents' changes of state that it brought."""
        known = self._replay.decisions
        until = 0 if self._until is None else bisect.bisect_right(known, self._until, key=lambda d: d.at)
        new = known[self._published : until]
        if new:
            self._store.publish_all((d, [life for life in self._replay.lives if life.at == d.at]) for d in new)
            self._published = until

    def weights_at(self, at: datetime) -> WeightSet:
        """The weights in force for the bar at `at`, as a desk trading then would read them; `at` never goes back."""
        known = self._replay.decisions
        before = bisect.bisect_left(known, at, key=lambda d: d.at)
        for version in range(self._seen + 1, before + 1):
            if known[version - 1].status in IN_FORCE:
                newest = published_set(known[version - 1], version)
                weights = {name: Decimal(str(float(weight))) for name, weight in newest.weights.items()}
                self._newest = replace(newest, weights=weights)  # as the database gives them back
                self._copy.write(self._newest)
        self._seen = before
        return self._in_force.current(at)

    def newest(self) -> WeightSet | None:
        """The newest published set at the time that was asked for last."""
        return self._newest


class Notices(NamedTuple):
    """How a person is kept informed meanwhile."""

    say: Say
    progress: Progress


def persist(
    place: str, history: History, request: ReplayRequest, replayed: Replayed, notices: Notices
) -> tuple[int, str]:
    """Record a finished replay in a database of its own, so that all views work as on a live desk.

    `place` is a URL, or a name for one beside the desk's; it is made where it is missing. Returns the number of
    decisions and a psql command. UsageError where that database is the desk's, or holds anything already.
    """
    settings, name = _settings_at(place, with_changes(request.settings, {"desk.name": REPLAY_DESK}))
    connections = connect(settings, demo=False, say=notices.say, database=name)
    try:
        with desk_journal(connections) as journal:
            if journal.last() is not None or BarsStore(connections.trader).symbols():
                raise UsageError(
                    f"the database {connections.owner.url.database!r} holds bars or decisions already; name a new one"
                )
            request = replace(request, settings=settings)
            decisions = _record(connections, journal, history, (request, replayed), notices.progress)
        return decisions, shlex.join(connections.psql)
    finally:
        connections.close()


def _settings_at(place: str, settings: Settings) -> tuple[Settings, str]:
    """Settings whose desk is in the database `place`, which is made where it is missing, and its name."""
    own = settings.database_url
    desk = make_url(normalise_url(own.get_secret_value())) if own is not None else None
    url = make_url(normalise_url(place)) if "://" in place else desk.set(database=place) if desk is not None else None
    if place in (embedded_name(settings, False), embedded_name(settings, True)) if url is None else url == desk:
        raise UsageError("--persist names the desk's own database; a replay needs one of its own")
    if url is None:
        return settings, place
    secret = url.render_as_string(hide_password=False)
    ensure_database(secret)
    return settings.model_copy(update={"database_url": SecretStr(secret)}), str(url.database)


def _record(
    connections: Connections,
    journal: PostgresJournal,
    history: History,
    replay: tuple[ReplayRequest, Replayed],
    progress: Progress,
) -> int:
    """Bars, decisions, weights, scorecards and a report; the number of decisions."""
    request, replayed = replay
    settings = request.settings
    agents = agents_of(settings, SystemClock())
    whole, low, high = rows_of(history)
    memory = min(low, lead_of(settings, agents.bars_needed))
    bars = whole.rows(low - memory, high)
    BarsStore(connections.trader).put(bars, "replay")
    end, clock = as_datetime(bars.time[-1]), SimulatedClock(as_datetime(bars.time[memory]))
    plane = MetaPlane(
        settings, connections, clock, with_pictures=False, every=request.report_every, cache_in_memory=True
    )
    recorded = record_replayed(FinishedReplay(replayed), plane, (agents, journal), (bars, memory), (clock, progress))
    plane.run_job("project_manager", end)
    count_trial(TrialsStore(connections.meta), replayed)  # its manifest lies beside it
    return recorded


def record_replayed(
    replay: ReplayToRecord,
    plane: MetaPlane,
    desk: tuple[AgentPanel, PostgresJournal],
    bars: tuple[Bars, int],
    time: tuple[SimulatedClock, Progress],
) -> int:
    """Put a replay on a desk's record, from where that ends: decisions in bulk, with the weights that its jobs decided
    on, as they come, then all else that they wrote. The first rows of the bars, so many, are only remembered.

    Returns how many decisions were recorded. Killed and called again with the same replay, it comes to the same rows.
    """
    (agents, journal), (whole, memory), (clock, progress) = desk, bars, time
    end, plan = as_datetime(whole.time[-1]), plan_of(plane.settings, whole.symbols)
    decisions = RecordedDecisions(replay, plane.store, agents.names, stand_in_of(plane.settings))
    recording = RecordedDesk(plan, agents, decisions.weights_at, journal, SEGMENT_BARS, decisions.publish)
    recorded = record_history(whole, recording, SimulatedTime(clock, decisions), progress, memory)
    replayed = replay.result()
    decisions.run(end)
    decisions.publish()
    plane.store.score_changes(replayed.realised, end)
    for kind, beliefs in replayed.jobs.beliefs.items():
        plane.store.keep_beliefs(kind, beliefs, end)
    plane.store.record_scorecards(replayed.jobs.scorecards)
    plane.jobs.record(replayed.jobs.runs)
    run, books = replayed.run, AgentBookStore(plane.engine)
    if run.beside.shape[1]:
        books.keep_days(books_beside(run.time, run.agents, run.beside, run.weights))
        books.keep_figures(value_added(books.days()))
    plane.run_job("performance_analyzer", end)
    return recorded
