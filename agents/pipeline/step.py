"""The compiled step: settle what was ordered, mark, attribute, decide. Live calls it with one bar, replay with many.

Books, in this order: the live one; three controls that trade with equal, first and inverse-volatility weights; one
shadow for each agent, which trades that agent alone at unit size (constant capital, no lots, no limits).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.books import EQUAL, FIRST, FIRST_SHADOW, LIVE
from agents.core.types import Booleans, Floats, Integers, NoTrade
from agents.pipeline.attribution import attribute_bar, attribute_cash
from agents.pipeline.combine import combine
from agents.pipeline.fills import market_depth, match_orders
from agents.pipeline.orders import decide_orders, target_positions, unit_weights
from agents.pipeline.risk import next_risk_state
from agents.pipeline.state import Inputs, Outputs, Parameters, State
from agents.quant.compiled import compiled_bare, compiled_inline

SHADOW_DECAY = 1.0 - 2.0 / 121.0
"""Exponential memory of the shadow books' variance, a span of 120 bars."""
SHADOW_MINIMUM = 20.0
NOTHING_HELD = 1e-9
"""Units below which a position is rounding of floats."""


class Work(NamedTuple):
    """Arrays that every bar overwrites, made once for a run."""

    has_bar: Booleans  # [S]
    unit: Floats
    before: Floats
    combined: Floats
    multiplier: Floats
    raw_weight: Floats
    weight: Floats
    current: Floats
    quantity: Floats
    price: Floats
    fee: Floats
    spread: Floats
    impact: Floats
    whole: Floats
    units: Floats
    slope: Floats
    no_trade: Integers
    clamps: Integers
    status: Integers
    weights: Floats  # [A]
    shares: Floats  # [A+1]
    last_equity: Floats  # [B]


def new_work(agents: int, symbols: int) -> Work:
    """Room for one bar's intermediate results."""
    f, whole = np.zeros((15, symbols)), np.zeros((3, symbols), dtype=np.int64)
    return Work(
        np.zeros(symbols, dtype=np.bool_),
        f[0],
        f[1],
        f[2],
        f[3],
        f[4],
        f[5],
        f[6],
        f[7],
        f[8],
        f[9],
        f[10],
        f[11],
        f[12],
        f[13],
        f[14],
        whole[0],
        whole[1],
        whole[2],
        np.zeros(agents),
        np.zeros(agents + 1),
        np.zeros(FIRST_SHADOW + agents),
    )


def run_bars(state: State, inputs: Inputs, p: Parameters, lots: Floats, out: Outputs) -> None:
    """Take `state` through the n bars of `inputs`, writing `out`; nothing at bar t looks beyond bar t."""
    symbols, agents = state.asked.shape
    run_rows(state, inputs, p, lots, out, new_work(agents, symbols), 0, len(inputs.open))


@compiled_bare
def run_rows(
    state: State, inputs: Inputs, p: Parameters, lots: Floats, out: Outputs, work: Work, first: int, stop: int
) -> None:
    """As `run_bars`, through the bars `first` to `stop` (exclusive) only: a replay that stops often slices and makes nothing."""
    symbols = inputs.open.shape[1]
    if not math.isfinite(state.first_weights[0]):
        _copy_row(inputs.weights, state.first_weights)
    for t in range(first, stop):
        opened, closed, has_bar = inputs.open[t], inputs.close[t], work.has_bar
        for s in range(symbols):
            has_bar[s] = math.isfinite(opened[s]) and math.isfinite(closed[s])
        _copy_row(state.equity, work.last_equity)
        apply_actions(
            state,
            inputs.split[t],
            inputs.dividend[t],
            lots,
            out.split_change[t],
            out.action_cash[t],
            out.contribution[t],
        )
        _settle(state, inputs, t, p, lots, work, out)
        _attribute_and_mark(state, inputs, t, work, out)
        _value_books(state, t, p, work, out)
        unit_weights(inputs.volatility[t], p.target_volatility, p.instrument_multiplier_cap, work.unit)
        _decide_books(state, inputs, t, p, lots, work, out)
        _decide_shadows(state, inputs, t, p, work)
        _copy_row(inputs.volatility[t], state.volatility)


