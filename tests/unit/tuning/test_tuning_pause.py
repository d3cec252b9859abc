"""Tuning that does harm is stopped: back to the anchor, a wait for a person, and then the bet begins anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from agents.core.clock import SimulatedClock
from agents.core.meta_types import AgentDays, WeightDecision
from agents.core.weight_sets import StandIn
from agents.core.weights_over_time import WeightsOverTime
from agents.quant.limits import Limits
from agents.replay.array_desk import ArrayDesk
from agents.tuning.tuning_pause import resumed, seen_by_the_bet
from agents.tuning.tuning_settings import Tuning
from agents.tuning.weight_decision import decide_weights

NAMES = ("Right", "Wrong", "Other")
START = np.datetime64("2020-01-01", "D")
BEGIN = datetime(2020, 1, 1, 2, tzinfo=UTC)
ANCHOR = {"Right": 0.5, "Wrong": 0.25, "Other": 0.25}
WRONG = {"Right": Decimal("0.05"), "Wrong": Decimal("0.90"), "Other": Decimal("0.05")}
SLOW = Tuning(limits=Limits(step=0.0002), anchor=ANCHOR)
"""A tuner that hardly moves: what was published stays."""


def made_days(returns):
    shape = returns.shape
    ones = np.ones(shape, dtype=np.int64)
    return AgentDays(
        date=START + np.arange(len(returns)),
        agents=NAMES,
        returns=returns,
        signals=ones,
        hits=ones,
        calls=ones,
        trades=ones,
        pnl=returns,
        turnover=returns,
        correlation_sums=np.zeros((6, *shape)),
        brier_sums=np.zeros((2, *shape)),
        trade_shares=np.empty((3, 0)),
    )


class Days:
    """What an AgentDayTable answers."""

    seen = 0

    def __init__(self, returns):
        self.all = made_days(returns)

    def refresh(self):
        return 0

    def days(self, until):
        return made_days(self.all.returns[: int(np.searchsorted(self.all.date, until, side="right"))])


@pytest.fixture
def desk():
    skill = np.array([5.5, 0.0, 0.0]) / np.sqrt(252)
    returns = 0.01 * (skill + np.random.default_rng(3).standard_normal((1600, 3)))
    return ArrayDesk(NAMES, StandIn(ANCHOR, 0.05), Days(returns), SimulatedClock(BEGIN))


def publish(desk, weights, at):
    return desk.publish(
        WeightDecision(at=at, decided_for=None, weights=weights, previous=None, method="m", status="apply", reason="r")
    )


def run(desk, days):
    """Decisions on each of these days, by day."""
    return {day: decide_weights(desk, SLOW, BEGIN + timedelta(days=day)) for day in days}


def test_weights_that_lose_against_the_anchor_are_taken_back_at_once_and_kept_there(desk):
    publish(desk, WRONG, BEGIN + timedelta(days=40))
    made = run(desk, range(41, 1200, 7))
    stop = next(day for day, outcome in made.items() if outcome["method"] == "monitor")
    assert 100 < stop < 900
    assert made[stop]["new_weights"] == ANCHOR
    assert made[stop]["decision"] == "revert"
    after = [outcome for day, outcome in made.items() if day > stop]
    assert {outcome["decision"] for outcome in after} == {"hold"}
    assert "quorum weights resume" in after[-1]["reason"]
    assert {name: float(w) for name, w in desk.weights_in_force(BEGIN).weights.items()} == ANCHOR


def test_a_person_resumes_and_the_bet_begins_anew(desk):
    publish(desk, WRONG, BEGIN + timedelta(days=40))
    run(desk, range(41, 900, 7))
    assert desk.tuning_record().paused_at is not None
    at = BEGIN + timedelta(days=900)
    desk.publish(resumed(desk.weights_in_force(at).weights, "the cause was found", at))
    again = run(desk, range(901, 960, 7))
    assert {outcome["method"] for outcome in again.values()} == {"adaptive"}
    publish(desk, WRONG, BEGIN + timedelta(days=960))
    assert "monitor" in {outcome["method"] for outcome in run(desk, range(961, 1590, 7)).values()}


def test_a_desk_at_its_anchor_has_nothing_staked(desk):
    made = run(desk, range(30, 300, 7))
    assert all(outcome["method"] == "adaptive" for outcome in made.values())
    days = made_days(desk.days.all.returns[:300])
    seen = seen_by_the_bet(days, WeightsOverTime.of([]), {name: Decimal(str(w)) for name, w in ANCHOR.items()}, None)
    assert len(seen.fortune) == 0 and seen.alarm is None


def test_weights_count_from_the_day_after_they_were_decided():
    """Decided on the 40th day at noon, they are held from the next one on; who has no book leaves the mix."""
    returns = np.zeros((60, 3))
    returns[:, 0] = np.nan
    returns[:, 1] = 0.01
    anchor = {name: Decimal(str(w)) for name, w in ANCHOR.items()}
    changes = WeightsOverTime.of([(BEGIN + timedelta(days=40, hours=10), WRONG)])
    seen = seen_by_the_bet(made_days(returns), changes, anchor, None)
    assert seen.day[0] == START + np.timedelta64(
        46, "D"
    )  # the week of Monday 10 February, after that Monday: anchor 0.5, live 0.947
    with_all = returns.copy()
    with_all[:, 0] = 0.01
    same = seen_by_the_bet(made_days(with_all), changes, anchor, BEGIN)
    assert len(same.fortune) == 2
