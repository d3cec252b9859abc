"""The meta plane's records, in the order in which they flow: days -> scorecards -> weight decision -> alarms,
recommendations -> report -> mail; and the runs of the jobs that make them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from agents.core.clock import require_utc
from agents.core.types import Floats, Integers, RiskState, Times
from agents.core.value_added import ValueAdded as ValueAdded

DecisionStatus = Literal["apply", "hold", "fallback", "revert", "initial", "trial"]
IN_FORCE: tuple[DecisionStatus, ...] = ("apply", "revert", "initial")
"""Statuses whose weights the desk trades with; the others are kept for the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDays:
    """What every agent did on each UTC day that had a bar: `date` datetime64[D] [D], the arrays [D, A].

    `returns` is the shadow book's P&L over its constant capital (skill), NaN where the agent had no book yet; `pnl`
    the agent's contribution to the live book (money). `calls` are symbol-bars on which the shadow book held
    something that moved, `hits` those that moved its way. `correlation_sums` [6, D, A] are n, sum x, sum y, sum xx,
    sum yy, sum xy of (strength x confidence, the symbol's next return); `brier_sums` [2, D, A] are n and the sum of
    (stated confidence - came true)^2. `trade_shares` [3, N] are the agents' parts of closed trades, in the order in
    which these closed: day (since 1970), place of the agent, money; a part of nothing is none.
    """

    date: Times
    agents: tuple[str, ...]
    returns: Floats
    signals: Integers
    hits: Integers
    calls: Integers
    trades: Integers
    pnl: Floats
    turnover: Floats
    correlation_sums: Floats
    brier_sums: Floats
    trade_shares: Floats

    def of_agents(self, names: Collection[str]) -> AgentDays:
        """The same days of those of the agents that are among `names`, in the same order."""
        places = [k for k, name in enumerate(self.agents) if name in names]
        if len(places) == len(self.agents):
            return self
        new_place = np.full(len(self.agents), -1.0)
        new_place[places] = range(len(places))
        shares = self.trade_shares.copy()
        shares[1] = new_place[shares[1].astype(np.int64)]
        taken = {f.name: np.ascontiguousarray(getattr(self, f.name)[..., places]) for f in fields(self)[2:-1]}
        kept = tuple(self.agents[k] for k in places)
        return AgentDays(date=self.date, agents=kept, trade_shares=shares[:, shares[1] >= 0.0], **taken)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBeliefs:
    """What the tuner believes of `agents` after so many `days`: the filter's state as arrays by name, and a digest of
    all that it was computed from. `at_hand` is that itself while the process lives that made it, and never stored: to
    look at it costs less than its digest."""

    agents: tuple[str, ...]
    days: int
    digest: str
    arrays: Mapping[str, Floats]
    at_hand: object = field(default=None, repr=False, compare=False)


BeliefsKind = Literal["past", "now"]
"""Of the replayed time before the first decision, and of all days up to now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """One agent over one window (days; 0 = all history) ending on `date`. `figures` maps the names of
    agent_performance to a number, or None where it is undefined; `undefined` says why, `measured` which directions the
    books could trade in that were measured."""

    date: date
    agent_name: str
    window_days: int
    figures: Mapping[str, float | int | None]
    undefined: Mapping[str, str]
    pnl: Decimal
    verdict: str
    measured: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightDecision:
    """One decision about the weights, for `decided_for` (the job's due time; None for a person's), as it is recorded.

    `weights` are those in force after it. `causes` maps an agent to the parts of its change.
    """

    at: datetime
    decided_for: datetime | None
    weights: Mapping[str, Decimal]
    previous: Mapping[str, Decimal] | None
    method: str
    status: DecisionStatus
    reason: str
    window_days: int | None = None
    sample_size: int | None = None
    trials: int | None = None
    inputs_hash: str | None = None
    sharpe_improvement: float | None = None
    return_improvement: float | None = None
    causes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_utc(self.at, "at")


Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Something is wrong now. `subject` makes it one of its kind (a job, a symbol); it opens once and closes once."""

    kind: str
    subject: str
    severity: Severity
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAlarm:
    """An alarm that is on record since `opened_at` and has not ended."""

    alarm: Alarm
    opened_at: datetime

    def as_plain(self) -> dict[str, Any]:
        """One flat mapping, as reports keep it."""
        return {**asdict(self.alarm), "opened_at": self.opened_at}


