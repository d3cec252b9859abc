"""Which reports are mailed, and when: quiet hours and frequency (pure), and the delivery of what waits (on ports)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from agents.core.log import log_event
from agents.core.meta_ports import Mail, Mailer, Outbox
from agents.core.meta_types import MailSettings

logger = logging.getLogger(__name__)
DAY = timedelta(days=1)
RETRY_FIRST, RETRY_MOST = timedelta(minutes=1), timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)


def reason_not_to_mail(settings: MailSettings, *, at: datetime, last_sent: datetime | None, changed: bool) -> str:
    """Why this report is not mailed; "" where it is. Quiet hours are in the settings' time zone."""
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


def deliver(outbox: Outbox, mailer: Mailer, at: datetime) -> list[str]:
    """Send what waits; returns a line for each message.

    After an outage only the newest report goes out, and covers the others. A failed delivery is tried again with
    growing pauses for three days.
    """
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
    covered = [f"report {m.report_id}: covered by a newer one" for m in waiting[:-1]]
    if waiting[-1].next_attempt_at > at:
        return covered
    return [*covered, _deliver_one(outbox, mailer, settings, waiting[-1], at)]


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
