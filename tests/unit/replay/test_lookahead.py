"""The lookahead check: ours are clean, and each kind of cheat is caught at its first bar and symbol."""

from __future__ import annotations

import numpy as np
import pytest

from agents.core.types import Signals
from agents.replay.lookahead import check_lookahead
from agents.trading.registry import AGENTS
from tests.market import make_panel

PANEL = make_panel(500, 3, 5, gaps=0.02)


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_our_agents_are_clean(name):
    assert check_lookahead(AGENTS[name](), PANEL) == []


class Cheat:
    """Says tanh of the move over `ahead` bars from `since` on about one symbol, else of the last move."""

    name = "Cheat"
    bars_needed = 30

    def __init__(self, ahead: int = 2, since: int = 200, symbol: int = 1):
        self.ahead, self.since, self.symbol = ahead, since, symbol

    def signals(self, panel):
        close = np.nan_to_num(panel.close, nan=1.0)
        move = np.zeros(close.shape)
        move[1:] = close[1:] / close[:-1] - 1.0
        if len(close) > self.since + self.ahead:
            move[self.since : -self.ahead, self.symbol] = (close[self.ahead :] / close[: -self.ahead] - 1.0)[
                self.since :, self.symbol
            ]
        return Signals(
            strength=np.tanh(5.0 * move), confidence=np.ones(close.shape), abstained=np.zeros(close.shape, dtype=bool)
        )


@pytest.mark.parametrize(("ahead", "symbol"), [(1, 0), (2, 1), (7, 2)])
def test_a_look_ahead_is_named(ahead, symbol):
    found = {o.check: o for o in check_lookahead(Cheat(ahead, 200, symbol), PANEL)}
    assert {"prefix", "poison"} <= set(found)
    for check in ("prefix", "poison"):
        assert found[check].symbol == PANEL.symbols[symbol]
        assert str(PANEL.time[200])[:10] == found[check].time.isoformat()[:10], (
            "the first offending bar, not the first cut"
        )


class Normaliser(Cheat):
    """Scales by the mean of everything it is given: the future leaks through a statistic."""

    def signals(self, panel):
        close = np.nan_to_num(panel.close, nan=50.0)
        return Signals(
            strength=np.tanh(close / close.mean(axis=0) - 1.0),
            confidence=np.ones(close.shape),
            abstained=np.zeros(close.shape, dtype=bool),
        )


def test_a_leak_through_a_statistic_is_caught_at_once():
    found = {o.check: o for o in check_lookahead(Normaliser(), PANEL)}
    assert found["prefix"].time.isoformat()[:10] <= str(PANEL.time[2])[:10]


class LongMemory(Cheat):
    """Causal, but remembers more than it says: the sum of all moves so far."""

    def signals(self, panel):
        close = np.nan_to_num(panel.close, nan=50.0)
        total = np.cumsum(np.vstack([np.zeros((1, close.shape[1])), np.diff(np.log(close), axis=0)]), axis=0)
        return Signals(
            strength=np.tanh(total), confidence=np.ones(close.shape), abstained=np.zeros(close.shape, dtype=bool)
        )


def test_a_memory_longer_than_stated_is_caught():
    assert [o.check for o in check_lookahead(LongMemory(), PANEL)] == ["start"]


class Broken(Cheat):
    def signals(self, panel):
        raise RuntimeError("no idea")


class Mutating(Cheat):
    def signals(self, panel):
        panel.close[:] = 1.0
        return super().signals(panel)


def test_an_answer_that_is_none():
    (offence,) = check_lookahead(Broken(), PANEL)
    assert (offence.check, offence.detail) == ("answer", "raised RuntimeError: no idea")
    (offence,) = check_lookahead(Mutating(), PANEL)
    assert "read-only" in offence.detail
