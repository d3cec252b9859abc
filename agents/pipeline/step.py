"""The compiled step: settle what was ordered, mark, attribute, decide. Live calls it with one bar, replay with many.

The live book, the controls of other weights and the books beside the desk differ in their weights only; the benchmark
holds (`benchmark`), the shadows trade one agent each (`shadow_books`).
"""

from __future__ import annotations

import math

from agents.core.books import EQUAL, FIRST, FIRST_BENCHMARK, FIRST_SHADOW, LIVE
from agents.core.types import Floats, Integers, NoTrade, RiskState
from agents.pipeline.attribution import BarPrices, PositionChange, Shares, attribute_bar, remember_asked
from agents.pipeline.bar import BarFills, MarketAtClose, MarketAtOpen, StepDesk, book_of, desk_of
from agents.pipeline.benchmark import decide_benchmark, learn_squares, repeat_unfilled
from agents.pipeline.breakers import breakers_reached, breaks, note_day, note_trades, sizes_reached
from agents.pipeline.combine import combine, note_opinions
from agents.pipeline.corporate_actions import ActionEffects, Actions, apply_actions
from agents.pipeline.fills import market_depth, match_orders
from agents.pipeline.highs import drawdown_from, note_high, recent_high
from agents.pipeline.orders import decide_orders, unit_weights
from agents.pipeline.parameters import FLATTEN, Parameters
from agents.pipeline.risk import RECOVERY, control_risk_state, next_risk_state, ordered_at_least
from agents.pipeline.shadow_books import decide_shadows, inverse_volatility, learn_variance
from agents.pipeline.state import Inputs, Outputs, State
from agents.pipeline.stopped import has_stops
from agents.pipeline.stops import (
    attribute_stop,
    begin_stops,
    follow_actions,
    keeps_stops,
    note_entry,
    settle_stops,
)
from agents.pipeline.suspect_prices import believed_opens, cautious_price, expire_at_doubt
from agents.pipeline.worth import learn_worth
from agents.quant.compiled import compiled_inline, compiled_short_loops

NOTHING_HELD = 1e-9
"""Units below which a position is rounding of floats."""


def run_bars(state: State, inputs: Inputs, parameters: Parameters, out: Outputs) -> None:
    """Take `state` through the n bars of `inputs`, writing `out`; nothing at bar t looks beyond bar t."""
    run_rows(desk_of(state, parameters), inputs, out, 0, len(inputs.open))


@compiled_short_loops
def run_rows(desk: StepDesk, inputs: Inputs, out: Outputs, first: int, stop: int) -> None:
    """As `run_bars`, through the bars `first` to `stop` (exclusive) only, for a replay that stops often."""
    state, work, parameters = desk.state, desk.work, desk.parameters
    if not math.isfinite(state.first_weights[0]):
        _copy_row(inputs.weights, state.first_weights)
    for t in range(first, stop):
        opened, closed = inputs.open[t], inputs.close[t]
        for s in range(len(opened)):
            work.has_bar[s] = math.isfinite(opened[s]) and math.isfinite(closed[s])
            work.suspect[s] = work.has_bar[s] and inputs.suspect[t, s]
            work.may_only_shrink[s] = inputs.stale[t, s] or work.suspect[s]
        _copy_row(state.equity, work.last_equity)
        effects = ActionEffects(out.split_change[t], out.action_cash[t], out.contribution[t], out.realised[t])
        apply_actions(
            state, Actions(inputs.split[t], inputs.dividend[t], inputs.delisting[t]), parameters.lots, effects
        )
        if has_stops(parameters.stops):
            follow_actions(state.stops, inputs.split[t], inputs.dividend[t])
        _settle(desk, inputs, out, t)
        learn_worth(desk, inputs, t)
        _attribute_and_mark(desk, inputs, out, t)
        _value_books(desk, inputs, out, t)
        unit_weights(inputs.volatility[t], parameters.sizing, work.signal)
        market = MarketAtClose(
            state.mark, work.has_bar, work.may_only_shrink, inputs.leaving[t], state.ordered[0] == FLATTEN
        )
        note_opinions(inputs.forecast[t], work.opinions)
        _decide_books(desk, inputs, out, t, market)
        decide_benchmark(desk, market, inputs.month[t])
        decide_shadows(desk, market)
        _copy_row(inputs.volatility[t], state.volatility)


