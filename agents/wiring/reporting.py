"""facts -> recommendations -> a report on record and a mail on its way.

Everything is read once, worded by pure functions (`agents.reports`, `agents.tuning.recommendations`), and stored under
its period. The finished message waits in the outbox, so that a mail server that is away delays a mail and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from agents.core.facts import Period
from agents.core.log import log_event
from agents.core.meta_ports import NewMail, Outbox, ReportDesk
from agents.core.meta_types import Alarm, OpenAlarm, Report, ReportSummary, Suggestion
from agents.reports.mail_message import message, message_id
from agents.reports.pictures import pictures
from agents.reports.report import render
from agents.reports.summary import summary_of
from agents.tuning.delivery import reason_not_to_mail
from agents.tuning.recommendations import recommend

logger = logging.getLogger(__name__)
LONGEST = timedelta(days=31)
"""A report looks back no further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """How reports are made: the desk's name, the usual period, and whether pictures are drawn."""

    desk: str = "desk"
    period: timedelta = timedelta(hours=2)
    with_pictures: bool = True


class Composed(NamedTuple):
    """A report that is not stored yet, its figures, and the suggestions it makes."""

    report: Report
    summary: ReportSummary
    suggestions: Sequence[Suggestion]


def write_report(desk: ReportDesk, outbox: Outbox, reporting: Reporting, at: datetime) -> dict[str, Any]:
    """Report on the time since the last report, up to `at`, and queue it for mail; twice is once.

    Returns report_id, summary, recommendations, subject, and mail: what became of it ("queued", or why there is none).
    """
    report, summary, suggestions = compose_report(desk, reporting, period_until(desk, reporting, at), keep=True)
    report = replace(report, id=desk.store_report(report, summary, suggestions))
    mail = _queue(outbox, reporting, report, summary)
    log_event(logger, "reported", report=report.id, mail=mail, subject=report.subject)
    return {
        "report_id": report.id,
        "summary": summary.as_plain(),
        "recommendations": [suggestion.as_plain() for suggestion in suggestions],
        "subject": report.subject,
        "mail": mail,
    }


def compose_report(
    desk: ReportDesk, reporting: Reporting, period: Period, *, keep: bool, wrong: Sequence[Alarm] | None = None
) -> Composed:
    """A report on a period, not stored. Where `keep`, the machine's figures and the suggestions go on record. `wrong`
    is what is wrong at its end, where nobody has brought the alarms on record up to date."""
    facts = desk.facts(period)
    if wrong is not None:
        since = {(known.alarm.kind, known.alarm.subject): known.opened_at for known in facts.alarms}
        open_now = [OpenAlarm(alarm=a, opened_at=since.get((a.kind, a.subject), period.end)) for a in wrong]
        facts = replace(facts, alarms=open_now)
    recommendations = recommend(facts)
    if keep:
        desk.record_metrics(period.end, facts.system.metrics())
        suggestions = desk.sync_suggestions(period.end, recommendations)
    else:
        suggestions = [Suggestion(recommendation=r) for r in recommendations]
    summary = summary_of(facts, open_suggestions=len(suggestions))
    images = pictures(facts) if reporting.with_pictures else {}
    subject, html, text = render(facts, summary, suggestions, desk=reporting.desk, images=list(images))
    report = Report(
        id=0,
        generated_at=period.end,
        period_start=period.start,
        period_end=period.end,
        subject=subject,
        html=html,
        text=text,
        images=images,
    )
    return Composed(report, summary, suggestions)


def period_until(desk: ReportDesk, reporting: Reporting, at: datetime) -> Period:
    """From the end of the last report, at most a month ago, to `at`; the usual period where there is no report yet."""
    last = desk.last_report_end()
    return Period(at - reporting.period if last is None or last >= at else max(last, at - LONGEST), at)


def _queue(outbox: Outbox, reporting: Reporting, report: Report, summary: ReportSummary) -> str:
    settings, at = outbox.mail_settings(), report.period_end
    if settings is None:
        return "not configured; run scripts/configure_email.py"
    changed = bool(summary.alarms or summary.trades or summary.open_suggestions)
    silence = reason_not_to_mail(settings, at=at, last_sent=outbox.last_sent_at(), changed=changed)
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
