"""A replay's profit by symbol and by side, before and after what fills cost; chunk by chunk."""

from __future__ import annotations

import numpy as np

from agents.core.replay_types import ProfitParts
from agents.core.types import Bars
from agents.pipeline.state import Outputs


class ProfitSums:
    """Adds up the live book's profit of all rows that it is shown, each once and in their order.

    A bar's profit counts for the side of the position after its fill; what came before the fill, and its costs, for
    the side before it, where there was one.
    """

    def __init__(self, symbols: int) -> None:
        self._net, self._costs, self._fills = np.zeros(symbols), np.zeros(symbols), np.zeros(symbols)
        self._sides, self._side_costs = np.zeros(2), np.zeros(2)
        self._value, self._position = np.zeros(symbols), np.zeros(symbols)

    def add(self, bars: Bars, lead: int, out: Outputs) -> None:
        """Take in the new rows of a chunk."""
        new = slice(lead, None)
        position, filled = out.position[new], out.fill_quantity[new]
        value = np.where(position != 0.0, position * out.mark[new], 0.0)
        before = np.vstack([self._value, value[:-1]])
        held = np.vstack([self._position, position[:-1]])
        paid = np.where(filled != 0.0, filled * out.fill_price[new] + out.fill_fee[new], 0.0)
        stopped = out.stop_quantity[new]
        paid += np.where(stopped != 0.0, stopped * out.stop_price[new] + out.stop_fee[new], 0.0)
        earned = value - before - paid + out.action_cash[new]
        earned += out.funding[new] + out.funding_within[new]
        moved = np.where(position != 0.0, position * (out.mark[new] - bars.open[new]), 0.0)
        late = np.where((filled != 0.0) & np.isfinite(moved), moved, 0.0)  # of the position after the fill
        costs = out.fill_fee[new] + out.fill_spread[new] + out.fill_impact[new]
        costs += out.stop_fee[new] + out.stop_spread[new] + out.stop_impact[new]
        side = np.where(held != 0.0, held, position)
        side = np.where(side != 0.0, side, -out.stop_wanted[new])  # entered and stopped out within the bar
        for k, sign in enumerate((1.0, -1.0)):
            self._sides[k] += (earned - late)[side * sign > 0.0].sum() + late[position * sign > 0.0].sum()
            self._side_costs[k] += costs[side * sign > 0.0].sum()
        self._net += earned.sum(axis=0)
        self._costs += costs.sum(axis=0)
        self._fills += (filled != 0.0).sum(axis=0) + (stopped != 0.0).sum(axis=0)
        self._value, self._position = value[-1].copy(), position[-1].copy()

    def parts(self) -> ProfitParts:
        """What was added up so far."""
        return ProfitParts(
            symbol_net=self._net,
            symbol_costs=self._costs,
            symbol_fills=self._fills,
            side_net=self._sides,
            side_costs=self._side_costs,
        )
