"""Records of what the desk earned, where and at which cost, and of what each agent adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from agents.core.types import Booleans, Floats, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBooks:
    """The desk at the ends of days [D], as the cost model fills it, and beside each agent [D, A] the same desk without
    it (with it at the floor, where `with_agent`: its weight was 0); NaN where an agent had no such book."""

    date: Times
    agents: tuple[str, ...]
    desk: Floats
    books: Floats
    with_agent: Booleans


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentValueAdded:
    """What one agent added to the desk over a window (days; 0 = all history) that ends on `date`: `return_a_year` and
    the annual `sharpe_difference`, each with its 90 % interval; None where a figure is not defined."""

    date: date
    agent_name: str
    window_days: int
    compared: str
    days: int
    days_differing: int
    return_a_year: float | None
    return_low: float | None
    return_high: float | None
    sharpe_difference: float | None
    sharpe_low: float | None
    sharpe_high: float | None
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderRules:
    """How many days of the agents' books were traded by the rules of an older version, and up to when."""

    days: int = 0
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitPart:
    """The live book's profit by one agent (or the remainder, which nobody asked for), in one symbol or on one side
    (`name`: long, short), since the first day: `gross` before the `costs` of its fills, `net` after them; open
    positions at their newest marks. `trades` are those closed, of an agent those that it had a part in."""

    name: str
    trades: int
    gross: float
    costs: float
    net: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CostsOfPeriod:
    """What trading cost in a year ("2008"), or in all: money, percent of the mean equity a year (None for a single
    moment), and how often the book turned over in a year."""

    period: str
    fees: float
    spread: float
    impact: float
    percent_of_equity_a_year: float | None
    turnover_a_year: float | None
    funding: float = 0.0
    """Of perpetual futures: received, or paid where it is negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlippageOfKind:
    """What one kind of order cost over all it ordered: the share `filled`; in basis points what that was off the close
    decided on, its fees, how far the market ran away from the rest, and all three over what was ordered, and of the
    median order. None where nothing was filled, or all. Besides, `doubted` orders met a price that was not believed."""

    kind: str
    orders: int
    filled: float | None
    slippage_bps: float | None
    fees_bps: float | None
    missed_bps: float | None
    shortfall_bps: float | None
    median_bps: float | None
    doubted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueAdded:
    """The live book against one control: `money` more than it, the `difference` of their annual Sharpe ratios with its
    90 % interval (None before there are enough `days` on which they differed), and the verdict in words.

    `excess_return` (a year, with its 90 % interval), `beta` and `information_ratio` are those of the live book against
    one that holds."""

    control: str
    money: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str
    days: int = 0
    excess_return: float | None = None
    excess_low: float | None = None
    excess_high: float | None = None
    beta: float | None = None
    information_ratio: float | None = None
