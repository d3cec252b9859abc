"""facts of the desk -> what is wrong now. Pure; the edges (opened, closed) are made by whoever compares with before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agents.core.meta_types import Alarm, JobPlan, JobRun
from agents.tuning.schedule import lateness

DISK_FREE_BYTES = 2e9
MEMORY_PERCENT = 95.0
MAIL_LATE = timedelta(hours=6)


def job_alarms(plans: Sequence[JobPlan], newest: Mapping[str, JobRun | None], at: datetime) -> list[Alarm]:
    """Jobs that failed or are late."""
    found = []
    for plan in plans:
        run = newest.get(plan.name)
        if run is not None and run.status == "failed":
            found.append(
                Alarm(
                    kind="job_failed",
                    subject=plan.name,
                    severity="high",
                    detail=f"due {run.due_at:%Y-%m-%d %H:%M}: {run.detail}",
                )
            )
        late = lateness(plan, run, at)
        if late is not None:
            found.append(
                Alarm(
                    kind="job_late",
                    subject=plan.name,
                    severity="high",
                    detail=f"no success for {_hours(late)} beyond its due time",
                )
            )
    return found


def desk_alarms(facts: Mapping[str, Any], *, stale_after: timedelta, at: datetime) -> list[Alarm]:
    """Stale data, a halted or reducing desk, unknown orders, services and disk in trouble, mail that does not leave."""
    found = []
    stale = [row for row in facts["freshness"] if row["newest"] is None or at - row["newest"] > stale_after]
    if stale:
        names = ", ".join(row["symbol"] for row in stale[:5]) + (
            f" and {len(stale) - 5} more" if len(stale) > 5 else ""
        )
        oldest = min((row["newest"] for row in stale if row["newest"] is not None), default=None)
        since = f"; oldest bar {oldest:%Y-%m-%d %H:%M} UTC" if oldest else ""
        found.append(
            Alarm(kind="data_stale", subject="bars", severity="high", detail=f"no fresh bars of {names}{since}")
        )
    now = facts["now"][0] if facts["now"] else None
    if now and now["risk_state"] != "active":
        severe = now["risk_state"] == "halted"
        detail = (
            "positions only shrink; `quorum resume --reason ...` when checked"
            if severe
            else "positions are scaled down by the drawdown rule"
        )
        found.append(
            Alarm(
                kind="risk_state", subject=now["risk_state"], severity="critical" if severe else "medium", detail=detail
            )
        )
    if now and now["weights_level"] in ("static", "equal") and facts["changes"]:
        found.append(
            Alarm(
                kind="weights_fallback",
                subject=now["weights_level"],
                severity="medium",
                detail="the desk trades with fallback weights although published ones exist",
            )
        )
    unknown = [row for row in facts["open_orders"] if row["state"] == "unknown"]
    if unknown:
        found.append(
            Alarm(
                kind="orders_unknown",
                subject="orders",
                severity="critical",
                detail=f"{len(unknown)} orders whose outcome is not known, first {unknown[-1]['client_order_id']}",
            )
        )
    parity = facts["parity"][0] if facts["parity"] else None
    if parity and parity["differences"]:
        kinds = ", ".join(f"{n} {kind}" for kind, n in parity["counts"].items() if n)
        found.append(
            Alarm(
                kind="parity",
                subject="decisions",
                severity="high",
                detail=f"the replay of the decisions up to {parity['checked_to']:%Y-%m-%d %H:%M} differs ({kinds}); see quorum replay --history",
            )
        )
    return found + _machine_alarms(facts, at)


def _machine_alarms(facts: Mapping[str, Any], at: datetime) -> list[Alarm]:
    system, found = facts["system"], []
    if not system["redis_alive"]:
        found.append(
            Alarm(
                kind="redis_down",
                subject="redis",
                severity="medium",
                detail="weights are read from the database meanwhile",
            )
        )
    if system["disk_free_bytes"] < DISK_FREE_BYTES:
        found.append(
            Alarm(
                kind="disk_full",
                subject="disk",
                severity="high",
                detail=f"{system['disk_free_bytes'] / 1e9:.1f} GB free",
            )
        )
    if system["memory_percent"] > MEMORY_PERCENT:
        found.append(
            Alarm(
                kind="memory_full",
                subject="memory",
                severity="medium",
                detail=f"{system['memory_percent']:.0f} % in use",
            )
        )
    for row in facts["outbox"]:
        if row["state"] == "pending" and row["oldest"] is not None and at - row["oldest"] > MAIL_LATE:
            found.append(
                Alarm(
                    kind="mail_late",
                    subject="mail",
                    severity="medium",
                    detail=f"{row['mails']} reports wait, the oldest since {row['oldest']:%Y-%m-%d %H:%M} UTC",
                )
            )
    return found


def _hours(duration: timedelta) -> str:
    hours = duration.total_seconds() / 3600.0
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
