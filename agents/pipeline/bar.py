"""One bar: what its stages pass to each other. Views of a desk's arrays, and room that every bar overwrites.

NamedTuples of arrays, since compiled code takes them as they are. S symbols, A agents, B books.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.core.books import FIRST_SHADOW
from agents.core.types import Booleans, Floats, Integers
from agents.pipeline.parameters import LEAST_SHARPE, PRIOR_SHARPE, Parameters
from agents.pipeline.state import State
from agents.quant.compiled import compiled_inline

NO_STOPS: Floats = np.zeros((0, 3))


class Book(NamedTuple):
    """One book at one bar."""

    position: Floats
    """[S] signed units."""
    order: Floats
    """[S] signed units, for the next open."""
    cash: float
    capital: float
    """Of which weights are fractions: the book's equity, or a shadow's constant capital."""
    risk_state: int
    heard: Floats
    """[S] the forecast of the last decision, NaN before the first."""
    moves: Floats
    """[S, 3] exponentially weighted means: squared change of the forecast from one decision to the next, its absolute
    change, and its square."""
    wanted: Floats
    """[S] what the forecast asks for, before any zone, in volatility targets."""
    worth: Floats
    """[3] what that has been worth before costs, see `State.worth`."""
    least_sharpe: float
    """A year: the zone is never wider than this Sharpe ratio makes it."""
    stops: Floats = NO_STOPS
    """[S, 3] see `State.stops`."""


class Depth(NamedTuple):
    """What one bar offers to every book, [S] each."""

    whole: Floats
    """Units that may be filled, in whole lots; infinite where the volume is unknown."""
    units: Floats
    """The same without rounding."""
    slope: Floats
    """Impact of a fill over the square root of its units, as a fraction of the price."""


class MarketAtOpen(NamedTuple):
    """What a fill sees of the market, [S] each."""

    price: Floats
    """Open prices, NaN where there is no bar."""
    mark: Floats
    """The last closes before."""
    depth: Depth


class BarFills(NamedTuple):
    """Fills of one book at one bar's open, [S] each; where nothing was filled, only quantity and status are written."""

    quantity: Floats
    """Signed units."""
    price: Floats
    fee: Floats
    spread_cost: Floats
    """Money inside the price, as is the cost of impact; neither is written for a shadow's fills or a broker's."""
    impact_cost: Floats
    status: Integers
    """`FillStatus`."""


class StopBar(NamedTuple):
    """What a stop sees of a bar, [S] each."""

    open: Floats
    """Prices at which orders are filled, NaN where there is no bar that is believed."""
    high: Floats
    low: Floats
    mark: Floats
    """The last closes before."""
    depth: Depth


class StopFills(NamedTuple):
    """What one bar's stops closed of one book, [S] each; where there was none, only the first four are written."""

    at: Floats
    """The price at which a stop was reached, NaN for none."""
    status: Integers
    """`FillStatus`: which stop it was."""
    wanted: Floats
    """Signed units that it was to close."""
    quantity: Floats
    """Signed units that it closed."""
    price: Floats
    fee: Floats
    spread_cost: Floats
    impact_cost: Floats


class MarketAtClose(NamedTuple):
    """What a decision sees of the market, [S] each."""

    price: Floats
    """Closes, of an earlier bar where there is none."""
    has_bar: Booleans
    stale: Booleans
    """The newest bar is too old: positions may only shrink."""
    leaving: Booleans
    """The symbol is taken out of the universe: positions are closed."""
    flatten: bool = False
    """A person closes every position of a halted desk."""


class CombinedSignal(NamedTuple):
    """What all agents together say, [S] each."""

    forecast: Floats
    """In units of an agent's usual forecast; NaN where nobody votes."""
    multiplier: Floats
    """The diversification multiplier that is in it; NaN where nobody votes."""
    unit_weight: Floats
    """The weight that a forecast of 1 asks for; NaN where volatility is not yet measurable."""
    cost_band: Floats
    """What a trade costs over the risk of straying: cost / (volatility x share of the risk target)."""


class Opinions(NamedTuple):
    """One bar's forecasts by agent, made once for all books."""

    spoken: Floats
    """[A, S] forecasts, 0 where the agent abstains."""
    voted: Floats
    """[A, S] 1 where it votes, else 0."""
    alike: Integers
    """[S] the first symbol on which the same agents vote."""
    voters: Integers
    """[S] who votes, a bit for each of the first agents."""
    weight: Floats
    """[S] room for the sum of the voters' weights."""


