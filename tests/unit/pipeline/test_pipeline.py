"""The arrows against brute force and scenarios with numbers derived in view."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.core.types import Clamp, FillStatus, NoTrade, RiskState, to_price
from agents.pipeline.attribution import (
    BarPrices,
    PositionChange,
    Shares,
    attribute_bar,
    attribute_cash,
    exact_shares,
    split_position,
)
from agents.pipeline.bar import BarFills, Book, CombinedSignal, Depth, MarketAtClose, MarketWithin, Targets, opinions_of
from agents.pipeline.combine import PRIOR_MEAN_STRENGTH, PRIOR_VOTES, STEPS, combine, note_opinions, scale_forecasts
from agents.pipeline.fills import market_depth, match_orders
from agents.pipeline.orders import decide_orders, order_quantities, round_to_lot, target_positions, unit_weights
from agents.pipeline.parameters import FillModel, Parameters, RiskLimits, Sizing
from agents.pipeline.risk import apply_limits, control_risk_state, next_risk_state
from agents.quant import halves

NAN = np.nan
ACTIVE, REDUCING, HALTED = RiskState
SIZING = Sizing(
    forecast_cap=2.0,
    multiplier_cap=2.5,
    instrument_multiplier_cap=2.0,
    target_volatility=0.01,
    buffer=0.1,
    minimum_trade=0.0,
)
LIMITS = RiskLimits(
    symbol_cap=10.0, gross_cap=10.0, allow_short=True, reduce_drawdown=0.20, reducing_scale=0.5, halt_drawdown=0.35
)
NOTHING_HEARD = (np.zeros(1), np.zeros((1, 3)), np.zeros(1), np.zeros(3), 0.05)
"""Of a book: heard, moves, wanted, worth, least Sharpe ratio."""
FREE = FillModel(commission=0.0, minimum_commission=0.0, half_spread=0.0, impact=0.0, participation=0.1, leverage=1.0)
"""Fills at the open, without costs."""


def floats(count: int, value: float = 0.0) -> np.ndarray:
    return np.full(count, value)


def codes(count: int) -> np.ndarray:
    return np.zeros(count, dtype=np.int64)


def targets(count: int) -> Targets:
    return Targets(floats(count), floats(count), floats(count), codes(count), codes(count))


def test_stored_codes_keep_their_numbers_and_words():
    """They are in journals, states and Parquet files: the text finds the member, the member has the number."""
    assert [RiskState.of(words) for words in ("active", "reducing", "halted")] == [0, 1, 2]
    assert [NoTrade(code).name for code in range(len(NoTrade))] == [
        "TRADED",
        "NO_BAR",
        "WARM_UP",
        "NO_OPINION",
        "BUFFER",
        "TOO_SMALL",
        "LOT",
        "SUSPECT",
        "STOPPED",
    ]
    assert Clamp.words_of(63) == "symbol cap, gross cap, no shorts, reducing, halted, stale data"
    assert Clamp.words_of(64) == "leaving the universe"
    assert Clamp.words_of(Clamp.GROSS_CAP | Clamp.STALE, " + ") == "gross cap + stale data"
    assert [FillStatus(code).name for code in range(6)] == [
        "NONE",
        "FILLED",
        "PARTIAL",
        "NO_BAR",
        "NO_VOLUME",
        "NO_CASH",
    ]
    with pytest.raises(ValueError, match="'paused' is none of 'active', 'reducing', 'halted'"):
        RiskState.of("paused")


# ---------------------------------------------------------------- combine


@given(seed=st.integers(0, 2000))
def test_scaling_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    bars, agents, symbols, window, cap = 30, 3, 2, 12, 2.0
    raw = np.clip(rng.normal(0, 0.5, (bars, agents, symbols)), -1, 1)
    raw[rng.random(raw.shape) < 0.3] = NAN
    forecast, correlation = scale_forecasts(raw, window, cap)
    for t in range(bars):
        seen = raw[max(0, t - window + 1) : t + 1]
        for a in range(agents):
            votes = seen[:, a][np.isfinite(seen[:, a])]
            scale = (PRIOR_VOTES + len(votes)) / (PRIOR_VOTES * PRIOR_MEAN_STRENGTH + np.abs(votes).sum())
            expected = np.clip(raw[t, a] * scale, -cap, cap)
            np.testing.assert_allclose(forecast[t, :, a], expected, rtol=1e-9)
            for b in range(agents):
                x, y = np.nan_to_num(seen[:, a]).ravel(), np.nan_to_num(seen[:, b]).ravel()
                squares, rounding = np.array([x @ x, y @ y]), len(x) / 2 / STEPS
                norm = np.sqrt(squares.prod())
                if a == b or not norm:
                    assert correlation[t, a, b] == float(a == b)
                elif squares.min() > rounding:  # below that an opinion is rounded to nothing
                    # What is rounded: the product of the two, and each one's square under the root.
                    bound = 1e-12 + rounding * (1 / norm + (1 / (squares - rounding)).sum() / 2)
                    assert abs(correlation[t, a, b] - max(0.0, (x @ y) / norm)) <= bound


@pytest.mark.parametrize("symbols", [1, 3])
@pytest.mark.parametrize("window", [12, 250])
def test_scaling_many_bars_in_two_halves_gives_each_the_bits_of_its_own_window(monkeypatch, window, symbols):
    """Whatever blocks and halves a bar falls in, and from whichever row figures are wanted."""
    rng = np.random.default_rng(window)
    raw = np.clip(rng.normal(0, 0.5, (600, 4, symbols)), -1, 1)
    raw[rng.random(raw.shape) < 0.3] = NAN
    raw[:, 2] = NAN
    monkeypatch.setattr(halves, "WORTHWHILE", 1)
    for first in (0, 333, 599):
        forecast, correlation = scale_forecasts(raw, window, 2.0, first)
        for t in range(first, 600, 7):
            alone = scale_forecasts(raw[max(0, t - window + 1) : t + 1], window, 2.0, min(t, window - 1))
            assert forecast[t - first].tobytes() == alone[0][0].tobytes()
            assert correlation[t - first].tobytes() == alone[1][0].tobytes()


def opinions(forecast):
    """Forecasts [S, A] as the books hear them."""
    heard = opinions_of(forecast.shape[1], forecast.shape[0])
    note_opinions(forecast, heard)
    return heard


def brute_combine(forecast, weights, correlation, cap, multiplier_cap):
    """One symbol: the definition, written plainly."""
    voters = [a for a in range(len(weights)) if np.isfinite(forecast[a]) and weights[a] > 0]
    if not voters:
        return NAN, NAN
    w = np.array([weights[a] for a in voters]) / sum(weights[a] for a in voters)
    spread = w @ correlation[np.ix_(voters, voters)] @ w
    multiplier = min(multiplier_cap, 1 / np.sqrt(spread))
    return float(np.clip(multiplier * (w @ forecast[voters]), -cap, cap)), multiplier


@given(seed=st.integers(0, 5000))
def test_combine_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    agents, symbols = 4, 3
    forecast = rng.normal(0, 1, (symbols, agents))
    forecast[rng.random(forecast.shape) < 0.4] = NAN
    weights = rng.dirichlet(np.ones(agents)) * (rng.random(agents) > 0.2)
    factors = rng.normal(0, 1, (agents, 2))
    correlation = factors @ factors.T + np.eye(agents)
    correlation = np.maximum(0, correlation / np.sqrt(np.outer(np.diag(correlation), np.diag(correlation))))
    combined = CombinedSignal(floats(symbols), floats(symbols), floats(symbols), floats(symbols))
    combine(opinions(forecast), correlation, weights, SIZING, combined)
    for s in range(symbols):
        value, factor = brute_combine(forecast[s], weights, correlation, 2.0, 2.5)
        assert combined.forecast[s] == pytest.approx(value, nan_ok=True)
        assert combined.multiplier[s] == pytest.approx(factor, nan_ok=True)


@pytest.mark.parametrize("agents", [63, 64, 65, 130])
def test_combine_counts_any_number_of_agents(agents):
    """From the 64th on an agent was lost from the multiplier, when those that vote were bits of one integer."""
    rng = np.random.default_rng(agents)
    forecast = rng.normal(0, 1, (3, agents))
    forecast[1, ::2] = NAN
    forecast[2, 63:] = NAN
    weights, correlation = np.full(agents, 1.0 / agents), np.full((agents, agents), 0.3) + 0.7 * np.eye(agents)
    combined = CombinedSignal(floats(3), floats(3), floats(3), floats(3))
    combine(opinions(forecast), correlation, weights, SIZING, combined)
    for s in range(3):
        value, factor = brute_combine(forecast[s], weights, correlation, 2.0, 2.5)
        assert combined.forecast[s] == pytest.approx(value)
        assert combined.multiplier[s] == pytest.approx(factor)


def combined_of(forecast: list[float], weights: list[float]) -> float:
    combined = CombinedSignal(floats(1), floats(1), floats(1), floats(1))
    combine(opinions(np.array([forecast])), np.eye(len(weights)), np.array(weights), SIZING, combined)
    return float(combined.forecast[0])


def test_an_abstention_leaves_the_denominator():
    """One vote of 1 beside an abstention stays 1; beside a vote of 0 it is halved, times sqrt(2) of diversification."""
    assert combined_of([1.0, NAN], [0.5, 0.5]) == pytest.approx(1.0)
    assert combined_of([1.0, 0.0], [0.5, 0.5]) == pytest.approx(0.5 * np.sqrt(2))
    assert np.isnan(combined_of([NAN, NAN], [0.5, 0.5]))


def test_two_opposite_agents_differ_from_either_alone():
    """LEAN #8630: the newest signal must not win."""
    assert combined_of([1.0, -1.0], [0.5, 0.5]) == pytest.approx(0.0)
    assert combined_of([1.0, -1.0], [0.75, 0.25]) == pytest.approx(0.5 / np.sqrt(0.75**2 + 0.25**2))


