"""Money that comes and goes between two bars, as it changes the step's state: not a profit, not a loss.

A deposit buys units of the desk as of a fund, at the worth of the last close, so what a unit is worth, and with it
every return, does not move. All that remembers money (highs, the day's beginning) is restated in the new money. Each
other book with an account gets the same share of its own equity: it is as much larger or smaller as the desk, at the
same time, so their returns can be compared as before, and no withdrawal ruins one that the desk could bear.
"""

from __future__ import annotations

from agents.core.books import LIVE
from agents.core.cash_flows import CashFlow
from agents.core.types import to_float
from agents.pipeline.state import State, has_account


def why_refused(state: State, flow: CashFlow) -> str:
    """Why a desk cannot take a flow that a person or a rule asks for; "" where it can. What an exchange tells has
    happened."""
    cash, equity, amount = float(state.cash[LIVE]), float(state.equity[LIVE]), to_float(flow.amount)
    if flow.source == "exchange" or amount > 0.0:
        return ""
    if amount + cash < 0.0:
        return f"there is cash of {cash:,.2f} only; the rest is in positions, or owed"
    return "" if amount + equity > 0.0 else f"the equity is {equity:,.2f}; a desk without any cannot trade"


def take_flow(state: State, flow: CashFlow) -> float:
    """Change the state by a flow; the live equity after it over that before it, 1 for what is earned.

    What is earned (or paid: interest, funding) is the live book's alone, and part of its next bar's return; so is
    capital that comes to a desk without equity, or takes all of it: then there is no share to be told."""
    before, amount = float(state.equity[LIVE]), to_float(flow.amount)
    if not flow.is_capital or before <= 0.0 or before + amount <= 0.0:
        state.cash[LIVE] += amount
        return 1.0
    agents = state.asked.shape[1]
    for b in range(len(state.cash)):
        equity = float(state.equity[b])
        if not has_account(b, agents) or equity <= 0.0:
            continue
        moved = amount * (equity / before)
        after = equity + moved
        state.cash[b] += moved
        state.equity[b] = after
        state.peak[b] = after * (state.peak[b] / equity)
        state.highs[b, 1:] = after * (state.highs[b, 1:] / equity)  # the first is a month
        if b == LIVE:
            state.today[1] = after * (state.today[1] / equity)
    return (before + amount) / before
