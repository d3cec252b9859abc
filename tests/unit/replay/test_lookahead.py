"""The lookahead check: ours are clean, and each kind of cheat is caught at its first bar and symbol."""

from __future__ import annotations

import numpy as np
import pytest

from agents.core.types import Signals
from agents.replay.lookahead import Cuts, check_lookahead
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


class RarePeek(Cheat):
    """Long above its mean of 20 bars, but not on one day in a hundred before a fall."""

    def signals(self, panel):
        close = np.nan_to_num(panel.close, nan=50.0)
        mean = np.stack([close[max(0, t - 19) : t + 1].mean(axis=0) for t in range(len(close))])
        strength = (close > mean).astype(float)
        days = np.flatnonzero(panel.time[:-1].astype("datetime64[D]").astype(int) % 100 == 7)
        for day in days:
            strength[day, close[day + 1] < close[day]] = 0.0
        silent = np.zeros(close.shape, dtype=bool)
        return Signals(strength=strength, confidence=np.ones(close.shape), abstained=silent)


def test_a_peek_that_is_rare_is_seen_where_the_answer_turns():
    """Seen: what peeked once a year passed, as few bars are tried as the last one."""
    few = Cuts(30, 10, years=False)
    assert check_lookahead(RarePeek(), PANEL, cuts=few) == []
    assert [o.check for o in check_lookahead(RarePeek(), PANEL, cuts=few._replace(turns=600))] == ["prefix"]


class ByHeart(Cheat):
    """Knows two good months."""

    def signals(self, panel):
        month = panel.time.astype("datetime64[M]")
        good = np.isin(month, PANEL.time[[100, 300]].astype("datetime64[M]")).astype(float)
        strength = np.repeat(good[:, None], len(panel.symbols), axis=1)
        silent = np.zeros(strength.shape, dtype=bool)
        return Signals(strength=strength, confidence=np.ones(strength.shape), abstained=silent)


class Season(ByHeart):
    """Holds from November to April, and never on Fridays."""

    def signals(self, panel):
        day = panel.time.astype("datetime64[D]").astype(int)
        month = panel.time.astype("datetime64[M]").astype(int) % 12
        good = (np.isin(month, (10, 11, 0, 1, 2, 3)) & (day % 7 != 1)).astype(float)
        strength = np.repeat(good[:, None], len(panel.symbols), axis=1)
        silent = np.zeros(strength.shape, dtype=bool)
        return Signals(strength=strength, confidence=np.ones(strength.shape), abstained=silent)


def test_who_knows_dates_by_heart_is_told_from_who_knows_seasons():
    """Seen: a list of good years, and a strategy that reads tomorrow's prices from a file of its own, passed."""
    found = check_lookahead(ByHeart(), PANEL)
    assert [o.check for o in found] == ["years"] and found[0].detail.endswith("28 years later")
    assert check_lookahead(Season(), PANEL) == []
    assert check_lookahead(ByHeart(), PANEL, cuts=Cuts(years=False)) == []


class NeedsItsMemory(Cheat):
    """Raises where there are fewer bars than it says it needs."""

    def signals(self, panel):
        if len(panel.time) < self.bars_needed:
            raise ValueError("too few bars")
        strength = np.zeros(panel.close.shape)
        return Signals(strength=strength, confidence=strength, abstained=np.zeros(strength.shape, dtype=bool))


def test_who_cannot_answer_with_less_than_its_memory_does_not_look_ahead():
    """Seen: "it looks ahead: raised ValueError"."""
    assert check_lookahead(NeedsItsMemory(), PANEL) == []
