"""facts -> alarms, recommendations, a report on record, and a mail on its way.

Reads everything once, words it with pure functions (`report`, `recommendations`), stores the report under its period and
puts the finished message into the outbox; a mail server that is away can delay a mail and nothing else.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agents.core.log import log_event
from agents.core.meta_types import MailSettings, Report
from agents.core.ports import Mail, Mailer, Outbox, ReportDesk
from agents.reports.report import message, message_id, pictures, render, summary_of
from agents.tuning.recommendations import recommend

logger = logging.getLogger(__name__)
DAY = timedelta(days=1)
RETRY_FIRST, RETRY_MOST = timedelta(minutes=1), timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """How reports are made: the desk's name, the usual period, and whether pictures are drawn."""

    desk: str = "desk"
    period: timedelta = timedelta(hours=2)
    with_pictures: bool = True


class ProjectManagerAgent:
    """Writes one report for each due time and queues it for mail; doing it twice gives the same report once."""

    def __init__(
        self, desk: ReportDesk | None = None, outbox: Outbox | None = None, reporting: Reporting | None = None
    ) -> None:
        self._desk = desk
        self._outbox = outbox
        self._reporting = reporting or Reporting()

    def execute(self, at: datetime | None = None) -> dict[str, Any]:
        """Report on the time since the last report, up to `at` (default: now). Returns report_id, summary, recommendations,
        subject, and mail: what became of it ("queued", or why there is none)."""
        if self._desk is None:
            from agents.meta.standalone import project_manager

            with project_manager() as ready:
                return ready.execute(at)
        at = at or self._desk.now()
        report, summary, suggestions = self.compose(at, keep_suggestions=True)
        report_id = self._desk.store_report(report, summary, suggestions)
        report = replace(report, id=report_id)
        fate = self._queue(report, summary, at) if self._outbox is not None else "no mailbox: this desk mails nothing"
        log_event(logger, "reported", report=report_id, mail=fate, subject=report.subject)
        return {
            "report_id": report_id,
            "summary": summary,
            "recommendations": suggestions,
            "subject": report.subject,
            "mail": fate,
        }

    def compose(
        self, at: datetime, *, keep_suggestions: bool, start: datetime | None = None
    ) -> tuple[Report, dict[str, Any], list[dict[str, Any]]]:
        """A report up to `at`, without storing it; `start` None means since the last one."""
        assert self._desk is not None
        start = start or self._start(at)
        facts = self._desk.facts(start=start, at=at)
        found = recommend(facts)
        if keep_suggestions:
            self._desk.record_metrics(at, _metrics(facts))
            suggestions = self._desk.sync_suggestions(at, found)
        else:
            suggestions = [
                {
                    "kind": r.kind,
                    "severity": r.severity,
                    "title": r.title,
                    "action": r.action,
                    "evidence": dict(r.evidence),
                    "state": "open",
                }
                for r in found
            ]
        alarms = facts["alarms"]
        summary = summary_of(facts, alarms, suggestions)
        images = pictures(facts) if self._reporting.with_pictures else {}
        subject, html, text = render(
            facts, summary, alarms, suggestions, desk=self._reporting.desk, images=list(images)
        )
        report = Report(
            id=0,
            generated_at=at,
            period_start=start,
            period_end=at,
            subject=subject,
            html=html,
            text=text,
            images=images,
        )
        return report, summary, suggestions

    def _start(self, at: datetime) -> datetime:
        assert self._desk is not None
        last = self._desk.last_report_end()
        usual = at - self._reporting.period
        return usual if last is None or last >= at else max(last, at - 31 * DAY)

    def _queue(self, report: Report, summary: Mapping[str, Any], at: datetime) -> str:
        assert self._outbox is not None
        settings = self._outbox.mail_settings()
        if settings is None:
            return "not configured; run scripts/configure_email.py"
        silence = hush(settings, at=at, last_sent=self._outbox.last_sent_at(), changed=_changed(summary))
        finished = message(
            report, desk=self._reporting.desk, sender=settings.sender, recipients=settings.recipients
        ).as_bytes()
        self._outbox.enqueue(
            report.id,
            message_id(self._reporting.desk, report),
            None if silence else finished,
            at=at,
            state="skipped" if silence else "pending",
            detail=silence,
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


def hush(settings: MailSettings, *, at: datetime, last_sent: datetime | None, changed: bool) -> str:
    """Why this report is not mailed; "" where it is. Quiet hours and frequency are those of the settings, in their time zone."""
    if settings.quiet_hours and _within(
        at.astimezone(ZoneInfo(settings.timezone)).strftime("%H:%M"), settings.quiet_hours
    ):
        return f"quiet hours {settings.quiet_hours[0]} to {settings.quiet_hours[1]}"
    if settings.mode == "only_if_changed" and not changed:
        return "nothing has changed"
    wait = DAY if settings.mode == "daily_digest" else timedelta(seconds=settings.frequency_s)
    if last_sent is not None and at - last_sent < wait - timedelta(minutes=5):
        return f"the last mail left less than {wait.total_seconds() / 3600:g} h ago"
    return ""


def _within(clock: str, hours: tuple[str, str]) -> bool:
    start, end = hours
    return start <= clock < end if start <= end else clock >= start or clock < end


# ---------------------------------------------------------------- delivery


def deliver(outbox: Outbox, mailer: Mailer, at: datetime) -> list[str]:
    """Send what waits. After an outage only the newest report goes out, naming those that it covers; a failed delivery is
    tried again with growing pauses for three days. Returns a line for each message."""
    settings = outbox.mail_settings()
    if settings is None:
        return []
    waiting = list(outbox.waiting())
    if not waiting:
        return []
    for mail in waiting[:-1]:
        outbox.settle(
            mail.id, state="skipped", detail=f"covered by report {waiting[-1].report_id}", at=at, next_attempt_at=None
        )
    said = [f"report {m.report_id}: covered by a newer one" for m in waiting[:-1]]
    if waiting[-1].next_attempt_at > at:
        return said
    return [*said, _deliver_one(outbox, mailer, settings, waiting[-1], at)]


def _deliver_one(outbox: Outbox, mailer: Mailer, settings: MailSettings, mail: Mail, at: datetime) -> str:
    problem = mailer.send(settings, mail.message)
    if not problem:
        outbox.settle(mail.id, state="sent", detail="", at=at, next_attempt_at=None)
        return f"report {mail.report_id}: sent"
    over = at - mail.created_at > GIVE_UP_AFTER
    pause = min(RETRY_MOST, RETRY_FIRST * 2 ** min(mail.attempts, 10))
    outbox.settle(
        mail.id,
        state="failed" if over else "pending",
        detail=problem,
        at=at,
        next_attempt_at=None if over else at + pause,
    )
    level = logging.ERROR if mail.attempts == 0 or over else logging.INFO  # an alarm on the edge
    log_event(
        logger,
        "a report could not be mailed",
        level=level,
        report=mail.report_id,
        problem=problem,
        tries=mail.attempts + 1,
    )
    return f"report {mail.report_id}: {problem}"


if __name__ == "__main__":
    from agents.meta.standalone import run_one

    sys.exit(run_one("project_manager"))
