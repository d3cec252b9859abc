"""The step's state as bytes, which the journal keeps with each decision, and back, on symbols and agents of today."""

from __future__ import annotations

import io
import json
import math
from typing import NamedTuple

import numpy as np

from agents.core.books import FIRST_BENCHMARK, FIRST_SHADOW, LIVE, beside_names, book_names
from agents.core.errors import JournalError
from agents.core.types import Floats, RiskState
from agents.pipeline.highs import begun_highs
from agents.pipeline.ledger import Ledger
from agents.pipeline.parameters import DeskPlan, FillModel
from agents.pipeline.state import State, new_state

STATE_FORMAT = 3
BOOKS_OF_BEFORE = ("equal", "first", "inverse_volatility")
"""The controls of states of format 1, which do not name their books."""
ONE_BLOCK = 3
"""From this format on all numbers lie in one array of float64: an npz of two dozen took longer than the step."""


def pack_state(state: State, symbols: tuple[str, ...], agents: tuple[str, ...], ledger: Ledger) -> bytes:
    """The step's state as bytes (numpy's npz, no pickle), with the names of its axes and the ledger's exact cash."""
    kept = {name: array for name, array in state._asdict().items() if name != "stops" or array.any()}
    words = {
        "symbols": symbols,
        "agents": agents,
        "books": _books(agents, len(state.cash)),
        "ledger_cash": str(ledger.cash),
        "shapes": {name: array.shape for name, array in kept.items()},
    }
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=np.array([STATE_FORMAT]),
        words=np.frombuffer(json.dumps(words).encode(), dtype=np.uint8),
        numbers=np.concatenate([array.ravel() for array in kept.values()]),
    )
    return buffer.getvalue()


class _Saved(NamedTuple):
    """What a state said of itself; `arrays` by the names that its version knew."""

    symbols: tuple[str, ...]
    agents: tuple[str, ...]
    books: tuple[str, ...]
    ledger_cash: str
    arrays: dict[str, Floats]


def _saved(packed: bytes) -> _Saved:
    """JournalError where the format is a later one."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as saved:
        form = int(saved["format"][0])
        if not 1 <= form <= STATE_FORMAT:
            raise JournalError(f"the stored state has format {form}, this version reads up to {STATE_FORMAT}")
        if form < ONE_BLOCK:
            agents = tuple(saved["agents"].tolist())
            before = ("live", *(f"control:{name}" for name in BOOKS_OF_BEFORE), *(f"shadow:{name}" for name in agents))
            books = tuple(saved["books"].tolist()) if form > 1 else before
            arrays = {name: saved[name] for name in State._fields if name in saved}
            return _Saved(tuple(saved["symbols"].tolist()), agents, books, str(saved["ledger_cash"][0]), arrays)
        words, numbers = json.loads(saved["words"].tobytes()), saved["numbers"]
    ends = np.cumsum([math.prod(shape) for shape in words["shapes"].values()])
    parts = np.split(numbers, ends[:-1])
    arrays = {
        name: part.reshape(shape).copy() for (name, shape), part in zip(words["shapes"].items(), parts, strict=True)
    }
    arrays["risk_state"] = arrays["risk_state"].astype(np.int64)
    symbols, agents, books = (tuple(words[name]) for name in ("symbols", "agents", "books"))
    return _Saved(symbols, agents, books, words["ledger_cash"], arrays)


def _books(agents: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Names of the first `count` books of a desk with these agents."""
    return (*book_names("live", agents), *beside_names(agents))[:count]


def unpack_state(packed: bytes, plan: DeskPlan, agents: tuple[str, ...], *, beside: bool = False) -> tuple[State, str]:
    """(state, the ledger's cash) on the axes of `plan` and `agents`, where what is new starts empty; `beside` asks for
    the books that tell what each agent adds.

    A symbol that is not in the plan any more, or is leaving, is closed at its last price, with costs, in the controls
    and shadows: they must not drop what they hold. A new shadow starts with the initial cash, a new control with the
    live book's equity in cash, a new book beside the desk as a copy of the live one: it differs from now on. The books
    of a state of format 1, which had fewer, are taken so too. JournalError where the format is a later one, or where a
    symbol would be dropped that the live book holds."""
    old_symbols, old_agents, old_books, cash, arrays = _saved(packed)
    count = len(old_books)
    more = max(0, count - FIRST_SHADOW - len(old_agents))
    empty = new_state(len(old_agents), len(old_symbols), 0.0, more)._asdict()  # of what older versions did not know
    kept = {name: arrays[name] for name in empty if name in arrays and arrays[name].shape[1:] == empty[name].shape[1:]}
    state = State(**(empty | kept))
    if "highs" not in arrays:  # of a version that measured drawdown from the peak only
        state = state._replace(highs=begun_highs(state.peak))
        state.today[1] = state.equity[LIVE]
    by_book = ("heard", "moves", "wanted", "followed", "worth", "stops")
    state = state._replace(**{name: getattr(state, name)[:count] for name in by_book})
    if len(state.rebalancing) == 2:  # of a version in which both books were rebalanced together
        state = state._replace(rebalancing=np.append(state.rebalancing, state.rebalancing[1]))
    for s, symbol in enumerate(old_symbols):
        if symbol in plan.leaving or symbol not in plan.symbols:
            _close_beside(state, s, old_books, plan.parameters.fill_model)
        if symbol not in plan.symbols and state.position[LIVE, s] != 0.0:
            raise JournalError(f"{symbol} has an open position and cannot leave the desk's symbols; add it again")
    books = _books(agents, len(book_names("", agents)) + (len(beside_names(agents)) if beside else 0))
    if (old_symbols, old_agents, old_books) == (plan.symbols, agents, books):
        return state, cash
    axes = _Axes((old_symbols, plan.symbols), (old_agents, agents), (old_books, books))
    return _on_new_axes(state._asdict(), axes, plan.parameters.initial_cash), cash


