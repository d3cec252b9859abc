"""orders + the next bar -> fills: the one matcher of paper broker, replay, shadow and control books."""

from __future__ import annotations

import math

from agents.core.types import Floats, Integers
from agents.pipeline.orders import round_to_lot
from agents.quant.compiled import compiled_inline

MONEY_STEPS = 1e8
"""Prices and fees are whole multiples of 1e-8, as the ledger keeps them, so floats and Decimals agree to the bit."""
NONE, FILLED, PARTIAL, NO_BAR, NO_VOLUME, NO_CASH = 0, 1, 2, 3, 4, 5


@compiled_inline
def match_orders(
    order: Floats, position: Floats, cash: float, mark: Floats, open_price: Floats, volume: Floats,
    volatility: Floats, lots: Floats, commission: float, minimum_commission: float, half_spread: float,
    impact: float, participation: float, leverage: float,
    quantity: Floats, price: Floats, fee: Floats, spread_cost: Floats, impact_cost: Floats, status: Integers,
) -> bool:  # fmt: skip
    """Fill market orders `order` [S] (signed units) of one book at one bar's open; results [S] in place
    (price, fee and costs are written where something was filled); False where there was no order at all.

    Quantity: at most `participation` of the bar's volume, whole lots (unknown volume, NaN, does not limit); the
    rest expires. Price: open x (1 +- (half_spread + impact x volatility x sqrt(quantity / volume))), the square-root
    law of market impact (Almgren, Thum, Hauptmann, Li, "Direct estimation of equity market impact", 2005). Fee:
    commission x notional, at least `minimum_commission`. Buying power: what an order adds to gross exposure, with
    its fee, must fit into leverage x equity at the open; orders are taken in the order of symbols, those that
    shrink a position first. Rates are fractions of notional. `leverage` infinite: no account is kept, so neither buying power nor whole
    1e-8 of money (shadow books).
    """
    symbols = len(order)
    equity, gross, any_order = cash, 0.0, False
    for s in range(symbols):
        quantity[s] = 0.0
        status[s] = NONE
        any_order = any_order or order[s] != 0.0
    if not any_order:
        return False
    has_account = math.isfinite(leverage)
    for s in range(symbols):
        if has_account and position[s] != 0.0:
            at = open_price[s] if math.isfinite(open_price[s]) else mark[s]
            equity += position[s] * at
            gross += abs(position[s] * at)
    for turn in range(2 if has_account else 1):
        for s in range(symbols):
            if order[s] == 0.0 or (has_account and (order[s] * position[s] < 0.0) != (turn == 0)):
                continue
            if not math.isfinite(open_price[s]):
                status[s] = NO_BAR
                continue
            wanted = abs(order[s])
            filled = wanted
            known_volume = math.isfinite(volume[s])
            if known_volume:
                filled = min(wanted, round_to_lot(participation * volume[s], lots[s]))
            if filled <= 0.0:
                status[s] = NO_VOLUME
                continue
            sign = math.copysign(1.0, order[s])
            moved = 0.0
            if impact > 0.0 and known_volume and math.isfinite(volatility[s]):
                moved = impact * volatility[s] * math.sqrt(filled / volume[s])
            at = open_price[s] * (1.0 + sign * (half_spread + moved))
            paid = max(minimum_commission, commission * filled * at)
            if has_account:
                at = math.floor(at * MONEY_STEPS + 0.5) / MONEY_STEPS
                paid = math.floor(paid * MONEY_STEPS + 0.5) / MONEY_STEPS
                added = (abs(position[s] + sign * filled) - abs(position[s])) * at
                if added > 0.0 and gross + added + paid > leverage * equity:
                    status[s] = NO_CASH
                    continue
                gross += added
                equity -= paid + filled * abs(at - open_price[s])
            quantity[s] = sign * filled
            price[s] = at
            fee[s] = paid
            spread_cost[s] = filled * open_price[s] * half_spread
            impact_cost[s] = filled * open_price[s] * moved
            status[s] = FILLED if filled >= wanted else PARTIAL
    return True
