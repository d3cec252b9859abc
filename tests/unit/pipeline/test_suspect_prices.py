"""A suspect bar in the step: no book moves, nothing is filled, nothing grows where it would break a limit, the money adds
up; and decisions of older versions, which counted the more cautious price, are computed as they were."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.core.books import EQUAL, LIVE
from agents.core.settings import Settings
from agents.core.types import Clamp, FillStatus, NoTrade, RiskState
from agents.pipeline.parameters import Threshold
from agents.pipeline.state import BrokerFills, matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars
from agents.wiring.desk import parameters_of
from tests.market import make_bars

PARAMETERS = parameters_of(Settings(), ("S0",))
AT = 40
"""The suspect bar."""


def traded(side: float, wrong: float, *, turn: bool = False, after: str = "", old: bool = False, **changed):
    """One agent that is long (or short) of one symbol; at bar AT the price is `wrong` times what it is, and not believed.
    With `turn` it changes sides at the bar before; `after` says what happens to the symbol at the next bar. `old`: by the
    rule of older versions. `changed` limits, `lasts` bars that are suspect."""
    bars = make_bars(60, 1, seed=3)
    suspect = np.zeros(bars.open.shape, dtype=bool)
    suspect[AT : AT + changed.pop("lasts", 1)] = True
    prices = {
        name: np.where(suspect, getattr(bars, name) * wrong, getattr(bars, name))
        for name in ("open", "high", "low", "close")
    }
    forecast = np.full((60, 1, 1), side)
    forecast[suspect[:, 0]] = np.nan
    if turn:
        forecast[AT - 1 :] *= -1.0
    world = replace(bars, **prices, suspect=suspect)
    if after == "split":
        world.split[AT + 1] = 1.5
    if after == "delisting":
        world.delisting[AT + 1] = 20.0
    if after == "crash":
        for name in ("open", "high", "low", "close"):
            getattr(world, name)[suspect[:, 0].nonzero()[0][-1] + 1 :] *= wrong
    inputs = matched_inputs(world, np.full((60, 1), 0.02), forecast, np.ones((60, 1, 1)), np.ones(1))
    inputs = inputs._replace(doubt_counts=np.full(60, old))
    parameters = PARAMETERS._replace(limits=PARAMETERS.limits._replace(symbol_cap=0.9, **changed))
    state, out = new_state(1, 1, PARAMETERS.initial_cash), new_outputs(60, 1, 1)
    run_bars(state, inputs, parameters, out)
    return bars, out


def worth_at(out, t: int, price: float) -> float:
    return out.cash[t, LIVE] + out.position[t, 0] * price


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("wrong", [10.0, 0.1])
def test_a_price_that_is_not_believed_moves_no_book(side, wrong):
    """Neither equity nor what the mark says of the position; no drawdown, no halt, no day's loss."""
    daily_loss = Threshold(0.05, enforced=True)
    bars, out = traded(side, wrong, daily_loss=daily_loss)
    believed = bars.close[AT - 1, 0]
    assert out.position[AT - 1, 0] * side > 0 and abs(out.position[AT, 0] * believed) > 0.25 * out.equity[AT, LIVE]
    np.testing.assert_array_equal(out.equity[AT] - out.equity[AT - 1], 0.0)
    assert out.mark[AT, 0] == believed
    assert out.equity[AT, LIVE] == pytest.approx(worth_at(out, AT, believed), rel=1e-12)
    assert (out.order[AT, 0], out.no_trade[AT, 0]) == (0.0, NoTrade.SUSPECT)
    assert set(out.risk_state) == {RiskState.ACTIVE}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_true_crash_counts_and_halts_when_it_is_believed(side, old):
    """Three bars are doubted, the fourth agrees and is believed: then all of the loss is there, and the halt."""
    _, out = traded(side, 0.2 if side > 0 else 2.0, after="crash", lasts=3, old=old, halt_drawdown=0.3)
    moved = out.equity[:, LIVE] / out.equity[AT - 1, LIVE] - 1.0
    if not old:
        np.testing.assert_array_equal(moved[AT : AT + 3], 0.0)
        assert set(out.risk_state[: AT + 3]) == {RiskState.ACTIVE}
    assert moved[AT + 3] < -0.3
    assert set(out.risk_state[AT + 3 :]) == {RiskState.HALTED}


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("wrong", [10.0, 0.1])
def test_older_versions_counted_the_more_cautious_price(side, wrong):
    bars, out = traded(side, wrong, old=True)
    believed = bars.close[AT - 1, 0]
    doubted = bars.close[AT, 0] * wrong
    price = min(believed, doubted) if side > 0 else min(max(believed, doubted), 2 * believed)
    assert out.mark[AT, 0] == price
    assert out.equity[AT, LIVE] == pytest.approx(worth_at(out, AT, price), rel=1e-12)