# ---------------------------------------------------------------- risk


@given(
    weight=arrays(np.float64, 4, elements=st.floats(-3, 3)),
    current=arrays(np.float64, 4, elements=st.floats(-1.5, 1.5)),
    stale=arrays(np.bool_, 4),
    leaving=arrays(np.bool_, 4),
    state=st.sampled_from([ACTIVE, REDUCING, HALTED]),
    short=st.booleans(),
)
@example(  # the gross cap shrinks all four; the last one is too small to become smaller
    weight=np.array([0.5, 0.5, 0.5, 5e-324]),
    current=np.zeros(4),
    stale=np.zeros(4, dtype=bool),
    leaving=np.zeros(4, dtype=bool),
    state=ACTIVE,
    short=True,
)
def test_risk_only_shrinks_and_twice_is_once(weight, current, stale, leaving, state, short):
    limits = LIMITS._replace(symbol_cap=0.5, gross_cap=1.0, allow_short=short)
    market = MarketAtClose(floats(4, 1.0), np.ones(4, dtype=bool), stale, leaving)
    once, clamps = weight.copy(), codes(4)
    apply_limits(Targets(floats(4), once, current, clamps, codes(4)), market, state, limits)
    scale = 0.5 if state == REDUCING else 1.0
    assert (np.abs(once) <= np.abs(weight)).all()
    assert (once * weight >= 0.0).all(), "a limit never turns a position round"
    assert np.abs(once).max() <= 0.5 * scale + 1e-12
    assert np.abs(once).sum() <= 1.0 * scale + 1e-9
    if not short:
        assert (once >= 0).all()
    held = stale | (state == HALTED)
    assert (np.abs(once[held]) <= np.abs(current[held]) + 1e-12).all()
    assert (once[leaving] == 0.0).all()
    assert (clamps[once != weight] != 0).all(), "every change is named"
    large = np.abs(weight) >= np.finfo(np.float64).tiny  # a subnormal number times 0.9 can be that number again
    assert (once != weight)[large & ~leaving & (clamps != 0)].all(), "and nothing else is"
    twice = once.copy()
    apply_limits(Targets(floats(4), twice, current, clamps, codes(4)), market, state, limits)
    assert np.array_equal(once, twice)


