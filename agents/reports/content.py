"""What the templates of a report place: every value is in words already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from agents.reports.verdict import Tone

Line = TypeVar("Line")


class KeyFigure(NamedTuple):
    """One of the few figures that come first."""

    label: str
    value: str
    note: str


class AlarmLine(NamedTuple):
    """An open alarm."""

    severity: str
    kind: str
    detail: str
    since: str


class SuggestionLine(NamedTuple):
    """Something that a person should do."""

    title: str
    action: str
    severity: str
    kind: str
    state: str
    evidence: str


class SuggestionSection(NamedTuple):
    """Suggestions of one kind, as far as there is room; that nothing was `found` is said too."""

    kind: str
    found: bool
    lines: Sequence[SuggestionLine]


class WeightLine(NamedTuple):
    """An agent's weight; `bar` is its length in percent, `why` what is believed of it and the parts of the newest
    change."""

    agent: str
    weight: str
    bar: int
    change: str
    why: str


class DecisionLine(NamedTuple):
    """The newest decision about the weights."""

    what: str
    when: str
    version: int
    method: str
    reason: str


class ChangeLine(NamedTuple):
    """A change of weights, with the Sharpe ratio that was expected of it and that came."""

    when: str
    moves: str
    expected: str
    realised: str


class LifeLine(NamedTuple):
    """Where an agent stands on the desk, what it is believed to add, and what it still has to show."""

    agent: str
    state: str
    days: str
    belief: str
    ratio: str
    to_show: str


class RegimeLine(NamedTuple):
    """By how much an agent's skill is believed to differ from its own in each state of the market, and how probable it
    is that it does so at all, by volatility and by trend."""

    agent: str
    calm: str
    turbulent: str
    by_volatility: str
    up: str
    sideways: str
    down: str
    by_trend: str


class AddedLine(NamedTuple):
    """The live book against one control."""

    control: str
    money: str
    difference: str
    interval: str
    verdict: str


class AgentLine(NamedTuple):
    """An agent's figures over all history, its Sharpe ratio of 30 days, the chance that it is better than the average
    agent, its part of the period's P&L, and what it adds to the desk a year."""

    agent: str
    sharpe: str = ""
    interval: str = ""
    month: str = ""
    hits: str = ""
    factor: str = ""
    better: str = ""
    contribution: str = ""
    adds: str = ""
    adds_interval: str = ""
    adds_verdict: str = ""


class ProfitLine(NamedTuple):
    """The profit by one agent, in one symbol or on one side, before and after costs."""

    name: str
    trades: str
    gross: str
    costs: str
    net: str


class QualityLine(NamedTuple):
    """How good an agent's signals are over all history, and its parts of the closed trades: how many, how many won, the
    longest runs of won and of lost ones."""

    agent: str
    signals: str
    ic: str
    brier: str
    trades: str
    won: str
    factor: str
    runs: str


class PositionLine(NamedTuple):
    """An open position; `share` is of equity."""

    symbol: str
    quantity: str
    entry: str
    mark: str
    share: str
    pnl: str


class TradeLine(NamedTuple):
    """A closed trade."""

    closed: str
    symbol: str
    side: str
    quantity: str
    entry: str
    exit: str
    pnl: str


class TaskLine(NamedTuple):
    """A task of the desk's list."""

    title: str
    state: str
    priority: str


class JobLine(NamedTuple):
    """The newest run of a job."""

    job: str
    due: str
    status: str
    took: str
    missed: str


class WorkLine(NamedTuple):
    """An agent's calls in the period."""

    agent: str
    cycles: str
    opinions: str
    failures: str
    mean: str


class DifferenceLine(NamedTuple):
    """A value that a replay of the desk's decisions makes differently."""

    kind: str
    when: str
    subject: str
    recorded: str
    recomputed: str


class ParityLines(NamedTuple):
    """The newest replay of the desk's own decisions, and the first values that differ."""

    line: str
    examples: Sequence[DifferenceLine]


class Cut(NamedTuple, Generic[Line]):
    """The first rows of a table, and a note where there are more."""

    rows: Sequence[Line]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One report in words. `system` and `glossary` are (term, words)."""

    tone: Tone
    headline: str
    sentence: str
    period: str
    alarms: Cut[AlarmLine]
    kpis: Sequence[KeyFigure]
    happened: Sequence[str]
    recommendations: Sequence[SuggestionSection]
    more_recommendations: int
    weights: Sequence[WeightLine]
    decision: DecisionLine | None
    changes: Sequence[ChangeLine]
    lives: Sequence[LifeLine]
    life: str
    regime: str
    regimes: Sequence[RegimeLine]
    external: list[str]
    tuner: str
    added: Sequence[AddedLine]
    agents: Sequence[AgentLine]
    quality: Sequence[QualityLine]
    measured: str
    profits: Sequence[ProfitLine]
    sides: Sequence[ProfitLine]
    symbols: Cut[ProfitLine]
    costs: str
    positions: Cut[PositionLine]
    trades: Cut[TradeLine]
    risk_events: Cut[str]
    tasks: Cut[TaskLine]
    task_counts: str
    jobs: Sequence[JobLine]
    work: Sequence[WorkLine]
    system: Sequence[tuple[str, str]]
    freshness: str
    parity: ParityLines | None
    glossary: Sequence[tuple[str, str]]
