"""facts of the desk -> what is wrong now. Pure; the edges (opened, closed) are made by whoever compares with before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from agents.core.facts import AlarmFacts, NewestDecision, ParityCheck, SystemState, WaitingMail
from agents.core.meta_types import Alarm, JobRun, ScheduledJob
from agents.core.types import RiskState, WeightsLevel
from agents.tuning.schedule import lateness

DISK_FREE_BYTES = 2e9
MEMORY_PERCENT = 95.0
MAIL_LATE = timedelta(hours=6)
SYMBOLS_NAMED = 5


def job_alarms(jobs: Sequence[ScheduledJob], newest: Mapping[str, JobRun | None], at: datetime) -> list[Alarm]:
    """Jobs that failed or are late; `newest` maps a job to its newest run."""
    alarms = []
    for job in jobs:
        run = newest.get(job.name)
        if run is not None and run.status == "failed":
            detail = f"due {run.due_at:%Y-%m-%d %H:%M}: {run.detail}"
            alarms.append(Alarm(kind="job_failed", subject=job.name, severity="high", detail=detail))
        late = lateness(job, run, at)
        if late is not None:
            detail = f"has not succeeded {_hours(late)} after it was due"
            alarms.append(Alarm(kind="job_late", subject=job.name, severity="high", detail=detail))
    return alarms


def desk_alarms(facts: AlarmFacts, *, stale_after: timedelta, at: datetime) -> list[Alarm]:
    """Stale data, a halted or reducing desk, unknown orders, services and disk in trouble, mail that does not leave."""
    return [
        *_stale_data(facts.freshness, stale_after, at),
        *_risk_state(facts.newest),
        *_fallback_weights(facts.newest, published=facts.weights_published),
        *_unknown_orders(facts.unknown_orders),
        *_differences(facts.parity),
        *_machine(facts.system),
        *_late_mail(facts.waiting_mail, at),
    ]


def _stale_data(freshness: Mapping[str, datetime | None], stale_after: timedelta, at: datetime) -> Iterator[Alarm]:
    stale = {symbol: newest for symbol, newest in freshness.items() if newest is None or at - newest > stale_after}
    if not stale:
        return
    more = len(stale) - SYMBOLS_NAMED
    names = ", ".join(list(stale)[:SYMBOLS_NAMED]) + (f" and {more} more" if more > 0 else "")
    oldest = min((newest for newest in stale.values() if newest is not None), default=None)
    since = f"; oldest bar {oldest:%Y-%m-%d %H:%M} UTC" if oldest else ""
    yield Alarm(kind="data_stale", subject="bars", severity="high", detail=f"no fresh bars of {names}{since}")


def _risk_state(newest: NewestDecision | None) -> Iterator[Alarm]:
    if newest is None or newest.risk_state == RiskState.ACTIVE:
        return
    if newest.risk_state == RiskState.HALTED:
        detail = "positions only shrink; `quorum resume --reason ...` when checked"
        yield Alarm(kind="risk_state", subject=str(newest.risk_state), severity="critical", detail=detail)
    else:
        detail = "positions are scaled down by the drawdown rule"
        yield Alarm(kind="risk_state", subject=str(newest.risk_state), severity="medium", detail=detail)


def _fallback_weights(newest: NewestDecision | None, *, published: bool) -> Iterator[Alarm]:
    if newest and published and newest.weights_level in (WeightsLevel.STATIC, WeightsLevel.EQUAL):
        detail = "the desk trades with fallback weights although published ones exist"
        yield Alarm(kind="weights_fallback", subject=newest.weights_level, severity="medium", detail=detail)


def _unknown_orders(ids: Sequence[str]) -> Iterator[Alarm]:
    if ids:
        detail = f"{len(ids)} orders whose outcome is not known, first {ids[-1]}"
        yield Alarm(kind="orders_unknown", subject="orders", severity="critical", detail=detail)


def _differences(parity: ParityCheck | None) -> Iterator[Alarm]:
    if parity and parity.differences:
        kinds = ", ".join(f"{count} {kind}" for kind, count in parity.counts.items() if count)
        until = f"{parity.checked_to:%Y-%m-%d %H:%M}"
        detail = f"the replay of the decisions up to {until} differs ({kinds}); see quorum replay --history"
        yield Alarm(kind="parity", subject="decisions", severity="high", detail=detail)


def _machine(system: SystemState) -> Iterator[Alarm]:
    if not system.redis_alive:
        detail = "weights are read from the database meanwhile"
        yield Alarm(kind="redis_down", subject="redis", severity="medium", detail=detail)
    if system.disk_free_bytes < DISK_FREE_BYTES:
        detail = f"{system.disk_free_bytes / 1e9:.1f} GB free"
        yield Alarm(kind="disk_full", subject="disk", severity="high", detail=detail)
    if system.memory_percent > MEMORY_PERCENT:
        detail = f"{system.memory_percent:.0f} % in use"
        yield Alarm(kind="memory_full", subject="memory", severity="medium", detail=detail)


def _late_mail(waiting: WaitingMail | None, at: datetime) -> Iterator[Alarm]:
    if waiting and at - waiting.oldest > MAIL_LATE:
        detail = f"{waiting.mails} reports wait, the oldest since {waiting.oldest:%Y-%m-%d %H:%M} UTC"
        yield Alarm(kind="mail_late", subject="mail", severity="medium", detail=detail)


def _hours(duration: timedelta) -> str:
    hours = duration.total_seconds() / 3600.0
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
