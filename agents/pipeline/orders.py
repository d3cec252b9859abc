"""combined signal -> orders of one book: unit weights, buffer, limits, lots, in this order."""

from __future__ import annotations

import math

from agents.core.types import Floats, NoTrade, RiskState
from agents.pipeline.bar import Book, CombinedSignal, MarketAtClose, Targets
from agents.pipeline.parameters import Parameters, Sizing
from agents.pipeline.risk import apply_limits
from agents.pipeline.stopped import count_waiting, has_stops, keep_out
from agents.pipeline.worth import risk_aversion
from agents.quant.compiled import compiled_inline

LOT_TOLERANCE = 1e-9
"""A quantity that misses a multiple of the lot by this part of a lot is that multiple."""
NEWTON_STEPS = 4
CERTAIN, SMALLEST_SURE = 0.999, 1e-200
"""A comparison with so much room does not hang on rounding, nor on how near Newton's steps come to the root."""
MOVES_DECAY = 1.0 - 2.0 / 121.0
"""Exponential memory of how a forecast moves, a span of 120 bars, as of the shadows' variance."""


@compiled_inline
def decide_orders(
    signal: CombinedSignal, market: MarketAtClose, book: Book, parameters: Parameters, targets: Targets
) -> None:
    """Forecasts to the orders of one book at one bar: `targets` and `book.order` are overwritten."""
    target_positions(signal, market, book, parameters, targets)
    if has_stops(parameters.stops):
        keep_out(targets, book)
    apply_limits(targets, market, book.risk_state, parameters.limits)
    if has_stops(parameters.stops):
        count_waiting(targets, market, book)
    order_quantities(targets, market, book, parameters)


@compiled_inline
def unit_weights(volatility: Floats, sizing: Sizing, signal: CombinedSignal) -> None:
    """The weight [S] that a combined forecast of 1 asks for, NaN where volatility is not yet measurable, and what a
    trade costs against the risk of straying (`CombinedSignal.cost_band`).

    target / volatility, shared over the n symbols with a volatility, times sqrt(n) capped: n independent positions
    of target / n each have a volatility of target / sqrt(n). Both volatilities are for one bar.
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
        signal.cost_band[s] = sizing.trade_cost / (volatility[s] * share)


@compiled_inline
def target_positions(
    signal: CombinedSignal, market: MarketAtClose, book: Book, parameters: Parameters, targets: Targets
) -> None:
    """The raw weight that the forecast asks for, and the weight after the buffer, of one book at one bar.

    Inside buffer x unit weight around the raw weight the position stays; outside it moves to the near edge of that zone
    (R. Carver, Systematic Trading, 2015, "position inertia"). Where the position grows, the zone is at least as wide as
    costs are worth (`zone_width`); what takes risk off does not wait for that. No bar, no volatility or no opinion:
    it stays; without a bar, what an order that still works would make of it counts as its weight.
    """
    price, position, per_unit = market.price, book.position, 1.0 / book.capital
    raw_weight, weight, current, no_trade = targets.raw_weight, targets.weight, targets.current, targets.no_trade
    forecast, unit_weight, sizing = signal.forecast, signal.unit_weight, parameters.sizing
    aversion = 0.0  # what it takes to know it is spent where a position would grow
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
            _learn_moves(book, s, forecast[s])
            raw_weight[s] = forecast[s] * unit_weight[s]
            may_ask = (forecast[s] > 0.0 or parameters.limits.allow_short) and not market.leaving[s]
            book.wanted[s] = raw_weight[s] / sizing.target_volatility if may_ask else 0.0
            narrow = sizing.buffer * unit_weight[s]
            weight[s] = _edge(raw_weight[s], current[s], narrow)
            if abs(weight[s]) > abs(current[s]) or weight[s] * current[s] < 0.0:
                if aversion == 0.0:
                    aversion = risk_aversion(book.worth, book.least_sharpe, sizing)
                held = 0.0 if weight[s] * current[s] < 0.0 else current[s]
                gap, cost = abs(raw_weight[s] - held) / unit_weight[s], signal.cost_band[s] / aversion
                if surely_within(gap, cost, book.moves[s]):
                    weight[s] = held
                else:
                    width = unit_weight[s] * zone_width(cost, book.moves[s])
                    if width > narrow:
                        weight[s] = _edge(raw_weight[s], held, width)
            no_trade[s] = NoTrade.BUFFER if weight[s] == current[s] else NoTrade.TRADED


@compiled_inline
def _learn_moves(book: Book, s: int, forecast: float) -> None:
    """Take in how far a symbol's forecast has moved since the last decision about it, and how large it is."""
    change, moves = forecast - book.heard[s], book.moves[s]
    if math.isfinite(change):
        moves[0] += (1.0 - MOVES_DECAY) * (change * change - moves[0])
        moves[1] += (1.0 - MOVES_DECAY) * (abs(change) - moves[1])
        moves[2] += (1.0 - MOVES_DECAY) * (forecast * forecast - moves[2])
    book.heard[s] = forecast