@compiled_inline
def _settle(state: State, inputs: Inputs, t: int, p: Parameters, lots: Floats, work: Work, out: Outputs) -> None:
    """Fill every book's working orders at the open; the live book's fills may come from a broker instead."""
    symbols = len(lots)
    quantity, price, fee, status = work.quantity, work.price, work.fee, work.status
    open_price, cash, whole, units, slope = inputs.open[t], state.cash, work.whole, work.units, work.slope
    market_depth(inputs.volume[t], state.volatility, lots, p.participation, p.impact, whole, units, slope)
    _copy_row(state.position[LIVE], work.before)
    for b in range(state.position.shape[0]):
        shadow = b >= FIRST_SHADOW
        position = state.position[b]
        if b == LIVE and inputs.external:
            _copy_row(inputs.external_quantity[t], quantity)
            _copy_row(inputs.external_price[t], price)
            _copy_row(inputs.external_fee[t], fee)
        elif not match_orders(
            state.pending[b],
            position,
            cash[b],
            state.mark,
            open_price,
            units if shadow else whole,
            slope,
            p.commission,
            0.0 if shadow else p.minimum_commission,
            p.half_spread,
            math.inf if shadow else p.leverage,
            quantity,
            price,
            fee,
            work.spread,
            work.impact,
            status,
        ):
            continue
        traded, paid = 0.0, 0.0
        for s in range(symbols):
            filled = quantity[s]
            if filled != 0.0:
                held = position[s] + filled
                position[s] = 0.0 if abs(held) < NOTHING_HELD else held
                paid += filled * price[s] + fee[s]
                traded += abs(filled) * price[s]
        cash[b] -= paid
        out.turnover[t, b] = traded / (p.initial_cash if shadow else work.last_equity[b])
        if b == LIVE:
            _note_fills(t, inputs.external, work, out)


@compiled_inline
def _note_fills(t: int, external: bool, work: Work, out: Outputs) -> None:
    quantity, price, fee, spread, impact, status = (
        work.quantity,
        work.price,
        work.fee,
        work.spread,
        work.impact,
        work.status,
    )
    to_quantity, to_price, to_fee, to_status = (
        out.fill_quantity[t],
        out.fill_price[t],
        out.fill_fee[t],
        out.fill_status[t],
    )
    to_spread, to_impact = out.fill_spread[t], out.fill_impact[t]
    for s in range(len(quantity)):
        if not external:
            to_status[s] = status[s]
        if quantity[s] != 0.0:
            to_quantity[s] = quantity[s]
            to_price[s] = price[s]
            to_fee[s] = fee[s]
            if not external:
                to_spread[s] = spread[s]
                to_impact[s] = impact[s]


@compiled_inline
def _attribute_and_mark(state: State, inputs: Inputs, t: int, work: Work, out: Outputs) -> None:
    """Split the live book's P&L of the bar, count the shadows' hits, and move the marks to the close."""
    agents = state.asked.shape[1]
    opened, closed, mark, has_bar = inputs.open[t], inputs.close[t], state.mark, work.has_bar
    before, filled, position = work.before, out.fill_quantity[t], state.position
    contribution, hits, calls = out.contribution[t], out.hits[t], out.calls[t]
    price, fee, realised = out.fill_price[t], out.fill_fee[t], out.realised[t]
    asked, holding, pool, shares = state.asked, state.holding, state.pool, work.shares
    for s in range(len(before)):
        if not has_bar[s]:
            continue
        if before[s] != 0.0 or filled[s] != 0.0:
            attribute_bar(
                before[s],
                filled[s],
                asked[s],
                mark[s],
                opened[s],
                closed[s],
                price[s],
                fee[s],
                holding[s],
                pool[s],
                contribution,
                realised[s],
                shares,
            )
        moved = closed[s] - opened[s]
        if moved != 0.0:
            for a in range(agents):
                gain = position[FIRST_SHADOW + a, s] * moved
                if gain != 0.0:
                    calls[a] += 1
                    hits[a] += 1 if gain > 0.0 else 0
        mark[s] = closed[s]