@pytest.mark.parametrize(
    ("state", "drawdown", "after"),
    [
        (ACTIVE, 0.19, ACTIVE),
        (ACTIVE, 0.20, REDUCING),
        (REDUCING, 0.17, REDUCING),
        (REDUCING, 0.15, ACTIVE),
        (ACTIVE, 0.36, HALTED),
        (REDUCING, 0.35, HALTED),
        (HALTED, 0.0, HALTED),
    ],
)
def test_risk_states(state, drawdown, after):
    """Reduce at 20 %, back below 16 % (80 % of it), halt at 35 %; nothing but a person leaves HALTED."""
    assert next_risk_state(state, drawdown, drawdown, LIMITS) == after


@pytest.mark.parametrize(
    ("own", "live", "state"),
    [
        (ACTIVE, ACTIVE, ACTIVE),
        (REDUCING, ACTIVE, REDUCING),
        (HALTED, ACTIVE, REDUCING),
        (HALTED, REDUCING, REDUCING),
        (ACTIVE, HALTED, HALTED),
    ],
)
def test_a_control_halts_with_the_live_book_only(own, live, state):
    assert control_risk_state(own, live) == state


# ---------------------------------------------------------------- orders


def test_unit_weights_share_the_target_over_symbols():
    """Target 1 % a bar, two symbols of 2 % and 4 %: share sqrt(2)/2, so 0.3536 and 0.1768; none: NaN."""
    signal = CombinedSignal(floats(3), floats(3), floats(3), floats(3))
    unit = signal.unit_weight
    unit_weights(np.array([0.02, 0.04, NAN]), SIZING, signal)
    np.testing.assert_allclose(unit[:2], [0.5 * np.sqrt(2) / 2, 0.25 * np.sqrt(2) / 2])
    assert np.isnan(unit[2])
    unit_weights(np.array([NAN, NAN, NAN]), SIZING, signal)
    assert np.isnan(unit).all()


