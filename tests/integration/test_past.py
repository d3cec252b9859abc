"""A past to begin with: a live desk on real tables replays the bars before its first decision, once, and its weights
begin with what that taught; a replay that begins at the same bar decides the same, to the bit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.reader import DeskReader
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import INSTANT, SimulatedClock, SystemClock
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.core.weight_sets import StandIn
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.weights_in_force import DeskWeights
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import SimulatedTime, Timeline
from agents.wiring import desk as app
from agents.wiring.daemon import paper_broker
from agents.wiring.desk_record import desk_journal
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.meta import MetaPlane
from agents.wiring.replay import past_of, replay_history, silent
from agents.wiring.weights import desk_weights
from tests.market import batch_of, decide_on, make_bars
from tests.simulated_jobs import jobs_on_tables

PACE = 72.0
BARS = make_bars(330, 3, 5)
FIRST, LAST = 280, 325
"""The bars from here to here are decided on; those before are the past."""
BEGIN = as_datetime(BARS.time[FIRST])
SETTINGS = Settings(
    desk={"name": "demo"},
    data={"clock": "bars"},
    tuning={"history_trust": 0.9},
    meta={"analyzer_hours": PACE, "optimizer_hours": PACE, "report_hours": PACE},
)


@pytest.fixture
def plane(connections):
    clock = SimulatedClock(as_datetime(BARS.time[FIRST - 1]))
    made = MetaPlane(SETTINGS, connections, clock, with_pictures=False, every=timedelta(hours=PACE))
    yield made
    made.jobs.release()
    made.cache.close()


def trade(plane, connections) -> None:
    """A live desk, bar by bar, with the live plane's own jobs wherever they fall due."""
    store, journal = BarsStore(connections.trader), PostgresJournal(connections.trader)
    store.put(BARS, "test")
    agents = app.agents_of(SETTINGS, SystemClock())
    weights = DeskWeights(
        agents.names, PostgresWeightStore(connections.trader), MemoryWeightCache(), StandIn({}, 0.05), 0.0
    )
    journal.hold_desk()
    try:
        desk = Orchestrator(app.plan_of(SETTINGS, BARS.symbols), agents, weights, journal)
        broker = paper_broker(desk, journal)
        desk.recover(broker, BARS.rows(0, FIRST), as_datetime(BARS.time[FIRST - 1]))
        time = Timeline(SimulatedTime(plane.clock, jobs_on_tables(plane, plane.clock)), BEGIN - INSTANT)
        for t, _ in time.segments(BARS.time[:LAST], FIRST, longest=1):
            at = as_datetime(BARS.time[t])
            decide_on(desk, broker, store.window(until=at, count=desk.bars_needed), at)
    finally:
        journal.release()


def recorded(plane, connections) -> None:
    """A desk whose journal is written by the very step of a replay, with the live plane's jobs on its tables between."""
    store = BarsStore(connections.trader)
    store.put(BARS, "test")
    agents = app.agents_of(SETTINGS, SystemClock())
    weights = desk_weights(SETTINGS, connections, agents)
    with desk_journal(connections) as journal:
        desk = RecordedDesk(app.plan_of(SETTINGS, BARS.symbols), agents, weights.current, journal)
        time = SimulatedTime(plane.clock, jobs_on_tables(plane, plane.clock))
        record_history(store.after(None, limit=LAST), desk, time, silent, memory=FIRST)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["live", "recorded"])
def test_a_desk_begins_with_its_past_and_its_replay_decides_the_same(plane, connections, owner, how):
    (trade if how == "live" else recorded)(plane, connections)
    request = ReplayRequest(settings=SETTINGS)
    history = history_of(BARS, BEGIN, as_datetime(BARS.time[LAST - 1]))

    # What the bars before the first decision teach: computed from the tables, the very bits that a replay computes.
    kept, past = plane.store.kept_beliefs("past"), past_of(history, request)
    assert kept is not None, "a desk replays its past before its first decision about weights"
    assert (kept.digest, kept.days, kept.agents) == (past.digest, past.days, past.agents)
    assert kept.days > 200
    for name, values in past.arrays.items():
        np.testing.assert_array_equal(kept.arrays[name], values, err_msg=name)

    # The decisions: the same beliefs and weights, from the first one on, which already has an opinion.
    replayed = replay_history(history, request)
    rows = DeskReader(owner).rows("SELECT * FROM weight_history ORDER BY version")
    assert len(rows) == len(replayed.decisions) > 10
    for row, decision in zip(rows, replayed.decisions, strict=True):
        assert (row["decided_for"], row["status"]) == (decision.decided_for, decision.status)
        assert row["evidence"]["beliefs"] == decision.evidence["beliefs"]
        assert row["evidence"]["from_replay"] == decision.evidence["from_replay"]
        assert row["agent_weights"] == {name: float(w) for name, w in decision.weights.items()}
        # Live agents see a window of bars: their opinions may differ by 1e-9, and so do the last bits of their books.
        assert how == "live" or row["inputs_hash"] == decision.inputs_hash
    assert "apply" in {row["status"] for row in rows}, "weights must have moved on the way"
    told = [row["evidence"] for row in rows]
    assert told[0]["from_replay"] > 0.9 and told[0]["periods"] > 200
    assert max(abs(one["mean"]) for one in told[0]["beliefs"].values()) > 0.01
    shares = [one["from_replay"] for one in told]
    assert shares == sorted(shares, reverse=True) and shares[-1] < shares[0], "live days outweigh it by and by"

    # Without it the desk would have decided otherwise: what is compared here depends on it.
    alone = replay_history(history, ReplayRequest(settings=without_past()))
    assert [d.inputs_hash for d in alone.decisions] != [d.inputs_hash for d in replayed.decisions]
    assert alone.decisions[0].evidence["from_replay"] == 0.0

    # And the nightly check, which computes the decisions again from what is kept, finds nothing.
    found = plane.run_job("parity_check", as_datetime(BARS.time[LAST]))
    assert (found["decisions"], found["examples"]) == (LAST - FIRST, [])


@pytest.mark.slow
def test_the_past_is_computed_once_and_as_it_was_known_then(plane, connections):
    """A bar of the past that is corrected later changes nothing of what the desk began with; what a filter of another
    shape kept is computed anew."""
    recorded(plane, connections)
    before = plane.store.kept_beliefs("past")
    damaged = replace(before, digest="old", arrays={k: v for k, v in before.arrays.items() if k != "doubt"})
    plane.store.keep_beliefs("past", damaged, as_datetime(BARS.time[LAST]))
    plane.run_job("weight_optimizer", as_datetime(BARS.time[LAST]))
    assert plane.store.kept_beliefs("past").digest == before.digest
    with connections.owner.begin() as connection:
        connection.exec_driver_sql("DELETE FROM beliefs WHERE kind = 'past'")
    corrected = changed(BARS.rows(FIRST - 40, FIRST), 1.3)
    BarsStore(connections.trader).load(batch_of(corrected))
    plane.run_job("weight_optimizer", as_datetime(BARS.time[LAST]))
    assert plane.store.kept_beliefs("past").digest == before.digest


def without_past() -> Settings:
    return SETTINGS.model_copy(update={"tuning": SETTINGS.tuning.model_copy(update={"history_trust": 0.0})})


def changed(bars, factor):
    return replace(bars, **{name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")})
