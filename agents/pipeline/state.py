"""What one bar leaves to the next, what goes into the step, and what comes out of it.

NamedTuples of arrays, since compiled code takes them as they are. n bars, B books in the order of `core.books`,
A agents, S symbols, V books beside the desk. In A+1 columns the last is the remainder: what no agent asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from agents.core.books import FIRST_SHADOW
from agents.core.types import Bars, Booleans, Floats, Integers, RiskState
from agents.pipeline.bar import BrokerFills
from agents.pipeline.highs import begun_highs
from agents.pipeline.market import days_of, known_volume, months_of


class State(NamedTuple):
    """What one bar leaves to the next; the step changes these arrays in place."""

    position: Floats
    """[B, S] signed units."""
    pending: Floats
    """[B, S] signed units ordered for the next open."""
    asked: Floats
    """[S, A] units of the live book that each agent asked for at the last decision."""
    holding: Floats
    """[S, A+1] units of the live book by who asked for them."""
    pool: Floats
    """[S, A+1] money that open positions of the live book have earned, by who earned it."""
    mark: Floats
    """[S] last believed close as traded, NaN before the first."""
    doubt: Floats
    """[S] close of the newest suspect bar after that one, NaN for none."""
    volatility: Floats
    """[S] of one bar's return, as known at the last decision."""
    cash: Floats
    """[B]"""
    equity: Floats
    """[B] at the last close."""
    peak: Floats
    """[B] highest equity so far, or since a person resumed."""
    highs: Floats
    """[B, 1 + months] the newest month (NaN: none; the first high is that of all), then highs at month modulo 12."""
    risk_state: Integers
    """[B] `RiskState`."""
    ordered: Floats
    """[1] the `RiskState` that a person has ordered at least, until a resume; `FLATTEN` closes every position too."""
    today: Floats
    """[3] of the live book: newest day since 1970, equity at the end of the day before, trades in a row that lost."""
    reached: Floats
    """[1] bits of `RiskLimit` that the live book has reached at the last bar."""
    shadow_variance: Floats
    """[A] exponentially weighted sum of the shadows' squared returns."""
    shadow_weight: Floats
    """[A] sum of those weights."""
    first_weights: Floats
    """[A] in force at the first decision, NaN before."""
    listed: Floats
    """[S] 1 from a symbol's first bar on until it is delisted or leaves the universe, else 0."""
    rebalancing: Floats
    """[3] the month of the benchmark's last rebalancing, since 1970 (NaN before the first); 1 where one is due, of
    `hold` and of `hold_at_volatility`."""
    squares: Floats
    """[3] what the benchmark's volatility is scaled by: sums of squared returns of the live book and of `hold`, since
    the live one moved first, and their number; at each new month the older ones count for less."""
    heard: Floats
    """[B, S] the forecast that a book last decided on, NaN before the first."""
    moves: Floats
    """[B, S, 3] exponentially weighted means: the forecast's squared change, absolute change, and square."""
    wanted: Floats
    """[B, S] what a book's forecast asked for at the last decision, before any zone, in volatility targets."""
    followed: Floats
    """[B, S] the same of the decision before, which is held until the next open."""
    worth: Floats
    """[B, 3] exponentially weighted sums over the bars on which a book asked for anything: what that earned before
    costs, in volatility targets, its square, and 1."""
    stops: Floats
    """[B, S, 3] average entry price, best price since, decisions to wait after a stop; 0 where none is set."""