@compiled_inline
def zone_width(cost: float, moves: Floats) -> float:
    """Half the width, in unit weights, of the zone in which trading costs more than straying; `cost` is that of a trade
    over the risk of straying, c / A, and `moves` are as in `Book`: v, mean |change|, mean square.

    A position that is d unit weights from what is asked for loses A d^2 / 2 a bar. Followed at the edge of a zone of
    half width h, a target that diffuses with variance v trades v / (2 h) a bar; one that jumps, J = v / mean |change|
    at a time, trades no more than it jumps, about v / (2 (h + J)). The least sum is at h (h + J)^2 = 3/2 v c / A: for
    small steps the cube root of costs (G. Constantinides 1986, L. Rogers 2004, R. Martin and T. Schoeneborn 2011), for
    rare jumps in proportion to them. And a unit more that fades at the rate k = v / (2 mean square) a bar earns
    A h / k before it has gone, which must pay for getting in: h >= k c / A (J. de Lataillade and others, "Optimal
    trading with linear costs", 2012).
    """
    speed, change, square = moves[0], moves[1], moves[2]
    if cost <= 0.0 or speed <= 0.0 or change <= 0.0 or square <= 0.0:
        return 0.0
    jump, room = speed / change, 1.5 * speed * cost
    width = min(room ** (1.0 / 3.0), room / (jump * jump))
    for _ in range(NEWTON_STEPS):  # from above, on a convex function: it comes down to the root
        reach = width + jump
        width -= (width * reach * reach - room) / (reach * (reach + 2.0 * width))
    fading: float = 0.5 * speed / square * cost
    return fading if fading > width else width


@compiled_inline
def surely_within(gap: float, cost: float, moves: Floats) -> bool:
    """Whether a distance in unit weights is less than `zone_width` by more than rounding, told without its root: most
    positions stay, and then nothing else is asked."""
    speed, change, square = moves[0], moves[1], moves[2]
    if cost <= 0.0 or speed <= 0.0 or change <= 0.0 or square <= 0.0:
        return False
    if gap * square < CERTAIN * 0.5 * speed * cost:
        return True
    jumps: float = gap * change + speed
    room: float = CERTAIN * 1.5 * speed * cost * change * change
    return room > SMALLEST_SURE and gap * jumps * jumps < room


@compiled_inline
def _edge(raw: float, current: float, width: float) -> float:
    """The near edge of the zone around the raw weight, not beyond zero; inside it, the current weight."""
    if abs(raw - current) <= width:
        return current
    edge = raw - math.copysign(width, raw - current)
    return 0.0 if raw == 0.0 or edge * raw < 0.0 else edge


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
            only_shrinks = market.waits or market.stale[s] or market.leaving[s]
            if order[s] != 0.0 and (only_shrinks or book.risk_state == RiskState.HALTED):
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
