"""A person's word in its other strengths: reduce, flatten, and the kill file, which needs nothing else to work."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import Engine

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.services.kill_file import KillFile
from agents.core.books import LIVE
from agents.core.ports import RiskEvent
from agents.core.types import RiskState, as_datetime
from agents.orchestrator.kill_switch import KillWatch
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


def test_the_command_pulls_it_without_any_database(tmp_path):
    environment = {"PATH": "/usr/bin", "QUORUM_RISK__KILL_FILE": str(tmp_path / "deep" / "KILL")}
    environment |= {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}
    done = call("halt", "--kill", "--reason", "all is down", cwd=tmp_path, environment=environment)
    assert (tmp_path / "deep" / "KILL").read_text() == "all is down\n"
    assert "no order leaves" in done.stdout
    refused = call("resume", "--reason", "too early", cwd=tmp_path, environment=environment, code=None)
    assert refused.returncode != 0
    assert "remove it first" in refused.stderr
