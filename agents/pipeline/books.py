"""One book through a block of bars: what was ordered is settled, the bar valued and measured, the next order decided.

The live book, the controls of other weights and the books beside the desk differ in their weights only; the live one is
attributed and recorded, too. The benchmark holds (`benchmark`), the shadows trade one agent each (`shadow_books`).
"""

from __future__ import annotations

import math

from agents.core.books import EQUAL, FIRST, FIRST_BENCHMARK, FIRST_SHADOW, HOLD, INVERSE_VOLATILITY, LIVE
from agents.core.types import NoTrade, RiskState
from agents.pipeline.attribution import BarPrices, PositionChange, Shares, attribute_bar, remember_asked
from agents.pipeline.bar import CombinedSignal, MarketAtClose
from agents.pipeline.benchmark import decide_benchmark
from agents.pipeline.breakers import breakers_reached, breaks, note_day, note_trades, sizes_reached
from agents.pipeline.combine import combine
from agents.pipeline.desk import StepDesk, book_of
from agents.pipeline.funding import fund_within
from agents.pipeline.highs import drawdown_from, note_high, recent_high
from agents.pipeline.limit_orders import rest, rests_at, touch
from agents.pipeline.orders import decide_orders
from agents.pipeline.risk import RECOVERY, control_risk_state, next_risk_state, ordered_at_least
from agents.pipeline.rows import Span, copy_row, market_at_close, opinions_at
from agents.pipeline.settle import any_unfilled, note_fills, settle_orders
from agents.pipeline.shadow_books import decide_shadow, inverse_volatility, measure_shadow
from agents.pipeline.state import Inputs, Outputs
from agents.pipeline.stopped import has_stops
from agents.pipeline.stops import attribute_stop, begin_stops, follow_actions, settle_stops
from agents.pipeline.suspect_prices import cautious_price
from agents.pipeline.twins import NOBODY, copy_twin, same_row
from agents.pipeline.values import act, value_book
from agents.pipeline.worth import learn_worth
from agents.quant.compiled import compiled_inline


@compiled_inline
def trade_book(desk: StepDesk, inputs: Inputs, out: Outputs, span: Span, b: int) -> None:
    """Take book `b` through the bars of a block, after the books that it looks at (see `step`)."""
    state, work, rows, parameters = desk.state, desk.work, desk.rows, desk.parameters
    beside = FIRST_SHADOW + len(inputs.weights)
    is_benchmark, is_shadow = FIRST_BENCHMARK <= b < FIRST_SHADOW, FIRST_SHADOW <= b < beside
    stops = has_stops(parameters.stops) and not is_benchmark and not is_shadow
    if b in (LIVE, HOLD):
        rows.equity_before[0 if b == LIVE else 1] = state.equity[b]
    if not is_benchmark and not is_shadow:
        _hear(desk, inputs, span, b)
        if work.twin[b] != NOBODY and _hears_the_same(desk, inputs, out, span, b):
            copy_twin(state, out, span, b, work.twin[b])
            return
    for t in range(span.first, span.stop):
        k = t - span.first
        last_equity, at = state.equity[b], (t, k, b)
        act(desk, inputs, out, at)
        if stops:
            follow_actions(state.stops[b], inputs.split[t], inputs.dividend[t])
            begin_stops(desk, inputs, t, k, b)
        if b == LIVE:
            copy_row(state.position[LIVE], work.before)
        book = book_of(state, b, parameters.initial_cash if is_shadow else last_equity)
        settled = settle_orders(desk, inputs, out, at, book)
        if settled and b == LIVE:
            note_fills(work.fills, inputs.external, out, t)
        if settled and is_benchmark and any_unfilled(work.fills):
            state.rebalancing[1 + b - HOLD] = 1.0
        if stops:
            settle_stops(desk, inputs, out, at, last_equity)
        if not is_benchmark:
            learn_worth(desk, inputs, t, k, b)
        if b == LIVE:
            _attribute(desk, inputs, out, t, k)
        if rows.funds[k]:
            fund_within(state, inputs, out, t, b)
        feared = value_book(state, rows, k, b)
        out.equity[t, b], out.cash[t, b] = state.equity[b], state.cash[b]
        if is_benchmark:
            decide_benchmark(desk, inputs, out, at, t == span.first)
        elif is_shadow:
            measure_shadow(desk, inputs, out, at, last_equity)
            decide_shadow(desk, inputs, t, k, b - FIRST_SHADOW)
        else:
            _judge_risk(desk, inputs, out, at, last_equity)
            _decide(desk, inputs, out, at, _waits_in_doubt(desk, at, feared))


