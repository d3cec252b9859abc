"""The no-trade zone widens with what a trade costs against what is at risk, by what the book's forecasts have been worth
before costs; what takes risk off does not wait for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.books import FIRST_SHADOW, LIVE
from agents.core.settings import ExecutionSettings, Settings
from agents.core.types import NoTrade, RiskState
from agents.pipeline.bar import Book, CombinedSignal, MarketAtClose, Targets
from agents.pipeline.orders import (
    MOVES_DECAY,
    _learn_moves,
    surely_within,
    target_positions,
    unit_weights,
    zone_width,
)
from agents.pipeline.parameters import LEAST_SHARPE, FillModel, Parameters, RiskLimits, Sizing
from agents.pipeline.saved_state import unpack_state
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history
from tests.market import make_bars
from tests.unit.pipeline.test_step import AGENTS, joined, plan, run_live, run_replay

COST, VOLATILITY, BUFFER = 0.0005, 0.01, 0.1
MOVES = (0.09, 0.2, 1.0)
"""Mean squared change, mean |change|, mean square of a forecast."""
SIZING = Sizing(
    forecast_cap=2.0,
    multiplier_cap=2.0,
    instrument_multiplier_cap=2.0,
    target_volatility=0.01,
    buffer=BUFFER,
    minimum_trade=0.001,
    trade_cost=COST,
)
LIMITS = RiskLimits(
    symbol_cap=10.0, gross_cap=10.0, allow_short=True, reduce_drawdown=0.2, reducing_scale=0.5, halt_drawdown=0.35
)
FREE = FillModel(commission=0.0, minimum_commission=0.0, half_spread=0.0, impact=0.0, participation=0.1, leverage=1.0)
AVERSION = 0.5 / math.sqrt(252.0)
"""Of a book that nothing is known of: half a Sharpe ratio of a year, at the volatility target."""


def decided(
    forecast: float, current: float, sizing: Sizing = SIZING, worth: tuple = (0, 0, 0), volatility: float = VOLATILITY
) -> tuple[float, int]:
    """(weight, no trade) of one symbol at a position of `current`; its unit weight is 1, less at another volatility."""
    one = lambda value: np.full(1, value)  # noqa: E731
    signal = CombinedSignal(one(forecast), one(1.0), one(0.0), one(0.0))
    unit_weights(one(volatility), sizing, signal)
    record = np.array(worth, dtype=float)
    account = (one(current * 100.0), one(0.0), 0.0, 100.0, RiskState.ACTIVE)
    book = Book(*account, one(forecast), np.array([MOVES]), one(0.0), record, LEAST_SHARPE)
    market = MarketAtClose(one(1.0), np.ones(1, bool), np.zeros(1, bool), np.zeros(1, bool))
    targets = Targets(one(0.0), one(0.0), one(0.0), np.zeros(1, np.int64), np.zeros(1, np.int64))
    target_positions(signal, market, book, Parameters(sizing, LIMITS, FREE, one(0.0), 100.0), targets)
    return float(targets.weight[0]), int(targets.no_trade[0])


def width_now(forecast: float, cost: float = COST, aversion: float = AVERSION) -> float:
    """The zone at which `decided` arrives: the forecast stands, so what is known of its moves fades a step."""
    moves = np.array([MOVES[0] * MOVES_DECAY, MOVES[1] * MOVES_DECAY, 0.0])
    moves[2] = MOVES[2] + (1.0 - MOVES_DECAY) * (forecast * forecast - MOVES[2])
    return float(zone_width(cost / VOLATILITY / aversion, moves))


def test_the_width_is_where_trades_cost_what_straying_does():
    width = width_now(1.0)
    assert 0.3 < width < 0.8
    assert decided(1.0, 0.0)[0] == pytest.approx(1.0 - width)
    assert decided(width_now(0.3) * 0.99, 0.0) == (0.0, NoTrade.BUFFER)
    narrow = SIZING._replace(trade_cost=0.0)
    assert decided(1.0, 0.0, sizing=narrow)[0] == pytest.approx(1.0 - BUFFER)
    dear = SIZING._replace(trade_cost=COST * 4.0)
    assert decided(2.0, 0.0, sizing=dear)[0] == pytest.approx(2.0 - width_now(2.0, COST * 4.0))


def test_the_zone_is_in_unit_weights():
    """Of a symbol that moves twice as much: half the unit weight, in which a trade costs half as much of the risk."""
    weight, _ = decided(1.5, 0.0, volatility=2.0 * VOLATILITY)
    assert weight == pytest.approx(0.5 * (1.5 - width_now(1.5, COST / 2.0)))
    assert 0.1 < weight < 0.65, "wider than the buffer, and not so wide that it stays"
    near = decided(0.3, 0.0, volatility=2.0 * VOLATILITY)[0]
    assert near == pytest.approx(0.5 * (0.3 - width_now(0.3, COST / 2.0))) and near > 0.0, "outside in unit weights"


@given(
    cost=st.floats(1e-4, 1e3),
    change=st.floats(1e-3, 2.0),
    jumpiness=st.floats(1.0, 50.0),
    square=st.floats(1e-2, 4.0),
)
def test_the_zone_solves_its_equation(cost, change, jumpiness, square):
    """h (h + J)^2 = 3/2 v c / A, by numpy's roots, and at least k c / A; wider where trades cost more."""
    speed = change * change * jumpiness
    found = zone_width(cost, np.array([speed, change, square]))
    jump = speed / change
    roots = np.roots([1.0, 2.0 * jump, jump * jump, -1.5 * speed * cost])
    root = max(r.real for r in roots if abs(r.imag) < 1e-6 * (1.0 + abs(r)))
    assert found == pytest.approx(max(root, speed / (2.0 * square) * cost), rel=2e-3)
    assert found < zone_width(1.3 * cost, np.array([speed, change, square]))


