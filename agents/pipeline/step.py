"""The compiled step: settle what was ordered, mark, attribute, decide. Live calls it with one bar, replay with many.

Books, in this order: the live one; three controls that trade with equal, first and inverse-volatility weights; one
shadow for each agent, which trades that agent alone at unit size (constant capital, no lots, no limits).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from agents.core.types import Booleans, Floats, Integers
from agents.pipeline.attribution import attribute_bar, attribute_cash
from agents.pipeline.combine import combine
from agents.pipeline.fills import match_orders
from agents.pipeline.orders import decide_orders, target_positions, unit_weights
from agents.pipeline.risk import ACTIVE, next_risk_state
from agents.quant.compiled import compiled

LIVE, EQUAL, FIRST, INVERSE_VOLATILITY, FIRST_SHADOW = 0, 1, 2, 3, 4
CONTROLS = ("equal", "first", "inverse_volatility")
SHADOW_DECAY = 1.0 - 2.0 / 121.0
"""Exponential memory of the shadow books' variance, a span of 120 bars."""
SHADOW_MINIMUM = 20.0


class Parameters(NamedTuple):
    """Numbers that do not change within a run; rates are fractions, volatilities for one bar."""

    forecast_cap: float
    multiplier_cap: float
    instrument_multiplier_cap: float
    target_volatility: float
    symbol_cap: float
    gross_cap: float
    allow_short: bool
    reduce_drawdown: float
    reducing_scale: float
    halt_drawdown: float
    buffer: float
    minimum_trade: float
    commission: float
    minimum_commission: float
    half_spread: float
    impact: float
    participation: float
    leverage: float
    initial_cash: float


class State(NamedTuple):
    """What one bar leaves to the next; the step changes these arrays in place. B books, A agents, S symbols."""

    position: Floats  # [B, S]
    pending: Floats  # [B, S] signed orders for the next open
    asked: Floats  # [A, S] units each agent asked for at the last decision
    holding: Floats  # [A+1, S]
    pool: Floats  # [A+1, S]
    mark: Floats  # [S] last raw close, NaN before the first
    volatility: Floats  # [S] as known at the last decision
    cash: Floats  # [B]
    equity: Floats  # [B]
    peak: Floats  # [B]
    risk_state: Integers  # [B]
    shadow_variance: Floats  # [A] exponentially weighted
    shadow_weight: Floats  # [A] sum of its weights
    first_weights: Floats  # [A] of the first decision, NaN before


class Inputs(NamedTuple):
    """n bars: raw prices, what agents said in the common unit, and the fills of a real broker where there is one."""

    open: Floats  # [n, S]
    close: Floats
    volume: Floats
    split: Floats
    dividend: Floats
    volatility: Floats  # [n, S]
    forecast: Floats  # [n, A, S]
    correlation: Floats  # [n, A, A]
    weights: Floats  # [A] in force for the live book
    stale: Booleans  # [n, S]
    external: bool  # live fills come from `external_*` instead of the matcher
    external_quantity: Floats  # [n, S]
    external_price: Floats
    external_fee: Floats


class Outputs(NamedTuple):
    """What is recorded of n bars; the live book's unless a book dimension is there."""

    combined: Floats  # [n, S]
    multiplier: Floats
    raw_weight: Floats
    target_weight: Floats
    clamps: Integers
    no_trade: Integers
    order: Floats
    position: Floats  # [n, S] after the bar's fills
    mark: Floats
    fill_quantity: Floats  # [n, S] signed
    fill_price: Floats
    fill_fee: Floats
    fill_spread: Floats
    fill_impact: Floats
    fill_status: Integers
    split_change: Floats  # [n, S] units that a split added or took
    action_cash: Floats  # [n, S] dividends and cash in lieu
    contribution: Floats  # [n, A+1]
    realised: Floats  # [n, A+1, S]
    equity: Floats  # [n, B]
    cash: Floats  # [n, B]
    turnover: Floats  # [n, B] filled notional over capital
    risk_state: Integers  # [n]
    shadow_return: Floats  # [n, A]
    hits: Integers  # [n, A] shadow positions that moved the right way
    calls: Integers  # [n, A] shadow positions that moved


