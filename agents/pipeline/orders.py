"""combined signal -> orders of one book: unit weights, buffer, limits, lots, in this order."""

from __future__ import annotations

import math

from agents.core.types import Floats, NoTrade, RiskState
from agents.pipeline.bar import Book, CombinedSignal, MarketAtClose, Targets
from agents.pipeline.parameters import Parameters, Sizing
from agents.pipeline.risk import apply_limits
from agents.quant.compiled import compiled_inline

LOT_TOLERANCE = 1e-9
"""A quantity that misses a multiple of the lot by this part of a lot is that multiple."""
SPEED_DECAY = 1.0 - 2.0 / 121.0
"""Exponential memory of a forecast's speed, a span of 120 bars, as of the shadows' variance."""


@compiled_inline
def decide_orders(
    signal: CombinedSignal, market: MarketAtClose, book: Book, parameters: Parameters, targets: Targets
) -> None:
    """Forecasts to the orders of one book at one bar: `targets` and `book.order` are overwritten."""
    target_positions(signal, market, book, parameters.sizing.buffer, targets)
    apply_limits(targets, market, book.risk_state, parameters.limits)
    order_quantities(targets, market, book, parameters)


@compiled_inline
def unit_weights(volatility: Floats, sizing: Sizing, signal: CombinedSignal) -> None:
    """The weight [S] that a combined forecast of 1 asks for, and the zone that costs are worth (`cost_band`); NaN where
    volatility is not yet measurable.

    target / volatility, shared over the n symbols with a volatility, times sqrt(n) capped: n independent positions
    of target / n each have a volatility of target / sqrt(n). Both volatilities are for one bar.

    A position that strays from what is asked for costs a / 2 x (risk of the distance), a = assumed Sharpe ratio /
    target volatility; a target that moves like a random walk of variance v a bar, followed at the edge of a zone of
    half width h, trades v / (2 h) a bar, at cost c each. The least sum is at h^3 = 3 c v / (2 a volatility^2): see R.
    Martin and T. Schoeneborn, "Mean reversion pays, but costs", 2011; the cube root of costs is that of G.
    Constantinides 1986 and L. Rogers 2004. In unit weights h^3 = 3/2 c v / (volatility x Sharpe ratio x share).
    """
    count = 0
    for s in range(len(volatility)):
        if math.isfinite(volatility[s]):
            count += 1
    if count == 0:
        signal.unit_weight[:] = math.nan
        return
    share = min(sizing.instrument_multiplier_cap, math.sqrt(float(count))) / count
    for s in range(len(volatility)):
        signal.unit_weight[s] = sizing.target_volatility * share / volatility[s]
        signal.cost_band[s] = 1.5 * sizing.trade_cost / (volatility[s] * sizing.assumed_sharpe * share)


@compiled_inline
def target_positions(
    signal: CombinedSignal, market: MarketAtClose, book: Book, buffer: float, targets: Targets
) -> None:
    """The raw weight that the forecast asks for, and the weight after the buffer, of one book at one bar.

    Inside buffer x unit weight around the raw weight the position stays; outside it moves to the near edge of that zone
    (R. Carver, Systematic Trading, 2015, "position inertia"). Where the position grows, the zone is at least as wide as
    costs are worth (`unit_weights`); what takes risk off does not wait for that. No bar, no volatility or no opinion:
    it stays; without a bar, what an order that still works would make of it counts as its weight.
    """
    price, position, per_unit = market.price, book.position, 1.0 / book.capital
    raw_weight, weight, current, no_trade = targets.raw_weight, targets.weight, targets.current, targets.no_trade
    forecast, unit_weight = signal.forecast, signal.unit_weight
    for s in range(len(forecast)):
        current[s] = position[s] * price[s] * per_unit if position[s] != 0.0 else 0.0
        weight[s] = current[s]
        raw_weight[s] = math.nan
        if not market.has_bar[s]:
            no_trade[s] = NoTrade.NO_BAR
            if book.order[s] != 0.0:
                weight[s] = (position[s] + book.order[s]) * price[s] * per_unit
        elif not math.isfinite(unit_weight[s]):
            no_trade[s] = NoTrade.WARM_UP
        elif not math.isfinite(forecast[s]):
            no_trade[s] = NoTrade.NO_OPINION
        else:
            _learn_speed(book, s, forecast[s])
            raw_weight[s] = forecast[s] * unit_weight[s]
            width, worth = buffer * unit_weight[s], signal.cost_band[s] * book.speed[s]
            weight[s] = _edge(raw_weight[s], current[s], width)
            if worth > buffer**3 and abs(raw_weight[s] - current[s]) > width:
                weight[s] = _worth_its_cost(raw_weight[s], current[s], weight[s], worth ** (1.0 / 3.0) * unit_weight[s])
            no_trade[s] = NoTrade.BUFFER if weight[s] == current[s] else NoTrade.TRADED


