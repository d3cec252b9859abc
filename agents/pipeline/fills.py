"""orders + the next bar -> fills: the one matcher of paper broker, replay, shadow and control books."""

from __future__ import annotations

import math

from agents.core.types import FillStatus, Floats
from agents.pipeline.bar import BarFills, Book, Depth, MarketAtOpen
from agents.pipeline.orders import round_to_lot
from agents.pipeline.parameters import FillModel, Parameters
from agents.quant.compiled import compiled_inline

MONEY_STEPS = 1e8
"""Prices and fees are whole multiples of 1e-8, as the ledger keeps them, so floats and Decimals agree to the bit."""


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
def match_orders(book: Book, market: MarketAtOpen, model: FillModel, fills: BarFills, has_account: bool) -> bool:
    """Fill the market orders of one book at one bar's open, into `fills`; False where there was no order at all.

    Quantity: at most what the depth holds; the rest expires. Price: open x (1 +- (half spread + slope x sqrt(units))),
    by the square-root law of market impact (Almgren, Thum, Hauptmann, Li, "Direct estimation of equity market impact",
    2005). Fee: commission x notional.

    With an account, quantities are whole lots, prices and fees whole 1e-8 of money, fees at least the minimum
    commission, and buying power counts: what an order adds to gross exposure, with its fee, must fit into leverage x
    equity at the open. Orders that shrink a position are taken first, then the others, in the order of symbols.
    """
    order, position, opened = book.order, book.position, market.price
    available = market.depth.whole if has_account else market.depth.units
    first, symbols = _first_order(order), len(order)
    if first == symbols:
        return False
    for s in range(symbols):
        fills.quantity[s] = 0.0
        fills.status[s] = FillStatus.NONE
    equity, gross = _account_at_open(book, market) if has_account else (book.cash, 0.0)
    for turn in range(2 if has_account else 1):
        for s in range(first, symbols):
            wanted = order[s]
            if wanted == 0.0 or (has_account and (wanted * position[s] < 0.0) != (turn == 0)):
                continue
            if not math.isfinite(opened[s]):
                fills.status[s] = FillStatus.NO_BAR
                continue
            filled = min(abs(wanted), available[s])
            if filled <= 0.0:
                fills.status[s] = FillStatus.NO_VOLUME
                continue
            moved = market.depth.slope[s] * math.sqrt(filled)
            at = opened[s] * (1.0 + math.copysign(model.half_spread + moved, wanted))
            paid = model.commission * filled * at
            if has_account:
                paid = _whole_money(max(model.minimum_commission, paid))
                at = _whole_money(at)
                added = (abs(position[s] + math.copysign(filled, wanted)) - abs(position[s])) * at
                if added > 0.0 and gross + added + paid > model.leverage * equity:
                    fills.status[s] = FillStatus.NO_CASH
                    continue
                gross += added
                equity -= paid + filled * abs(at - opened[s])
                fills.spread_cost[s] = filled * opened[s] * model.half_spread
                fills.impact_cost[s] = filled * opened[s] * moved
            fills.quantity[s] = math.copysign(filled, wanted)
            fills.price[s] = at
            fills.fee[s] = paid
            fills.status[s] = FillStatus.FILLED if filled >= abs(wanted) else FillStatus.PARTIAL
    return True


@compiled_inline
def _first_order(order: Floats) -> int:
    """The first symbol with an order; their number where there is none."""
    first = 0
    while first < len(order) and order[first] == 0.0:
        first += 1
    return first


@compiled_inline
def _account_at_open(book: Book, market: MarketAtOpen) -> tuple[float, float]:
    """Equity and gross exposure at the open; a symbol without a bar counts at its last close."""
    equity, gross = book.cash, 0.0
    for s in range(len(book.position)):
        held = book.position[s]
        if held != 0.0:
            at = market.price[s] if math.isfinite(market.price[s]) else market.mark[s]
            equity += held * at
            gross += abs(held * at)
    return equity, gross


@compiled_inline
def _whole_money(amount: float) -> float:
    return math.floor(amount * MONEY_STEPS + 0.5) / MONEY_STEPS
