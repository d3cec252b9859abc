"""orders + the next bar -> fills: the one matcher of paper broker, replay, shadow and control books."""

from __future__ import annotations

import math

from agents.core.types import FillStatus, Floats
from agents.pipeline.bar import BarFills, Book, Depth, MarketWithin
from agents.pipeline.orders import round_to_lot
from agents.pipeline.parameters import OrderRules, Parameters
from agents.quant.compiled import compiled_inline

MONEY_STEPS = 1e8
"""Fees and prices are whole multiples of 1e-8, as the ledger keeps them, so floats and Decimals agree to the bit."""
SMALL_PRICE_STEPS, FINEST_STEPS = 1e7, 1e22
"""A small price is a multiple of so small a step that there are at least so many, but of no smaller one than 1e-22."""
ROUNDING = 1e-12
"""What exceeds the buying power by this fraction of it is rounding of floats."""


@compiled_inline
def market_depth(volume: Floats, volatility: Floats, parameters: Parameters, depth: Depth) -> None:
    """What one bar offers, the same to every book, from its volume [S] and the volatility [S] known before it.

    NaN is unknown: any quantity may then be filled, and without a known volume and volatility no fill moves the price.
    """
    model = parameters.fill_model
    for s in range(len(volume)):
        depth.whole[s], depth.units[s], depth.slope[s] = math.inf, math.inf, 0.0
        if math.isfinite(volume[s]):
            depth.units[s] = model.participation * volume[s]
            depth.whole[s] = round_to_lot(depth.units[s], parameters.lots[s])
            if volume[s] > 0.0 and math.isfinite(volatility[s]):
                depth.slope[s] = model.impact * volatility[s] / math.sqrt(volume[s])


@compiled_inline
def match_orders(book: Book, market: MarketWithin, parameters: Parameters, fills: BarFills, has_account: bool) -> bool:
    """Fill the market orders of one book at one bar's open, into `fills`; False where there was no order at all.

    An order of a symbol without a bar is left alone: it works until that symbol's next bar. Quantity: at most what the
    depth holds, nothing in a locked market (`is_locked`); the rest expires. Price: open x (1 +- (half spread + slope x
    sqrt(units))), by the square-root law of market impact (Almgren, Thum, Hauptmann, Li, "Direct estimation of equity
    market impact", 2005). Fee: commission x notional.

    With an account, prices are whole steps (`whole_price`), fees whole 1e-8 of money and at least the minimum
    commission, and buying power counts: where it does not hold all that opens or enlarges a position, each such part
    is filled at the same share of it, in whole lots. What closes a position is always filled.
    """
    order, opened, model, symbols = book.order, market.open, parameters.fill_model, len(book.order)
    first = first_order(order)
    if first == symbols:
        return False
    for s in range(symbols):
        fills.quantity[s] = 0.0
        fills.status[s] = FillStatus.NONE
    share = _payable_share(book, market, parameters, first) if has_account else 1.0
    available = market.depth.whole if has_account else market.depth.units
    for s in range(first, symbols):
        wanted = order[s]
        if wanted == 0.0 or not math.isfinite(opened[s]):
            continue
        if is_locked(market, s, wanted, parameters.orders):
            fills.status[s] = FillStatus.LOCKED
            continue
        filled = min(abs(wanted), available[s])
        if filled <= 0.0:
            fills.status[s] = FillStatus.NO_VOLUME
            continue
        fills.status[s] = FillStatus.FILLED if filled >= abs(wanted) else FillStatus.PARTIAL
        closing = closing_part(book.position[s], wanted, filled)
        if share < 1.0 and closing < filled:
            filled = closing + round_to_lot(share * (filled - closing), parameters.lots[s])
            fills.status[s] = FillStatus.PAID_PARTLY if filled > 0.0 else FillStatus.NO_CASH
            if filled <= 0.0:
                continue
        moved = market.depth.slope[s] * math.sqrt(filled)
        at = fill_price(opened[s], model.half_spread + moved, wanted)
        paid = model.commission * filled * at
        if has_account:
            paid = whole_money(max(model.minimum_commission, paid))
            at = whole_price(at)
            fills.spread_cost[s] = filled * opened[s] * model.half_spread
            fills.impact_cost[s] = filled * opened[s] * moved
        fills.quantity[s] = math.copysign(filled, wanted)
        fills.price[s] = at
        fills.fee[s] = paid
    return True


