"""Hostile agents are isolated, counted, and opened by the breaker; the others go on."""

from __future__ import annotations

import threading
from datetime import timedelta

import numpy as np
import pytest

from agents.core.clock import SystemClock
from agents.core.types import Signals, as_datetime
from agents.trading.breakout import Breakout
from agents.trading.guard import AgentPanel, word_reason
from tests.market import make_panel

PANEL = make_panel(200, 2, 0)
AT = as_datetime(PANEL.time[-1])


class Hostile:
    """An agent whose answer a test chooses."""

    bars_needed = 50

    def __init__(self, answer, name="Hostile"):
        self.name, self._answer, self.calls = name, answer, 0

    def signals(self, panel):
        self.calls += 1
        return self._answer(panel)

    def reason(self, panel, time_index, symbol_index):
        return "because"


def signals_of(panel, strength=0.5, confidence=0.5, shape=None):
    shape = shape or panel.close.shape
    return Signals(
        strength=np.full(shape, strength), confidence=np.full(shape, confidence), abstained=np.zeros(shape, dtype=bool)
    )


def guarded(*agents, timeout_s=0.3):
    return AgentPanel(agents, SystemClock(), timeout_s=timeout_s, breaker_failures=10, breaker_retry_s=3600.0)


def explode(panel):
    raise ValueError("no such column")


def leave(panel):
    raise SystemExit(3)


def recurse(panel):
    return recurse(panel)


def vandalise(panel):
    panel.close[:] = 1.0
    return signals_of(panel)


HOSTILE = [
    (vandalise, "read-only"),
    (explode, "ValueError: no such column"),
    (leave, "SystemExit"),
    (recurse, "RecursionError"),
    (lambda p: None, "NoneType instead of Signals"),
    (lambda p: signals_of(p, shape=(3, 1)), "has shape (3, 1)"),
    (lambda p: signals_of(p, strength=np.nan), "strength is not finite"),
    (lambda p: signals_of(p, strength=1.5), "strength leaves [-1, 1]"),
    (lambda p: signals_of(p, confidence=-0.1), "confidence leaves [0, 1]"),
    (lambda p: signals_of(p, strength=np.inf), "strength is not finite"),
    (lambda p: Signals(strength="long", confidence=None, abstained=None), "strength has shape None"),
]


@pytest.mark.parametrize(("answer", "problem"), HOSTILE)
def test_a_failing_agent_abstains_and_the_others_speak(answer, problem):
    panel = guarded(Hostile(answer), Breakout(), timeout_s=5.0)
    signals, log = panel.ask(PANEL, AT, action="signals")
    assert signals[0].abstained.all()
    assert not signals[1].abstained[-1].all()
    assert [entry.ok for entry in log] == [False, True]
    assert problem in log[0].detail
    assert "failed: " + log[0].detail == word_reason(panel.agents[0], signals[0], -1, 0, log[0].detail)


def test_a_hanging_agent_costs_its_timeout_once():
    release = threading.Event()
    hung = Hostile(lambda p: release.wait(30))
    panel = guarded(hung, Breakout())
    clock = SystemClock()
    start = clock.monotonic_s()
    details = [panel.ask(PANEL, AT, action="signals")[1][0].detail for _ in range(3)]
    assert clock.monotonic_s() - start < 2.0
    assert "no answer within 0.3 s" in details[0]
    assert "an earlier call still hangs" in details[1]
    assert hung.calls == 1, "at most one thread is lost"
    release.set()


def test_the_breaker_opens_after_ten_failures_and_tries_again_later():
    agent = Hostile(explode)
    panel = guarded(agent)
    for _ in range(14):
        panel.ask(PANEL, AT, action="signals")
    assert agent.calls == 10
    assert "circuit breaker open" in panel.ask(PANEL, AT, action="signals")[1][0].detail
    panel.ask(PANEL, AT + timedelta(hours=2), action="signals")
    assert agent.calls == 11


def test_one_success_resets_the_count():
    turns = iter([explode] * 9 + [signals_of] + [explode] * 9)
    agent = Hostile(lambda p: next(turns)(p))
    panel = guarded(agent, timeout_s=5.0)
    for _ in range(19):
        panel.ask(PANEL, AT, action="signals")
    assert agent.calls == 19


def test_an_agent_sees_its_own_window_only():
    seen = []
    agent = Hostile(lambda p: seen.append(len(p.time)) or signals_of(p))
    signals, _ = guarded(agent).ask(PANEL, AT, action="signals")
    assert seen == [50]
    assert signals[0].strength.shape == (1, 2), "one row: the newest bar"
    whole, _ = guarded(agent).ask(PANEL, AT, action="replay")
    assert (seen[-1], whole[0].strength.shape) == (200, PANEL.close.shape)
