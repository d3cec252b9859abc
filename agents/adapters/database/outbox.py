"""The outbox: messages wait here until a server has taken them; and the one row of email_config."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import transaction
from agents.core.clock import CLOCK_STEP
from agents.core.meta_ports import Attempt, LastMail, Mail, NewMail
from agents.core.meta_types import MailSettings

_STORE_SETTINGS = """
INSERT INTO email_config (
    id, server, port, security, account, sender, secret_file, recipients, mode, frequency_s, timezone, quiet_hours)
VALUES (
    1, :server, :port, :security, :account, :sender, :secret_file, :recipients, :mode, :frequency_s, :timezone,
    :quiet_hours)
ON CONFLICT (id) DO UPDATE SET
    server = excluded.server, port = excluded.port, security = excluded.security, account = excluded.account,
    sender = excluded.sender, secret_file = excluded.secret_file, recipients = excluded.recipients,
    mode = excluded.mode, frequency_s = excluded.frequency_s, timezone = excluded.timezone,
    quiet_hours = excluded.quiet_hours, updated_at = now()
"""
_COVER = """
UPDATE outbox SET state = 'skipped', detail = :detail, updated_at = :at, message = NULL
WHERE state = 'pending' AND left_at IS NULL RETURNING coalesce(waiting_since, created_at) AS since
"""
_ENQUEUE = """
INSERT INTO outbox (report_id, message_id, message, state, detail, attempts, next_attempt_at, created_at, updated_at,
    period_start, period_end, waiting_since, recipients, said)
VALUES (:report_id, :message_id, :message, :state, :detail, 0, :at, :at, :at, :period_start, :period_end,
    :waiting_since, :recipients, :said)
ON CONFLICT (report_id) DO NOTHING
"""
_WAITING = """
SELECT id, report_id, message, attempts, created_at, next_attempt_at, recipients FROM outbox
WHERE state = 'pending' AND message IS NOT NULL ORDER BY created_at, id
"""
_LAST = """
SELECT left_at, period_end, said FROM outbox
WHERE left_at IS NOT NULL AND period_end <= :until ORDER BY period_end DESC LIMIT 1
"""
_BEING_SENT = """
SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'pending' AND left_at IS NULL
               AND sending_since BETWEEN :at - :lease AND CAST(:at AS timestamptz) + :lease)
"""
_CLAIM = """
UPDATE outbox SET sending_since = :at
WHERE id = :id AND state = 'pending'
    AND (sending_since IS NULL OR sending_since NOT BETWEEN :at - :lease AND CAST(:at AS timestamptz) + :lease)
RETURNING id
"""
_SETTLE = """
UPDATE outbox SET state = :state, detail = :detail, updated_at = :at, next_attempt_at = :next, attempts = attempts + 1,
    recipients = :recipients, sending_since = NULL, left_at = coalesce(left_at, CASE WHEN :left THEN :at END),
    message = CASE WHEN :over THEN NULL ELSE message END
WHERE id = :id
"""
LEASE = timedelta(minutes=5)
"""A process that claimed a mail and has not settled it for so long has died over it."""


class PostgresOutbox:
    """The outbox of one desk, and how its reports are mailed. The bytes of what is sent or given up are dropped."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mail_settings(self) -> MailSettings | None:
        with transaction(self._engine) as connection:
            row = connection.execute(text("SELECT * FROM email_config WHERE id = 1")).first()
        if row is None:
            return None
        hours = row.quiet_hours
        return MailSettings(
            server=row.server,
            port=row.port,
            security=row.security,
            account=row.account,
            sender=row.sender,
            secret_file=row.secret_file,
            recipients=tuple(row.recipients),
            mode=row.mode,
            frequency_s=row.frequency_s,
            quiet_hours=(hours[0], hours[1]) if hours else None,
            timezone=row.timezone,
        )

    def store_mail_settings(self, settings: MailSettings) -> None:
        """Mail reports like this from now on."""
        values = {
            "server": settings.server,
            "port": settings.port,
            "security": settings.security,
            "account": settings.account,
            "sender": settings.sender,
            "secret_file": settings.secret_file,
            "recipients": json.dumps(settings.recipients),
            "mode": settings.mode,
            "frequency_s": settings.frequency_s,
            "timezone": settings.timezone,
            "quiet_hours": json.dumps(settings.quiet_hours) if settings.quiet_hours else None,
        }
        with transaction(self._engine) as connection:
            connection.execute(text(_STORE_SETTINGS), values)

    def last_mail(self, at: datetime) -> LastMail | None:
        with transaction(self._engine) as connection:
            return _last_mail(connection, at)

    def first_period_start(self) -> datetime | None:
        with transaction(self._engine) as connection:
            first = connection.execute(text("SELECT min(period_start) FROM outbox")).scalar()
        return first if isinstance(first, datetime) else None

    def enqueue(self, mail: NewMail, at: datetime) -> bool:
        values = asdict(mail) | {
            "at": at,
            "period_start": mail.period.start,
            "period_end": mail.period.end,
            "recipients": json.dumps(dict.fromkeys(mail.recipients, "")),
            "waiting_since": at if mail.state == "pending" else None,
        }
        with transaction(self._engine) as connection:
            connection.execute(text("LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE"))
            known = "SELECT 1 FROM outbox WHERE report_id = :id"
            if connection.execute(text(known), {"id": mail.report_id}).scalar():
                return True
            if mail.state == "pending":
                last = _last_mail(connection, at)
                being_sent = connection.execute(text(_BEING_SENT), {"at": at, "lease": LEASE}).scalar()
                if being_sent or (last is not None and last.period_end != mail.period.start):
                    return False
                covered = {"detail": f"covered by report {mail.report_id}", "at": at}
                since = connection.execute(text(_COVER), covered).scalars().all()
                values["waiting_since"] = min([at, *since])
            connection.execute(text(_ENQUEUE), values)
        return True

    def waiting(self) -> Sequence[Mail]:
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_WAITING)).all()
        return [
            Mail(r.id, r.report_id, bytes(r.message), r.attempts, r.created_at, r.next_attempt_at, r.recipients)
            for r in rows
        ]

    def claim(self, mail_id: int, at: datetime) -> bool:
        with transaction(self._engine) as connection:
            claimed = connection.execute(text(_CLAIM), {"id": mail_id, "at": at, "lease": LEASE}).scalar()
        return claimed is not None

    def settle(self, mail_id: int, attempt: Attempt, at: datetime) -> None:
        values = {
            "id": mail_id,
            "state": attempt.state,
            "detail": attempt.detail,
            "recipients": json.dumps(attempt.recipients),
            "next": attempt.next_attempt_at,
            "left": "sent" in attempt.recipients.values(),
            "over": attempt.state != "pending",
            "at": at,
        }
        with transaction(self._engine) as connection:
            connection.execute(text(_SETTLE), values)


def _last_mail(connection: Connection, at: datetime) -> LastMail | None:
    row = connection.execute(text(_LAST), {"until": at + CLOCK_STEP}).first()
    return None if row is None else LastMail(row.left_at, row.period_end, row.said)
