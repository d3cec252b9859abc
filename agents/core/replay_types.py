"""The records of a replay: the books of its run, what its jobs found, and all of it together with what it was
computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.core.life_types import LifeChange
from agents.core.meta_types import AgentDays, BeliefsKind, JobRun, KeptBeliefs, Scorecard, WeightDecision
from agents.core.types import Floats, Integers, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """Fills of the live book in their order, each array [F].

    `bar` and `symbol` are indices into the run's time and symbols. `delay` is (open - mark decided on) x quantity;
    `spread` and `impact` are the costs inside the price. All three and `fee` are in money.
    """

    bar: Integers
    symbol: Integers
    quantity: Floats
    price: Floats
    fee: Floats
    spread: Floats
    impact: Floats
    delay: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfitParts:
    """The live book's profit after costs, what its fills cost, and their number, by symbol [S]; by side [2], long and
    then short. Each of both sums to the whole."""

    symbol_net: Floats
    symbol_costs: Floats
    symbol_fills: Floats
    side_net: Floats
    side_costs: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The books of one replay, bar by bar: arrays are [T] or [T, ...].

    `books` name the columns of `equity`, `cash` and `turnover`; `agents` those of `weights`, `shadow_return` and,
    with the remainder last, of `contribution` and `agent_cost` (money). `gross` and `net` are exposures as
    fractions of live equity. `fills` are the first half million or so; `fill_count` and `costs` (notional, fee, spread,
    impact, delay, funding paid, in money) are of all.
    """

    time: Times
    symbols: tuple[str, ...]
    agents: tuple[str, ...]
    books: tuple[str, ...]
    equity: Floats
    cash: Floats
    turnover: Floats
    risk_state: Integers
    contribution: Floats
    agent_cost: Floats
    shadow_return: Floats
    weights: Floats
    gross: Floats
    net: Floats
    fills: Fills
    fill_count: int
    costs: Mapping[str, float]
    initial_cash: float
    symbol_bars: int
    profit: ProfitParts
    beside: Floats
    """[T, A + 1] equity of the books beside the desk, the desk itself first; [T, 0] where nobody asked for them."""


@dataclass(slots=True)
class Finding:
    """What a rule of the report found: from when to when (None: it still holds), and in how many reports."""

    fingerprint: str
    severity: str
    title: str
    opened_at: datetime
    closed_at: datetime | None = None
    reports: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecords:
    """What the jobs of a replay leave beside decisions: their runs, the scorecards (of every analysis where asked for,
    else the last ones), the agents' changes of state, and the beliefs that are kept."""

    runs: Sequence[JobRun]
    scorecards: tuple[Scorecard, ...]
    lives: tuple[LifeChange, ...]
    beliefs: Mapping[BeliefsKind, KeptBeliefs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """Everything that a replay leaves.

    The books; every decision about weights, and by version what it later brought; the last scorecards; what the
    report's rules found; what else the jobs wrote; what it was computed from; and how long it took.
    """

    run: Run
    days: AgentDays
    decisions: tuple[WeightDecision, ...]
    realised: dict[int, float | None]
    scorecards: tuple[Scorecard, ...]
    findings: tuple[Finding, ...]
    jobs: JobRecords
    manifest: dict[str, Any]
    seconds: float