@compiled_inline
def _value_books(state: State, t: int, p: Parameters, work: Work, out: Outputs) -> None:
    """Mark every book to market; drawdown from that sets the next risk state."""
    books, symbols = state.position.shape
    mark, cash, equity, peak, risk = state.mark, state.cash, state.equity, state.peak, state.risk_state
    for b in range(books):
        position = state.position[b]
        value = cash[b]
        for s in range(symbols):
            if position[s] != 0.0:
                value += position[s] * mark[s]
        equity[b] = value
        peak[b] = max(peak[b], value)
        if b < FIRST_SHADOW:
            risk[b] = next_risk_state(risk[b], 1.0 - value / peak[b], p.reduce_drawdown, p.halt_drawdown)
    _copy_row(equity, out.equity[t])
    _copy_row(cash, out.cash[t])
    _learn_shadow_variance(state, work.last_equity, p.initial_cash, out.shadow_return[t])
    out.risk_state[t] = risk[LIVE]


@compiled_inline
def _decide_books(state: State, inputs: Inputs, t: int, p: Parameters, lots: Floats, work: Work, out: Outputs) -> None:
    """Orders of the live book and of the controls; they differ in their weights only."""
    for b in range(FIRST_SHADOW):
        if b == LIVE:
            _copy_row(inputs.weights, work.weights)
        elif b == EQUAL:
            work.weights[:] = 1.0
        elif b == FIRST:
            _copy_row(state.first_weights, work.weights)
        else:
            _inverse_volatility(state, work.weights)
        combine(
            inputs.forecast[t],
            work.weights,
            inputs.correlation[t],
            p.forecast_cap,
            p.multiplier_cap,
            work.combined,
            work.multiplier,
        )
        capital = state.equity[b]
        if capital <= 0.0:  # a ruined book decides nothing any more
            work.combined[:] = math.nan
            capital = p.initial_cash
        decide_orders(
            work.combined,
            work.unit,
            state.mark,
            work.has_bar,
            inputs.stale[t],
            state.position[b],
            capital,
            state.risk_state[b],
            p.buffer,
            p.minimum_trade,
            lots,
            p.symbol_cap,
            p.gross_cap,
            p.allow_short,
            p.reducing_scale,
            work.raw_weight,
            work.weight,
            work.current,
            work.clamps,
            work.no_trade,
            state.pending[b],
        )
        if b == LIVE:
            _note_decision(state, t, work, out)
            _remember_asked(
                state,
                inputs.forecast[t],
                work.weights,
                work.combined,
                work.unit,
                work.raw_weight,
                work.weight,
                work.clamps,
                capital,
            )


@compiled_inline
def _note_decision(state: State, t: int, work: Work, out: Outputs) -> None:
    position, pending, mark = state.position[LIVE], state.pending[LIVE], state.mark
    _copy_row(work.combined, out.combined[t])
    _copy_row(work.multiplier, out.multiplier[t])
    _copy_row(work.raw_weight, out.raw_weight[t])
    _copy_row(work.weight, out.target_weight[t])
    _copy_row(work.clamps, out.clamps[t])
    _copy_row(work.no_trade, out.no_trade[t])
    _copy_row(pending, out.order[t])
    _copy_row(position, out.position[t])
    _copy_row(mark, out.mark[t])


@compiled_inline
def _copy_row(source: Floats | Integers, target: Floats | Integers) -> None:
    """A loop, since compiled slice assignment costs far more than twenty numbers."""
    for k in range(len(source)):
        target[k] = source[k]


@compiled_inline
def _decide_shadows(state: State, inputs: Inputs, t: int, p: Parameters, work: Work) -> None:
    """Each agent's forecast alone, at constant capital; an abstention asks for no position."""
    symbols, agents = state.asked.shape
    combined, weight, no_trade, mark, forecast = (
        work.combined,
        work.weight,
        work.no_trade,
        state.mark,
        inputs.forecast[t],
    )
    for a in range(agents):
        position, pending = state.position[FIRST_SHADOW + a], state.pending[FIRST_SHADOW + a]
        for s in range(symbols):
            value = forecast[s, a]
            combined[s] = value if math.isfinite(value) else 0.0
        target_positions(
            combined,
            work.unit,
            mark,
            work.has_bar,
            position,
            p.initial_cash,
            p.buffer,
            work.raw_weight,
            weight,
            work.current,
            no_trade,
        )
        for s in range(symbols):
            if no_trade[s] == NoTrade.TRADED:
                pending[s] = weight[s] * p.initial_cash / mark[s] - position[s]
            else:
                pending[s] = 0.0