@pytest.mark.parametrize(
    ("quantity", "lot", "expected"),
    [(7.9, 1.0, 7.0), (-7.9, 1.0, -7.0), (0.29, 0.01, 0.29), (0.3, 0.1, 0.3), (99.99, 100.0, 0.0), (1.234, 0.0, 1.234)],
)
def test_lots_round_towards_zero(quantity, lot, expected):
    assert round_to_lot(quantity, lot) == pytest.approx(expected, abs=1e-12)


@given(quantity=st.floats(-1e7, 1e7), lot=st.sampled_from([1e-6, 0.001, 0.01, 1.0, 100.0]))
def test_rounding_never_grows_a_quantity(quantity, lot):
    rounded = round_to_lot(quantity, lot)
    assert abs(rounded) <= abs(quantity) * (1 + 1e-15) + lot * 1e-8
    assert abs(rounded - round(rounded / lot) * lot) <= lot * 1e-6 + abs(rounded) * 1e-15


def decide(
    combined,
    *,
    position=0.0,
    price=100.0,
    capital=100_000.0,
    unit=0.2,
    lot=1.0,
    buffer=0.1,
    minimum=0.0,
    bar=True,
    symbol_cap=10.0,
):
    """One symbol through all stages of orders."""
    parameters = Parameters(
        sizing=SIZING._replace(buffer=buffer, minimum_trade=minimum),
        limits=LIMITS._replace(symbol_cap=symbol_cap),
        fill_model=FREE,
        lots=floats(1, lot),
        initial_cash=capital,
    )
    signal = CombinedSignal(floats(1, combined), floats(1), floats(1, unit), floats(1))
    market = MarketAtClose(floats(1, price), np.array([bar]), np.array([False]), np.array([False]))
    book, decided = Book(floats(1, position), floats(1), 0.0, capital, ACTIVE, *NOTHING_HEARD), targets(1)
    decide_orders(signal, market, book, parameters, decided)
    return float(book.order[0]), NoTrade(decided.no_trade[0]), int(decided.clamps[0])