@compiled_inline
def _hear(desk: StepDesk, inputs: Inputs, span: Span, b: int) -> None:
    """All agents together at each bar of a block, by the weights of book `b`, into `work.forecast`."""
    work, rows, weights = desk.work, desk.rows, desk.work.weights
    first_beside = FIRST_SHADOW + len(weights)
    if b == LIVE:
        copy_row(inputs.weights, weights)
    elif b >= first_beside:
        copy_row(inputs.beside[b - first_beside], weights)
    elif b == EQUAL:
        copy_row(inputs.counted, weights)
    elif b == FIRST:
        copy_row(desk.state.first_weights, weights)
    for t in range(span.first, span.stop):
        k = t - span.first
        if b == INVERSE_VOLATILITY:
            inverse_volatility(rows.variance[k], rows.variance_weight[k], inputs.counted, weights)
        signal = CombinedSignal(work.forecast[k], work.multiplier[k], rows.unit_weight[k], rows.cost_band[k])
        combine(opinions_at(rows, k), inputs.correlation[t], weights, desk.parameters.sizing, signal)


@compiled_inline
def _hears_the_same(desk: StepDesk, inputs: Inputs, out: Outputs, span: Span, b: int) -> bool:
    """Whether book `b` hears what its twin has heard in this block: by the same weights, or as the live one did."""
    weights, c = desk.work.weights, desk.work.twin[b]
    if b != INVERSE_VOLATILITY and (
        (c == LIVE and same_row(weights, inputs.weights))
        or (c == EQUAL and same_row(weights, inputs.counted))
        or (c == FIRST and same_row(weights, desk.state.first_weights))
    ):
        return True
    same: bool = c == LIVE
    for t in range(span.first, span.stop):
        same = same and same_row(desk.work.forecast[t - span.first], out.combined[t])
    return same


@compiled_inline
def _attribute(desk: StepDesk, inputs: Inputs, out: Outputs, t: int, k: int) -> None:
    """Split the live book's P&L of the bar."""
    state, work, rows = desk.state, desk.work, desk.rows
    opened, closed, mark, doubt = inputs.open[t], inputs.close[t], rows.mark_before[k], rows.doubt_before[k]
    before, filled, price, fee = work.before, out.fill_quantity[t], out.fill_price[t], out.fill_fee[t]
    contribution, agent_cost, realised = out.contribution[t], out.agent_cost[t], out.realised[t]
    rests = rest(book_of(state, LIVE, 1.0), desk.parameters.orders)
    for s in range(len(before)):
        has_bar = rows.has_bar[k, s]
        if (not has_bar and filled[s] == 0.0) or (before[s] == 0.0 and filled[s] == 0.0):
            continue
        change = PositionChange(before[s], filled[s], price[s], fee[s])
        shares = Shares(state.asked[s], state.holding[s], state.pool[s], contribution, agent_cost, realised[s])
        counted = cautious_price(before[s], mark[s], doubt[s])
        moment = work.filled_at[s] if rests and filled[s] != 0.0 else opened[s]
        prices = BarPrices(counted, moment, closed[s])
        if rows.suspect[k, s]:
            counts = cautious_price(state.position[LIVE, s], mark[s], rows.doubt[k, s])
            prices = BarPrices(counted, counts, counts)
        elif not has_bar:  # a broker has filled something although nobody saw a bar
            counts = cautious_price(state.position[LIVE, s], mark[s], doubt[s])
            prices = BarPrices(counted, counts, counts)
        last = prices.close
        stopped = has_stops(desk.parameters.stops) and out.stop_quantity[t, s] != 0.0
        if stopped and not rows.suspect[k, s]:
            prices = BarPrices(counted, moment, out.stop_at[t, s])
        attribute_bar(change, prices, shares, work.shares)
        if stopped:
            attribute_stop(desk, out, t, s, BarPrices(prices.close, prices.close, last))


@compiled_inline
def _judge_risk(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int], last_equity: float) -> None:
    """Drawdown, and the live book's breakers, set the next risk state; controls follow the live book's halts."""
    t, _, b = at
    state, limits = desk.state, desk.parameters.limits
    highs, value, peak, risk_state = state.highs[b], state.equity[b], state.peak[b], state.risk_state
    note_high(highs, inputs.month[t], value)
    drawdown = recent = 1.0 - value / peak
    if drawdown >= RECOVERY * limits.reduce_drawdown:  # below a recent high it can only be less
        recent = drawdown_from(recent_high(highs, limits.reduce_months, peak), value)
    risk_state[b] = next_risk_state(risk_state[b], drawdown, recent, limits)
    if b == LIVE and _note_breakers(desk, inputs, out, at, last_equity):
        risk_state[b] = RiskState.HALTED
    risk_state[b] = ordered_at_least(state.ordered[0], risk_state[b])
    if b == LIVE:
        out.risk_state[t] = risk_state[b]
    else:
        risk_state[b] = control_risk_state(risk_state[b], out.risk_state[t])


