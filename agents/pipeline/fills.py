"""orders + the next bar -> fills: the one matcher of paper broker, replay, shadow and control books."""

from __future__ import annotations

import math

from agents.core.types import FillStatus, Floats, Integers
from agents.pipeline.orders import round_to_lot
from agents.quant.compiled import compiled_inline

MONEY_STEPS = 1e8
"""Prices and fees are whole multiples of 1e-8, as the ledger keeps them, so floats and Decimals agree to the bit."""


@compiled_inline
def market_depth(
    volume: Floats,
    volatility: Floats,
    lots: Floats,
    participation: float,
    impact: float,
    whole: Floats,
    units: Floats,
    slope: Floats,
) -> None:
    """What one bar offers, the same to every book: `whole` [S] the units that may be filled in whole lots, `units` [S]
    without rounding, both `participation` of the volume (infinite where the volume is unknown, NaN), and `slope` [S],
    by which the square root of a fill moves the price: impact x volatility / sqrt(volume), 0 where it is unknown."""
    for s in range(len(volume)):
        whole[s], units[s], slope[s] = math.inf, math.inf, 0.0
        if math.isfinite(volume[s]):
            units[s] = participation * volume[s]
            whole[s] = round_to_lot(units[s], lots[s])
            if volume[s] > 0.0 and math.isfinite(volatility[s]):
                slope[s] = impact * volatility[s] / math.sqrt(volume[s])


@compiled_inline
def match_orders(
    order: Floats,
    position: Floats,
    cash: float,
    mark: Floats,
    open_price: Floats,
    available: Floats,
    slope: Floats,
    commission: float,
    minimum_commission: float,
    half_spread: float,
    leverage: float,
    quantity: Floats,
    price: Floats,
    fee: Floats,
    spread_cost: Floats,
    impact_cost: Floats,
    status: Integers,
) -> bool:
    """Fill market orders `order` [S] (signed units) of one book at one bar's open; results [S] in place
    (price, fee and costs are written where something was filled); False where there was no order at all.

    Quantity: at most what `market_depth` says is available; the rest expires. Price: open x (1 +- (half_spread +
    slope x sqrt(quantity))), the square-root law of market impact (Almgren, Thum, Hauptmann, Li, "Direct estimation of
    equity market impact", 2005). Fee: commission x notional, at least `minimum_commission`. Buying power: what an
    order adds to gross exposure, with its fee, must fit into leverage x equity at the open; orders are taken in the
    order of symbols, those that shrink a position first. Rates are fractions of notional. `leverage` infinite: no
    account is kept, so neither buying power nor whole 1e-8 of money (shadow books).
    """
    symbols = len(order)
    first = 0
    while first < symbols and order[first] == 0.0:
        first += 1
    if first == symbols:
        return False
    equity, gross = cash, 0.0
    has_account = math.isfinite(leverage)
    for s in range(symbols):
        quantity[s] = 0.0
        status[s] = FillStatus.NONE
        if has_account and position[s] != 0.0:
            at = open_price[s] if math.isfinite(open_price[s]) else mark[s]
            equity += position[s] * at
            gross += abs(position[s] * at)
    for turn in range(2 if has_account else 1):
        for s in range(first, symbols):
            wanted = order[s]
            if wanted == 0.0 or (has_account and (wanted * position[s] < 0.0) != (turn == 0)):
                continue
            opened = open_price[s]
            if not math.isfinite(opened):
                status[s] = FillStatus.NO_BAR
                continue
            filled = min(abs(wanted), available[s])
            if filled <= 0.0:
                status[s] = FillStatus.NO_VOLUME
                continue
            moved = slope[s] * math.sqrt(filled)
            at = opened * (1.0 + math.copysign(half_spread + moved, wanted))
            paid = max(minimum_commission, commission * filled * at)
            if has_account:
                at = math.floor(at * MONEY_STEPS + 0.5) / MONEY_STEPS
                paid = math.floor(paid * MONEY_STEPS + 0.5) / MONEY_STEPS
                added = (abs(position[s] + math.copysign(filled, wanted)) - abs(position[s])) * at
                if added > 0.0 and gross + added + paid > leverage * equity:
                    status[s] = FillStatus.NO_CASH
                    continue
                gross += added
                equity -= paid + filled * abs(at - opened)
                spread_cost[s] = filled * opened * half_spread
                impact_cost[s] = filled * opened * moved
            quantity[s] = math.copysign(filled, wanted)
            price[s] = at
            fee[s] = paid
            status[s] = FillStatus.FILLED if filled >= abs(wanted) else FillStatus.PARTIAL
    return True