SCENARIOS = [
    # forecast 1 asks for 20 % = 200 shares; the buffer of 10 % x 20 % = 2 % = 20 shares stops at its edge, 180
    ({"combined": 1.0}, 180.0, NoTrade.TRADED),
    # held 185: 15 shares away, inside the buffer
    ({"combined": 1.0, "position": 185.0}, 0.0, NoTrade.BUFFER),
    # held 300: above the zone of 180 to 220, sells down to 220
    ({"combined": 1.0, "position": 300.0}, -80.0, NoTrade.TRADED),
    # forecast 0 with 300 held: closes wholly, no buffer
    ({"combined": 0.0, "position": 300.0}, -300.0, NoTrade.TRADED),
    # forecast -0.05 asks for -10 shares; from -10 the near edge is +10, across zero: closes only
    ({"combined": -0.05, "position": 50.0}, -50.0, NoTrade.TRADED),
    ({"combined": NAN, "position": 50.0}, 0.0, NoTrade.NO_OPINION),
    ({"combined": 1.0, "unit": NAN}, 0.0, NoTrade.WARM_UP),
    ({"combined": 1.0, "bar": False}, 0.0, NoTrade.NO_BAR),
    # 180 shares are one lot of 100 and a part
    ({"combined": 1.0, "lot": 100.0}, 100.0, NoTrade.TRADED),
    ({"combined": 1.0, "lot": 1000.0}, 0.0, NoTrade.LOT),
    # held 170, edge 180: 10 shares = 1000 < 2 % of 100 000
    ({"combined": 1.0, "position": 170.0, "minimum": 0.02}, 0.0, NoTrade.TOO_SMALL),
    # cap of 10 % = 100 shares
    ({"combined": 1.0, "symbol_cap": 0.10}, 100.0, NoTrade.TRADED),
    # drifted over the cap, no new opinion: cut back all the same
    ({"combined": NAN, "position": 150.0, "symbol_cap": 0.10}, -50.0, NoTrade.TRADED),
]


@pytest.mark.parametrize(("given_", "order", "reason"), SCENARIOS)
def test_order_scenarios(given_, order, reason):
    placed, why, _ = decide(**given_)
    assert placed == order
    assert why is reason


# ---------------------------------------------------------------- fills


def match(order, *, position=None, cash=1e6, open_=None, volume=None, model=FREE):
    """Orders of an account through the matcher, at an open of 100, with a volatility of 2 % and lots of 1."""
    n = len(order)

    def column(given_: object, default: float) -> np.ndarray:
        return floats(n, default) if given_ is None else np.array(given_, dtype=float)

    parameters = Parameters(sizing=SIZING, limits=LIMITS, fill_model=model, lots=floats(n, 1.0), initial_cash=cash)
    depth = Depth(floats(n), floats(n), floats(n))
    market_depth(column(volume, 1e9), floats(n, 0.02), parameters, depth)
    opened = column(open_, 100.0)
    market = MarketWithin(opened, opened, opened, opened, opened, depth)
    fills = BarFills(floats(n), floats(n), floats(n), floats(n), floats(n), codes(n))
    book = Book(column(position, 0.0), column(order, 0.0), cash, cash, ACTIVE, *NOTHING_HEARD)
    match_orders(book, market, parameters, fills, True)
    return fills, [FillStatus(code) for code in fills.status]


def test_a_buy_pays_half_the_spread_the_impact_and_the_fee():
    """400 of 1,000,000 at vol 2 %: impact 0.5 x 0.02 x sqrt(0.0004) = 0.0002; spread 0.0003 -> 100.05; fee 1 bp of 40,020."""
    out, status = match([400.0], volume=[1e6], model=FREE._replace(commission=1e-4, half_spread=3e-4, impact=0.5))
    assert status == [FillStatus.FILLED]
    assert out.price[0] == pytest.approx(100.05)
    assert out.fee[0] == pytest.approx(4.002)
    assert out.spread_cost[0] == pytest.approx(400 * 100 * 3e-4)
    assert out.impact_cost[0] == pytest.approx(400 * 100 * 2e-4)


