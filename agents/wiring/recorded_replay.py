"""A finished replay on record: in a database of its own with all views, and as a setting that was tried."""

from __future__ import annotations

import bisect
import hashlib
import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from agents.adapters.database.agent_books import AgentBookStore
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import normalise_url
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.meta_store import MetaStore
from agents.adapters.database.trials_store import TrialOutcome, TrialsStore, TriedHistory
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.core.books import LIVE
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.errors import UsageError
from agents.core.meta_types import IN_FORCE
from agents.core.replay_types import Replayed
from agents.core.settings import Settings, with_changes
from agents.core.types import Bars, as_datetime
from agents.orchestrator.weights_in_force import DeskWeights
from agents.quant.measures import daily_of
from agents.quant.returns import sharpe_ratio
from agents.replay.parity import books_beside
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import Progress, SimulatedTime
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


class RecordedDecisions:
    """Decisions about weights that are known already: each is published before the bars it is for."""

    def __init__(self, replayed: Replayed, store: MetaStore) -> None:
        self._decisions = replayed.decisions
        self._lives = replayed.jobs.lives
        self._store = store
        self._published = store.decisions_on_record()
        self._changes = [d for d in self._decisions if d.status in IN_FORCE]

    def next_due(self, after: datetime) -> datetime:
        """The next decision that changes the weights in force."""
        place = bisect.bisect_right(self._changes, after, key=lambda d: d.at)
        return self._changes[place].at if place < len(self._changes) else datetime.max.replace(tzinfo=UTC)

    def run(self, at: datetime) -> None:
        """Publish every decision up to `at`, each with the agents' changes of state that it brought."""
        until = bisect.bisect_right(self._decisions, at, key=lambda d: d.at)
        new = self._decisions[self._published : until]
        if new:
            self._store.publish_all((d, [life for life in self._lives if life.at == d.at]) for d in new)
            self._published = until


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
    store = PostgresWeightStore(connections.trader)
    weights = DeskWeights(agents.names, store, plane.cache, stand_in_of(settings), 0.0)
    desk = RecordedDesk(plan_of(settings, bars.symbols), agents, weights.current, journal)
    recorded = record_replayed(replayed, plane, desk, (bars, memory), (clock, progress))
    plane.run_job("project_manager", end)
    count_trial(TrialsStore(connections.meta), replayed)  # its manifest lies beside it
    return recorded


def record_replayed(
    replayed: Replayed,
    plane: MetaPlane,
    desk: RecordedDesk,
    bars: tuple[Bars, int],
    time: tuple[SimulatedClock, Progress],
) -> int:
    """Put a finished replay on a desk's record, from where that ends: decisions in bulk, with the weights that its jobs
    decided on, then all else that they wrote. The first rows of the bars, so many, are only remembered.

    Returns how many decisions were recorded. Killed and called again with the same replay, it comes to the same rows.
    """
    (whole, memory), (clock, progress) = bars, time
    end, decisions = as_datetime(whole.time[-1]), RecordedDecisions(replayed, plane.store)
    recorded = record_history(whole, desk, SimulatedTime(clock, decisions), progress, memory)
    decisions.run(end)
    for version, value in sorted(replayed.realised.items()):
        plane.store.score_change(version, value, end)
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
