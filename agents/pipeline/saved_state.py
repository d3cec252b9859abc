"""The step's state as bytes, which the journal keeps with each decision, and back, on symbols and agents of today."""

from __future__ import annotations

import io

import numpy as np

from agents.core.books import FIRST_SHADOW, LIVE
from agents.core.errors import JournalError
from agents.core.types import Floats
from agents.pipeline.ledger import Ledger
from agents.pipeline.parameters import DeskPlan, FillModel
from agents.pipeline.state import State, new_state

STATE_FORMAT = 1


def pack_state(state: State, symbols: tuple[str, ...], agents: tuple[str, ...], ledger: Ledger) -> bytes:
    """The step's state as bytes (numpy's npz, no pickle), with the names of its axes and the ledger's exact cash."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=np.array([STATE_FORMAT]),
        symbols=np.array(symbols, dtype=np.str_),
        agents=np.array(agents, dtype=np.str_),
        ledger_cash=np.array([str(ledger.cash)], dtype=np.str_),
        **state._asdict(),
    )
    return buffer.getvalue()


def unpack_state(packed: bytes, plan: DeskPlan, agents: tuple[str, ...]) -> tuple[State, str]:
    """(state, the ledger's cash) on the axes of `plan` and `agents`, where what is new starts empty.

    A symbol that is not in the plan any more, or is leaving, is closed at its last price, with costs, in the controls
    and shadows: they must not drop what they hold. A new book starts with the initial cash. JournalError where the
    format is another one, or where a symbol would be dropped that the live book holds."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as saved:
        if int(saved["format"][0]) != STATE_FORMAT:
            raise JournalError(f"the stored state has format {saved['format'][0]}, this version reads {STATE_FORMAT}")
        old_symbols, old_agents = tuple(saved["symbols"].tolist()), tuple(saved["agents"].tolist())
        nothing = np.full(len(old_symbols), np.nan)  # in states of before there was no doubt
        state = State(**{name: saved.get(name, nothing) for name in State._fields})
        cash = str(saved["ledger_cash"][0])
    for s, symbol in enumerate(old_symbols):
        if symbol in plan.leaving or symbol not in plan.symbols:
            _close_beside(state, s, plan.parameters.fill_model)
        if symbol not in plan.symbols and state.position[LIVE, s] != 0.0:
            raise JournalError(f"{symbol} has an open position and cannot leave the desk's symbols; add it again")
    if (old_symbols, old_agents) == (plan.symbols, agents):
        return state, cash
    axes = (old_symbols, plan.symbols), (old_agents, agents)
    return _on_new_axes(state._asdict(), *axes, plan.parameters.initial_cash), cash


def _close_beside(state: State, s: int, model: FillModel) -> None:
    """Close one symbol in all books but the live one, at its last price: half the spread and the fees are paid. What
    that cost is part of the next bar's return."""
    for b in range(1, len(state.cash)):
        held = float(state.position[b, s])
        state.pending[b, s] = 0.0
        if held == 0.0:
            continue
        value = abs(held) * float(state.mark[s])
        least = model.minimum_commission if b < FIRST_SHADOW else 0.0
        state.cash[b] += held * float(state.mark[s]) - value * model.half_spread - max(least, value * model.commission)
        state.position[b, s] = 0.0


def _on_new_axes(
    values: dict[str, Floats],
    symbols: tuple[tuple[str, ...], tuple[str, ...]],
    agents: tuple[tuple[str, ...], tuple[str, ...]],
    initial_cash: float,
) -> State:
    fresh = new_state(len(agents[1]), len(symbols[1]), initial_cash)
    common_symbols = [s for s in symbols[0] if s in symbols[1]]
    common_agents = [a for a in agents[0] if a in agents[1]]
    take_s, put_s = ([axis.index(s) for s in common_symbols] for axis in symbols)
    take_a, put_a = ([axis.index(a) for a in common_agents] for axis in agents)
    base = FIRST_SHADOW
    take_b, put_b = [[*range(base), *(base + a for a in side)] for side in (take_a, put_a)]
    take_h, put_h = [*take_a, len(agents[0])], [*put_a, len(agents[1])]
    rows = {"position": (take_b, put_b), "pending": (take_b, put_b)}
    for name, target in fresh._asdict().items():
        source = values[name]
        if name in rows:
            target[np.ix_(rows[name][1], put_s)] = source[np.ix_(rows[name][0], take_s)]
        elif name in ("asked", "holding", "pool"):
            columns = (take_a, put_a) if name == "asked" else (take_h, put_h)
            target[np.ix_(put_s, columns[1])] = source[np.ix_(take_s, columns[0])]
        elif name in ("mark", "doubt", "volatility"):
            target[put_s] = source[take_s]
        elif name in ("cash", "equity", "peak", "risk_state"):
            target[put_b] = source[take_b]
        else:
            target[put_a] = source[take_a]
    fresh.first_weights[~np.isfinite(fresh.first_weights)] = 0.0
    lost = fresh.position[0] - fresh.holding.sum(axis=1)
    fresh.holding[:, -1] += lost
    return fresh
