"""facts of the desk -> what is wrong now. Pure; the edges (opened, closed) are made by whoever compares with before.

Each rule is a small function over `AlarmFacts` that yields what is wrong, and a line of `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from agents.core.alarm_types import AlarmFacts, AlarmLimits
from agents.core.meta_types import SEVERITIES, Alarm, Heartbeat, JobRun, ScheduledJob, Severity
from agents.core.types import RiskState, WeightsLevel
from agents.tuning.schedule import lateness

DISK_FREE_BYTES = 2e9
MEMORY_PERCENT = 95.0
MAIL_LATE = timedelta(hours=6)
SYMBOLS_NAMED = 5


def job_alarms(
    jobs: Sequence[ScheduledJob], newest: Mapping[str, JobRun | None], at: datetime, began_at: datetime | None = None
) -> list[Alarm]:
    """Jobs that failed or are late; `newest` maps a job to its newest run, the desk `began_at` (None: who knows)."""
    alarms = []
    for job in jobs:
        run = newest.get(job.name)
        if run is not None and run.status == "failed":
            detail = f"{job.name}, due {run.due_at:%Y-%m-%d %H:%M}: {run.detail}"
            alarms.append(Alarm(kind="job_failed", subject=job.name, severity="high", detail=detail))
        late = lateness(job, run, at, began_at)
        if late is not None:
            detail = f"{job.name} has not succeeded {_hours(late)} after it was due"
            alarms.append(Alarm(kind="job_late", subject=job.name, severity="high", detail=detail))
    return alarms


def desk_alarms(facts: AlarmFacts, limits: AlarmLimits) -> list[Alarm]:
    """What all rules find wrong at `facts.at`."""
    return [alarm for rule in RULES for alarm in rule(facts, limits)]


def worst_first(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Most severe first, then by kind and subject."""
    return sorted(alarms, key=lambda alarm: (SEVERITIES.index(alarm.severity), alarm.kind, alarm.subject))


def _stale_data(facts: AlarmFacts, limits: AlarmLimits) -> Iterator[Alarm]:
    before = facts.at - limits.stale_after
    stale = {symbol: newest for symbol, newest in facts.freshness.items() if newest is None or newest < before}
    if not stale:
        return
    names = _some(list(stale))
    oldest = min((newest for newest in stale.values() if newest is not None), default=None)
    since = f"; oldest bar {oldest:%Y-%m-%d %H:%M} UTC" if oldest else ""
    yield Alarm(kind="data_stale", subject="bars", severity="high", detail=f"no fresh bars of {names}{since}")


def _undecided_bars(facts: AlarmFacts, limits: AlarmLimits) -> Iterator[Alarm]:
    waiting = facts.undecided
    if waiting is None or facts.at - waiting.since <= limits.decide_within:
        return
    bars = f"{waiting.bars} bar{'s' if waiting.bars > 1 else ''} up to {waiting.newest:%Y-%m-%d %H:%M}"
    last = f"the last decision is of {facts.newest.time:%Y-%m-%d %H:%M} UTC" if facts.newest else "there is no decision"
    detail = f"{bars} wait for a decision since {waiting.since:%Y-%m-%d %H:%M} UTC; {last}"
    yield Alarm(kind="decision_late", subject="decision", severity="critical", detail=detail)


def _absent_daemons(facts: AlarmFacts, limits: AlarmLimits) -> Iterator[Alarm]:
    return absent_daemons(facts.heartbeats, facts.at, limits.silent_after)


def absent_daemons(heartbeats: Iterable[Heartbeat], at: datetime, after: timedelta) -> Iterator[Alarm]:
    """Daemons that ran once and do not now: not heard of for `after`, or stopped, which whoever did it knows. The meta
    daemon runs every job, so one of a single job that was stopped is not missed while it lives."""
    known = list(heartbeats)
    covered = any(b.daemon == "meta" and b.state == "running" and not b.is_silent(at, after) for b in known)
    for beat in known:
        if beat.is_silent(at, after):
            yield Alarm(kind="daemon_silent", subject=beat.daemon, severity="critical", detail=beat.silence())
        elif beat.state == "stopped" and not (covered and beat.daemon != "trading"):
            yield Alarm(kind="daemon_stopped", subject=beat.daemon, severity="medium", detail=beat.silence())


