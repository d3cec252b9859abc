"""A desk as the step sees it: the state that it changes, its parameters, and room to work in.

NamedTuples of arrays, since compiled code takes them as they are. S symbols, A agents, B books.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.core.books import FIRST_SHADOW
from agents.core.types import Booleans, Floats, Integers
from agents.pipeline.bar import BarFills, Book, StopFills, Targets
from agents.pipeline.parameters import LEAST_SHARPE, PRIOR_SHARPE, Parameters
from agents.pipeline.rows import CELLS_AT_ONCE, Rows, rows_of
from agents.pipeline.state import State
from agents.quant.compiled import compiled_inline


class Work(NamedTuple):
    """Room for one book's intermediate results at one bar, made once for a run."""

    before: Floats
    """[S] the live book's position before the bar's fills."""
    fills: BarFills
    filled: Floats
    """[S] units that the book's orders traded at the bar."""
    filled_at: Floats
    """[S] where the market stood when orders that rested were filled, NaN where none was."""
    dropped: Booleans
    """[S] its orders that a stop came before."""
    stop_fills: StopFills
    forecast: Floats
    """[K, S] what the book hears at each row of a block, see `CombinedSignal`; as is the next."""
    multiplier: Floats
    targets: Targets
    weights: Floats
    """[A] with which the book combines forecasts."""
    shares: Floats
    """[A+1] for attribution to write on."""
    waiting: Booleans
    """[K] the live book may not grow while a price is in doubt."""
    twin: Integers
    """[B] the book of the same past, see `twins`."""


class StepDesk(NamedTuple):
    """The books of a desk, and the block of bars that they go through."""

    state: State
    parameters: Parameters
    work: Work
    rows: Rows


def desk_of(state: State, parameters: Parameters, bars: int = 1) -> StepDesk:
    """A desk that works on `state` itself, not on a copy, with room for so many bars at once, at most: a block is no
    longer than suits a core's cache."""
    symbols, agents = state.asked.shape
    at_once = max(1, min(bars, CELLS_AT_ONCE // max(1, symbols)))
    work = _work_of(at_once, agents, symbols, len(state.cash))
    return StepDesk(state, parameters, work, rows_of(agents, symbols, at_once))


def _work_of(rows: int, agents: int, symbols: int, books: int) -> Work:
    floats, integers = iter(np.zeros((18, symbols))), iter(np.zeros((4, symbols), dtype=np.int64))
    fills = BarFills(next(floats), next(floats), next(floats), next(floats), next(floats), next(integers))
    at, status = next(floats), next(integers)
    return Work(
        before=next(floats),
        fills=fills,
        filled=next(floats),
        filled_at=next(floats),
        dropped=np.zeros(symbols, dtype=np.bool_),
        stop_fills=StopFills(at, status, *(next(floats) for _ in range(6))),
        forecast=np.zeros((rows, symbols)),
        multiplier=np.zeros((rows, symbols)),
        targets=Targets(next(floats), next(floats), next(floats), next(integers), next(integers)),
        weights=np.zeros(agents),
        shares=np.zeros(agents + 1),
        waiting=np.zeros(rows, dtype=np.bool_),
        twin=np.zeros(books, dtype=np.int64),
    )


@compiled_inline
def book_of(state: State, b: int, capital: float) -> Book:
    """Book `b` of a desk, whose weights are fractions of `capital`."""
    position, pending, cash, risk_state = state.position[b], state.pending[b], state.cash[b], state.risk_state[b]
    heard, moves, wanted, worth = state.heard[b], state.moves[b], state.wanted[b], state.worth[b]
    is_shadow = FIRST_SHADOW <= b < FIRST_SHADOW + len(state.shadow_variance)
    least_sharpe = PRIOR_SHARPE if is_shadow else LEAST_SHARPE
    stops = state.stops[b]
    return Book(position, pending, cash, capital, risk_state, heard, moves, wanted, worth, least_sharpe, stops)
