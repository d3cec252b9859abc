"""target weights -> orders: units, buffer, limits, lots, in this order."""

from __future__ import annotations

import math

from agents.core.types import Booleans, Floats, Integers, NoTrade
from agents.pipeline.risk import apply_limits
from agents.quant.compiled import compiled_inline

LOT_TOLERANCE = 1e-9


@compiled_inline
def round_to_lot(quantity: float, lot: float) -> float:
    """Towards zero to a multiple of `lot`; a lot of 0 rounds nothing."""
    if lot <= 0.0:
        return quantity
    return math.copysign(math.floor(abs(quantity) / lot + LOT_TOLERANCE) * lot, quantity)


@compiled_inline
def unit_weights(volatility: Floats, target_volatility: float, multiplier_cap: float, unit: Floats) -> None:
    """`unit` [S]: the weight that a combined forecast of 1 asks for; NaN where volatility is not yet measurable.

    target / volatility, shared over the n symbols with a volatility, times sqrt(n) capped: n independent positions
    of target / n each have a volatility of target / sqrt(n). Both volatilities are for one bar.
    """
    count = 0
    for s in range(len(volatility)):
        if math.isfinite(volatility[s]):
            count += 1
    if count == 0:
        unit[:] = math.nan
        return
    share = min(multiplier_cap, math.sqrt(float(count))) / count
    for s in range(len(volatility)):
        unit[s] = target_volatility * share / volatility[s]


@compiled_inline
def target_positions(
    combined: Floats,
    unit: Floats,
    price: Floats,
    has_bar: Booleans,
    position: Floats,
    capital: float,
    buffer: float,
    raw_weight: Floats,
    weight: Floats,
    current: Floats,
    no_trade: Integers,
) -> None:
    """One bar, one book: `raw_weight` the forecast asks for and `weight` after the buffer, both [S], in place.

    Inside buffer x unit of the raw weight the position stays; outside it moves to the near edge of that zone
    (R. Carver, Systematic Trading, 2015, "position inertia"). No bar, no volatility or no opinion: it stays.
    """
    per_unit = 1.0 / capital
    for s in range(len(combined)):
        current[s] = position[s] * price[s] * per_unit if position[s] != 0.0 else 0.0
        weight[s] = current[s]
        raw_weight[s] = math.nan
        if not has_bar[s]:
            no_trade[s] = NoTrade.NO_BAR
        elif not math.isfinite(unit[s]):
            no_trade[s] = NoTrade.WARM_UP
        elif not math.isfinite(combined[s]):
            no_trade[s] = NoTrade.NO_OPINION
        else:
            raw_weight[s] = combined[s] * unit[s]
            width = buffer * unit[s]
            if abs(raw_weight[s] - current[s]) <= width:
                no_trade[s] = NoTrade.BUFFER
            else:
                no_trade[s] = NoTrade.TRADED
                weight[s] = raw_weight[s] - math.copysign(width, raw_weight[s] - current[s])
                if raw_weight[s] == 0.0 or weight[s] * raw_weight[s] < 0.0:
                    weight[s] = 0.0


@compiled_inline
def order_quantities(
    weight: Floats,
    clamps: Integers,
    price: Floats,
    has_bar: Booleans,
    position: Floats,
    capital: float,
    lots: Floats,
    minimum_trade: float,
    no_trade: Integers,
    order: Floats,
) -> None:
    """Allowed weights [S] -> signed `order` quantities [S], rounded so that positions never exceed the weights.

    An order below `minimum_trade` x capital is not sent, unless it closes the position.
    """
    for s in range(len(weight)):
        order[s] = 0.0
        if not has_bar[s] or (no_trade[s] != NoTrade.TRADED and clamps[s] == 0):
            continue
        goal = round_to_lot(weight[s] * capital / price[s], lots[s])
        difference = goal - position[s]
        if difference == 0.0 or abs(difference) < lots[s] * 0.5:
            no_trade[s] = NoTrade.LOT if no_trade[s] == NoTrade.TRADED else no_trade[s]
        elif goal != 0.0 and abs(difference) * price[s] < minimum_trade * capital:
            no_trade[s] = NoTrade.TOO_SMALL
        else:
            no_trade[s] = NoTrade.TRADED
            order[s] = difference


@compiled_inline
def decide_orders(
    combined: Floats,
    unit: Floats,
    price: Floats,
    has_bar: Booleans,
    stale: Booleans,
    position: Floats,
    capital: float,
    state: int,
    buffer: float,
    minimum_trade: float,
    lots: Floats,
    symbol_cap: float,
    gross_cap: float,
    allow_short: bool,
    reducing_scale: float,
    raw_weight: Floats,
    weight: Floats,
    current: Floats,
    clamps: Integers,
    no_trade: Integers,
    order: Floats,
) -> None:
    """Forecasts to orders for one book and bar: target_positions, apply_limits, order_quantities."""
    target_positions(combined, unit, price, has_bar, position, capital, buffer, raw_weight, weight, current, no_trade)
    apply_limits(weight, current, stale, state, symbol_cap, gross_cap, allow_short, reducing_scale, clamps)
    order_quantities(weight, clamps, price, has_bar, position, capital, lots, minimum_trade, no_trade, order)