def _future_runs(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    runs = facts.future_runs
    if runs is not None:
        detail = (
            f"{runs.runs} runs of jobs were dated up to {runs.latest:%Y-%m-%d %H:%M} UTC by a clock ahead of time;"
            " they are set aside, and what is due runs. See that the machine's clock is right"
        )
        yield Alarm(kind="clock", subject="jobs", severity="high", detail=detail)


def _refused_recipients(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    for address, why in facts.refused.items():
        yield Alarm(kind="mail_refused", subject=address, severity="medium", detail=f"{address}: {why}")


def _suspect_prices(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    for suspect in facts.suspects:
        loss = f"; if it is true, the position has lost {suspect.feared:,.0f}, which equity leaves out so far"
        loss = loss if suspect.feared >= 1.0 else ""
        detail = (
            f"{suspect.price:g} of {suspect.time:%Y-%m-%d %H:%M} does not fit {suspect.accepted:g} before, so it is not"
            f" traded{loss}; look, then `quorum bars accept {suspect.symbol}` or reject"
        )
        severity: Severity = "high"
        if suspect.word == "rejected":  # a person knows, and has said what they think
            detail = (
                f"{suspect.price:g} of {suspect.time:%Y-%m-%d %H:%M} was rejected by a person; {suspect.symbol} is"
                f" traded again once a bar fits {suspect.accepted:g}, or bars from then on agree"
            )
            severity = "low"
        yield Alarm(kind="price_suspect", subject=suspect.symbol, severity=severity, detail=detail)


def _risk_state(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    newest = facts.newest
    if newest is None or newest.risk_state == RiskState.ACTIVE:
        return
    if newest.risk_state == RiskState.HALTED:
        detail = "positions only shrink; `quorum resume --reason ...` when checked"
        yield Alarm(kind="risk_state", subject=str(newest.risk_state), severity="critical", detail=detail)
    else:
        detail = "positions are scaled down, by drawdown or by a person's halt --reduce; see quorum status"
        yield Alarm(kind="risk_state", subject=str(newest.risk_state), severity="medium", detail=detail)


def _limits(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    for name, since in facts.limits_reached.items():
        detail = f"since {since:%Y-%m-%d %H:%M} UTC; risk.limits says what follows (docs/risk.md)"
        yield Alarm(kind="risk_limit", subject=name, severity="medium", detail=detail)


def _fallback_weights(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    newest = facts.newest
    if newest and facts.weights_published and newest.weights_level in (WeightsLevel.STATIC, WeightsLevel.EQUAL):
        detail = "the desk trades with fallback weights although published ones exist"
        yield Alarm(kind="weights_fallback", subject=newest.weights_level, severity="medium", detail=detail)


def _paused_tuning(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    if facts.tuning_paused is not None:
        detail = f"since {facts.tuning_paused.since:%Y-%m-%d %H:%M} UTC. {facts.tuning_paused.reason}"
        yield Alarm(kind="tuning_paused", subject="weights", severity="high", detail=detail)


def _unknown_orders(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    ids = facts.unknown_orders
    if ids:
        plural = "s" if len(ids) > 1 else ""
        detail = f"{len(ids)} order{plural} whose outcome is not known, the oldest {ids[0]}"
        yield Alarm(kind="orders_unknown", subject="orders", severity="critical", detail=detail)


def _long_sending(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    ids = facts.long_sending
    if ids:
        detail = f"{len(ids)} sent without an answer, and nobody asks about it: does the desk run? The oldest: {ids[0]}"
        yield Alarm(kind="orders_sending", subject="orders", severity="critical", detail=detail)


def _refused_orders(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    for symbol, reason in facts.refused_orders.items():
        detail = f"the newest orders were all refused; the last one: {reason}"
        yield Alarm(kind="orders_refused", subject=symbol, severity="high", detail=detail)


def _breaks(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    names = dict.fromkeys(each.name for each in facts.breaks)
    for name in names:
        about = [each for each in facts.breaks if each.name == name]
        what = "; ".join(f"{each.kind}: ours {each.ours:f}, there {each.theirs:f}" for each in about)
        detail = (
            f"the account at the exchange and the record differ since {about[0].since:%Y-%m-%d %H:%M} UTC ({what});"
            " nothing is sent about it: quorum reconcile"
        )
        yield Alarm(kind="reconciliation", subject=name, severity="critical", detail=detail)


def _differences(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    parity = facts.parity
    if parity and parity.differences:
        kinds = ", ".join(f"{count} {kind}" for kind, count in parity.counts.items() if count)
        until = f"{parity.checked_to:%Y-%m-%d %H:%M}"
        detail = f"the replay of the decisions up to {until} differs ({kinds}); see quorum replay --history"
        yield Alarm(kind="parity", subject="decisions", severity="high", detail=detail)


def _chain(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    if facts.chain:
        count = facts.chain.differences
        what = "a row is" if count == 1 else f"{count} rows are"
        detail = f"{what} not what was recorded ({facts.chain.first}); see quorum verify"
        yield Alarm(kind="journal_changed", subject="journal", severity="critical", detail=detail)


def _owner(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    if facts.acts_as_owner:
        detail = "the daemons have all rights of the tables' owner; make the roles and unset database.allow_owner"
        yield Alarm(kind="acts_as_owner", subject="database", severity="high", detail=detail)


def _machine(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    system = facts.system
    if not system.redis_alive:
        detail = "weights are read from the database meanwhile"
        yield Alarm(kind="redis_down", subject="redis", severity="medium", detail=detail)
    if system.disk_free_bytes < DISK_FREE_BYTES:
        detail = f"{system.disk_free_bytes / 1e9:.1f} GB free"
        yield Alarm(kind="disk_full", subject="disk", severity="high", detail=detail)
    if system.memory_percent > MEMORY_PERCENT:
        detail = f"{system.memory_percent:.0f} % in use"
        yield Alarm(kind="memory_full", subject="memory", severity="medium", detail=detail)


def _late_mail(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    waiting = facts.waiting_mail
    if waiting and facts.at - waiting.oldest > MAIL_LATE:
        detail = f"no report has left since {waiting.oldest:%Y-%m-%d %H:%M} UTC; {waiting.mails} to be sent"
        yield Alarm(kind="mail_late", subject="mail", severity="medium", detail=detail)


def _corrections(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    open_ = facts.corrections
    if open_ is not None:
        bars = f"{open_.bars} bar{'s' if open_.bars > 1 else ''} of {_some(open_.symbols)}"
        span = f"{open_.first:%Y-%m-%d}" + (f" to {open_.last:%Y-%m-%d}" if open_.first < open_.last else "")
        detail = (
            f"a later file gives {bars} ({span}) other prices than decisions have used; the first are kept. Look at"
            " them: quorum data corrections (--seen closes this)"
        )
        yield Alarm(kind="data_corrected", subject="bars", severity="medium", detail=detail)


def _late_bars(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    late = facts.late_bars
    if late is not None:
        bars = f"{late.bars} bar{'s' if late.bars > 1 else ''} of {_some(late.symbols)}"
        detail = f"{bars}, up to {late.newest:%Y-%m-%d %H:%M} UTC, came after their decision"
        if late.undecided:
            detail += f"; {late.undecided} of their times were never decided on"
        yield Alarm(kind="bars_late", subject="bars", severity="high" if late.undecided else "medium", detail=detail)


def _some(names: Sequence[str]) -> str:
    more = len(names) - SYMBOLS_NAMED
    return ", ".join(names[:SYMBOLS_NAMED]) + (f" and {more} more" if more > 0 else "")


def _outages(facts: AlarmFacts, _limits: AlarmLimits) -> Iterator[Alarm]:
    """What the database could not be told while it lasted, for an hour after."""
    newest = {outage.plane: outage for outage in reversed(facts.outages)}
    for plane, outage in newest.items():
        yield Alarm(
            kind="outage",
            subject=plane,
            severity="medium",
            detail=f"could not work from {outage.began_at:%Y-%m-%d %H:%M} to {outage.ended_at:%H:%M} UTC"
            f" ({outage.attempts} attempts): {outage.reason}",
        )


def _hours(duration: timedelta) -> str:
    hours = duration.total_seconds() / 3600.0
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"


Rule = Callable[[AlarmFacts, AlarmLimits], Iterator[Alarm]]
RULES: tuple[Rule, ...] = (
    _stale_data,
    _suspect_prices,
    _undecided_bars,
    _late_bars,
    _absent_daemons,
    _outages,
    _future_runs,
    _refused_recipients,
    _risk_state,
    _limits,
    _fallback_weights,
    _paused_tuning,
    _unknown_orders,
    _long_sending,
    _refused_orders,
    _breaks,
    _differences,
    _chain,
    _owner,
    _machine,
    _late_mail,
    _corrections,
)