@compiled_inline
def _settle(desk: StepDesk, inputs: Inputs, out: Outputs, t: int) -> None:
    """Fill every book's working orders at the open; the live book's fills may come from a broker instead."""
    state, work, parameters = desk.state, desk.work, desk.parameters
    fills = work.fills
    market = MarketAtOpen(work.open, state.mark, work.depth)
    market_depth(inputs.volume[t], state.volatility, parameters, work.depth)
    _copy_row(state.position[LIVE], work.before)
    _copy_row(inputs.open[t], work.open)
    doubted, agents, stops = False, len(inputs.weights), has_stops(parameters.stops)
    for s in range(len(work.suspect)):
        doubted = doubted or work.suspect[s]
    for b in range(len(state.cash)):
        has_account = b < FIRST_SHADOW or b >= FIRST_SHADOW + agents
        book = book_of(state, b, work.last_equity[b] if has_account else parameters.initial_cash)
        if doubted:
            believed_opens(inputs.open[t], work.suspect, work.open)
        stopped = stops and keeps_stops(b, agents)
        if stopped:
            begin_stops(desk, inputs, t, b)
        if b == LIVE and inputs.external:
            _copy_row(inputs.broker_fills.quantity[t], fills.quantity)
            _copy_row(inputs.broker_fills.price[t], fills.price)
            _copy_row(inputs.broker_fills.fee[t], fills.fee)
        elif not match_orders(book, market, parameters, fills, has_account):
            if stopped:
                settle_stops(desk, inputs, out, t, b)
            continue
        if doubted:
            expire_at_doubt(book.order, work.suspect, fills)
        if FIRST_BENCHMARK <= b < FIRST_SHADOW:
            repeat_unfilled(state, b, fills)
        traded, paid = 0.0, 0.0
        for s in range(len(fills.quantity)):
            filled = fills.quantity[s]
            book.order[s] = 0.0 if math.isfinite(inputs.open[t, s]) else book.order[s] - filled
            if filled != 0.0:
                if stopped:
                    note_entry(book.stops[s], book.position[s], filled, fills.price[s])
                    work.filled[s] = filled
                held = book.position[s] + filled
                book.position[s] = 0.0 if abs(held) < NOTHING_HELD else held
                paid += filled * fills.price[s] + fills.fee[s]
                traded += abs(filled) * fills.price[s]
        state.cash[b] -= paid
        out.turnover[t, b] = traded / book.capital
        if b == LIVE:
            _note_fills(fills, inputs.external, out, t)
        if stopped:
            settle_stops(desk, inputs, out, t, b)


@compiled_inline
def _note_fills(fills: BarFills, external: bool, out: Outputs, t: int) -> None:
    """Record the live book's fills; what a broker's status and costs were, its own answers say."""
    quantity, price, fee = out.fill_quantity[t], out.fill_price[t], out.fill_fee[t]
    status, spread, impact = out.fill_status[t], out.fill_spread[t], out.fill_impact[t]
    for s in range(len(quantity)):
        if not external:
            status[s] = fills.status[s]
        if fills.quantity[s] != 0.0:
            quantity[s] = fills.quantity[s]
            price[s] = fills.price[s]
            fee[s] = fills.fee[s]
            if not external:
                spread[s] = fills.spread_cost[s]
                impact[s] = fills.impact_cost[s]


@compiled_inline
def _attribute_and_mark(desk: StepDesk, inputs: Inputs, out: Outputs, t: int) -> None:
    """Split the live book's P&L of the bar, count the shadows' hits, and move the marks to the close."""
    state, work = desk.state, desk.work
    opened, closed, mark, doubt = inputs.open[t], inputs.close[t], state.mark, state.doubt
    before, filled, price, fee = work.before, out.fill_quantity[t], out.fill_price[t], out.fill_fee[t]
    contribution, agent_cost, realised = out.contribution[t], out.agent_cost[t], out.realised[t]
    hits, calls = out.hits[t], out.calls[t]
    for s in range(len(before)):
        if not work.has_bar[s]:
            continue
        if before[s] != 0.0 or filled[s] != 0.0:
            change = PositionChange(before[s], filled[s], price[s], fee[s])
            shares = Shares(state.asked[s], state.holding[s], state.pool[s], contribution, agent_cost, realised[s])
            counted = cautious_price(before[s], mark[s], doubt[s])
            prices = BarPrices(counted, opened[s], closed[s])
            if work.suspect[s]:
                counts = cautious_price(state.position[LIVE, s], mark[s], closed[s])
                prices = BarPrices(counted, counts, counts)
            last = prices.close
            stopped = has_stops(desk.parameters.stops) and out.stop_quantity[t, s] != 0.0
            if stopped and not work.suspect[s]:
                prices = BarPrices(counted, opened[s], out.stop_at[t, s])
            attribute_bar(change, prices, shares, work.shares)
            if stopped:
                attribute_stop(desk, out, t, s, BarPrices(prices.close, prices.close, last))
        if work.suspect[s]:
            doubt[s] = closed[s]
            continue
        moved = closed[s] - opened[s]
        if moved != 0.0:
            for a in range(len(hits)):
                gain = state.position[FIRST_SHADOW + a, s] * moved
                if gain != 0.0:
                    calls[a] += 1
                    hits[a] += 1 if gain > 0.0 else 0
        mark[s], doubt[s] = closed[s], math.nan


