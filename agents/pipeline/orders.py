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


@compiled_inline
def decide_orders(
    signal: CombinedSignal, market: MarketAtClose, book: Book, parameters: Parameters, targets: Targets
) -> None:
    """Forecasts to the orders of one book at one bar: `targets` and `book.order` are overwritten."""
    target_positions(signal, market, book, parameters.sizing.buffer, targets)
    apply_limits(targets, market, book.risk_state, parameters.limits)
    order_quantities(targets, market, book, parameters)


@compiled_inline
def unit_weights(volatility: Floats, sizing: Sizing, unit_weight: Floats) -> None:
    """`unit_weight` [S]: the weight that a combined forecast of 1 asks for; NaN where volatility is not yet measurable.

    target / volatility, shared over the n symbols with a volatility, times sqrt(n) capped: n independent positions
    of target / n each have a volatility of target / sqrt(n). Both volatilities are for one bar.
    """
    count = 0
    for s in range(len(volatility)):
        if math.isfinite(volatility[s]):
            count += 1
    if count == 0:
        unit_weight[:] = math.nan
        return
    share = min(sizing.instrument_multiplier_cap, math.sqrt(float(count))) / count
    for s in range(len(volatility)):
        unit_weight[s] = sizing.target_volatility * share / volatility[s]


@compiled_inline
def target_positions(
    signal: CombinedSignal, market: MarketAtClose, book: Book, buffer: float, targets: Targets
) -> None:
    """The raw weight that the forecast asks for, and the weight after the buffer, of one book at one bar.

    Inside buffer x unit weight around the raw weight the position stays; outside it moves to the near edge of that zone
    (R. Carver, Systematic Trading, 2015, "position inertia"). No bar, no volatility or no opinion: it stays; without a
    bar, what an order that still works would make of it counts as its weight.
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
            raw_weight[s] = forecast[s] * unit_weight[s]
            width = buffer * unit_weight[s]
            if abs(raw_weight[s] - current[s]) <= width:
                no_trade[s] = NoTrade.BUFFER
            else:
                no_trade[s] = NoTrade.TRADED
                weight[s] = raw_weight[s] - math.copysign(width, raw_weight[s] - current[s])
                if raw_weight[s] == 0.0 or weight[s] * raw_weight[s] < 0.0:
                    weight[s] = 0.0


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
