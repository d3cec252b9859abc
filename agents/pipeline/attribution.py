"""the live book's P&L of a bar -> each agent's share and one named remainder, exactly.

`holding` [S, A+1] splits the position: each agent what it asked for (scaled down where less is held, never up), the
remainder what nobody asked for. `pool` [S, A+1] collects the shares while a position is open; a fill that shrinks
the position realises that fraction of the pool, so a trade's shares are those of its own holding time.
"""

from __future__ import annotations

import math

import numpy as np

from agents.core.types import Floats
from agents.quant.compiled import compiled_inline


@compiled_inline
def split_position(position: float, asked: Floats, holding: Floats) -> None:
    """`holding` [A+1] of one symbol from `asked` [A]: asked x clip(position / sum(asked), 0, 1), then the rest."""
    agents = len(asked)
    total = 0.0
    for a in range(agents):
        total += asked[a]
    share = 0.0
    if total != 0.0 and position != 0.0:
        share = min(1.0, max(0.0, position / total))
    rest = position
    for a in range(agents):
        holding[a] = asked[a] * share
        rest -= holding[a]
    holding[agents] = rest


@compiled_inline
def attribute_bar(
    before: float,
    filled: float,
    asked: Floats,
    mark: float,
    open_price: float,
    close: float,
    fill_price: float,
    fee: float,
    holding: Floats,
    pool: Floats,
    contribution: Floats,
    realised: Floats,
    scratch: Floats,
) -> float:
    """One symbol, one bar of the live book; returns its P&L and adds the shares to `contribution` [A+1].

    before x (open - mark) goes by the old holding, (before + filled) x (close - open) by the new one, and
    what the fill cost (spread, impact, fee) by how much each share of the holding changed. `realised` [A+1] gets
    the part of the pool that a shrinking fill closes, with the closing part of its costs. `scratch` [A+1] is overwritten.
    """
    if before == 0.0 and filled == 0.0:
        return 0.0
    shares = len(holding)
    after = before + filled
    overnight = open_price - mark if before != 0.0 else 0.0
    cost = filled * (fill_price - open_price) + fee if filled != 0.0 else 0.0
    for k in range(shares):
        earned = holding[k] * overnight
        contribution[k] += earned
        pool[k] += earned
    closed = 0.0
    if filled != 0.0 and before * filled < 0.0:
        closed = min(1.0, abs(filled) / abs(before))
        for k in range(shares):
            realised[k] = closed * pool[k]
            pool[k] -= realised[k]
    for k in range(shares):
        scratch[k] = holding[k]
    split_position(after, asked, holding)
    if cost != 0.0:
        changed = 0.0
        for k in range(shares):
            changed += abs(holding[k] - scratch[k])
        closing = abs(before) * closed / abs(filled)
        for k in range(shares):
            paid = cost * abs(holding[k] - scratch[k]) / changed
            contribution[k] -= paid
            realised[k] -= paid * closing
            pool[k] -= paid * (1.0 - closing)
    for k in range(shares):
        earned = holding[k] * (close - open_price)
        contribution[k] += earned
        pool[k] += earned
    if after == 0.0:
        for k in range(shares):
            pool[k] = 0.0
    return before * overnight - cost + after * (close - open_price)


@compiled_inline
def attribute_cash(cash: float, holding: Floats, pool: Floats, contribution: Floats) -> None:
    """A dividend or cash in lieu of one symbol goes by the holding [A+1] that earned it."""
    shares = len(holding)
    total = 0.0
    for k in range(shares):
        total += holding[k]
    rest = cash
    for k in range(shares - 1):
        part = cash * holding[k] / total if total != 0.0 else 0.0
        contribution[k] += part
        pool[k] += part
        rest -= part
    contribution[shares - 1] += rest
    pool[shares - 1] += rest


def exact_shares(pnl: float, shares: Floats) -> Floats:
    """Float shares whose sum is `pnl` up to rounding, with the difference moved into the last one (the remainder)."""
    result: Floats = np.where(np.isfinite(shares), shares, 0.0)
    result[-1] += pnl - math.fsum(result)
    return result