@compiled_inline
def _value_books(desk: StepDesk, inputs: Inputs, out: Outputs, t: int) -> None:
    """Mark every book to market; drawdown from that, and the breakers, set the next risk state."""
    state, limits, agents = desk.state, desk.parameters.limits, desk.state.asked.shape[1]
    mark, equity, peak, risk_state = state.mark, state.equity, state.peak, state.risk_state
    for b in range(len(equity)):
        position = state.position[b]
        value = state.cash[b]
        for s in range(len(mark)):
            if position[s] != 0.0:
                value += position[s] * cautious_price(position[s], mark[s], state.doubt[s])
        equity[b] = value
        peak[b] = max(peak[b], value)
        if b < FIRST_BENCHMARK or b >= FIRST_SHADOW + agents:
            highs = state.highs[b]
            note_high(highs, inputs.month[t], value)
            drawdown = recent = 1.0 - value / peak[b]
            if drawdown >= RECOVERY * limits.reduce_drawdown:  # below a recent high it can only be less
                recent = drawdown_from(recent_high(highs, limits.reduce_months, peak[b]), value)
            risk_state[b] = next_risk_state(risk_state[b], drawdown, recent, limits)
            if b == LIVE and _note_breakers(desk, inputs, out, t):
                risk_state[b] = RiskState.HALTED
            risk_state[b] = ordered_at_least(state.ordered[0], risk_state[b])
            if b != LIVE:
                risk_state[b] = control_risk_state(risk_state[b], risk_state[LIVE])
    _copy_row(equity, out.equity[t])
    _copy_row(state.cash, out.cash[t])
    learn_squares(state, desk.work.last_equity)
    learn_variance(state, desk.work.last_equity, desk.parameters.initial_cash, out.shadow_return[t])
    out.risk_state[t] = risk_state[LIVE]


@compiled_inline
def _note_breakers(desk: StepDesk, inputs: Inputs, out: Outputs, t: int) -> bool:
    """Take the live book's bar into its breakers; whether one of them halts the desk."""
    state, limits = desk.state, desk.parameters.limits
    note_day(state.today, inputs.day[t], desk.work.last_equity[LIVE])
    closed, filled, split, delisting = False, out.fill_quantity[t], inputs.split[t], inputs.delisting[t]
    for s in range(len(filled)):
        closed = closed or filled[s] != 0.0 or split[s] != 1.0 or math.isfinite(delisting[s])
    if closed:  # nothing else realises anything
        note_trades(state.today, out.realised[t])
    if has_stops(desk.parameters.stops):
        note_trades(state.today, out.stop_realised[t])
    reached = breakers_reached(state.today, state.equity[LIVE], limits)
    state.reached[0] = reached
    return breaks(reached, limits)


@compiled_inline
def _decide_books(desk: StepDesk, inputs: Inputs, out: Outputs, t: int, market: MarketAtClose) -> None:
    """Orders of the live book, the controls of other weights and the books beside; only their weights differ."""
    state, work, parameters = desk.state, desk.work, desk.parameters
    weights, signal = work.weights, work.signal
    first_beside = FIRST_SHADOW + len(weights)
    for k in range(FIRST_BENCHMARK + len(inputs.beside)):
        b = k if k < FIRST_BENCHMARK else first_beside + k - FIRST_BENCHMARK
        if b == LIVE:
            _copy_row(inputs.weights, weights)
        elif b >= first_beside:
            _copy_row(inputs.beside[b - first_beside], weights)
        elif b == EQUAL:
            _copy_row(inputs.counted, weights)
        elif b == FIRST:
            _copy_row(state.first_weights, weights)
        else:
            inverse_volatility(state, inputs.counted, weights)
        combine(work.opinions, inputs.correlation[t], weights, parameters.sizing, signal)
        capital = state.equity[b]
        if capital <= 0.0:  # a ruined book decides nothing any more
            signal.forecast[:] = math.nan
            capital = parameters.initial_cash
        decide_orders(signal, market, book_of(state, b, capital), parameters, work.targets)
        if b == LIVE:
            _note_decision(desk, out, t)
            remember_asked(desk, inputs.forecast[t], capital)


@compiled_inline
def _note_decision(desk: StepDesk, out: Outputs, t: int) -> None:
    state, work = desk.state, desk.work
    signal, targets = work.signal, work.targets
    state.reached[0] += sizes_reached(targets, desk.parameters.limits)
    _copy_row(signal.forecast, out.combined[t])
    _copy_row(signal.multiplier, out.multiplier[t])
    _copy_row(targets.raw_weight, out.raw_weight[t])
    _copy_row(targets.weight, out.target_weight[t])
    _copy_row(targets.clamps, out.clamps[t])
    _copy_row(targets.no_trade, out.no_trade[t])
    for s in range(len(state.mark)):
        out.mark[t, s] = cautious_price(state.position[LIVE, s], state.mark[s], state.doubt[s])
        if work.suspect[s] and targets.no_trade[s] != NoTrade.TRADED:
            out.no_trade[t, s] = NoTrade.SUSPECT
        out.order[t, s] = state.pending[LIVE, s] if work.has_bar[s] else 0.0  # else it was decided at an earlier bar
    _copy_row(state.position[LIVE], out.position[t])


@compiled_inline
def _copy_row(source: Floats | Integers, target: Floats | Integers) -> None:
    """A loop, since compiled slice assignment costs far more than twenty numbers."""
    for k in range(len(source)):
        target[k] = source[k]
