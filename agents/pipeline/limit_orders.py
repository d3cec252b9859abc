"""Orders that rest at the touch: limit orders, and those that chase, by a rule that needs no more of a bar than prices.

The rule, bar by bar, of the live book and all that trade with its limits, as of stops. The others' orders are market
orders, and so are those that must not wait: of a desk that reduces or is halted, and of what a stop has left.

1. An order rests at the touch on its own side of the last believed close: half a spread below it to buy, above it to
   sell (`touch`). Splits move it, and it is set anew with each decision.
2. Where the bar opens beyond that price the order is filled at the open as a market order is, at no worse price.
3. Else it is filled at its own price, without spread and impact, where the bar trades THROUGH that price; a touch is
   not enough, since others wait there. A limit order (`passive` = 1) has the whole bar. One that chases rests for the
   part f of it, whose range beyond the open is taken as the square root of f of the bar's, as prices diffuse.
4. What is left of an order that chases then crosses, at half a spread and impact from where the market is taken to
   stand: open + square root of f x (close - open). Half-way would be too cheap, as who was not filled was run away from
   (scripts/calibrate_orders.py).
5. All of it is at most the bar's share of volume, and f of that while it rests. The rest expires with the bar; what the
   next decision still wants it orders at the next touch.
6. A bar that is not believed, or locked at its limit, fills nothing. Of one that had opened before the decision's data
   were there an order sees the close only (`market.tradable`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from agents.core.types import FillStatus, Floats, RiskState
from agents.pipeline.bar import BarFills, Book, MarketWithin
from agents.pipeline.fills import (
    ROUNDING,
    account_at_open,
    closing_part,
    fill_price,
    first_order,
    is_locked,
    whole_money,
    whole_price,
)
from agents.pipeline.orders import round_to_lot
from agents.pipeline.parameters import OrderRules, Parameters
from agents.pipeline.stopped import WAIT
from agents.quant.compiled import compiled_inline, compiled_short_loops


class Met(NamedTuple):
    """What an order meets in a bar, where it can pay for it."""

    resting: float
    """Units filled at its own price."""
    crossing: float
    """Units filled as a market order's are, ..."""
    at: float
    """... where the market stands here, ..."""
    worst: float
    """... at no worse price than this one, NaN for any."""


@compiled_inline
def rest(book: Book, rules: OrderRules) -> bool:
    """Whether a book's orders rest, but for those of symbols that were stopped out (`rests_at`)."""
    return rules.passive > 0.0 and book.risk_state == RiskState.ACTIVE


@compiled_inline
def rests_at(book: Book, s: int) -> bool:
    """Whether the order of one symbol rests where others do."""
    waits: float = book.stops[s, WAIT]
    return waits == 0.0


@compiled_inline
def touch(mark: float, order: float, half_spread: float) -> float:
    """The best price on an order's own side of a market whose middle is `mark`."""
    return whole_price(mark * (1.0 - math.copysign(half_spread, order)))


@compiled_short_loops
def match_resting(book: Book, market: MarketWithin, parameters: Parameters, fills: BarFills, at: Floats) -> bool:
    """Fill the orders of a book with an account, which rest, at one bar, into `fills`; False where there was no order
    at all. `at` [S] is where the market stood, on average, when an order was filled, NaN where none was.

    Without a bar an order works on. Buying power counts as at the open (`fills.match_orders`): what opens or enlarges a
    position is filled at the same share of it, first what rested.
    """
    order, model, symbols = book.order, parameters.fill_model, len(book.order)
    for s in range(symbols):
        at[s] = math.nan
    first = first_order(order)
    if first == symbols:
        return False
    for s in range(symbols):
        fills.quantity[s] = 0.0
        fills.status[s] = FillStatus.NONE
    share = _payable_share(book, market, parameters, first)
    for s in range(first, symbols):
        wanted = order[s]
        if wanted == 0.0 or not math.isfinite(market.open[s]):
            continue
        met = _meet(book, market, s, parameters)
        filled = met.resting + met.crossing
        fills.status[s] = _status(market, s, wanted, filled, parameters)
        closing = closing_part(book.position[s], wanted, filled)
        if share < 1.0 and closing < filled:
            filled = closing + round_to_lot(share * (filled - closing), parameters.lots[s])
            fills.status[s] = FillStatus.PAID_PARTLY if filled > 0.0 else FillStatus.NO_CASH
        if filled <= 0.0:
            continue
        resting = min(met.resting, filled)
        crossing, limit = filled - resting, touch(market.mark[s], wanted, model.half_spread)
        paid = _crossing_price(met, crossing, market.depth.slope[s], wanted, parameters)
        at[s] = (resting * limit + crossing * met.at) / filled
        fills.quantity[s] = math.copysign(filled, wanted)
        fills.price[s] = whole_price((resting * limit + crossing * paid) / filled)
        fills.fee[s] = whole_money(max(model.minimum_commission, model.commission * filled * fills.price[s]))
        slipped = abs(paid - met.at)
        spread = min(slipped, met.at * model.half_spread)
        fills.spread_cost[s] = crossing * spread
        fills.impact_cost[s] = crossing * (slipped - spread)
    return True