@compiled_inline
def closing_part(position: float, order: float, units: float) -> float:
    """How many of the `units` that an order trades close the position, which has the other sign; 0 where it has not."""
    return min(units, abs(position)) if position * order < 0.0 else 0.0


@compiled_inline
def is_locked(market: MarketWithin, s: int, order: float, rules: OrderRules) -> bool:
    """Whether nobody takes the other side of an order: the bar has one price, at the limit to which the exchange lets
    it move in a day. A purchase finds no seller where that is up, a sale no buyer where it is down."""
    if not (rules.locked_move < math.inf and market.high[s] == market.low[s]):
        return False
    moved: float = market.high[s] / market.mark[s] - 1.0
    return moved * math.copysign(1.0, order) >= rules.locked_move


@compiled_inline
def _payable_share(book: Book, market: MarketWithin, parameters: Parameters, first: int) -> float:
    """Which share of all that opens or enlarges positions fits into the buying power, leverage x equity at the open,
    once everything that closes is closed and all costs are paid; the same whatever the order of symbols is."""
    model, depth = parameters.fill_model, market.depth
    equity, gross = account_at_open(book, market)
    asked = 0.0
    for s in range(first, len(book.order)):
        wanted, opened = book.order[s], market.open[s]
        filled = min(abs(wanted), depth.whole[s])
        if (
            wanted == 0.0
            or filled <= 0.0
            or not math.isfinite(opened)
            or is_locked(market, s, wanted, parameters.orders)
        ):
            continue
        closing = closing_part(book.position[s], wanted, filled)
        cost = opened * (model.half_spread + depth.slope[s] * math.sqrt(filled))
        at = opened + math.copysign(cost, wanted)
        equity -= filled * cost + max(model.minimum_commission, model.commission * filled * at)
        gross -= closing * opened
        asked += (filled - closing) * at
    room = model.leverage * equity - gross
    if asked <= room * (1.0 + ROUNDING):
        return 1.0
    return max(0.0, room / asked)


@compiled_inline
def first_order(order: Floats) -> int:
    """The first symbol with an order; their number where there is none."""
    first = 0
    while first < len(order) and order[first] == 0.0:
        first += 1
    return first


@compiled_inline
def account_at_open(book: Book, market: MarketWithin) -> tuple[float, float]:
    """Equity and gross exposure at the open; a symbol without a bar counts at its last close."""
    equity, gross = book.cash, 0.0
    for s in range(len(book.position)):
        held = book.position[s]
        if held != 0.0:
            at = market.open[s] if math.isfinite(market.open[s]) else market.mark[s]
            equity += held * at
            gross += abs(held * at)
    return equity, gross


@compiled_inline
def fill_price(price: float, slippage: float, order: float) -> float:
    """What an order pays where the market stands at `price`: more by this fraction if it buys, less if it sells."""
    return price * (1.0 + math.copysign(slippage, order))


@compiled_inline
def whole_money(amount: float) -> float:
    """Rounded as the ledger keeps it."""
    return math.floor(amount * MONEY_STEPS + 0.5) / MONEY_STEPS


@compiled_inline
def whole_price(price: float) -> float:
    """Rounded as `core.orders.round_price` does it, and never to nothing."""
    steps = MONEY_STEPS
    while price * steps < SMALL_PRICE_STEPS and steps < FINEST_STEPS:
        steps *= 10.0
    return max(1.0, math.floor(price * steps + 0.5)) / steps
