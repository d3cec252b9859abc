"""splits, dividends, delistings, funding -> positions, orders, marks and cash of a book, before the open at which
they apply."""

from __future__ import annotations

import math
from typing import NamedTuple

from agents.core.books import FIRST_SHADOW, LIVE
from agents.core.types import Floats
from agents.pipeline.attribution import attribute_cash
from agents.pipeline.funding import pay_funding
from agents.pipeline.orders import round_to_lot
from agents.pipeline.state import State
from agents.pipeline.suspect_prices import cautious_price
from agents.quant.compiled import compiled_inline, compiled_short_loops

NO_FRACTION = 1e-9
"""Units below which what a split leaves over a whole lot is rounding of floats."""


class Actions(NamedTuple):
    """Corporate actions of one bar, and the prices before it, which `move_marks` has split already; [S] each."""

    split: Floats
    """New shares for each old one, 1 for none."""
    dividend: Floats
    """Cash for each share, 0 for none."""
    delisting: Floats
    """Price at which it was taken off the market, NaN for none."""
    funding: Floats
    """Cash for each unit, 0 for none."""
    mark: Floats
    doubt: Floats
    lots: Floats


class ActionEffects(NamedTuple):
    """What they changed in the live book; added to what is there."""

    split_change: Floats
    """[S] units that a split added or took, or a delisting."""
    cash: Floats
    """[S] dividends, cash in lieu of fractions, the price of what was delisted."""
    funding: Floats
    """[S]"""
    contribution: Floats
    """[A+1] dividends, funding, and what a delisting earned, by agent."""
    realised: Floats
    """[S, A+1] what positions had earned that became a mere fraction and were paid out."""


@compiled_inline
def move_marks(state: State, split: Floats, dividend: Floats, delisting: Floats) -> bool:
    """Splits [S] change marks; whether there is any action at all."""
    acts = False
    for s in range(len(split)):
        if split[s] != 1.0 and split[s] > 0.0:
            state.mark[s] /= split[s]
            state.doubt[s] /= split[s]
            acts = True
        acts = acts or dividend[s] != 0.0 or math.isfinite(delisting[s])
    return acts


@compiled_short_loops
def apply_actions(state: State, b: int, actions: Actions, effects: ActionEffects) -> None:
    """Splits change position and working orders of book `b`, and the live book's holdings; funding and dividends are
    paid on what was held.

    A delisting closes the symbol. Fractions of a lot that a split makes are paid out at the mark (books with lots
    only).
    """
    for s in range(len(actions.split)):
        if actions.funding[s] != 0.0:
            pay_funding(state, (b, s), actions.funding[s], effects.funding, effects.contribution)
        if actions.dividend[s] != 0.0:
            _pay_dividend(state, b, s, actions.dividend[s], effects)
        if actions.split[s] != 1.0 and actions.split[s] > 0.0:
            _split(state, b, s, actions, effects)
        if math.isfinite(actions.delisting[s]):
            _delist(state, b, s, actions, effects)


@compiled_inline
def _delist(state: State, b: int, s: int, actions: Actions, effects: ActionEffects) -> None:
    """The book gets the price for each share; who held how much of the live one earns what that is off its mark. The
    benchmark puts the money into the other symbols."""
    held, price = state.position[b, s], actions.delisting[s]
    if b == LIVE:
        counted = cautious_price(held, actions.mark[s], actions.doubt[s])
        for k in range(state.pool.shape[1]):
            if state.holding[s, k] != 0.0:
                earned = state.holding[s, k] * (price - counted)
                effects.contribution[k] += earned
                state.pool[s, k] += earned
        effects.split_change[s] -= held
        effects.cash[s] += held * price
        for a in range(state.asked.shape[1]):
            state.asked[s, a] = 0.0
    state.cash[b] += held * price
    state.position[b, s] = 0.0
    state.pending[b, s] = 0.0
    if b == LIVE:
        _realise(state, s, effects)


@compiled_inline
def _pay_dividend(state: State, b: int, s: int, dividend: float, effects: ActionEffects) -> None:
    cash = state.position[b, s] * dividend
    state.cash[b] += cash
    if b == LIVE and cash != 0.0:
        effects.cash[s] += cash
        attribute_cash(cash, state.holding[s], state.pool[s], effects.contribution)


@compiled_inline
def _split(state: State, b: int, s: int, actions: Actions, effects: ActionEffects) -> None:
    agents, ratio, lot = state.asked.shape[1], actions.split[s], actions.lots[s]
    held = state.position[b, s] * ratio
    state.pending[b, s] *= ratio
    has_account = b < FIRST_SHADOW or b >= FIRST_SHADOW + agents
    if has_account and held != 0.0:
        whole = round_to_lot(held, lot)
        paid = cautious_price(held, actions.mark[s], actions.doubt[s])
        cash = (held - whole) * paid if abs(held - whole) > NO_FRACTION else 0.0
        state.cash[b] += cash
        state.pending[b, s] = round_to_lot(state.pending[b, s], lot)
        if b == LIVE:
            effects.cash[s] += cash
            effects.split_change[s] = whole - state.position[b, s]
        held = whole
    state.position[b, s] = held
    if b == LIVE:
        rest = held
        for a in range(agents):
            state.asked[s, a] *= ratio
            state.holding[s, a] *= ratio
            rest -= state.holding[s, a]
        state.holding[s, agents] = rest
        if held == 0.0:
            _realise(state, s, effects)


@compiled_inline
def _realise(state: State, s: int, effects: ActionEffects) -> None:
    """The live book holds nothing of the symbol any more: what its position has earned is that of a closed trade."""
    for k in range(state.pool.shape[1]):
        effects.realised[s, k] += state.pool[s, k]
        state.pool[s, k] = 0.0
        state.holding[s, k] = 0.0
