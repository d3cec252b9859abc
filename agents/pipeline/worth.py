"""What a book's forecasts have been worth before costs: a short record in the step's state, by which the no-trade zone
knows how much risk is worth to that book (docs/mathematics.md).

The record is of the book that asks for its whole target at each bar and pays nothing, at the opens at which orders are
filled. So what is not traded because it costs too much is measured all the same, and a fast strategy that is good is
found out and traded, while a fast one that is not is left alone. The unit of its profits is the volatility target.
"""

from __future__ import annotations

import math

from agents.core.types import Floats
from agents.pipeline.desk import StepDesk
from agents.pipeline.parameters import PRIOR_SHARPE, PRIOR_YEARS, Sizing
from agents.pipeline.state import Inputs
from agents.quant.compiled import compiled_inline

MEMORY_YEARS = 2.8
"""Mean age of what is remembered: as often beliefs are drawn anew, once in 700 days."""
PRIOR_BARS = 20.0
"""As if the volatility target had been met on so many bars before."""


@compiled_inline
def learn_worth(desk: StepDesk, inputs: Inputs, t: int, k: int, b: int) -> None:
    """Take in a bar: book `b`'s last target earns from this open on, the one before until it.

    Nothing is counted at a price that is not believed, nor where a book asked for nothing."""
    state, overnight, intraday = desk.state, desk.rows.overnight[k], desk.rows.intraday[k]
    wanted, followed, worth, acts = state.wanted[b], state.followed[b], state.worth[b], desk.rows.acts[k]
    profit, asked = 0.0, False
    for s in range(len(overnight)):
        if math.isfinite(overnight[s]):
            profit += followed[s] * overnight[s] + wanted[s] * intraday[s]
            asked = asked or followed[s] != 0.0 or wanted[s] != 0.0
            followed[s] = wanted[s]
            if acts and math.isfinite(inputs.delisting[t, s]):
                wanted[s], followed[s] = 0.0, 0.0
    if asked:
        keep = 1.0 - 1.0 / (MEMORY_YEARS * desk.parameters.sizing.bars_per_year)
        worth[0] = keep * worth[0] + profit
        worth[1] = keep * worth[1] + profit * profit
        worth[2] = keep * worth[2] + 1.0


@compiled_inline
def risk_aversion(worth: Floats, least_sharpe: float, sizing: Sizing) -> float:
    """The Sharpe ratio of one bar that a book's record lets one expect, over the volatility (in volatility targets)
    that its forecasts ask for: the risk aversion at which they are just as large as they should be.

    The Sharpe ratio is the posterior mean of a normal prior; that mean, since what a wrong zone loses is linear in it.
    """
    prior_bars = PRIOR_BARS * max(0.0, 1.0 - worth[2] / (MEMORY_YEARS * sizing.bars_per_year))
    volatility = math.sqrt((prior_bars + worth[1]) / (prior_bars + worth[2]))
    if volatility == 0.0:
        volatility = 1.0
    lean, year = PRIOR_YEARS * sizing.bars_per_year, math.sqrt(sizing.bars_per_year)
    sharpe = (lean * PRIOR_SHARPE / year + worth[0] / volatility) / (lean + worth[2])
    least = least_sharpe / year
    return (sharpe if sharpe > least else least) / volatility