def test_a_sale_gets_less_than_the_open():
    out, _ = match([-400.0], position=[400.0], model=FREE._replace(half_spread=3e-4))
    assert out.price[0] == pytest.approx(99.97)
    assert out.quantity[0] == -400.0


FILLS = [
    # a tenth of 1,234 units is 123.4: whole lots of 1 -> 123
    ({"order": [500.0], "volume": [1234.0]}, [123.0], [FillStatus.PARTIAL]),
    ({"order": [500.0], "volume": [5.0]}, [0.0], [FillStatus.NO_VOLUME]),
    ({"order": [500.0], "volume": [0.0]}, [0.0], [FillStatus.NO_VOLUME]),
    ({"order": [500.0], "volume": [NAN]}, [500.0], [FillStatus.FILLED]),
    # no bar: it works on, nothing has become of it
    ({"order": [500.0], "open_": [NAN]}, [0.0], [FillStatus.NONE]),
    # 100,100 of notional with 100,000 of equity: what can be paid
    ({"order": [1001.0], "cash": 100_000.0}, [1000.0], [FillStatus.PAID_PARTLY]),
    # two that cannot both be paid get the same share, 100,000 of 200,000, whichever comes first
    ({"order": [1500.0, 500.0], "cash": 100_000.0}, [750.0, 250.0], [FillStatus.PAID_PARTLY] * 2),
    # nothing is left to pay with, but what closes a position is filled all the same, also of an order that goes on
    (
        {"order": [10.0, -5.0], "position": [0.0, 1000.0], "cash": 0.0},
        [5.0, -5.0],
        [FillStatus.PAID_PARTLY, FillStatus.FILLED],
    ),
    ({"order": [10.0], "position": [1000.0], "cash": 0.0}, [0.0], [FillStatus.NO_CASH]),
    ({"order": [-2500.0], "position": [1000.0], "cash": 0.0}, [-2000.0], [FillStatus.PAID_PARTLY]),
    ({"order": [1000.0], "cash": 100_000.0}, [1000.0], [FillStatus.FILLED]),
    # the sale of the second symbol frees the buying power for the first: shrinking orders go first
    ({"order": [900.0, -900.0], "position": [0.0, 900.0], "cash": 10_000.0}, [900.0, -900.0], [FillStatus.FILLED] * 2),
    # shorts need buying power as well
    ({"order": [-1001.0], "cash": 100_000.0}, [-1000.0], [FillStatus.PAID_PARTLY]),
    ({"order": [0.0]}, [0.0], [FillStatus.NONE]),
]


@pytest.mark.parametrize("price", [12.0, 0.3, 8.12e-6, 8.12e-9, 3.3e-12])
def test_small_prices_keep_their_spread(price):
    """2 bp of half a spread at any price; the fill is one that the journal takes, and to the bit the matcher's."""
    out, _ = match(
        [1e6, -1e6], open_=[price, price], cash=1e9, volume=[1e12, 1e12], model=FREE._replace(half_spread=2e-4)
    )
    np.testing.assert_allclose(out.price / price - 1.0, [2e-4, -2e-4], atol=2e-8)
    for value in out.price:
        assert float(to_price(float(value))) == value > 0.0


def test_no_fill_has_no_price():
    """An impact that would turn the price negative leaves the smallest step: a row that ended the desk before."""
    model = FREE._replace(impact=1e4)
    out, _ = match([-1000.0], position=[1000.0], volume=[1e4], model=model)
    assert 0.0 < out.price[0] <= 1e-8
    assert to_price(float(out.price[0])) > 0


@pytest.mark.parametrize(("given_", "quantity", "status"), FILLS)
def test_fill_scenarios(given_, quantity, status):
    out, got = match(**given_)
    assert out.quantity.tolist() == quantity
    assert got == status