def new_state(agents: int, symbols: int, initial_cash: float) -> State:
    """A desk before its first bar: cash only."""
    books = FIRST_SHADOW + agents
    return State(
        position=np.zeros((books, symbols)),
        pending=np.zeros((books, symbols)),
        asked=np.zeros((agents, symbols)),
        holding=np.zeros((agents + 1, symbols)),
        pool=np.zeros((agents + 1, symbols)),
        mark=np.full(symbols, np.nan),
        volatility=np.full(symbols, np.nan),
        cash=np.full(books, initial_cash),
        equity=np.full(books, initial_cash),
        peak=np.full(books, initial_cash),
        risk_state=np.full(books, ACTIVE, dtype=np.int64),
        shadow_variance=np.zeros(agents),
        shadow_weight=np.zeros(agents),
        first_weights=np.full(agents, np.nan),
    )


def new_outputs(bars: int, agents: int, symbols: int) -> Outputs:
    """Room for the results of `bars` bars."""
    books = FIRST_SHADOW + agents
    shapes = {
        "contribution": (bars, agents + 1), "realised": (bars, agents + 1, symbols), "equity": (bars, books),
        "cash": (bars, books), "turnover": (bars, books), "risk_state": (bars,), "shadow_return": (bars, agents), "hits": (bars, agents),
        "calls": (bars, agents),
    }  # fmt: skip
    whole = ("clamps", "no_trade", "fill_status", "risk_state", "hits", "calls")
    arrays: dict[str, Any] = {
        name: np.zeros(shapes.get(name, (bars, symbols)), dtype=np.int64 if name in whole else np.float64)
        for name in Outputs._fields
    }
    return Outputs(**arrays)


def copy_state(state: State) -> State:
    """A state that shares nothing with the given one."""
    arrays: dict[str, Any] = {name: array.copy() for name, array in state._asdict().items()}
    return State(**arrays)