def two_symbols(wrong: float, *, more_at: int = AT, bar: bool = True, fills=None, **limits):
    """The first symbol is held and doubted at bar AT; from `more_at` on the agent wants twice as much of the second one
    (held, too), and at AT + 2 nothing of it. Without `bar` the second one has none at AT. `fills` of another run are
    taken for a broker's."""
    bars = make_bars(60, 2, seed=4)
    suspect = np.zeros(bars.open.shape, dtype=bool)
    suspect[AT, 0] = True
    grids = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close")}
    for grid in grids.values():
        grid[AT, 0] *= wrong
        grid[AT, 1] = grid[AT, 1] if bar else np.nan
    forecast = np.full((60, 2, 1), 1.0)
    forecast[AT, 0] = np.nan
    forecast[:more_at, 1] = 0.5
    forecast[AT + 2 :, 1] = 0.0
    inputs = matched_inputs(
        replace(bars, **grids, suspect=suspect), np.full((60, 2), 0.02), forecast, np.ones((60, 1, 1)), np.ones(1)
    )
    if fills is not None:
        made = BrokerFills(fills.fill_quantity, fills.fill_price, fills.fill_fee)
        inputs = inputs._replace(external=True, broker_fills=made)
    parameters = parameters_of(Settings(), ("S0", "S1"))
    parameters = parameters._replace(limits=parameters.limits._replace(symbol_cap=0.6, gross_cap=2.0, **limits))
    state, out = new_state(1, 2, parameters.initial_cash), new_outputs(60, 1, 2)
    run_bars(state, inputs, parameters, out)
    return out


def test_while_a_doubt_would_reduce_the_desk_nothing_grows():
    """Of every symbol; nothing is sold for it either, and a bar later the desk goes on."""
    out = two_symbols(0.1, reduce_drawdown=0.2)
    feared = out.position[AT, 0] * out.mark[AT, 0] * 0.8 / out.equity[AT, LIVE]
    assert feared > 0.2, "the case is one where the doubt would reduce the desk"
    assert (out.order[AT, 1], out.clamps[AT, 1]) == (0.0, Clamp.DOUBT)
    assert out.order[AT, 0] == 0.0
    assert out.order[AT + 1, 1] > 0.0, "the price was refused: it may grow again"
    assert out.order[AT + 2, 1] < 0.0
    assert set(out.risk_state) == {RiskState.ACTIVE}


@pytest.mark.parametrize(
    ("wrong", "limits", "waits"),
    [
        (0.1, {"reduce_drawdown": 0.99, "halt_drawdown": 0.2}, True),
        (0.1, {"reduce_drawdown": 0.99, "halt_drawdown": 0.99, "daily_loss": Threshold(0.05, enforced=True)}, True),
        (0.1, {"reduce_drawdown": 0.99, "halt_drawdown": 0.99, "daily_loss": Threshold(0.05)}, False),
        (0.1, {"reduce_drawdown": 0.99, "halt_drawdown": 0.99}, False),
        (10.0, {"reduce_drawdown": 0.01, "halt_drawdown": 0.99}, False),
    ],
)
def test_only_a_doubt_that_would_break_a_limit_holds_the_others_back(wrong, limits, waits):
    out = two_symbols(wrong, **limits)
    assert (out.order[AT, 1] == 0.0) == waits
    assert bool(out.clamps[AT, 1] & Clamp.DOUBT) == waits


def test_the_controls_wait_with_the_desk():
    """The day's loss is the live book's; who has the same past and weights stays the same, also where it is computed by
    itself, as beside a broker's fills."""
    limits = {"reduce_drawdown": 0.99, "halt_drawdown": 0.99, "daily_loss": Threshold(0.05, enforced=True)}
    out = two_symbols(0.1, **limits)
    again = two_symbols(0.1, **limits, fills=out)
    assert out.clamps[AT, 1] == Clamp.DOUBT
    for ran in (out, again):
        np.testing.assert_array_equal(ran.equity[:, EQUAL], out.equity[:, LIVE])


@pytest.mark.parametrize("limits", [{"reduce_drawdown": 0.2}, {"reduce_drawdown": 0.99, "halt_drawdown": 0.99}])
def test_an_order_that_still_works_is_taken_back_where_nothing_may_grow(limits):
    """Its symbol had no bar when the other one's price came into doubt."""
    out = two_symbols(0.1, more_at=AT - 1, bar=False, **limits)
    assert out.order[AT - 1, 1] > 0.0
    assert (out.fill_quantity[AT + 1, 1] > 0.0) == (limits["reduce_drawdown"] > 0.5)


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
@pytest.mark.parametrize("old", [False, True])
def test_the_contributions_still_add_up_to_the_books_profit(wrong, turn, after, old):
    _, out = traded(1.0, wrong, turn=turn, after=after, old=old)
    profit = np.diff(np.concatenate([[PARAMETERS.initial_cash], out.equity[:, LIVE]]))
    np.testing.assert_allclose(out.contribution.sum(axis=1), profit, atol=1e-6)