@given(seed=st.integers(0, 3000))
def test_fills_never_exceed_orders_volume_or_buying_power(seed):
    rng = np.random.default_rng(seed)
    order = np.round(rng.normal(0, 800, 5))
    position, volume = np.round(rng.normal(0, 300, 5)), rng.integers(0, 20_000, 5).astype(float)
    cash = 200_000.0
    model = FREE._replace(half_spread=1e-4, impact=0.1, commission=1e-4)
    out, _ = match(order, position=position, cash=cash, volume=volume, model=model)
    filled = out.quantity
    assert (np.abs(filled) <= np.abs(order)).all()
    assert (filled * order >= 0).all()
    assert (np.abs(filled) <= volume * 0.1 + 1e-9).all()
    equity = cash + position @ np.full(5, 100.0)
    gross_before, gross_after = np.abs(position).sum() * 100, np.abs(position + filled).sum() * 100
    assert gross_after <= max(gross_before, equity) * 1.001
    turned = rng.permutation(5)
    other, _ = match(order[turned], position=position[turned], cash=cash, volume=volume[turned], model=model)
    np.testing.assert_array_equal(other.quantity, filled[turned])
    np.testing.assert_array_equal(other.price[filled[turned] != 0], out.price[turned][filled[turned] != 0])
    priced = filled != 0
    assert np.allclose(np.round(out.price[priced], 8), out.price[priced], atol=0, rtol=1e-15)


# ---------------------------------------------------------------- attribution


def test_shares_of_a_bar_by_hand():
    """A asked for 60, B for 40, all 100 held; open 10 -> close 11 after a night of +0.5: A 0.6 x 150, B 0.4 x 150."""
    holding, pool = np.array([60.0, 40.0, 0.0]), np.zeros(3)
    contribution, cost, realised = np.zeros(3), np.zeros(3), np.zeros(3)
    change, prices = PositionChange(100.0, 0.0, 0.0, 0.0), BarPrices(9.5, 10.0, 11.0)
    attribute_bar(
        change, prices, Shares(np.array([60.0, 40.0]), holding, pool, contribution, cost, realised), np.zeros(3)
    )
    assert contribution.tolist() == pytest.approx([90.0, 60.0, 0.0])
    assert pool.tolist() == pytest.approx([90.0, 60.0, 0.0])


def test_a_half_closed_position_realises_half_the_pool():
    """Pool 80/20 on 100 units; 50 sold at the open, bought nothing else; A now asks 50, B 0."""
    holding, pool = np.array([80.0, 20.0, 0.0]), np.array([800.0, 200.0, 0.0])
    contribution, cost, realised = np.zeros(3), np.zeros(3), np.zeros(3)
    change, prices = PositionChange(100.0, -50.0, 10.0, 0.0), BarPrices(10.0, 10.0, 10.0)
    attribute_bar(
        change, prices, Shares(np.array([50.0, 0.0]), holding, pool, contribution, cost, realised), np.zeros(3)
    )
    assert realised.tolist() == pytest.approx([400.0, 100.0, 0.0])
    assert pool.tolist() == pytest.approx([400.0, 100.0, 0.0])
    assert holding.tolist() == pytest.approx([50.0, 0.0, 0.0])