DaemonName = Literal["trading", "meta", "performance_analyzer", "weight_optimizer", "parity_check", "project_manager"]
"""The trading daemon, the meta daemon of all jobs, and those that run one job of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last sign of life of a daemon. `detail` says what it cannot do now, "" where all is well."""

    daemon: DaemonName
    at: datetime
    started_at: datetime
    pid: int
    state: Literal["running", "stopped"]
    detail: str

    def is_silent(self, at: datetime, after: timedelta) -> bool:
        """Whether it has not been heard of for `after` and nobody stopped it; one from the future is no sign of life
        either."""
        return self.state == "running" and abs(at - self.at) > after

    def silence(self) -> str:
        """Since when it has not been there, in words."""
        name, at = self.daemon.replace("_", " "), f"{self.at:%Y-%m-%d %H:%M:%S} UTC"
        if self.state == "running":
            return f"the {name} daemon was last heard of at {at}"
        waits = {"trading": "nothing is decided", "meta": "no job runs and no mail leaves"}
        return f"the {name} daemon was stopped at {at}; until it is started {waits.get(self.daemon, 'its job waits')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Something a person should do, with the numbers behind it; `fingerprint` recognises it in the next report."""

    fingerprint: str
    kind: Literal["architecture", "security", "performance", "strategy"]
    severity: Severity
    title: str
    action: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A recommendation as a person has left it. `id` and `created_at` are None where it is not on record."""

    recommendation: Recommendation
    state: Literal["open", "accepted", "done", "dismissed"] = "open"
    id: int | None = None
    created_at: datetime | None = None

    def as_plain(self) -> dict[str, Any]:
        """One flat mapping, as reports keep it."""
        return {"id": self.id, **asdict(self.recommendation), "state": self.state, "created_at": self.created_at}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledJob:
    """A job that falls due every `every` at multiples of it since 1970 (UTC), and may run for `deadline_s`."""

    name: str
    every: timedelta
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """One row of job_runs."""

    job: str
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    status: Literal["running", "succeeded", "failed", "skipped"]
    detail: str
    attempts: int
    missed: int = 0
    """Due times before this one that nobody ran."""

    @property
    def took(self) -> timedelta | None:
        """None for a run that has not ended."""
        return self.finished_at - self.started_at if self.finished_at and self.started_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSummary:
    """The figures of a report; None where they are not known. Changes of equity (`pnl_...`) are money, exposures and
    drawdowns fractions of equity, `sharpe` is annual."""

    equity: float | None
    cash: float | None
    risk_state: RiskState | None
    pnl_day: float | None
    pnl_week: float | None
    pnl_month: float | None
    drawdown: float | None
    max_drawdown: float | None
    sharpe: float | None
    gross_exposure: float | None
    net_exposure: float | None
    decisions: int
    orders: int
    trades: int
    alarms: tuple[OpenAlarm, ...]
    weights: Mapping[str, float]
    tuning_value_added: tuple[ValueAdded, ...]
    open_suggestions: int
    newest_decision: datetime | None

    def as_plain(self) -> dict[str, Any]:
        """As project_reports keeps it."""
        return {
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "risk_state": None if self.risk_state is None else str(self.risk_state),
            "alarms": [alarm.as_plain() for alarm in self.alarms],
            "tuning_value_added": [asdict(row) for row in self.tuning_value_added],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report as it is stored and mailed; `html` shows its pictures by `cid:NAME`, for which `images` holds PNGs."""

    id: int
    generated_at: datetime
    period_start: datetime
    period_end: datetime
    subject: str
    html: str
    text: str
    images: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """How reports are mailed; the password is in the file `secret_file` (readable by its owner only), never here."""

    server: str
    port: int
    security: Literal["starttls", "tls"]
    account: str
    sender: str
    secret_file: str | None
    recipients: tuple[str, ...]
    mode: Literal["every_report", "only_if_changed", "daily_digest"]
    frequency_s: int
    quiet_hours: tuple[str, str] | None
    timezone: str = "UTC"