@compiled_inline
def _learn_speed(book: Book, s: int, forecast: float) -> None:
    """Take in how far a symbol's forecast has moved since the last decision about it."""
    change = forecast - book.heard[s]
    if math.isfinite(change):
        book.speed[s] += (1.0 - SPEED_DECAY) * (change * change - book.speed[s])
    book.heard[s] = forecast


@compiled_inline
def _edge(raw: float, current: float, width: float) -> float:
    """The near edge of the zone around the raw weight, not beyond zero; inside it, the current weight."""
    if abs(raw - current) <= width:
        return current
    edge = raw - math.copysign(width, raw - current)
    return 0.0 if raw == 0.0 or edge * raw < 0.0 else edge


@compiled_inline
def _worth_its_cost(raw: float, current: float, weight: float, width: float) -> float:
    """Of a trade to `weight`, what takes risk off, and what puts it on as far as a zone of this `width` lets it."""
    if abs(weight) <= abs(current) and weight * current >= 0.0:
        return weight
    reduced = 0.0 if weight * current < 0.0 else current
    return _edge(raw, reduced, width)


@compiled_inline
def order_quantities(targets: Targets, market: MarketAtClose, book: Book, parameters: Parameters) -> None:
    """Allowed weights [S] -> signed quantities in `book.order` [S], rounded so that positions never exceed the weights.

    An order below the minimum trade is not sent, unless it closes the position. Where a symbol has no bar, its order
    works on, as far as it closes the position only where positions may only shrink.
    """
    weight, clamps, no_trade = targets.weight, targets.clamps, targets.no_trade
    price, position, order = market.price, book.position, book.order
    lots, smallest = parameters.lots, parameters.sizing.minimum_trade * book.capital
    for s in range(len(weight)):
        if not market.has_bar[s]:
            if order[s] != 0.0 and (market.stale[s] or market.leaving[s] or book.risk_state == RiskState.HALTED):
                closing = min(abs(order[s]), abs(position[s])) if order[s] * position[s] < 0.0 else 0.0
                order[s] = math.copysign(closing, order[s]) if closing > 0.0 else 0.0
            continue
        order[s] = 0.0
        if no_trade[s] != NoTrade.TRADED and clamps[s] == 0:
            continue
        goal = round_to_lot(weight[s] * book.capital / price[s], lots[s])
        difference = goal - position[s]
        if difference == 0.0 or abs(difference) < lots[s] * 0.5:
            no_trade[s] = NoTrade.LOT if no_trade[s] == NoTrade.TRADED else no_trade[s]
        elif goal != 0.0 and abs(difference) * price[s] < smallest:
            no_trade[s] = NoTrade.TOO_SMALL
        else:
            no_trade[s] = NoTrade.TRADED
            order[s] = difference


@compiled_inline
def round_to_lot(quantity: float, lot: float) -> float:
    """Towards zero to a multiple of `lot`; a lot of 0 rounds nothing."""
    if lot <= 0.0:
        return quantity
    return math.copysign(math.floor(abs(quantity) / lot + LOT_TOLERANCE) * lot, quantity)
