"""facts -> recommendations -> a report on record and a mail on its way.

Everything is read once, worded by pure functions (`agents.reports`, `agents.tuning.recommendations`), and stored under its
period; the finished message waits in the outbox, so that a mail server that is away delays a mail and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from agents.core.log import log_event
from agents.core.meta_types import Recommendation, Report
from agents.core.ports import NewMail, Outbox, ReportDesk
from agents.reports.report import message, message_id, pictures, render, summary_of
from agents.tuning.delivery import reason_not_to_mail
from agents.tuning.recommendations import recommend

logger = logging.getLogger(__name__)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """How reports are made: the desk's name, the usual period, and whether pictures are drawn."""

    desk: str = "desk"
    period: timedelta = timedelta(hours=2)
    with_pictures: bool = True


class Period(NamedTuple):
    """From when to when a report goes; `start` None means since the last report."""

    start: datetime | None
    end: datetime


def write_report(desk: ReportDesk, outbox: Outbox, reporting: Reporting, at: datetime) -> dict[str, Any]:
    """Report on the time since the last report, up to `at`, and queue it for mail; twice is once.

    Returns report_id, summary, recommendations, subject, and mail: what became of it ("queued", or why there is none).
    """
    report, summary, suggestions = compose_report(desk, reporting, Period(_start(desk, reporting, at), at), keep=True)
    report = replace(report, id=desk.store_report(report, summary, suggestions))
    mail = _queue(outbox, reporting, report, summary)
    log_event(logger, "reported", report=report.id, mail=mail, subject=report.subject)
    return {
        "report_id": report.id,
        "summary": summary,
        "recommendations": suggestions,
        "subject": report.subject,
        "mail": mail,
    }


def compose_report(
    desk: ReportDesk, reporting: Reporting, period: Period, *, keep: bool
) -> tuple[Report, dict[str, Any], list[dict[str, Any]]]:
    """A report on a period, its summary and its suggestions, without storing it. Where `keep`, the figures of the
    machine and the suggestions go on record."""
    start, at = period
    start = start or _start(desk, reporting, at)
    facts = desk.facts(start=start, at=at)
    recommendations = recommend(facts)
    if keep:
        desk.record_metrics(at, _metrics(facts))
        suggestions = desk.sync_suggestions(at, recommendations)
    else:
        suggestions = [_suggestion(r) for r in recommendations]
    alarms = facts["alarms"]
    summary = summary_of(facts, alarms, suggestions)
    images = pictures(facts) if reporting.with_pictures else {}
    subject, html, text = render(facts, summary, alarms, suggestions, desk=reporting.desk, images=list(images))
    report = Report(
        id=0, generated_at=at, period_start=start, period_end=at, subject=subject, html=html, text=text, images=images
    )
    return report, summary, suggestions


def _suggestion(recommendation: Recommendation) -> dict[str, Any]:
    r = recommendation
    return {
        "kind": r.kind,
        "severity": r.severity,
        "title": r.title,
        "action": r.action,
        "evidence": dict(r.evidence),
        "state": "open",
    }


def _start(desk: ReportDesk, reporting: Reporting, at: datetime) -> datetime:
    """The end of the last report, at most a month ago; the usual period before `at` where there is none."""
    last = desk.last_report_end()
    return at - reporting.period if last is None or last >= at else max(last, at - 31 * DAY)


def _queue(outbox: Outbox, reporting: Reporting, report: Report, summary: Mapping[str, Any]) -> str:
    settings, at = outbox.mail_settings(), report.period_end
    if settings is None:
        return "not configured; run scripts/configure_email.py"
    silence = reason_not_to_mail(settings, at=at, last_sent=outbox.last_sent_at(), changed=_changed(summary))
    mail = message(report, desk=reporting.desk, sender=settings.sender, recipients=settings.recipients).as_bytes()
    outbox.enqueue(
        NewMail(
            report_id=report.id,
            message_id=message_id(reporting.desk, report),
            message=None if silence else mail,
            state="skipped" if silence else "pending",
            detail=silence,
        ),
        at,
    )
    return silence or "queued"


def _metrics(facts: Mapping[str, Any]) -> dict[str, float]:
    system = facts["system"]
    return {
        name: float(system[name])
        for name in (
            "cpu_percent",
            "load_1m",
            "memory_percent",
            "disk_free_bytes",
            "database_bytes",
            "slow_queries",
            "redis_alive",
        )
    }


def _changed(summary: Mapping[str, Any]) -> bool:
    """Whether the period holds anything that a person would want to know at once."""
    return bool(summary["alarms"] or summary["trades"] or summary["open_suggestions"])
