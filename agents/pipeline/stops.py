"""Stop-loss and trailing stop: a price at which a position is closed within the bar, whatever the agents say.

The rule, bar by bar, of the live book and all that trade with its limits (controls of other weights, books beside it):

1. The stop-loss is `loss` below the average entry price of a long position (above that of a short one), the trailing
   stop `trailing` below the best price since the entry; of both the nearer one counts. Splits and dividends move both.
2. A bar that opens beyond the stop closes the position at the open; the order that was to meet that open is dropped.
3. Else the order is filled first (one that rests: see `drop_behind_stops`). A bar whose low (high) reaches the stop
   closes what is then held at its price: the low counts as if it came after the order and before the high, which
   raises a trailing stop for later bars only.
4. It is a market order: half a spread, impact, commission, and no more than is left of the bar's share of volume. What
   that leaves is closed at the next open; a locked market (`fills.is_locked`) leaves all.
5. A bar whose price is not believed reaches no stop. Positions that stood before stops were set count from that day.
6. Then the symbol waits for `wait_bars` decisions at which it is not held, before it may be entered again.
"""

from __future__ import annotations

import math

from agents.core.books import FIRST_BENCHMARK, FIRST_SHADOW, LIVE
from agents.core.types import Booleans, FillStatus, Floats
from agents.pipeline.attribution import BarPrices, PositionChange, Shares, attribute_bar
from agents.pipeline.bar import Book, MarketWithin, StopFills
from agents.pipeline.desk import StepDesk, book_of
from agents.pipeline.fills import fill_price, is_locked, whole_money, whole_price
from agents.pipeline.limit_orders import rest, rests_at, touch
from agents.pipeline.parameters import Parameters, StopRules
from agents.pipeline.rows import market_within
from agents.pipeline.state import Inputs, Outputs
from agents.pipeline.stopped import BEST, ENTRY, WAIT
from agents.quant.compiled import compiled_inline, compiled_short_loops, compiled_within

NOTHING_HELD = 1e-9
"""Units below which a position is rounding of floats."""


@compiled_inline
def keeps_stops(b: int, agents: int) -> bool:
    """Whether a book has the live book's stops: all but the benchmark, which holds, and the shadows."""
    return b < FIRST_BENCHMARK or b >= FIRST_SHADOW + agents


@compiled_inline
def note_entry(stop: Floats, held: float, filled: float, price: float) -> None:
    """Take a fill into the average entry price of a position of `held` units before it; `stop` [3]."""
    if held * (held + filled) <= 0.0:
        stop[ENTRY] = stop[BEST] = price
    elif held * filled > 0.0:
        stop[ENTRY] = (abs(held) * stop[ENTRY] + abs(filled) * price) / (abs(held) + abs(filled))


@compiled_short_loops
def follow_actions(stops: Floats, split: Floats, dividend: Floats) -> None:
    """A dividend is cash, not a loss, and a split is neither: both move entry and best price of a book. `stops` [S, 3],
    the others [S]; dividends are paid on shares before the split."""
    for s in range(len(split)):
        for k in (ENTRY, BEST):
            price = stops[s, k]
            price -= dividend[s] if price > dividend[s] else 0.0
            stops[s, k] = price / split[s] if split[s] > 0.0 else price


@compiled_inline
def stop_price(held: float, stop: Floats, rules: StopRules) -> float:
    """The price at which a position of `held` units is closed, NaN for none; `stop` [3]."""
    price = math.nan
    if held == 0.0 or stop[ENTRY] <= 0.0:
        return price
    side = math.copysign(1.0, held)
    if rules.loss > 0.0:
        price = stop[ENTRY] * (1.0 - side * rules.loss)
    if rules.trailing > 0.0:
        trail = stop[BEST] * (1.0 - side * rules.trailing)
        if not side * trail <= side * price:  # also where there is no other
            price = trail
    return price


