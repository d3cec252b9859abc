"""The no-trade zone widens with what a trade costs against what is at risk; what takes risk off does not wait for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.core.books import FIRST_SHADOW, LIVE
from agents.core.settings import ExecutionSettings, Settings
from agents.core.types import NoTrade, RiskState
from agents.pipeline.bar import Book, CombinedSignal, MarketAtClose, Targets
from agents.pipeline.orders import target_positions, unit_weights
from agents.pipeline.parameters import Sizing
from agents.pipeline.saved_state import unpack_state
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history
from tests.market import make_bars
from tests.unit.pipeline.test_step import AGENTS, joined, plan, run_live, run_replay

COST, SHARPE, VOLATILITY, SPEED, BUFFER = 0.0005, 0.05, 0.01, 0.09, 0.1
SIZING = Sizing(
    forecast_cap=2.0,
    multiplier_cap=2.0,
    instrument_multiplier_cap=2.0,
    target_volatility=0.01,
    buffer=BUFFER,
    minimum_trade=0.001,
    trade_cost=COST,
    assumed_sharpe=SHARPE,
)


def decided(forecast: float, current: float, speed: float = SPEED, sizing: Sizing = SIZING) -> tuple[float, int]:
    """(weight, no trade) of one symbol whose unit weight is 1, at a position of `current`."""
    one = lambda value: np.full(1, value)  # noqa: E731
    signal = CombinedSignal(one(forecast), one(1.0), one(0.0), one(0.0))
    unit_weights(one(VOLATILITY), sizing, signal)
    book = Book(one(current * 100.0), one(0.0), 0.0, 100.0, RiskState.ACTIVE, one(forecast), one(speed))
    market = MarketAtClose(one(1.0), np.ones(1, bool), np.zeros(1, bool), np.zeros(1, bool))
    targets = Targets(one(0.0), one(0.0), one(0.0), np.zeros(1, np.int64), np.zeros(1, np.int64))
    target_positions(signal, market, book, sizing.buffer, targets)
    return float(targets.weight[0]), int(targets.no_trade[0])


def test_the_width_is_the_cube_root_of_cost_and_speed_over_risk():
    """h^3 = 3/2 x 0.0005 x (0.09 x 120/121-step) / (0.01 x 0.05 x 1); the forecast stands, so its speed fades a step."""
    width = (1.5 * COST * SPEED * (1.0 - 2.0 / 121.0) / (VOLATILITY * SHARPE)) ** (1.0 / 3.0)
    assert 0.45 < width < 0.55
    assert decided(1.0, 0.0)[0] == pytest.approx(1.0 - width)
    assert decided(width * 0.99, 0.0) == (0.0, NoTrade.BUFFER)
    narrow = SIZING._replace(trade_cost=0.0)
    assert decided(1.0, 0.0, sizing=narrow)[0] == pytest.approx(1.0 - BUFFER)
    eightfold = SIZING._replace(trade_cost=COST * 8.0)
    assert decided(2.0, 0.0, sizing=eightfold)[0] == pytest.approx(2.0 - 2.0 * width), "eight times the cost, twice"


def test_h_is_where_strays_and_costs_are_least_together():
    """A random walk followed at the edge of a zone of half width h: a/2 vol^2 h^2 / 3 + c v / (2 h)."""
    a, v = SHARPE / SIZING.target_volatility, SPEED
    grid = np.linspace(0.05, 2.0, 20_000)
    least = grid[np.argmin(a / 2.0 * VOLATILITY**2 * grid**2 / 3.0 + COST * v / (2.0 * grid))]
    assert least == pytest.approx((1.5 * COST * v / (VOLATILITY * SHARPE)) ** (1.0 / 3.0), rel=1e-3)


@pytest.mark.parametrize(
    ("forecast", "current", "weight"),
    [
        (0.3, 0.6, 0.4),  # risk comes off to the usual edge
        (0.0, 0.6, 0.0),
        (-0.3, 0.6, 0.0),  # it goes to nothing, the other side is not worth it
        (-2.0, 0.6, None),  # the other side is, as far as a wide zone lets it
        (0.7, 0.6, 0.6),
        (1.0, 0.6, 0.6),  # more risk: within the wide zone
    ],
)
def test_what_takes_risk_off_does_not_wait(forecast, current, weight):
    found, _ = decided(forecast, current)
    if weight is None:
        assert found == pytest.approx(decided(forecast, 0.0)[0])
        assert found < 0.0
    else:
        assert found == pytest.approx(weight)


def test_live_is_replay_with_a_wide_zone_order_by_order():
    bars = make_bars(160, 2, 9, gaps=0.03)
    settings = Settings(execution=ExecutionSettings(half_spread_bps=30.0))
    live, replayed = run_live(bars, 0, settings), run_replay(bars, settings)
    for name in ("no_trade", "order_quantity", "equity", "turnover"):
        rounding = 1e-9 if name in ("equity", "turnover") else 0.0  # shadows have no lots, and means only forget
        np.testing.assert_allclose(joined(live, name), joined(replayed, name), rtol=rounding, err_msg=name)
    base = plan(settings, bars.symbols)
    ends = [unpack_state(journal.cycles[-1].state, base, AGENTS.names)[0] for journal in (live, replayed)]
    np.testing.assert_allclose(ends[0].speed, ends[1].speed, rtol=1e-9)
    assert (ends[0].speed[LIVE] > 0.0).all(), "what is learnt of speeds is part of the state"


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
