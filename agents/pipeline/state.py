"""The step's records: its numbers, what one bar leaves to the next, what goes in and what comes out.

NamedTuples of arrays, since compiled code takes them as they are. Books, in this order: the live one; three controls
that trade with equal, first and inverse-volatility weights; one shadow for each agent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from agents.core.books import FIRST_SHADOW
from agents.core.types import Bars, Booleans, Floats, Integers, RiskState


class State(NamedTuple):
    """What one bar leaves to the next; the step changes these arrays in place. B books, A agents, S symbols."""

    position: Floats  # [B, S]
    pending: Floats  # [B, S] signed orders for the next open
    asked: Floats  # [S, A] units each agent asked for at the last decision
    holding: Floats  # [S, A+1]
    pool: Floats  # [S, A+1]
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
    forecast: Floats  # [n, S, A]
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
    realised: Floats  # [n, S, A+1]
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
        asked=np.zeros((symbols, agents)),
        holding=np.zeros((symbols, agents + 1)),
        pool=np.zeros((symbols, agents + 1)),
        mark=np.full(symbols, np.nan),
        volatility=np.full(symbols, np.nan),
        cash=np.full(books, initial_cash),
        equity=np.full(books, initial_cash),
        peak=np.full(books, initial_cash),
        risk_state=np.full(books, RiskState.ACTIVE, dtype=np.int64),
        shadow_variance=np.zeros(agents),
        shadow_weight=np.zeros(agents),
        first_weights=np.full(agents, np.nan),
    )


def matched_inputs(bars: Bars, volatility: Floats, forecast: Floats, correlation: Floats, weights: Floats) -> Inputs:
    """Bars of a history, none of them stale, whose orders the step's own matcher fills."""
    none = np.zeros(bars.open.shape)
    return Inputs(
        open=bars.open,
        close=bars.close,
        volume=bars.volume,
        split=bars.split,
        dividend=bars.dividend,
        volatility=volatility,
        forecast=forecast,
        correlation=correlation,
        weights=weights,
        stale=np.zeros(bars.open.shape, dtype=bool),
        external=False,
        external_quantity=none,
        external_price=none,
        external_fee=none,
    )


def obey(state: State, command: RiskState) -> None:
    """A person's halt or resume, for the live book and its controls; resuming measures drawdown from here."""
    books = slice(0, FIRST_SHADOW)
    state.risk_state[books] = command
    if command is RiskState.ACTIVE:
        state.peak[books] = state.equity[books]


def new_outputs(bars: int, agents: int, symbols: int) -> Outputs:
    """Room for the results of `bars` bars."""
    books = FIRST_SHADOW + agents
    shapes = {
        "contribution": (bars, agents + 1),
        "realised": (bars, symbols, agents + 1),
        "equity": (bars, books),
        "cash": (bars, books),
        "turnover": (bars, books),
        "risk_state": (bars,),
        "shadow_return": (bars, agents),
        "hits": (bars, agents),
        "calls": (bars, agents),
    }
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