@compiled_inline
def _note_breakers(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int], last_equity: float) -> bool:
    """Take the live book's bar into its breakers; whether one of them halts the desk."""
    t, k = at[0], at[1]
    state, limits = desk.state, desk.parameters.limits
    note_day(state.today, inputs.day[t], last_equity)
    closed, filled = desk.rows.acts[k], out.fill_quantity[t]
    for s in range(len(filled)):
        closed = closed or filled[s] != 0.0
    if closed:  # nothing else realises anything
        note_trades(state.today, out.realised[t])
    if has_stops(desk.parameters.stops):
        note_trades(state.today, out.stop_realised[t])
    reached = breakers_reached(state.today, state.equity[LIVE], limits)
    state.reached[0] = reached
    return breaks(reached, limits)


@compiled_inline
def _waits_in_doubt(desk: StepDesk, at: tuple[int, int, int], feared: float) -> bool:
    """Whether a book may not grow `at` a close (bar, row, book): were suspect prices true it were worth `feared`, and
    that would reduce or halt it. Controls wait with the live book, as they halt with it."""
    _, k, b = at
    state, limits, waiting = desk.state, desk.parameters.limits, desk.work.waiting
    waits = False
    if feared < state.equity[b]:
        recent = drawdown_from(recent_high(state.highs[b], limits.reduce_months, state.peak[b]), feared)
        drawdown = drawdown_from(state.peak[b], feared)
        waits = next_risk_state(state.risk_state[b], drawdown, recent, limits) > state.risk_state[b]
        if b == LIVE and limits.daily_loss.enforced:
            waits = waits or drawdown_from(state.today[1], feared) >= limits.daily_loss.at
    if b == LIVE:
        waiting[k] = waits
    result: bool = waits or waiting[k]
    return result


@compiled_inline
def _decide(desk: StepDesk, inputs: Inputs, out: Outputs, at: tuple[int, int, int], waits: bool) -> None:
    """What a book hears `at` a close (bar, row, book) to its orders; where it `waits`, positions may only shrink."""
    t, k, b = at
    state, work, rows, parameters, targets = desk.state, desk.work, desk.rows, desk.parameters, desk.work.targets
    signal = CombinedSignal(work.forecast[k], work.multiplier[k], rows.unit_weight[k], rows.cost_band[k])
    capital = state.equity[b]
    if capital <= 0.0:  # a ruined book decides nothing any more
        for s in range(len(signal.forecast)):
            signal.forecast[s] = math.nan
        capital = parameters.initial_cash
    seen = market_at_close(rows, inputs, state.ordered[0], t, k)
    market = MarketAtClose(seen.price, seen.has_bar, seen.stale, seen.leaving, seen.flatten, waits)
    decide_orders(signal, market, book_of(state, b, capital), parameters, targets)
    if b == LIVE:
        _note_decision(desk, out, t, k)
        remember_asked(desk, inputs.forecast[t], k, capital)


@compiled_inline
def _note_decision(desk: StepDesk, out: Outputs, t: int, k: int) -> None:
    state, work, rows, targets = desk.state, desk.work, desk.rows, desk.work.targets
    state.reached[0] += sizes_reached(targets, desk.parameters.limits)
    copy_row(work.forecast[k], out.combined[t])
    copy_row(work.multiplier[k], out.multiplier[t])
    copy_row(targets.raw_weight, out.raw_weight[t])
    copy_row(targets.weight, out.target_weight[t])
    copy_row(targets.clamps, out.clamps[t])
    copy_row(targets.no_trade, out.no_trade[t])
    book = book_of(state, LIVE, 1.0)
    rests = rest(book, desk.parameters.orders)
    for s in range(len(state.mark)):
        out.mark[t, s] = cautious_price(state.position[LIVE, s], rows.mark[k, s], rows.doubt[k, s])
        if rows.suspect[k, s] and targets.no_trade[s] != NoTrade.TRADED:
            out.no_trade[t, s] = NoTrade.SUSPECT
        waits = not rows.has_bar[k, s]  # it was decided at an earlier bar
        out.order[t, s] = 0.0 if waits else state.pending[LIVE, s]
        if rests and out.order[t, s] != 0.0 and rests_at(book, s):
            out.limit[t, s] = touch(rows.mark[k, s], out.order[t, s], desk.parameters.fill_model.half_spread)
    copy_row(state.position[LIVE], out.position[t])
