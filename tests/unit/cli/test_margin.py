"""A desk of perpetual futures that one believed bar could liquidate does not start."""

from __future__ import annotations

import pytest

from agents.core.errors import SettingsError
from agents.core.settings import Settings
from agents.wiring.desk import plan_of
from agents.wiring.margin import MAINTENANCE, largest_gross

PERPETUAL, SPOT = ("BTC/USDT:USDT",), ("BTC/USDT",)


def allowing(gross: float, leverage: float, **data) -> Settings:
    return Settings(risk={"gross_cap": gross}, execution={"leverage": leverage}, data=data)


@pytest.mark.parametrize("move", [1.1, 1.4, 3.0])
def test_the_largest_exposure_leaves_the_maintenance_margin_after_the_largest_move(move):
    """By hand: a short position, which a rise makes larger while it loses."""
    gross = largest_gross(move)
    equity, held = 1.0 - gross * (move - 1.0), gross * move
    assert equity == pytest.approx(MAINTENANCE * held)


def test_more_is_refused_of_perpetual_futures_only():
    plan_of(allowing(2.1, 5.0), PERPETUAL)
    plan_of(allowing(5.0, 2.1), PERPETUAL)
    plan_of(allowing(5.0, 5.0), SPOT)
    plan_of(allowing(5.0, 5.0, largest_move=1.1), PERPETUAL)
    with pytest.raises(SettingsError, match=r"allow 2.2 times the equity.*must be at most 2.13"):
        plan_of(allowing(2.2, 5.0), PERPETUAL)