@given(
    cost=st.floats(1e-4, 1e3),
    change=st.floats(1e-3, 2.0),
    jumpiness=st.floats(1.0, 50.0),
    square=st.floats(1e-2, 4.0),
    share=st.sampled_from([0.5, 0.99, 0.9997, 1.0, 1.0003, 1.01, 2.0]),
)
def test_what_is_surely_within_the_zone_is_within_it(cost, change, jumpiness, square, share):
    """Never said of what lies outside, however near; nor missed by more than half a percent."""
    moves = np.array([change * change * jumpiness, change, square])
    width = zone_width(cost, moves)
    assert not surely_within(width, cost, moves)
    if share != 1.0:
        assert surely_within(share * width, cost, moves) == (share < 0.995)


def test_small_steps_give_the_cube_root_of_costs_and_jumps_what_is_in_proportion():
    """A random walk followed at the edge: A h^2 / 6 + c v / (2 h), by a grid; flips of 2 at a chance p: h near p c / A."""
    grid = np.linspace(1e-3, 5.0, 50_000)
    speed, cost = 0.01, 10.0
    least = grid[np.argmin(grid**2 / 6.0 + cost * speed / (2.0 * grid))]
    assert zone_width(cost, np.array([speed, speed / 1e-4, 1e9])) == pytest.approx(least, rel=1e-2)
    for p in (0.01, 0.05):
        flips = np.array([4.0 * p, 2.0 * p, 1.0])
        assert p * 0.5 < zone_width(0.5, flips) / 0.5 < p * 2.5, "not the cube root, which is ten times as wide"
        assert (1.5 * 4.0 * p * 0.5) ** (1.0 / 3.0) > 8.0 * zone_width(0.5, flips)


@pytest.mark.parametrize("cost", [0.0, 1.0])
def test_a_forecast_that_stands_has_no_zone(cost):
    assert zone_width(cost, np.zeros(3)) == 0.0
    assert not surely_within(0.0, cost, np.zeros(3))


def test_a_good_record_narrows_the_zone_and_a_bad_one_closes_it():
    """A year at a Sharpe ratio of 6 on two years of 0.5 is one of 7/3; losses leave next to nothing."""
    good, bad = (252 * 6 / math.sqrt(252), 252.0, 252.0), (-252 * 3 / math.sqrt(252), 252.0, 252.0)
    expected = (2 * 0.5 + 6) / 3 / math.sqrt(252)
    assert decided(1.0, 0.0, worth=good)[0] == pytest.approx(1.0 - width_now(1.0, aversion=expected), rel=1e-6)
    assert decided(1.0, 0.0, worth=bad) == (0.0, NoTrade.BUFFER)
    assert decided(0.3, 0.6, worth=bad)[0] == pytest.approx(0.4), "what takes risk off does not wait"


