"""A person's word in its other strengths: reduce, flatten, and the kill file, which needs nothing else to work."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import Engine

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.services.kill_file import KillFile
from agents.core.books import LIVE
from agents.core.orders import KILLED
from agents.core.ports import RiskEvent
from agents.core.types import RiskState, as_datetime
from agents.orchestrator.kill_switch import GuardedBroker, KillWatch
from tests.daemons import HandClock, day, line, moment, running, walk
from tests.integration.test_commands import BARS, Desk, word
from tests.market import batch_of
from tests.program import call

ACTIVE, REDUCING, HALTED = RiskState


@pytest.fixture
def desk(trader: Engine):
    BarsStore(trader, BARS.symbols).load(batch_of(BARS))
    made = Desk(trader)
    yield made
    made.journal.release()


def order(desk: Desk, state: RiskState, *, flatten: bool = False) -> None:
    event = RiskEvent(
        at=desk.clock.now(), before=ACTIVE, after=state, reason="test", actor="person", applied=False, flatten=flatten
    )
    desk.journal.record_risk_event(event)
    desk.between()


def held(desk: Desk) -> list[float]:
    return desk.desk.account().position[LIVE].tolist()


def until_held(desk: Desk) -> None:
    while not all(held(desk)):
        desk.decide()


def test_flatten_closes_every_position_and_stays_halted(desk):
    until_held(desk)
    order(desk, HALTED, flatten=True)
    assert desk.state() == "halted"
    assert desk.reader.health()["risk_state"] == "flattening"
    cycle = desk.decide()
    assert word(cycle) == "halted"
    assert {o.symbol for o in cycle.orders} == set(BARS.symbols)
    assert set(cycle.clamps[0].tolist()) == {128}, "flattened"
    desk.decide()
    assert held(desk) == [0.0, 0.0]
    desk.open()
    for _ in range(5):
        assert not desk.decide().orders, "also after a restart nothing is opened again"
    order(desk, ACTIVE)
    while not any(held(desk)):
        assert word(desk.decide()) == "active"


def test_reduce_scales_down_until_a_resume_and_never_loosens(desk):
    until_held(desk)
    order(desk, REDUCING)
    words = [word(desk.decide()) for _ in range(8)]
    assert set(words) == {"reducing"}, "no rule ends what a person ordered"
    desk.open()
    assert word(desk.decide()) == "reducing"
    order(desk, HALTED)
    order(desk, REDUCING)
    assert word(desk.decide()) == "halted"
    order(desk, ACTIVE)
    assert word(desk.decide()) == "active"


# ---------------------------------------------------------------- the kill file


def test_nothing_is_sent_while_the_file_is_there(desk, tmp_path):
    """Decisions go on and are on record; none of their orders reaches the broker."""
    file = KillFile(tmp_path / "KILL")
    desk.broker = GuardedBroker(desk.broker, file)
    desk.decide_until_orders()
    before = len(desk.placed)
    file.pull("by hand")
    cycle = desk.decide_until_orders()
    assert len(desk.placed) == before
    assert {desk.orders()[o.client_order_id] for o in cycle.orders} == {"not_placed"}
    reasons = desk.reader.rows("SELECT DISTINCT reason FROM orders WHERE state = 'not_placed'")
    assert [row["reason"] for row in reasons] == [KILLED]
    assert not desk.desk.account().pending[LIVE].any()


def test_each_edge_is_told_once_and_the_halt_outlives_the_file(desk, tmp_path, caplog):
    file = KillFile(tmp_path / "KILL")
    watch, at = KillWatch(file), as_datetime(BARS.time[200])
    until_held(desk)
    caplog.set_level(logging.INFO)
    for _ in range(3):
        desk.desk.settle_kill(watch, at)
    assert "ALARM" not in caplog.text
    file.pull("the strategy\nruns wild")
    for _ in range(3):
        watch.look()
        desk.desk.settle_kill(watch, at)
        desk.between()
    assert [r.levelname for r in caplog.records if r.getMessage().startswith("ALARM")] == ["CRITICAL"]
    assert desk.state() == "halted"
    rows = desk.reader.rows("SELECT reason FROM risk_events WHERE actor = 'person'")
    assert [row["reason"] for row in rows] == ["kill file: the strategy"], "one halt on record"
    file.path.unlink()
    desk.desk.settle_kill(watch, at)
    desk.between()
    assert "alarm is over" in caplog.text
    assert word(desk.decide()) == "halted", "that it is gone resumes nothing"


def test_a_file_that_came_and_went_while_the_database_was_away_halts_all_the_same(desk, tmp_path):
    file, at = KillFile(tmp_path / "KILL"), as_datetime(BARS.time[200])
    watch = KillWatch(file)
    desk.decide()
    file.pull("quick")
    watch.look()
    file.path.unlink()
    watch.look()
    desk.desk.settle_kill(watch, at)
    desk.between()
    assert desk.state() == "halted"


@pytest.mark.parametrize(
    "make", [lambda p: p.mkdir(), lambda p: p.symlink_to("/nowhere"), lambda p: p.write_bytes(b"\xff\x00")]
)
def test_whatever_lies_there_counts(tmp_path, make):
    path = tmp_path / "KILL"
    assert KillFile(path).pulled() is None
    make(path)
    assert KillFile(path).pulled() in (f"{path} is there", "\ufffd")


def test_the_daemon_obeys_the_file(tmp_path):
    """The whole daemon: it holds positions, the file comes, the next turn halts; a restart keeps it."""
    clock = HandClock(moment(80, 21, 30))
    path = tmp_path / "KILL"
    (tmp_path / "bars").mkdir()
    prices = walk(120, 3)

    def rows(first: int, stop: int) -> str:
        return "".join(line("A", day(t), prices[t]) for t in range(first, stop))

    chosen = {"AGENTS": {"enabled": ("TrendFollower", "Momentum")}, "RISK": {"kill_file": path}}
    with running(tmp_path, clock, symbols=("A",), clock="bars", complete_within_s=0.0, **chosen) as one:
        one.write("a.csv", rows(0, 80))
        one.turn()
        one.write("a.csv", rows(80, 90))
        one.turn()
        path.write_text("stop\n")
        one.turn()
        state = "SELECT to_state, reason FROM risk_events WHERE actor = 'person'"
        assert one.rows(state) == [("halted", "kill file: stop")]
        one.restart()
        one.write("a.csv", rows(90, 91))
        one.turn()
        assert one.rows(state) == [("halted", "kill file: stop")], "halted already"
        assert one.scalar("SELECT risk_state FROM decisions ORDER BY time DESC LIMIT 1") == "halted"


def test_the_command_pulls_it_without_any_database(tmp_path):
    environment = {"PATH": "/usr/bin", "QUORUM_RISK__KILL_FILE": str(tmp_path / "deep" / "KILL")}
    environment |= {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}
    done = call("halt", "--kill", "--reason", "all is down", cwd=tmp_path, environment=environment)
    assert (tmp_path / "deep" / "KILL").read_text() == "all is down\n"
    assert "no order leaves" in done.stdout
    refused = call("resume", "--reason", "too early", cwd=tmp_path, environment=environment, code=None)
    assert refused.returncode != 0
    assert "remove it first" in refused.stderr