@given(seed=st.integers(0, 5000))
def test_attribution_adds_up_over_any_path(seed):
    """Bars of random fills: shares sum to the P&L of each bar; pools and realised parts sum to all that was earned."""
    rng = np.random.default_rng(seed)
    agents = 3
    holding, pool, scratch = np.zeros(agents + 1), np.zeros(agents + 1), np.zeros(agents + 1)
    position, mark, total, realised_total = 0.0, 50.0, 0.0, 0.0
    for _ in range(40):
        asked = rng.normal(0, 50, agents)
        filled = float(np.round(rng.normal(0, 60))) if rng.random() < 0.7 else 0.0
        if rng.random() < 0.15:
            filled = -position
        open_, close = mark * np.exp(rng.normal(0, 0.02)), 0.0
        close = open_ * np.exp(rng.normal(0, 0.02))
        price, fee = open_ * (1 + 0.001 * np.sign(filled)), abs(filled) * 0.01
        contribution, cost, realised = np.zeros(agents + 1), np.zeros(agents + 1), np.zeros(agents + 1)
        change, prices = PositionChange(position, filled, price, fee), BarPrices(mark, open_, close)
        attribute_bar(change, prices, Shares(asked, holding, pool, contribution, cost, realised), scratch)
        expected = position * (open_ - mark) + (position + filled) * (close - open_) - filled * (price - open_) - fee
        assert contribution.sum() == pytest.approx(expected, abs=1e-8)
        assert cost.sum() == pytest.approx(filled * (price - open_) + fee, abs=1e-8) and (cost >= 0.0).all()
        position, mark = position + filled, close
        assert holding.sum() == pytest.approx(position, abs=1e-9)
        total += expected
        realised_total += realised.sum()
        assert realised_total + pool.sum() == pytest.approx(total, abs=1e-6)


@given(position=st.floats(-1e4, 1e4), asked=arrays(np.float64, 4, elements=st.floats(-1e3, 1e3)))
def test_nobody_is_credited_beyond_what_it_asked(position, asked):
    holding = np.zeros(5)
    split_position(position, asked, holding)
    assert (np.abs(holding[:4]) <= np.abs(asked) + 1e-9).all()
    assert (holding[:4] * asked >= 0).all()
    assert holding.sum() == pytest.approx(position, abs=1e-6)


def test_cash_goes_by_holding():
    contribution, pool = np.zeros(3), np.zeros(3)
    attribute_cash(30.0, np.array([60.0, 30.0, 10.0]), pool, contribution)
    assert contribution.tolist() == pytest.approx([18.0, 9.0, 3.0])


@given(pnl=st.floats(-1e6, 1e6), shares=arrays(np.float64, 5, elements=st.floats(-1e6, 1e6)))
def test_exact_shares_keep_agents_and_fix_the_remainder(pnl, shares):
    fixed = exact_shares(pnl, shares)
    assert np.array_equal(fixed[:-1], shares[:-1])
    assert fixed.sum() == pytest.approx(pnl, abs=1e-6)


@pytest.mark.parametrize(
    ("position", "order", "state", "stale", "left"),
    [
        (0.0, 5.0, ACTIVE, False, 5.0),
        (0.0, 5.0, HALTED, False, 0.0),
        (0.0, 5.0, ACTIVE, True, 0.0),
        (3.0, -5.0, HALTED, False, -3.0),
        (7.0, -5.0, HALTED, False, -5.0),
    ],
)
def test_an_order_of_a_symbol_without_a_bar_works_on(position, order, state, stale, left):
    """Unless positions may only shrink: then as far as it closes one."""
    decided = Targets(floats(1), floats(1, 0.5), floats(1), np.array([1]), np.array([int(NoTrade.NO_BAR)]))
    market = MarketAtClose(floats(1, 10.0), np.array([False]), np.array([stale]), np.array([False]))
    book = Book(floats(1, position), floats(1, order), 0.0, 1e4, state, *NOTHING_HEARD)
    order_quantities(decided, market, book, Parameters(SIZING, LIMITS, FREE, floats(1, 1.0), 1e4))
    assert book.order[0] == left


def test_target_positions_report_the_raw_weight():
    decided, signal = targets(1), CombinedSignal(floats(1, 0.5), floats(1), floats(1, 0.4), floats(1))
    market = MarketAtClose(floats(1, 20.0), np.array([True]), np.array([False]), np.array([False]))
    book = Book(floats(1, 100.0), floats(1), 0.0, 10_000.0, ACTIVE, *NOTHING_HEARD)
    parameters = Parameters(SIZING._replace(buffer=0.0), LIMITS, FREE, floats(1), 1e4)
    target_positions(signal, market, book, parameters, decided)
    assert decided.raw_weight[0] == pytest.approx(0.2)
    assert decided.current[0] == pytest.approx(0.2)
