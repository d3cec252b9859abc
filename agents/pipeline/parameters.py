"""The numbers of a desk, which do not change while it runs, grouped by the stage that reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats, Integers

PRIOR_SHARPE = 0.5
PRIOR_YEARS = 2.0
"""Before anything is seen a book's Sharpe ratio is 0.5 a year, give or take 0.7, as if it had been seen for two years:
live, strategies have 0.3 to 0.5 where back-tests showed 1.2 (Suhonen, Lennkh, Perez, "Quantifying backtest overfitting
in alternative beta strategies", 2017; McLean and Pontiff 2016: predictors lose half once published), fast ones are
spread further (Baron, Brogaard, Hagstroemer, Kirilenko 2019: a median of 4)."""
LEAST_SHARPE = 0.05
"""A year; below it the zone is wider than any forecast all the same. Of a shadow it is the prior's: a wrong agent whose
shadow stops trading would look harmless, while its forecasts still pull at the desk's."""
FLATTEN = 3.0
"""Beyond the risk states, of `State.ordered`: halted, and every position is closed."""
MONTHS_KEPT = 12
"""Calendar months whose highest equity a book remembers, for the drawdown that reduces it."""


class Sizing(NamedTuple):
    """From forecasts to target positions."""

    forecast_cap: float
    """Largest forecast of one agent and of all together, in units of an agent's usual one."""
    multiplier_cap: float
    """Largest diversification multiplier over agents."""
    instrument_multiplier_cap: float
    """Largest diversification multiplier over symbols."""
    target_volatility: float
    """Volatility of the whole book that is aimed at, of one bar's return."""
    buffer: float
    """Half the width of the no-trade zone, in unit weights."""
    minimum_trade: float
    """Smallest order, as a fraction of equity."""
    trade_cost: float = 0.0
    """Commission and half a spread, as a fraction of the notional, by which the zone widens; 0 widens nothing."""
    bars_per_year: float = 252.0


class Threshold(NamedTuple):
    """One limit of `risk.limits`: it is reached `at` this value (infinite: it is off), and only told or `enforced`."""

    at: float = math.inf
    enforced: bool = False


NO_GROUPS = np.zeros(0, dtype=np.int64)


class RiskLimits(NamedTuple):
    """What a book may hold, as fractions of its equity, and at which drawdowns it reduces or stops."""

    symbol_cap: float
    gross_cap: float
    allow_short: bool
    reduce_drawdown: float
    reducing_scale: float
    """Both caps are multiplied by it in the state REDUCING."""
    halt_drawdown: float
    reduce_months: int = 0
    """Calendar months from whose highest equity `reduce_drawdown` is measured; 0 are all."""
    groups: Integers = NO_GROUPS
    """[S] the number of each symbol's group, -1 for none; empty where there are no groups."""
    group: Threshold = Threshold()
    """Sum of the absolute weights of one group."""
    order_size: Threshold = Threshold()
    """What one order adds to a position, as a fraction of equity."""
    daily_loss: Threshold = Threshold()
    """Of equity at the end of the day before."""
    losses: Threshold = Threshold()
    """Closed trades in a row, of the live book, that lost."""


class StopRules(NamedTuple):
    """Where positions are stopped out, as fractions of a price; 0 is off."""

    loss: float = 0.0
    """Below the average entry price of a long position, above that of a short one."""
    trailing: float = 0.0
    """The same of the best price since the entry."""
    wait_bars: float = 1.0
    """Decisions at which a symbol that was stopped out is not entered again."""


class OrderRules(NamedTuple):
    """How orders meet their bar (`limit_orders`)."""

    passive: float = 0.0
    """Part of the bar in which they rest at the touch; 0 are market orders at the open."""
    crosses: bool = False
    """Then the rest crosses the spread; else it expires at the bar's end."""
    delayed: bool = False
    """Data are published late: of a bar that had opened before, an order has the close only (`market.tradable`)."""
    locked_move: float = math.inf
    """A market of one price that is so far from the last close, as a fraction, is locked at its limit."""


class FillModel(NamedTuple):
    """What a fill costs, as fractions of its notional, and how large it may be."""

    commission: float
    minimum_commission: float
    """Least commission of one fill, in money."""
    half_spread: float
    impact: float
    """Price impact in bar volatilities at a fill of the bar's whole volume; it goes by the square root."""
    participation: float
    """Largest share of a bar's volume."""
    leverage: float
    """Largest gross exposure, in multiples of equity."""


class Parameters(NamedTuple):
    """All numbers of the step."""

    sizing: Sizing
    limits: RiskLimits
    fill_model: FillModel
    lots: Floats
    """[S] units of which each symbol's orders are multiples; 0 for any quantity."""
    initial_cash: float
    """What every book starts with, and the constant capital of the shadow books."""
    stops: StopRules = StopRules()
    orders: OrderRules = OrderRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPlan:
    """What does not change while a desk runs: its name (part of order ids), its live book, symbols and numbers."""

    desk: str
    book: str
    symbols: tuple[str, ...]
    parameters: Parameters
    volatility_window_bars: int
    """Bars over which the volatility of a bar's return is measured."""
    scale_window_bars: int
    """Bars over which an agent's usual forecast is measured."""
    publication_delay_s: float = 0.0
    """Seconds after its close at which a bar can be used."""
    leaving: tuple[str, ...] = ()
    """Those of its symbols that a person has taken out of the universe while the desk held them: they are closed."""
    shadow: tuple[str, ...] = ()
    """Agents that are asked and measured, but are no part of the desk: the controls trade without them."""

    def counted(self, agents: Sequence[str]) -> Floats:
        """[A] 1 for agents that the controls count, 0 for those in shadow."""
        return np.array([0.0 if name in self.shadow else 1.0 for name in agents])