@compiled_short_loops
def drop_at_gaps(book: Book, bar: MarketWithin, rules: StopRules, dropped: Booleans) -> None:
    """Before the open: a position without a known entry begins at its mark, and where the open is beyond a position's
    stop, its order is `dropped` [S]: the stop closes all of it."""
    for s in range(len(book.order)):
        held, stop = book.position[s], book.stops[s]
        dropped[s] = False
        if held == 0.0:
            stop[ENTRY] = stop[BEST] = 0.0
            continue
        if stop[ENTRY] <= 0.0 and math.isfinite(bar.mark[s]):
            stop[ENTRY] = stop[BEST] = bar.mark[s]
        if book.order[s] != 0.0 and (bar.open[s] - stop_price(held, stop, rules)) * held <= 0.0:
            dropped[s] = True
            book.order[s] = 0.0


@compiled_short_loops
def drop_behind_stops(book: Book, bar: MarketWithin, parameters: Parameters, dropped: Booleans) -> None:
    """Where a bar reaches a position's stop, an order that rests is `dropped` [S], too: which of them the bar met first
    is not known, and the stop is the worse one. But one that enlarges the position at a price on the way to the stop
    was met before it."""
    for s in range(len(book.order)):
        held, order = book.position[s], book.order[s]
        if held == 0.0 or order == 0.0 or not rests_at(book, s):
            continue
        price, worst = stop_price(held, book.stops[s], parameters.stops), bar.low[s] if held > 0.0 else bar.high[s]
        if not (math.isfinite(bar.open[s]) and (worst - price) * held <= 0.0):
            continue
        limit = touch(bar.mark[s], order, parameters.fill_model.half_spread)
        if not (order * held > 0.0 and (limit - price) * held > 0.0):
            dropped[s] = True
            book.order[s] = 0.0


@compiled_short_loops
def match_stops(book: Book, bar: MarketWithin, filled: Floats, parameters: Parameters, fills: StopFills) -> None:
    """Close what the bar's stops close of a book after the open, at which `filled` [S] units were traded, into `fills`;
    nothing of the book is changed."""
    rules, model = parameters.stops, parameters.fill_model
    for s in range(len(book.position)):
        fills.at[s], fills.status[s], fills.wanted[s], fills.quantity[s] = math.nan, FillStatus.NONE, 0.0, 0.0
        held = book.position[s]
        price = stop_price(held, book.stops[s], rules)
        if not (math.isfinite(bar.open[s]) and math.isfinite(price)):
            continue
        worst = bar.low[s] if held > 0.0 else bar.high[s]
        if not ((worst - price) * held <= 0.0 or (bar.open[s] - price) * held <= 0.0):
            continue
        fills.at[s] = min(price, bar.open[s]) if held > 0.0 else max(price, bar.open[s])
        fills.wanted[s] = -held
        lost = book.stops[s, ENTRY] * (1.0 - math.copysign(rules.loss, held))
        fills.status[s] = FillStatus.STOP_LOSS if rules.loss > 0.0 and price == lost else FillStatus.TRAILING_STOP
        units = min(abs(held), bar.depth.whole[s] - abs(filled[s]))
        if units <= 0.0 or is_locked(bar, s, -held, parameters.orders):
            continue
        moved = bar.depth.slope[s] * math.sqrt(units)
        at = fill_price(fills.at[s], model.half_spread + moved, -held)
        fills.quantity[s] = math.copysign(units, -held)
        fills.price[s] = whole_price(at)
        fills.fee[s] = whole_money(max(model.minimum_commission, model.commission * units * at))
        fills.spread_cost[s] = units * fills.at[s] * model.half_spread
        fills.impact_cost[s] = units * fills.at[s] * moved


@compiled_within
def begin_stops(desk: StepDesk, inputs: Inputs, t: int, k: int, b: int) -> None:
    """Before the orders of book `b` are settled: see `drop_at_gaps`."""
    work = desk.work
    book, bar = book_of(desk.state, b, 1.0), market_within(desk.rows, inputs, t, k)
    drop_at_gaps(book, bar, desk.parameters.stops, work.dropped)
    if rest(book, desk.parameters.orders):
        drop_behind_stops(book, bar, desk.parameters, work.dropped)
    for s in range(len(work.filled)):
        work.filled[s] = 0.0


