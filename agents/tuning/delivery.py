"""Which reports are mailed, and when: quiet hours and frequency (pure), and the delivery of what waits (on ports)."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from agents.core.log import log_event
from agents.core.meta_ports import Attempt, Delivery, Mail, Mailer, Outbox
from agents.core.meta_types import MailSettings

logger = logging.getLogger(__name__)
DAY = timedelta(days=1)
RETRY_FIRST, RETRY_MOST = timedelta(minutes=1), timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)
EARLY = timedelta(minutes=5)
"""A mail may leave so much before its time: jobs do not start on the second."""


def reason_not_to_mail(settings: MailSettings, *, at: datetime, last_left: datetime | None) -> str:
    """Why no mail leaves at `at`; "" where one may. Quiet hours are in the settings' time zone."""
    if is_quiet(settings, at):
        assert settings.quiet_hours is not None
        return f"quiet hours {settings.quiet_hours[0]} to {settings.quiet_hours[1]}"
    wait = DAY if settings.mode == "daily_digest" else timedelta(seconds=settings.frequency_s)
    if last_left is not None and at - last_left < wait - EARLY:
        return f"the last mail left less than {wait.total_seconds() / 3600:g} h ago"
    return ""


def is_quiet(settings: MailSettings, at: datetime) -> bool:
    """Whether `at` is in the quiet hours."""
    if settings.quiet_hours is None:
        return False
    clock, (start, end) = at.astimezone(ZoneInfo(settings.timezone)).strftime("%H:%M"), settings.quiet_hours
    return start <= clock < end if start <= end else clock >= start or clock < end


def deliver(outbox: Outbox, mailer: Mailer, at: datetime) -> list[str]:
    """Send what waits and is due, outside quiet hours; returns a line for each message that was tried.

    A recipient that a server refuses is tried again alone. A failed delivery is tried again with growing pauses for
    three days.
    """
    settings = outbox.mail_settings()
    if settings is None or is_quiet(settings, at):
        return []
    due = [mail for mail in outbox.waiting() if not at < mail.next_attempt_at <= at + RETRY_MOST]
    return [_deliver_one(outbox, mailer, settings, mail, at) for mail in due if outbox.claim(mail.id, at)]


def _deliver_one(outbox: Outbox, mailer: Mailer, settings: MailSettings, mail: Mail, at: datetime) -> str:
    wanted = [a for a, state in mail.recipients.items() if state != "sent" and a in settings.recipients]
    delivery = mailer.send(settings, mail.message, wanted) if wanted else Delivery()
    got = () if delivery.problem else [address for address in wanted if address not in delivery.refused]
    recipients = {**mail.recipients, **delivery.refused, **dict.fromkeys(got, "sent")}
    left_over = [address for address in wanted if address not in got]
    problem = delivery.complaint
    state: Literal["pending", "sent", "failed"] = "pending"
    if not left_over:
        state = "sent"
    elif at - mail.created_at > GIVE_UP_AFTER:
        state = "sent" if "sent" in recipients.values() else "failed"
    pause = min(RETRY_MOST, RETRY_FIRST * 2 ** min(mail.attempts, 10))
    again = at + pause if state == "pending" else None
    outbox.settle(mail.id, Attempt(state=state, detail=problem, recipients=recipients, next_attempt_at=again), at)
    if not problem:
        return f"report {mail.report_id}: sent"
    level = logging.ERROR if mail.attempts == 0 or again is None else logging.INFO  # an alarm on the edge
    facts = {"report": mail.report_id, "problem": problem, "tries": mail.attempts + 1, "got_it": len(got)}
    log_event(logger, "a report could not be mailed to everybody", level=level, **facts)
    return f"report {mail.report_id}: {problem}"
