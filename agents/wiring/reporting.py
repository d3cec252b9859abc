"""facts -> recommendations -> a report on record and a mail on its way.

Everything is read once, worded by pure functions (`agents.reports`, `agents.tuning.recommendations`), and stored under
its period. The finished message waits in the outbox, so that a mail server that is away delays a mail and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from agents.core.effective import heard_now
from agents.core.facts import Period
from agents.core.log import log_event
from agents.core.meta_ports import LastMail, NewMail, Outbox, ReportDesk
from agents.core.meta_types import Alarm, MailSettings, OpenAlarm, Report, ReportSummary, Suggestion
from agents.core.regimes import ByRegime
from agents.reports.mail_message import message, message_id
from agents.reports.pictures import pictures
from agents.reports.report import render
from agents.reports.summary import summary_of
from agents.tuning.delivery import reason_not_to_mail
from agents.tuning.recommendations import recommend

logger = logging.getLogger(__name__)
ATTEMPTS = 3
"""So often a mail is made anew, because another one left meanwhile."""
BEING_SENT = "another mail is being sent; the next report tells of this period too"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """How reports are made: the desk's name, the usual period, whether pictures are drawn, the machine's time at which
    they are posted, where that is not their own, a line about each strategy that trades elsewhere, agents' skill by
    regime at a time, and since when a desk must have had a bar by then, or nobody is heard."""

    desk: str = "desk"
    period: timedelta = timedelta(hours=2)
    with_pictures: bool = True
    posted_at: datetime | None = None
    external: tuple[str, ...] = ()
    by_regime: Callable[[datetime], ByRegime] | None = None
    fresh_since: Callable[[datetime], datetime] | None = None


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
    mail = _queue(desk, outbox, reporting, Composed(report, summary, suggestions))
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
    regimes = reporting.by_regime(period.end) if reporting.by_regime else None
    facts = replace(desk.facts(period), external=reporting.external, by_regime=regimes)
    if reporting.fresh_since is not None:
        newest = max((bar for bar in facts.freshness.values() if bar is not None), default=None)
        fresh = reporting.fresh_since(period.end)
        facts = replace(facts, effective=heard_now(facts.effective, newest, fresh))
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
    """From the end of the last report before `at` to `at`; the usual period where there is none yet."""
    last = desk.last_report_end(at)
    return Period(at - reporting.period if last is None else last, at)


def _queue(desk: ReportDesk, outbox: Outbox, reporting: Reporting, composed: Composed) -> str:
    """Give the outbox the mail of a report, which tells of all since the end of the last mail that left; "queued", or
    why there is none."""
    settings, report = outbox.mail_settings(), composed.report
    at = reporting.posted_at or report.period_end
    if settings is None:
        return "not configured; run scripts/configure_email.py"
    for _ in range(ATTEMPTS):
        last = outbox.last_mail(at)
        silence, letter = _silence(settings, report, last, at), composed
        if not silence:
            letter = _letter(desk, reporting, composed, last.period_end if last else outbox.first_period_start())
            if settings.mode == "only_if_changed" and last is not None and not _has_news(letter, last):
                silence = "nothing has changed"
        mail = message(letter.report, desk=reporting.desk, sender=settings.sender, recipients=settings.recipients)
        entry = NewMail(
            report_id=report.id,
            message_id=message_id(reporting.desk, report),
            message=None if silence else mail.as_bytes(),
            state="skipped" if silence else "pending",
            detail=silence,
            period=Period(letter.report.period_start, letter.report.period_end),
            recipients=settings.recipients,
            said=_said(letter),
        )
        if outbox.enqueue(entry, at):
            return silence or "queued"
    outbox.enqueue(replace(entry, state="skipped", message=None, detail=BEING_SENT), at)
    return BEING_SENT


def _silence(settings: MailSettings, report: Report, last: LastMail | None, at: datetime) -> str:
    if last is not None and last.period_end >= report.period_end:
        return f"the last mail told of all up to {last.period_end:%Y-%m-%d %H:%M} UTC"
    return reason_not_to_mail(settings, at=at, last_left=last.left_at if last else None)


def _letter(desk: ReportDesk, reporting: Reporting, composed: Composed, start: datetime | None) -> Composed:
    """The report as it is mailed: of all since `start`."""
    report, _, suggestions = composed
    if start is None or start == report.period_start:
        return composed
    letter = compose_report(desk, reporting, Period(start, report.period_end), keep=False)
    known = {s.recommendation.fingerprint: s for s in suggestions}
    named = [known.get(s.recommendation.fingerprint, s) for s in letter.suggestions]
    return Composed(replace(letter.report, id=report.id), letter.summary, named)


def _has_news(letter: Composed, last: LastMail) -> bool:
    """Whether anything was traded since the last mail, or it would say the same."""
    return letter.summary.trades > 0 or letter.summary.orders > 0 or _said(letter) != last.said


def _said(letter: Composed) -> str:
    """What a mail says in short, without what always changes: what is wrong, what is to be done, the desk's state and
    the weights."""
    summary, suggestions = letter.summary, letter.suggestions
    parts = [
        sorted((known.alarm.kind, known.alarm.subject, known.alarm.severity) for known in summary.alarms),
        sorted((s.recommendation.fingerprint, s.recommendation.severity, s.state) for s in suggestions),
        str(summary.risk_state),
        sorted(summary.weights.items()),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