@compiled_bare
def apply_actions(
    state: State,
    split: Floats,
    dividend: Floats,
    lots: Floats,
    split_change: Floats,
    action_cash: Floats,
    contribution: Floats,
) -> None:
    """Splits change positions, working orders, marks and holdings of all books; dividends are paid on what was held.

    Fractions of a lot that a split makes are paid out at the mark (books with lots only)."""
    books, symbols = state.position.shape
    for s in range(symbols):
        if dividend[s] == 0.0 and split[s] == 1.0:
            continue
        if dividend[s] != 0.0:
            for b in range(books):
                cash = state.position[b, s] * dividend[s]
                state.cash[b] += cash
                if b == LIVE and cash != 0.0:
                    action_cash[s] += cash
                    attribute_cash(cash, state.holding[s], state.pool[s], contribution)
        ratio = split[s]
        if ratio == 1.0 or not ratio > 0.0:
            continue
        state.mark[s] /= ratio
        for b in range(books):
            held = state.position[b, s] * ratio
            state.pending[b, s] *= ratio
            if b < FIRST_SHADOW and held != 0.0:
                whole = math.copysign(math.floor(abs(held) / lots[s] + 1e-9) * lots[s], held)
                cash = (held - whole) * state.mark[s] if abs(held - whole) > 1e-9 else 0.0
                state.cash[b] += cash
                state.pending[b, s] = math.copysign(
                    math.floor(abs(state.pending[b, s]) / lots[s] + 1e-9) * lots[s], state.pending[b, s]
                )
                if b == LIVE:
                    action_cash[s] += cash
                    split_change[s] = whole - state.position[b, s]
                held = whole
            state.position[b, s] = held
        agents = state.asked.shape[1]
        rest = state.position[LIVE, s]
        for k in range(agents):
            state.asked[s, k] *= ratio
            state.holding[s, k] *= ratio
            rest -= state.holding[s, k]
        state.holding[s, agents] = rest


@compiled_inline
def _learn_shadow_variance(state: State, last_equity: Floats, capital: float, shadow_return: Floats) -> None:
    equity, variance, weight = state.equity, state.shadow_variance, state.shadow_weight
    for a in range(len(variance)):
        move = (equity[FIRST_SHADOW + a] - last_equity[FIRST_SHADOW + a]) / capital
        shadow_return[a] = move
        if move != 0.0 or weight[a] > 0.0:
            variance[a] = SHADOW_DECAY * variance[a] + move * move
            weight[a] = SHADOW_DECAY * weight[a] + 1.0


@compiled_inline
def _inverse_volatility(state: State, weights: Floats) -> None:
    """1 / shadow volatility for each agent; agents not yet measurable get the mean of the others, or all equal."""
    agents, variance, seen = len(weights), state.shadow_variance, state.shadow_weight
    total, known = 0.0, 0
    for a in range(agents):
        weights[a] = 0.0
        if seen[a] >= SHADOW_MINIMUM * 0.5 and variance[a] > 0.0:
            weights[a] = 1.0 / math.sqrt(variance[a] / seen[a])
            total += weights[a]
            known += 1
    for a in range(agents):
        if known == 0:
            weights[a] = 1.0
        elif weights[a] == 0.0:
            weights[a] = total / known


@compiled_inline
def _remember_asked(
    state: State,
    forecast: Floats,
    weights: Floats,
    combined: Floats,
    unit: Floats,
    raw_weight: Floats,
    weight: Floats,
    clamps: Integers,
    capital: float,
) -> None:
    """What each agent asked for, in units, after caps and limits shrank all shares alike; unchanged where the
    symbol was not decided upon."""
    symbols, agents = forecast.shape
    asked, mark = state.asked, state.mark
    for s in range(symbols):
        if not (math.isfinite(combined[s]) and math.isfinite(raw_weight[s])):
            continue
        total = 0.0
        for a in range(agents):
            value = forecast[s, a]
            asked[s, a] = weights[a] * value if math.isfinite(value) else 0.0
            total += asked[s, a]
        scale = 0.0
        if total != 0.0:
            scale = combined[s] / total * unit[s] * capital / mark[s]
            if clamps[s] != 0 and raw_weight[s] != 0.0:
                scale *= min(1.0, max(0.0, weight[s] / raw_weight[s]))
        for a in range(agents):
            asked[s, a] *= scale
