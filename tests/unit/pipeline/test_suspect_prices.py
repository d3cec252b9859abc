"""A suspect bar in the step: positions count at the more cautious price, nothing is filled, the money adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.core.books import LIVE
from agents.core.settings import Settings
from agents.core.types import FillStatus, NoTrade, RiskState
from agents.pipeline.state import matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars
from agents.wiring.desk import parameters_of
from tests.market import make_bars

PARAMETERS = parameters_of(Settings(), ("S0",))
AT = 40
"""The suspect bar."""


def traded(side: float, wrong: float, *, turn: bool = False, after: str = ""):
    """One agent that is long (or short) of one symbol; at bar AT the price is `wrong` times what it is, and not believed.
    With `turn` it changes sides at the bar before; `after` says what happens to the symbol at the next bar."""
    bars = make_bars(60, 1, seed=3)
    suspect = np.zeros(bars.open.shape, dtype=bool)
    suspect[AT] = True
    prices = {
        name: np.where(suspect, getattr(bars, name) * wrong, getattr(bars, name))
        for name in ("open", "high", "low", "close")
    }
    forecast = np.full((60, 1, 1), side)
    forecast[AT] = np.nan
    if turn:
        forecast[AT - 1 :] *= -1.0
    world = replace(bars, **prices, suspect=suspect)
    if after == "split":
        world.split[AT + 1] = 1.5
    if after == "delisting":
        world.delisting[AT + 1] = 20.0
    inputs = matched_inputs(world, np.full((60, 1), 0.02), forecast, np.ones((60, 1, 1)), np.ones(1))
    state, out = new_state(1, 1, PARAMETERS.initial_cash), new_outputs(60, 1, 1)
    run_bars(state, inputs, PARAMETERS, out)
    return bars, out


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("wrong", [10.0, 0.1])
def test_a_suspect_price_counts_only_against_the_position(side, wrong):
    bars, out = traded(side, wrong)
    held, believed = out.position[AT - 1, 0], bars.close[AT - 1, 0]
    assert held * side > 0
    price = (
        min(believed, bars.close[AT, 0] * wrong)
        if side > 0
        else min(max(believed, bars.close[AT, 0] * wrong), 2 * believed)
    )
    for book in range(out.equity.shape[1]):
        gained = out.equity[AT, book] - out.equity[AT - 1, book]
        assert gained <= 1e-6, "nobody gains by a price that is not believed"
    assert out.mark[AT, 0] == price
    assert out.equity[AT, LIVE] == pytest.approx(out.cash[AT, LIVE] + out.position[AT, 0] * price, rel=1e-12)
    if out.risk_state[AT] == RiskState.ACTIVE:
        assert (out.order[AT, 0], out.no_trade[AT, 0]) == (0.0, NoTrade.SUSPECT)
    else:
        assert out.order[AT, 0] * held < 0, "drawdown may cut the position"


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("wrong", [10.0, 0.1])
def test_at_a_suspect_bar_nothing_is_filled(side, wrong):
    """The desk wants to turn from one side to the other at the bar before: a fill at a wrong price would be a loss, or a
    gain, for good. The order expires, cash stays, and the desk turns once there is a believed price."""
    _, out = traded(side, wrong, turn=True)
    held = out.position[AT - 1, 0]
    assert out.order[AT - 1, 0] * side < 0 and abs(out.order[AT - 1, 0]) > abs(held)
    assert (out.fill_quantity[AT, 0], out.fill_status[AT, 0]) == (0.0, FillStatus.SUSPECT)
    assert (out.position[AT, 0], out.cash[AT, LIVE]) == (held, out.cash[AT - 1, LIVE])


@pytest.mark.parametrize("wrong", [10.0, 0.1])
@pytest.mark.parametrize(("turn", "after"), [(False, ""), (True, ""), (False, "split"), (False, "delisting")])
def test_the_contributions_still_add_up_to_the_books_profit(wrong, turn, after):
    _, out = traded(1.0, wrong, turn=turn, after=after)
    profit = np.diff(np.concatenate([[PARAMETERS.initial_cash], out.equity[:, LIVE]]))
    np.testing.assert_allclose(out.contribution.sum(axis=1), profit, atol=1e-6)
