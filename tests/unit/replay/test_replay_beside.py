"""A replay in a process of its own leaves what one in this process leaves, and what is recorded meanwhile is whole."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from agents.core.settings import Settings, with_changes
from agents.core.weight_sets import StandIn
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.recorded_replay import FinishedReplay, RecordedDecisions
from agents.wiring.replay import replay_history, silent
from agents.wiring.replay_beside import ReplayBeside, ReplayProcessError
from tests.market import make_bars

BARS = make_bars(400, 3, 3, gaps=0.02)
SETTINGS = with_changes(Settings(), {"agents.enabled": ["TechnicalAnalyst", "TrendFollower", "MeanReversion"]})
REQUEST = ReplayRequest(settings=SETTINGS, every=timedelta(days=7), all_scorecards=True, value_added=True)
START = datetime(2020, 1, 1, tzinfo=UTC)
FOREVER = datetime.max.replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def here():
    return replay_history(history_of(BARS), REQUEST)


def test_a_replay_beside_leaves_what_one_in_this_process_leaves(here, tmp_path):
    shown, times = [], []
    with ReplayBeside() as beside:
        beside.begin(BARS, REQUEST, tmp_path / "beside.log", lambda *told: shown.append(told))
        while beside.more():
            times.append([decision.at for decision in beside.decisions])
        there = beside.result()
    assert all(before[-1] < after[len(before)] for before, after in pairwise(times)), "in part"
    assert len(times) > 30, "heard of while it went on"
    assert (list(beside.decisions), list(beside.lives)) == (list(here.decisions), list(here.jobs.lives))
    assert (there.scorecards, there.realised, list(there.jobs.runs)) == (
        here.scorecards,
        here.realised,
        list(here.jobs.runs),
    )
    assert np.array_equal(there.run.equity, here.run.equity)
    assert shown[-1][:2] == (len(BARS.time), len(BARS.time))
    assert (tmp_path / "beside.log").exists()


def test_what_a_replay_beside_raises_is_raised_here_in_its_words(tmp_path):
    changes = {"agents.enabled": ["Bad"], "agents.own": {"Bad": f"{tmp_path}/bad.py:Bad"}, "agents.isolation": "none"}
    with ReplayBeside() as beside:
        request = ReplayRequest(settings=with_changes(SETTINGS, changes))
        beside.begin(BARS, request, tmp_path / "beside.log", silent)
        with pytest.raises(ReplayProcessError, match=r"agents.own.Bad: .*bad.py: no such file") as raised:
            beside.result()
    assert raised.value.exit_code == 2, "as the error's own, which is about settings"


def test_a_replay_beside_that_is_killed_is_told_and_none_outlives_its_context(tmp_path):
    with ReplayBeside() as beside:
        process = beside._process
        os.kill(process.pid, signal.SIGINT)  # Ctrl-C in a terminal reaches every process there: it is not its business
        beside.begin(BARS, REQUEST, tmp_path / "beside.log", silent)
        assert beside.more()
        os.kill(process.pid, signal.SIGSTOP)  # nothing more of it may come, whatever it has said already
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ReplayProcessError, match="ended with status -9"):
            beside.result()
    with ReplayBeside() as beside:
        process = beside._process
    assert process.exitcode == -signal.SIGKILL


class Deciding:
    """A replay that goes on: each `more` brings the decisions of one time, the last ones come with the end."""

    def __init__(self, *batches: list) -> None:
        self.decisions, self.lives, self._left = [], [], list(batches)

    def more(self) -> bool:
        self.decisions = [*self.decisions, *self._left.pop(0)] if self._left else self.decisions
        return bool(self._left)


class Published:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def decisions_on_record(self) -> int:
        return len(self.reasons)

    def publish_all(self, decisions) -> None:
        self.reasons += [decision.reason for decision, _ in decisions]


def decision(day: int, status: str, reason: str):
    weights = {"A": Decimal("0.250000"), "B": Decimal("0.75")}
    return SimpleNamespace(at=START + timedelta(days=day), status=status, reason=reason, weights=weights)


CHANGES = (
    [decision(1, "hold", "a")],
    [decision(2, "hold", "b"), decision(2, "apply", "c")],
    [decision(3, "hold", "d")],
    [decision(4, "apply", "e"), decision(9, "hold", "f")],
)
"""The change of day 4 comes with the replay's end."""


@pytest.mark.parametrize("finished", [False, True])
def test_decisions_that_are_still_to_come_are_waited_for(finished):
    """Whoever records meets the same changes at the same times, whether the replay has ended or goes on."""
    replay, store = Deciding(*CHANGES), Published()
    if finished:
        whole = [one for batch in CHANGES for one in batch]
        replay = FinishedReplay(SimpleNamespace(decisions=whole, jobs=SimpleNamespace(lives=[])))
    recorded, due = RecordedDecisions(replay, store, ("A", "B"), StandIn({}, 0.05)), START
    assert recorded.weights_at(START).level == "equal"
    seen = []
    while (due := recorded.next_due(due)) != FOREVER:
        recorded.run(due)
        recorded.publish()
        seen.append(((due - START).days, "".join(store.reasons)))
    assert seen == [(2, "abc"), (4, "abcde")]
    recorded.run(START + timedelta(days=30))
    recorded.publish()
    assert "".join(store.reasons) == "abcdef"


def test_weights_in_force_are_those_of_their_time_whatever_is_on_record():
    """A run that ends after it published and before it recorded goes on with the weights that its next bars had."""
    replay, store = Deciding(*CHANGES), Published()
    store.reasons = [one.reason for batch in CHANGES for one in batch]
    recorded = RecordedDecisions(replay, store, ("A", "B"), StandIn({}, 0.05))
    assert recorded.next_due(START) == START + timedelta(days=2)
    asked = [START + timedelta(days=day, hours=hour) for day, hour in ((1, 0), (2, 0), (2, 1))]
    assert [recorded.weights_at(at).reason for at in asked[:2]] == ["no weights published or configured: equal"] * 2
    weights = recorded.weights_at(asked[2])
    assert (weights.version, weights.level, weights.reason) == (3, "redis", "c"), (
        "as a desk finds them that trades then"
    )
    assert str(weights.weights["A"]) == "0.25", "as the database gives it back"
    assert recorded.next_due(asked[2]) == START + timedelta(days=4)
    assert recorded.weights_at(START + timedelta(days=4)).version == 3
    assert recorded.weights_at(START + timedelta(days=5)).version == 5
    recorded.run(START + timedelta(days=5))
    recorded.publish()
    assert "".join(store.reasons) == "abcdef"