class Inputs(NamedTuple):
    """n bars as traded, what the agents said in the common unit, and the fills of a broker where there is one."""

    open: Floats
    """[n, S], as are all prices: NaN where there is no bar."""
    close: Floats
    high: Floats
    low: Floats
    volume: Floats
    """[n, S] units; NaN where it is unknown."""
    split: Floats
    """[n, S] new shares for each old one before the open, 1 for none."""
    dividend: Floats
    """[n, S] cash for each share before the open, 0 for none."""
    funding: Floats
    """[n, S] cash for each unit before the open, and within the bar; 0 for none."""
    funding_within: Floats
    delisting: Floats
    """[n, S] the price at which the symbol was taken off the market before the open, NaN for none."""
    volatility: Floats
    """[n, S] of one bar's return, known at the close; NaN where it is not yet measurable."""
    forecast: Floats
    """[n, S, A] NaN where the agent abstained."""
    correlation: Floats
    """[n, A, A] of the agents' forecasts."""
    weights: Floats
    """[A] in force for the live book."""
    counted: Floats
    """[A] 1 for agents that the controls count, 0 for those in shadow."""
    beside: Floats
    """[V, A] the weights of the books beside the desk; V is 0 but where it is asked what agents add."""
    month: Integers
    """[n] of the bars' closes, since 1970."""
    day: Integers
    """[n] of the bars' closes, since 1970."""
    stale: Booleans
    """[n, S] the bar is too old to trade on: positions may only shrink."""
    suspect: Booleans
    """[n, S] the bar's price is not believed."""
    doubt_counts: Booleans
    """[n] a suspect price counts where it is the worse one, as it did in decisions of older versions."""
    leaving: Booleans
    """[n, S] the symbol is taken out of the universe: positions are closed."""
    external: bool
    """The live book's fills are those of a broker, not the matcher's."""
    broker_fills: BrokerFills
    broker_stops: BrokerFills
    """[n, S] each."""


class Outputs(NamedTuple):
    """What is recorded of n bars; of the live book, unless books or agents are a dimension."""

    combined: Floats
    """[n, S] the combined forecast; NaN where nobody voted."""
    multiplier: Floats
    """[n, S] the diversification multiplier in it."""
    raw_weight: Floats
    """[n, S] what the forecast asks for, as a fraction of equity; NaN where nothing was decided."""
    target_weight: Floats
    """[n, S] after buffer and limits."""
    clamps: Integers
    """[n, S] bits of `Clamp`."""
    no_trade: Integers
    """[n, S] `NoTrade`."""
    order: Floats
    """[n, S] signed units for the next bar, and the price at which they rest, 0 for a market order."""
    limit: Floats
    position: Floats
    """[n, S] signed units after the bar's fills."""
    mark: Floats
    """[n, S] last believed close as traded; see `Inputs.doubt_counts`."""
    fill_quantity: Floats
    """[n, S] signed units, 0 for none."""
    fill_price: Floats
    fill_fee: Floats
    fill_spread: Floats
    """[n, S] money inside the price, as is the impact; 0 for a broker's fills, whose answers say it."""
    fill_impact: Floats
    fill_status: Integers
    """[n, S] `FillStatus` of the matcher."""
    stop_at: Floats
    """[n, S] the price at which a stop was reached, and so on, see `StopFills`; untouched where no stop is set."""
    stop_wanted: Floats
    stop_quantity: Floats
    stop_price: Floats
    stop_fee: Floats
    stop_spread: Floats
    stop_impact: Floats
    stop_status: Integers
    stop_realised: Floats
    """[n, S, A+1]"""
    split_change: Floats
    """[n, S] units that a split added or took."""
    action_cash: Floats
    """[n, S] dividends and cash in lieu of fractions; then the cash of funding before the open, and within the bar."""
    funding: Floats
    funding_within: Floats
    contribution: Floats
    """[n, A+1] the bar's P&L in money, by who earned it."""
    agent_cost: Floats
    """[n, A+1] what its fills cost, which is taken off there: spread, impact and fee."""
    realised: Floats
    """[n, S, A+1] what the bar's fills realised of it."""
    equity: Floats
    """[n, B]"""
    cash: Floats
    """[n, B]"""
    turnover: Floats
    """[n, B] filled notional over the book's capital."""
    risk_state: Integers
    """[n] `RiskState`."""
    shadow_return: Floats
    """[n, A] the shadows' P&L over their constant capital."""
    hits: Integers
    """[n, A] shadow positions that moved the right way."""
    calls: Integers
    """[n, A] shadow positions that moved."""


