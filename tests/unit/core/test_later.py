"""What is made when it is first read is what it would have been, made once."""

from __future__ import annotations

import pickle

import numpy as np

from agents.core.clock import SimulatedClock
from agents.core.later import Later
from agents.core.weight_sets import StandIn
from agents.replay.array_desk import ArrayDesk
from agents.tuning import listened_to
from agents.tuning.weight_decision import decided
from tests.unit.tuning.test_tuning_pause import ANCHOR, BEGIN, NAMES, SLOW, Days


def test_it_is_made_once_and_is_that_mapping():
    made = []
    later = Later(lambda: made.append(1) or {"a": 1, "b": 2})
    assert not made
    assert later == {"a": 1, "b": 2}
    assert later == {"a": 1, "b": 2}
    assert ({**later, "c": 3}, later.get("d"), list(later), len(later)) == (
        {"a": 1, "b": 2, "c": 3},
        None,
        ["a", "b"],
        2,
    )
    assert repr(later) == "{'a': 1, 'b': 2}"
    assert made == [1]


def test_another_process_gets_a_plain_mapping():
    sent = pickle.loads(pickle.dumps(Later(lambda: {"a": 1})))
    assert type(sent) is dict
    assert sent == {"a": 1}


def test_a_decision_that_nobody_looks_into_has_told_nothing(monkeypatch):
    """A replay makes thousands of them."""
    told = []
    monkeypatch.setattr(listened_to, "told", lambda life, *_: told.append(life.agent) or {"state": life.state})
    returns = 0.01 * np.random.default_rng(3).standard_normal((200, 3))
    desk = ArrayDesk(NAMES, StandIn(ANCHOR, 0.05), Days(returns), SimulatedClock(BEGIN))
    decisions = [decided(desk, SLOW, BEGIN.replace(month=month))[0] for month in (2, 3, 4)]
    assert not told
    assert decisions[1].evidence["life"] == {name: {"state": "full"} for name in NAMES}
    assert sorted(told) == sorted(NAMES), "of the one that was looked into, once"