@compiled_within
def settle_stops(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int], capital: float) -> None:
    """Close what the stops close of a book `at` (bar, row, book), once its orders are settled (`work.filled`)."""
    t, k, b = at
    state, work, fills, model = desk.state, desk.work, desk.work.stop_fills, desk.parameters
    book = book_of(state, b, 1.0)
    bar = market_within(desk.rows, inputs, t, k)
    match_stops(book, bar, work.filled, model, fills)
    external, paid, traded = b == LIVE and inputs.external, 0.0, 0.0
    for s in range(len(fills.at)):
        stop, held = book.stops[s], book.position[s]
        if external:
            _take_brokers(inputs, t, s, fills)
        if fills.status[s] != FillStatus.NONE:
            stop[WAIT] = model.stops.wait_bars
        quantity = fills.quantity[s]
        if quantity != 0.0:
            held += quantity
            held = 0.0 if abs(held) < NOTHING_HELD else held
            book.position[s] = held
            paid += quantity * fills.price[s] + fills.fee[s]
            traded += abs(quantity) * fills.price[s]
        best = inputs.high[t, s] if held > 0.0 else inputs.low[t, s]
        if held != 0.0 and math.isfinite(bar.open[s]) and (best - stop[BEST]) * held > 0.0:
            stop[BEST] = best
        if b == LIVE:
            _note_stop(work.dropped[s] and not external, fills, out, t, s)
    state.cash[b] -= paid
    out.turnover[t, b] += traded / capital


@compiled_inline
def _take_brokers(inputs: Inputs, t: int, s: int, fills: StopFills) -> None:
    """What a broker made of the live book's stop. One that it filled where the bar reached none is still a stop."""
    fills.quantity[s] = inputs.broker_stops.quantity[t, s]
    fills.price[s], fills.fee[s] = inputs.broker_stops.price[t, s], inputs.broker_stops.fee[t, s]
    fills.spread_cost[s] = fills.impact_cost[s] = 0.0
    if fills.quantity[s] != 0.0 and fills.status[s] == FillStatus.NONE:
        fills.at[s], fills.wanted[s], fills.status[s] = fills.price[s], fills.quantity[s], FillStatus.STOP_LOSS


@compiled_inline
def _note_stop(dropped: bool, fills: StopFills, out: Outputs, t: int, s: int) -> None:
    if dropped:
        out.fill_status[t, s] = FillStatus.STOPPED
    if fills.status[s] != FillStatus.NONE:
        out.stop_at[t, s], out.stop_status[t, s], out.stop_wanted[t, s] = fills.at[s], fills.status[s], fills.wanted[s]
    if fills.quantity[s] != 0.0:
        out.stop_quantity[t, s], out.stop_price[t, s], out.stop_fee[t, s] = (
            fills.quantity[s],
            fills.price[s],
            fills.fee[s],
        )
        out.stop_spread[t, s], out.stop_impact[t, s] = fills.spread_cost[s], fills.impact_cost[s]


@compiled_within
def attribute_stop(desk: StepDesk, out: Outputs, t: int, s: int, prices: BarPrices) -> None:
    """The part of a bar that begins with a stop's fill, whose price `prices.open` was; as `attribute_bar`."""
    state = desk.state
    quantity = out.stop_quantity[t, s]
    change = PositionChange(state.position[LIVE, s] - quantity, quantity, out.stop_price[t, s], out.stop_fee[t, s])
    cost, realised = out.agent_cost[t], out.stop_realised[t, s]
    shares = Shares(state.asked[s], state.holding[s], state.pool[s], out.contribution[t], cost, realised)
    attribute_bar(change, prices, shares, desk.work.shares)