@compiled_inline
def _meet(book: Book, market: MarketWithin, s: int, parameters: Parameters) -> Met:
    """Rules 2 to 6."""
    rules, whole, wanted = parameters.orders, market.depth.whole[s], book.order[s]
    side, opened, closed = math.copysign(1.0, wanted), market.open[s], market.close[s]
    limit, units = touch(market.mark[s], wanted, parameters.fill_model.half_spread), min(abs(wanted), whole)
    if is_locked(market, s, wanted, rules):
        return Met(0.0, 0.0, opened, math.nan)
    if not rests_at(book, s):
        return Met(0.0, units, opened, math.nan)
    if (opened - limit) * side < 0.0:
        return Met(0.0, units, opened, limit)
    reached, part = market.low[s] if wanted > 0.0 else market.high[s], math.sqrt(rules.passive)
    if rules.delayed and opened == closed:
        reached = opened
    elif rules.passive < 1.0:
        reached = opened - part * (opened - reached)
        if math.isfinite(whole):
            whole = round_to_lot(rules.passive * whole, parameters.lots[s])
    resting = min(units, whole) if (reached - limit) * side < 0.0 else 0.0
    crossing = units - resting if rules.crosses else 0.0
    return Met(resting, crossing, opened + part * (closed - opened), math.nan)


@compiled_inline
def _crossing_price(met: Met, units: float, slope: float, wanted: float, parameters: Parameters) -> float:
    paid = fill_price(met.at, parameters.fill_model.half_spread + slope * math.sqrt(units), wanted)
    return met.worst if (paid - met.worst) * wanted > 0.0 else paid


@compiled_inline
def _status(market: MarketWithin, s: int, wanted: float, filled: float, parameters: Parameters) -> FillStatus:
    if filled > 0.0:
        return FillStatus.FILLED if filled >= abs(wanted) else FillStatus.PARTIAL
    if is_locked(market, s, wanted, parameters.orders):
        return FillStatus.LOCKED
    return FillStatus.NO_VOLUME if market.depth.whole[s] <= 0.0 else FillStatus.NOT_REACHED


@compiled_inline
def _payable_share(book: Book, market: MarketWithin, parameters: Parameters, first: int) -> float:
    """As `fills` has it for market orders; what is closed brings in what it is closed at."""
    model = parameters.fill_model
    equity, gross = account_at_open(book, market)
    asked = 0.0
    for s in range(first, len(book.order)):
        wanted, opened = book.order[s], market.open[s]
        if wanted == 0.0 or not math.isfinite(opened):
            continue
        met = _meet(book, market, s, parameters)
        filled = met.resting + met.crossing
        if filled <= 0.0:
            continue
        limit = touch(market.mark[s], wanted, model.half_spread)
        paid = _crossing_price(met, met.crossing, market.depth.slope[s], wanted, parameters)
        price = (met.resting * limit + met.crossing * paid) / filled
        closing = closing_part(book.position[s], wanted, filled)
        equity -= math.copysign(closing, wanted) * (price - opened)
        equity -= max(model.minimum_commission, model.commission * filled * price)
        gross -= closing * opened
        asked += (filled - closing) * price
    room = model.leverage * equity - gross
    if asked <= room * (1.0 + ROUNDING):
        return 1.0
    return max(0.0, room / asked)