def new_state(agents: int, symbols: int, initial_cash: float, beside: int = 0) -> State:
    """A desk before its first bar, with so many books beside it: every book has `initial_cash` and nothing else."""
    books = FIRST_SHADOW + agents + beside
    return State(
        position=np.zeros((books, symbols)),
        pending=np.zeros((books, symbols)),
        asked=np.zeros((symbols, agents)),
        holding=np.zeros((symbols, agents + 1)),
        pool=np.zeros((symbols, agents + 1)),
        mark=np.full(symbols, np.nan),
        doubt=np.full(symbols, np.nan),
        volatility=np.full(symbols, np.nan),
        cash=np.full(books, initial_cash),
        equity=np.full(books, initial_cash),
        peak=np.full(books, initial_cash),
        highs=begun_highs(np.full(books, initial_cash)),
        risk_state=np.full(books, RiskState.ACTIVE, dtype=np.int64),
        ordered=np.zeros(1),
        today=np.array([np.nan, initial_cash, 0.0]),
        reached=np.zeros(1),
        shadow_variance=np.zeros(agents),
        shadow_weight=np.zeros(agents),
        first_weights=np.full(agents, np.nan),
        listed=np.zeros(symbols),
        rebalancing=np.array([np.nan, 1.0, 1.0]),
        squares=np.zeros(3),
        heard=np.full((books, symbols), np.nan),
        moves=np.zeros((books, symbols, 3)),
        wanted=np.zeros((books, symbols)),
        followed=np.zeros((books, symbols)),
        worth=np.zeros((books, 3)),
        stops=np.zeros((books, symbols, 3)),
    )


def matched_inputs(bars: Bars, volatility: Floats, forecast: Floats, correlation: Floats, weights: Floats) -> Inputs:
    """Bars, none of them stale, whose orders the step's own matcher fills; the other arguments as in `Inputs`."""
    none = np.zeros(bars.open.shape)
    same = ("open", "close", "high", "low", "split", "dividend", "funding", "funding_within", "delisting", "suspect")
    as_traded: dict[str, Any] = {name: getattr(bars, name) for name in same}
    return Inputs(
        **as_traded,
        volume=known_volume(bars),
        volatility=volatility,
        forecast=forecast,
        correlation=correlation,
        weights=weights,
        counted=np.ones(len(weights)),
        beside=np.zeros((0, len(weights))),
        month=months_of(bars.time),
        day=days_of(bars.time),
        stale=np.zeros(bars.open.shape, dtype=bool),
        doubt_counts=np.zeros(len(bars.time), dtype=bool),
        leaving=np.zeros(bars.open.shape, dtype=bool),
        external=False,
        broker_fills=BrokerFills(none, none, none),
        broker_stops=BrokerFills(none, none, none),
    )


def has_account(b: int, agents: int) -> bool:
    """Whether a book has an account of its own, with lots and limits: all but the shadows."""
    return b < FIRST_SHADOW or b >= FIRST_SHADOW + agents


def new_outputs(bars: int, agents: int, symbols: int, beside: int = 0) -> Outputs:
    """Room for the results of `bars` bars."""
    books = FIRST_SHADOW + agents + beside
    shapes = {
        "contribution": (bars, agents + 1),
        "agent_cost": (bars, agents + 1),
        "realised": (bars, symbols, agents + 1),
        "stop_realised": (bars, symbols, agents + 1),
        "equity": (bars, books),
        "cash": (bars, books),
        "turnover": (bars, books),
        "risk_state": (bars,),
        "shadow_return": (bars, agents),
        "hits": (bars, agents),
        "calls": (bars, agents),
    }
    whole = ("clamps", "no_trade", "fill_status", "stop_status", "risk_state", "hits", "calls")
    arrays: dict[str, Any] = {
        name: np.zeros(shapes.get(name, (bars, symbols)), dtype=np.int64 if name in whole else np.float64)
        for name in Outputs._fields
    }
    return Outputs(**arrays)


def copy_state(state: State) -> State:
    """A state that shares nothing with the given one."""
    arrays: dict[str, Any] = {name: array.copy() for name, array in state._asdict().items()}
    return State(**arrays)
