"""Hostile agents are isolated, counted, and opened by the breaker; the others go on."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from agents.core.clock import SystemClock
from agents.core.types import Signals, as_datetime
from agents.trading.breakout import Breakout
from agents.trading.guard import AgentPanel
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


def with_field(panel, **fields):
    return replace(signals_of(panel), **fields)


def explode(panel):
    raise ValueError("no such column")


def leave(panel):
    raise SystemExit(3)


def recurse(panel):
    return recurse(panel)


def vandalise(panel):
    panel.close[:] = 1.0
    return signals_of(panel)


def break_the_seal(panel):
    """Every way that numpy offers to write an array that is read-only."""
    for array in (panel.close, panel.close.base, panel.close.view()):
        if isinstance(array, np.ndarray):
            with contextlib.suppress(ValueError):
                array.flags.writeable = True
            with contextlib.suppress(ValueError):
                array[:] = 1.0
    panel.exogenous["news_score"] = np.ones(panel.close.shape)
    raise ValueError("tried everything")


def masked(panel):
    return np.ma.masked_array(np.zeros(panel.close.shape))


HOSTILE = [
    (vandalise, "read-only"),
    (break_the_seal, "tried everything"),
    (lambda p: with_field(p, strength=np.zeros(p.close.shape, dtype=object)), "strength has dtype object"),
    (lambda p: with_field(p, strength=np.zeros(p.close.shape, dtype=complex)), "strength has dtype complex128"),
    (lambda p: with_field(p, strength=masked(p)), "strength is a MaskedArray, expected an array"),
    (lambda p: with_field(p, abstained=np.zeros(p.close.shape)), "abstained has dtype float64"),
    (lambda p: with_field(p, evidence={"rsi": 50.0}), "evidence 'rsi' is a float, expected an array"),
    (lambda p: with_field(p, evidence=["rsi"]), "evidence is a list"),
    (lambda p: with_field(p, evidence={str(k): p.close for k in range(200)}), "evidence has 200 names"),
    (lambda p: signals_of(p, strength=1.0 + 1e-9), "strength leaves [-1, 1]"),
    (explode, "ValueError: no such column"),
    (leave, "SystemExit"),
    (recurse, "RecursionError"),
    (lambda p: None, "NoneType instead of Signals"),
    (lambda p: signals_of(p, shape=(3, 1)), "has shape (3, 1)"),
    (lambda p: signals_of(p, strength=np.nan), "strength is not finite"),
    (lambda p: signals_of(p, strength=1.5), "strength leaves [-1, 1]"),
    (lambda p: signals_of(p, confidence=-0.1), "confidence leaves [0, 1]"),
    (lambda p: signals_of(p, strength=np.inf), "strength is not finite"),
    (lambda p: Signals(strength="long", confidence=None, abstained=None), "strength is a str, expected an array"),
]


@pytest.mark.parametrize(("answer", "problem"), HOSTILE)
def test_a_failing_agent_abstains_and_the_others_speak(answer, problem):
    panel = guarded(Hostile(answer), Breakout(), timeout_s=5.0)
    signals, log = panel.ask(PANEL, AT, action="signals")
    assert signals[0].abstained.all()
    assert not signals[1].abstained[-1].all()
    assert [entry.ok for entry in log] == [False, True]
    assert problem in log[0].detail
    assert panel.reasons(0, 1, 2)[0] == (("failed: " + log[0].detail,) * 2,)


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


class Wordy(Hostile):
    """An agent whose wording of its reasons a test chooses."""

    def __init__(self, word, answer=signals_of):
        super().__init__(answer)
        self._word = word

    def reason_of(self, signals, time_index, symbol_index):
        return self._word(signals)


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no words")


def mute(_signals):
    raise Unspeakable


HOSTILE_WORDS = [
    (lambda s: None, "TypeError: reason_of returned NoneType instead of a text"),
    (lambda s: type("Text", (str,), {})("x"), "instead of a text"),
    (lambda s: s.evidence["missing"], "KeyError: 'missing'"),
    (mute, "Unspeakable: an error that cannot be worded"),
    (lambda s: (_ for _ in ()).throw(SystemExit(3)), "SystemExit: 3"),
]


@pytest.mark.parametrize(("word", "problem"), HOSTILE_WORDS)
def test_an_agent_that_cannot_say_why_abstains(word, problem):
    panel = guarded(Wordy(word), Breakout(), timeout_s=5.0)
    signals, log = panel.ask(PANEL, AT, action="signals")
    assert signals[0].abstained.all() and not signals[1].abstained.all()
    assert problem in log[0].detail
    failed, words = panel.reasons(0, 1, 2)
    assert problem in failed[0][0] and len(words[0]) == 2
    panel.ask(PANEL, AT, action="replay")  # in a replay its opinions have been used when it is asked why
    assert problem in panel.reasons(10, 12, 2)[0][1][0]


def test_reasons_are_short_and_plain():
    said = "up\x00\x1b[31m\nred\u202e\ud800" + "x" * 10**6
    panel = guarded(Wordy(lambda s: said), timeout_s=5.0)
    _, log = panel.ask(PANEL, AT, action="signals")
    assert log[0].ok
    reason = panel.reasons(0, 1, 2)[0][0][0]
    assert reason.startswith("up [31m red xxx") and reason.isprintable() and len(reason) == 300
    assert reason.encode()


def test_an_agent_that_hangs_over_its_reasons_costs_its_timeout():
    release = threading.Event()
    panel = guarded(Wordy(lambda s: release.wait(30)), Breakout())
    signals, log = panel.ask(PANEL, AT, action="signals")
    assert signals[0].abstained.all() and not signals[1].abstained.all()
    assert "no answer within 0.3 s" in log[0].detail
    release.set()


def test_what_others_are_shown_and_say_is_the_same_to_the_bit_whatever_one_does():
    alone, _ = guarded(Breakout(), timeout_s=5.0).ask(PANEL, AT, action="replay")
    for answer, _ in HOSTILE:
        beside, _ = guarded(Hostile(answer), Breakout(), timeout_s=5.0).ask(PANEL, AT, action="replay")
        assert beside[1].strength.tobytes() == alone[0].strength.tobytes()
        assert beside[1].abstained.tobytes() == alone[0].abstained.tobytes()


def test_an_answer_is_a_copy_within_its_range_and_nothing_where_the_agent_abstains():
    kept = []

    def answer(panel):
        said = signals_of(panel, strength=1.0 + 5e-13)
        said.abstained[:, 0] = True
        said.strength[:, 0] = said.confidence[:, 0] = np.nan
        kept.append(said)
        return said

    signals, log = guarded(Hostile(answer), timeout_s=5.0).ask(PANEL, AT, action="signals")
    kept[0].strength[:] = -0.9
    kept[0].abstained[:] = True
    assert log[0].ok
    assert signals[0].strength.tolist() == [[0.0, 1.0]] and signals[0].confidence.tolist() == [[0.0, 0.5]]
    assert signals[0].abstained.tolist() == [[True, False]]


@pytest.mark.parametrize("worded", [True, False])
def test_what_reasons_are_made_of_is_kept_only_where_they_may_be_asked_for(worded):
    """A history's evidence is larger than its opinions; a search would keep it of every agent."""
    made = []

    def speak(panel):
        evidence = np.ones(panel.close.shape)
        made.append(weakref.ref(evidence))
        return replace(signals_of(panel), evidence={"one": evidence})

    panel, guard = make_panel(50, 2), guarded(Hostile(speak), timeout_s=5.0)
    (said,), _ = guard.ask(panel, as_datetime(panel.time[-1]), action="replay", worded=worded)
    gc.collect()
    assert (made[0]() is not None) == worded == bool(said.evidence)
    told = weakref.ref(said.strength)
    del said
    gc.collect()
    assert (told() is not None) == worded