@compiled
def run_bars(state: State, inputs: Inputs, p: Parameters, lots: Floats, out: Outputs) -> None:
    """Take `state` through the n bars of `inputs`, writing `out`; nothing at bar t looks beyond bar t."""
    bars, symbols = inputs.open.shape
    agents = state.asked.shape[0]
    books = state.position.shape[0]
    no_lots = np.zeros(symbols)
    has_bar = np.empty(symbols, dtype=np.bool_)
    unit = np.empty(symbols)
    before = np.empty(symbols)
    last_equity = np.empty(books)
    lone = np.zeros(agents)
    lone_forecast = np.empty(symbols)
    combined = np.empty(symbols)
    multiplier = np.empty(symbols)
    raw_weight = np.empty(symbols)
    weight = np.empty(symbols)
    current = np.empty(symbols)
    no_trade = np.empty(symbols, dtype=np.int64)
    clamps = np.empty(symbols, dtype=np.int64)
    quantity = np.empty(symbols)
    price = np.empty(symbols)
    fee = np.empty(symbols)
    spread = np.empty(symbols)
    impact = np.empty(symbols)
    status = np.empty(symbols, dtype=np.int64)
    if not math.isfinite(state.first_weights[0]):
        state.first_weights[:] = inputs.weights
    for t in range(bars):
        for s in range(symbols):
            has_bar[s] = math.isfinite(inputs.open[t, s]) and math.isfinite(inputs.close[t, s])
        last_equity[:] = state.equity
        apply_actions(state, inputs.split[t], inputs.dividend[t], lots, out.split_change[t], out.action_cash[t],
                       out.contribution[t])  # fmt: skip
        # 1. settle every book at the open
        for b in range(books):
            shadow = b >= FIRST_SHADOW
            if b == LIVE and inputs.external:
                quantity[:] = inputs.external_quantity[t]
                price[:] = inputs.external_price[t]
                fee[:] = inputs.external_fee[t]
            else:
                match_orders(
                    state.pending[b], state.position[b], state.cash[b], state.mark, inputs.open[t], inputs.volume[t],
                    state.volatility, no_lots if shadow else lots, p.commission,
                    0.0 if shadow else p.minimum_commission, p.half_spread, p.impact, p.participation,
                    math.inf if shadow else p.leverage, quantity, price, fee, spread, impact, status,
                )  # fmt: skip
            if b == LIVE:
                before[:] = state.position[LIVE]
                out.fill_quantity[t] = quantity
                out.fill_price[t] = price
                out.fill_fee[t] = fee
                if not inputs.external:
                    out.fill_spread[t] = spread
                    out.fill_impact[t] = impact
                    out.fill_status[t] = status
            traded = 0.0
            for s in range(symbols):
                if quantity[s] != 0.0:
                    state.position[b, s] += quantity[s]
                    if abs(state.position[b, s]) < 1e-9:
                        state.position[b, s] = 0.0
                    state.cash[b] -= quantity[s] * price[s] + fee[s]
                    traded += abs(quantity[s]) * price[s]
            out.turnover[t, b] = traded / (p.initial_cash if shadow else last_equity[b])
        # 2. attribute and mark
        for s in range(symbols):
            if has_bar[s]:
                mark = state.mark[s] if math.isfinite(state.mark[s]) else inputs.open[t, s]
                attribute_bar(
                    before[s], out.fill_quantity[t, s], state.asked[:, s], mark, inputs.open[t, s],
                    inputs.close[t, s], out.fill_price[t, s], out.fill_fee[t, s],
                    state.holding[:, s], state.pool[:, s], out.contribution[t], out.realised[t, :, s],
                )  # fmt: skip
                for a in range(agents):
                    held = state.position[FIRST_SHADOW + a, s]
                    moved = inputs.close[t, s] - inputs.open[t, s]
                    if held != 0.0 and moved != 0.0:
                        out.calls[t, a] += 1
                        out.hits[t, a] += 1 if held * moved > 0.0 else 0
                state.mark[s] = inputs.close[t, s]
        for b in range(books):
            value = state.cash[b]
            for s in range(symbols):
                if state.position[b, s] != 0.0:
                    value += state.position[b, s] * state.mark[s]
            state.equity[b] = value
            state.peak[b] = max(state.peak[b], value)
            out.equity[t, b] = value
            out.cash[t, b] = state.cash[b]
            if b < FIRST_SHADOW:
                state.risk_state[b] = next_risk_state(
                    state.risk_state[b], 1.0 - value / state.peak[b], p.reduce_drawdown, p.halt_drawdown
                )
        _learn_shadow_variance(state, last_equity, p.initial_cash, out.shadow_return[t])
        out.risk_state[t] = state.risk_state[LIVE]
        # 3. decide for every book
        unit_weights(inputs.volatility[t], p.target_volatility, p.instrument_multiplier_cap, unit)
        for b in range(FIRST_SHADOW):
            if b == LIVE:
                weights = inputs.weights
            elif b == FIRST:
                weights = state.first_weights
            elif b == EQUAL:
                lone[:] = 1.0
                weights = lone
            else:
                _inverse_volatility(state, lone)
                weights = lone
            combine(
                inputs.forecast[t], weights, inputs.correlation[t], p.forecast_cap, p.multiplier_cap,
                combined, multiplier,
            )  # fmt: skip
            capital = max(state.equity[b], 0.0)
            if capital <= 0.0:
                combined[:] = math.nan
                capital = p.initial_cash
            decide_orders(
                combined, unit, state.mark, has_bar, inputs.stale[t], state.position[b], capital,
                state.risk_state[b], p.buffer, p.minimum_trade, lots, p.symbol_cap, p.gross_cap, p.allow_short,
                p.reducing_scale, raw_weight, weight, current, clamps, no_trade, state.pending[b],
            )  # fmt: skip
            if b == LIVE:
                out.combined[t] = combined
                out.multiplier[t] = multiplier
                out.raw_weight[t] = raw_weight
                out.target_weight[t] = weight
                out.clamps[t] = clamps
                out.no_trade[t] = no_trade
                out.order[t] = state.pending[LIVE]
                out.position[t] = state.position[LIVE]
                out.mark[t] = state.mark
                _remember_asked(state, inputs.forecast[t], weights, combined, unit, raw_weight, weight, clamps, capital)
        for a in range(agents):
            b = FIRST_SHADOW + a
            for s in range(symbols):
                value = inputs.forecast[t, a, s]
                lone_forecast[s] = value if math.isfinite(value) else 0.0
            target_positions(
                lone_forecast, unit, state.mark, has_bar, state.position[b], p.initial_cash, p.buffer,
                raw_weight, weight, current, no_trade,
            )  # fmt: skip
            for s in range(symbols):
                state.pending[b, s] = 0.0
                if no_trade[s] == 0:
                    state.pending[b, s] = weight[s] * p.initial_cash / state.mark[s] - state.position[b, s]
        state.volatility[:] = inputs.volatility[t]