class Targets(NamedTuple):
    """Target weights of one book at one bar, as fractions of its capital, [S] each."""

    raw_weight: Floats
    """What the forecast asks for; NaN where nothing was decided."""
    weight: Floats
    """After buffer and limits."""
    current: Floats
    """What the position weighs now."""
    clamps: Integers
    """Bits of `Clamp`: the limits that shrank the weight."""
    no_trade: Integers
    """`NoTrade`."""


class Work(NamedTuple):
    """Room for one bar's intermediate results, made once for a run."""

    has_bar: Booleans
    """[S]"""
    suspect: Booleans
    """[S] there is a bar, and its price is not believed."""
    may_only_shrink: Booleans
    """[S] suspect, or too old to trade on."""
    open: Floats
    """[S] prices at which the orders of the book at hand may be filled."""
    before: Floats
    """[S] the live book's position before the bar's fills."""
    overnight: Floats
    """[S] return from the last close to the bar's open with dividends, NaN where there is no believed bar."""
    intraday: Floats
    """[S] return from the bar's open to its close, 0 where there is none."""
    depth: Depth
    fills: BarFills
    filled: Floats
    """[S] units that the orders of the book at hand traded at the bar."""
    dropped: Booleans
    """[S] its orders that a stop came before."""
    stop_fills: StopFills
    opinions: Opinions
    signal: CombinedSignal
    targets: Targets
    weights: Floats
    """[A] with which the book at hand combines forecasts."""
    shares: Floats
    """[A+1] for attribution to write on."""
    last_equity: Floats
    """[B] before the bar."""


class StepDesk(NamedTuple):
    """A desk as the step sees it: the state that it changes, its parameters, and room to work in."""

    state: State
    parameters: Parameters
    work: Work


def opinions_of(agents: int, symbols: int) -> Opinions:
    """Room for the opinions of so many agents."""
    spoken, voted = np.zeros((2, agents, symbols))
    alike, voters = np.zeros((2, symbols), dtype=np.int64)
    return Opinions(spoken, voted, alike, voters, np.zeros(symbols))


def desk_of(state: State, parameters: Parameters) -> StepDesk:
    """A desk that works on `state` itself, not on a copy."""
    symbols, agents = state.asked.shape
    floats, integers = iter(np.zeros((26, symbols))), iter(np.zeros((4, symbols), dtype=np.int64))
    work = Work(
        has_bar=np.zeros(symbols, dtype=np.bool_),
        suspect=np.zeros(symbols, dtype=np.bool_),
        may_only_shrink=np.zeros(symbols, dtype=np.bool_),
        open=np.zeros(symbols),
        before=next(floats),
        overnight=next(floats),
        intraday=next(floats),
        depth=Depth(next(floats), next(floats), next(floats)),
        fills=BarFills(next(floats), next(floats), next(floats), next(floats), next(floats), next(integers)),
        filled=next(floats),
        dropped=np.zeros(symbols, dtype=np.bool_),
        stop_fills=StopFills(
            next(floats),
            next(integers),
            next(floats),
            next(floats),
            next(floats),
            next(floats),
            next(floats),
            next(floats),
        ),
        opinions=opinions_of(agents, symbols),
        signal=CombinedSignal(next(floats), next(floats), next(floats), next(floats)),
        targets=Targets(next(floats), next(floats), next(floats), next(integers), next(integers)),
        weights=np.zeros(agents),
        shares=np.zeros(agents + 1),
        last_equity=np.zeros(len(state.cash)),
    )
    return StepDesk(state, parameters, work)


@compiled_inline
def book_of(state: State, b: int, capital: float) -> Book:
    """Book `b` of a desk, whose weights are fractions of `capital`."""
    position, pending, cash, risk_state = state.position[b], state.pending[b], state.cash[b], state.risk_state[b]
    heard, moves, wanted, worth = state.heard[b], state.moves[b], state.wanted[b], state.worth[b]
    is_shadow = FIRST_SHADOW <= b < FIRST_SHADOW + len(state.shadow_variance)
    least_sharpe = PRIOR_SHARPE if is_shadow else LEAST_SHARPE
    stops = state.stops[b]
    return Book(position, pending, cash, capital, risk_state, heard, moves, wanted, worth, least_sharpe, stops)