class _Axes(NamedTuple):
    """Names before and now."""

    symbols: tuple[tuple[str, ...], tuple[str, ...]]
    agents: tuple[tuple[str, ...], tuple[str, ...]]
    books: tuple[tuple[str, ...], tuple[str, ...]]


def _close_beside(state: State, s: int, books: tuple[str, ...], model: FillModel) -> None:
    """Close one symbol in all books but the live one, at its last price: half the spread and the fees are paid. What
    that cost is part of the next bar's return."""
    for b in range(1, len(state.cash)):
        held = float(state.position[b, s])
        state.pending[b, s] = 0.0
        if held == 0.0:
            continue
        value = abs(held) * float(state.mark[s])
        least = 0.0 if books[b].startswith("shadow:") else model.minimum_commission
        state.cash[b] += held * float(state.mark[s]) - value * model.half_spread - max(least, value * model.commission)
        state.position[b, s] = 0.0


def _on_new_axes(values: dict[str, Floats], axes: _Axes, initial_cash: float) -> State:
    symbols, agents, books = axes
    beside = len(books[1]) - len(book_names("", agents[1]))
    fresh = new_state(len(agents[1]), len(symbols[1]), initial_cash, beside)
    take_s, put_s = _places(symbols)
    take_a, put_a = _places(agents)
    take_b, put_b = _places(books)
    take_h, put_h = [*take_a, len(agents[0])], [*put_a, len(agents[1])]
    of_books_and_symbols = ("position", "pending", "heard", "moves", "wanted", "followed", "stops")
    for name, target in fresh._asdict().items():
        source = values[name]
        if name in of_books_and_symbols:
            target[np.ix_(put_b, put_s)] = source[np.ix_(take_b, take_s)]
        elif name in ("asked", "holding", "pool"):
            columns = (take_a, put_a) if name == "asked" else (take_h, put_h)
            target[np.ix_(put_s, columns[1])] = source[np.ix_(take_s, columns[0])]
        elif name in ("mark", "doubt", "volatility", "listed"):
            target[put_s] = source[take_s]
        elif name in ("cash", "equity", "peak", "highs", "risk_state", "worth"):
            target[put_b] = source[take_b]
        elif name in ("rebalancing", "squares", "ordered", "today", "reached"):
            target[:] = source
        else:
            target[put_a] = source[take_a]
    fresh.first_weights[~np.isfinite(fresh.first_weights)] = 0.0
    lost = fresh.position[0] - fresh.holding.sum(axis=1)
    fresh.holding[:, -1] += lost
    _begin(fresh, axes)
    return fresh


def _places(names: tuple[tuple[str, ...], tuple[str, ...]]) -> tuple[list[int], list[int]]:
    """Where the names that were and are, were and are."""
    common = [name for name in names[0] if name in names[1]]
    before, now = ([axis.index(name) for name in common] for axis in names)
    return before, now


def _begin(state: State, axes: _Axes) -> None:
    """Books that were not there: a control begins with the live book's equity, what is beside the desk with all that
    the desk has."""
    for b, name in enumerate(axes.books[1]):
        if name in axes.books[0] or name.startswith("shadow:"):
            continue
        state.cash[b] = state.equity[b] = state.peak[b] = state.equity[LIVE]
        state.highs[b] = begun_highs(state.equity[b : b + 1])[0]
        state.risk_state[b] = state.risk_state[LIVE]
        if not name.startswith("control:"):
            state.cash[b], state.peak[b], state.highs[b] = state.cash[LIVE], state.peak[LIVE], state.highs[LIVE]
            state.position[b], state.pending[b] = state.position[LIVE], state.pending[LIVE]
            for learnt in (state.heard, state.moves, state.wanted, state.followed, state.worth, state.stops):
                learnt[b] = learnt[LIVE]
        elif b >= FIRST_BENCHMARK:
            state.risk_state[b] = RiskState.ACTIVE
            state.rebalancing[1:] = 1.0