@compiled
def apply_actions(
    state: State, split: Floats, dividend: Floats, lots: Floats, split_change: Floats, action_cash: Floats,
    contribution: Floats,
) -> None:  # fmt: skip
    """Splits change positions, working orders, marks and holdings of all books; dividends are paid on what was held.

    Fractions of a lot that a split makes are paid out at the mark (books with lots only)."""
    books, symbols = state.position.shape
    for s in range(symbols):
        if dividend[s] != 0.0:
            for b in range(books):
                cash = state.position[b, s] * dividend[s]
                state.cash[b] += cash
                if b == LIVE and cash != 0.0:
                    action_cash[s] += cash
                    attribute_cash(cash, state.holding[:, s], state.pool[:, s], contribution)
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
        for k in range(state.holding.shape[0]):
            state.holding[k, s] *= ratio
            if k < state.asked.shape[0]:
                state.asked[k, s] *= ratio
        rest = state.position[LIVE, s]
        for k in range(state.asked.shape[0]):
            rest -= state.holding[k, s]
        state.holding[state.asked.shape[0], s] = rest


@compiled
def _learn_shadow_variance(state: State, last_equity: Floats, capital: float, shadow_return: Floats) -> None:
    for a in range(state.asked.shape[0]):
        move = (state.equity[FIRST_SHADOW + a] - last_equity[FIRST_SHADOW + a]) / capital
        shadow_return[a] = move
        if move != 0.0 or state.shadow_weight[a] > 0.0:
            state.shadow_variance[a] = SHADOW_DECAY * state.shadow_variance[a] + move * move
            state.shadow_weight[a] = SHADOW_DECAY * state.shadow_weight[a] + 1.0


@compiled
def _inverse_volatility(state: State, weights: Floats) -> None:
    """1 / shadow volatility for each agent; agents not yet measurable get the mean of the others, or all equal."""
    agents = len(weights)
    total, known = 0.0, 0
    for a in range(agents):
        weights[a] = 0.0
        if state.shadow_weight[a] >= SHADOW_MINIMUM * 0.5 and state.shadow_variance[a] > 0.0:
            weights[a] = 1.0 / math.sqrt(state.shadow_variance[a] / state.shadow_weight[a])
            total += weights[a]
            known += 1
    for a in range(agents):
        if known == 0:
            weights[a] = 1.0
        elif weights[a] == 0.0:
            weights[a] = total / known


@compiled
def _remember_asked(
    state: State, forecast: Floats, weights: Floats, combined: Floats, unit: Floats, raw_weight: Floats,
    weight: Floats, clamps: Integers, capital: float,
) -> None:  # fmt: skip
    """What each agent asked for, in units, after caps and limits shrank all shares alike; unchanged where the
    symbol was not decided upon."""
    agents, symbols = forecast.shape
    for s in range(symbols):
        if not (math.isfinite(combined[s]) and math.isfinite(raw_weight[s])):
            continue
        total = 0.0
        for a in range(agents):
            if math.isfinite(forecast[a, s]):
                total += weights[a] * forecast[a, s]
        scale = 0.0
        if total != 0.0:
            scale = combined[s] / total * unit[s] * capital / state.mark[s]
            if clamps[s] != 0 and raw_weight[s] != 0.0:
                scale *= min(1.0, max(0.0, weight[s] / raw_weight[s]))
        for a in range(agents):
            value = forecast[a, s]
            state.asked[a, s] = weights[a] * value * scale if math.isfinite(value) else 0.0