@pytest.mark.parametrize(
    ("forecast", "current", "weight"),
    [
        (0.3, 0.6, 0.4),  # risk comes off to the usual edge
        (0.0, 0.6, 0.0),
        (-0.3, 0.6, 0.0),  # it goes to nothing, the other side is not worth it
        (-2.0, 0.6, None),  # the other side is, as far as a wide zone lets it
        (0.7, 0.6, 0.6),
        (1.0, 0.7, 0.7),  # more risk: within the wide zone
    ],
)
def test_what_takes_risk_off_does_not_wait(forecast, current, weight):
    found, _ = decided(forecast, current)
    if weight is None:
        assert found == pytest.approx(decided(forecast, 0.0)[0])
        assert found < 0.0
    else:
        assert found == pytest.approx(weight)


def test_what_a_trade_costs_is_held_against_a_symbols_share_of_the_risk():
    """Two symbols with a volatility share it, times the square root of two; one without has no weight."""
    volatility = np.array([0.01, 0.02, math.nan])
    signal = CombinedSignal(np.ones(3), np.zeros(3), np.zeros(3), np.zeros(3))
    unit_weights(volatility, SIZING, signal)
    share = math.sqrt(2.0) / 2.0
    np.testing.assert_allclose(signal.unit_weight, SIZING.target_volatility * share / volatility)
    np.testing.assert_allclose(signal.cost_band, COST / (volatility * share))


def test_the_other_side_is_measured_from_nothing():
    """However dear trades are, a position against the forecast ends: the wide zone only keeps the new side from opening."""
    dear = SIZING._replace(trade_cost=100.0 * COST)
    assert width_now(-0.3, 100.0 * COST) > 0.9, "the old position lies inside it, too"
    assert decided(-0.3, 0.6, sizing=dear)[0] == 0.0


def test_moves_are_exponential_means_of_changes_since_the_last_decision():
    rng, heard = np.random.default_rng(1), np.full(1, math.nan)
    moves, wanted = np.zeros((1, 3)), np.zeros(3)
    one, said = np.zeros(1), rng.normal(0.0, 0.7, 60)
    book = Book(one, one, 0.0, 100.0, RiskState.ACTIVE, heard, moves, one, np.zeros(3), LEAST_SHARPE)
    for before, now in zip([math.nan, *said[:-1]], said, strict=True):
        _learn_moves(book, 0, now)
        if math.isfinite(before):
            news = np.array([(now - before) ** 2, abs(now - before), now**2])
            wanted = MOVES_DECAY * wanted + (1.0 - MOVES_DECAY) * news
    np.testing.assert_allclose(moves[0], wanted, rtol=1e-9)
    assert heard[0] == said[-1]


def test_live_is_replay_with_a_wide_zone_order_by_order():
    bars = make_bars(160, 2, 9, gaps=0.03)
    settings = Settings(execution=ExecutionSettings(half_spread_bps=30.0))
    live, replayed = run_live(bars, 0, settings), run_replay(bars, settings)
    for name in ("no_trade", "order_quantity", "equity", "turnover"):
        rounding = 1e-9 if name in ("equity", "turnover") else 0.0  # shadows have no lots, and means only forget
        np.testing.assert_allclose(joined(live, name), joined(replayed, name), rtol=rounding, err_msg=name)
    base = plan(settings, bars.symbols)
    ends = [unpack_state(journal.cycles[-1].state, base, AGENTS.names)[0] for journal in (live, replayed)]
    for name in ("moves", "wanted", "followed", "worth"):
        one, other = (getattr(end, name) for end in ends)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=name)
        assert one[LIVE].any(), "what is learnt is part of the state"


def test_a_dear_market_is_traded_less_by_desk_and_shadows():
    bars = make_bars(400, 3, 4)
    turnover = {}
    for by_cost in (True, False):
        execution = ExecutionSettings(half_spread_bps=20.0, buffer_by_cost=by_cost)
        run = replay_history(history_of(bars), ReplayRequest(settings=Settings(execution=execution), tuning=False)).run
        turnover[by_cost] = run.turnover.sum(axis=0)
    assert turnover[True][LIVE] < 0.6 * turnover[False][LIVE]
    assert (turnover[True][FIRST_SHADOW:] <= turnover[False][FIRST_SHADOW:] * 1.001).all()
    assert math.isfinite(turnover[True].sum())
