"""One bar: what its stages pass to each other.

NamedTuples of arrays, since compiled code takes them as they are. S symbols, A agents, B books.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agents.core.types import Booleans, Floats, Integers

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


class MarketWithin(NamedTuple):
    """What fills see of a bar, [S] each."""

    open: Floats
    """Prices at which orders are filled, NaN where there is no bar that is believed."""
    high: Floats
    low: Floats
    close: Floats
    mark: Floats
    """The last closes before."""
    depth: Depth


class BarFills(NamedTuple):
    """Fills of one book's orders at one bar, [S] each; where there was none, only quantity and status are written."""

    quantity: Floats
    """Signed units."""
    price: Floats
    fee: Floats
    spread_cost: Floats
    """Money inside the price, as is the cost of impact; neither is written for a shadow's fills or a broker's."""
    impact_cost: Floats
    status: Integers
    """`FillStatus`."""


class BrokerFills(NamedTuple):
    """What a broker filled of the live book's orders, [n, S] each: signed units, mean price, fee in money."""

    quantity: Floats
    price: Floats
    fee: Floats


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
    waits: bool = False
    """Were a suspect price true, the book would be reduced or halted: positions may only shrink."""


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


def opinions_of(agents: int, symbols: int) -> Opinions:
    """Room for the opinions of so many agents."""
    spoken, voted = np.zeros((2, agents, symbols))
    alike, voters = np.zeros((2, symbols), dtype=np.int64)
    return Opinions(spoken, voted, alike, voters, np.zeros(symbols))
