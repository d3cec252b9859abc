"""The outbox: messages wait here until a server has taken them; and the one row of email_config."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.core.meta_ports import Mail, NewMail
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
_ENQUEUE = """
INSERT INTO outbox (
    report_id, message_id, message, state, detail, attempts, next_attempt_at, created_at, updated_at)
VALUES (:report_id, :message_id, :message, :state, :detail, 0, :at, :at, :at)
ON CONFLICT (report_id) DO NOTHING
"""
_WAITING = """
SELECT id, report_id, message, attempts, created_at, next_attempt_at FROM outbox
WHERE state = 'pending' AND message IS NOT NULL ORDER BY created_at, id
"""
_SETTLE = """
UPDATE outbox SET state = :state, detail = :detail, updated_at = :at, next_attempt_at = :next,
    attempts = attempts + CASE WHEN :tried THEN 1 ELSE 0 END,
    message = CASE WHEN :over THEN NULL ELSE message END
WHERE id = :id
"""


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

    def last_sent_at(self) -> datetime | None:
        with transaction(self._engine) as connection:
            newest = connection.execute(text("SELECT max(updated_at) FROM outbox WHERE state = 'sent'")).scalar()
        return newest if isinstance(newest, datetime) else None

    def enqueue(self, mail: NewMail, at: datetime) -> None:
        with transaction(self._engine) as connection:
            connection.execute(text(_ENQUEUE), {**asdict(mail), "at": at})

    def waiting(self) -> Sequence[Mail]:
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_WAITING)).all()
        return [
            Mail(row.id, row.report_id, bytes(row.message), row.attempts, row.created_at, row.next_attempt_at)
            for row in rows
        ]

    def settle(self, mail_id: int, *, state: str, detail: str, at: datetime, next_attempt_at: datetime | None) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                text(_SETTLE),
                {
                    "state": state,
                    "detail": detail,
                    "at": at,
                    "next": next_attempt_at,
                    "id": mail_id,
                    "tried": state in ("sent", "pending", "failed"),
                    "over": state != "pending",
                },
            )
