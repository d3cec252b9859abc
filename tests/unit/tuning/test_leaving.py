"""When an agent leaves, what it had goes to the others in proportion, as far as the limits of weights allow, at once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from agents.core.clock import SimulatedClock
from agents.core.life_types import LifeChange
from agents.core.meta_types import WeightDecision
from agents.core.weight_sets import StandIn
from agents.quant.limits import Limits
from agents.replay.array_desk import ArrayDesk
from agents.tuning.tuning_settings import Tuning
from agents.tuning.weight_decision import decide_weights
from tests.unit.tuning.test_tuning_pause import BEGIN, NAMES, Days

TUNING = Tuning(limits=Limits(cap=0.55))
BEFORE = {"Right": Decimal("0.45"), "Wrong": Decimal("0.30"), "Other": Decimal("0.25")}
AT = BEGIN + timedelta(days=400, hours=6)


@pytest.fixture
def desk():
    returns = 0.01 * np.random.default_rng(3).standard_normal((420, 3))
    made = ArrayDesk(NAMES, StandIn({}, 0.05), Days(returns), SimulatedClock(BEGIN))
    decide_weights(made, TUNING, BEGIN + timedelta(days=300))
    return made


def published(desk, method, before, at):
    desk.publish(
        WeightDecision(
            at=at, decided_for=None, weights=BEFORE, previous=before, method=method, status="apply", reason="r"
        )
    )


@pytest.mark.parametrize("case", ["as usual", "while tuning is paused", "when the day's step is spent"])
def test_who_stays_keeps_the_proportions_within_the_cap(desk, case):
    """0.45 and 0.30 would be 0.60 and 0.40. Seen: they were, whenever the tuner itself could not move."""
    spent = case.endswith("spent")
    earlier = {"Right": Decimal("0.35"), "Wrong": Decimal("0.40"), "Other": Decimal("0.25")}
    published(desk, "monitor" if "paused" in case else "m", earlier, AT - timedelta(hours=5 if spent else 30))
    said = LifeChange(
        at=AT,
        agent="Other",
        before="full",
        after="retired",
        reason="enough",
        actor="ada",
        evidence={"listed": "enabled"},
    )
    outcome = decide_weights(desk, TUNING, AT, said=said)
    weights = outcome["new_weights"]
    assert weights["Other"] == 0.0 and sum(weights.values()) == pytest.approx(1.0)
    assert weights["Right"] <= 0.55 + 1e-6 and weights["Wrong"] >= 0.45 - 1e-6
    assert desk.decisions[-1].status == "apply"
    causes = desk.decisions[-1].causes
    for name, weight in weights.items():
        assert sum(causes[name].values()) == pytest.approx(weight - float(BEFORE[name]), abs=1e-5)
