"""The outbox: messages wait here until a server has taken them; and the one row of email_config."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.core.meta_types import MailSettings
from agents.core.ports import Mail


class PostgresOutbox:
    """Outbox of one desk."""

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
        """Replace the one row."""
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
        names = list(values)
        with transaction(self._engine) as connection:
            connection.execute(
                text(
                    f"INSERT INTO email_config (id, {', '.join(names)}) VALUES (1, {', '.join(':' + n for n in names)})"  # noqa: S608 - our own names
                    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in names)}, updated_at = now()"
                ),
                values,
            )

    def last_sent_at(self) -> datetime | None:
        with transaction(self._engine) as connection:
            found = connection.execute(text("SELECT max(updated_at) FROM outbox WHERE state = 'sent'")).scalar()
        return found if isinstance(found, datetime) else None

    def enqueue(
        self, report_id: int, message_id: str, message: bytes | None, *, at: datetime, state: str, detail: str
    ) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO outbox (report_id, message_id, message, state, detail, attempts, next_attempt_at, created_at, updated_at)"
                    " VALUES (:report, :id, :message, :state, :detail, 0, :at, :at, :at) ON CONFLICT (report_id) DO NOTHING"
                ),
                {"report": report_id, "id": message_id, "message": message, "state": state, "detail": detail, "at": at},
            )

    def waiting(self) -> Sequence[Mail]:
        with transaction(self._engine) as connection:
            rows = connection.execute(
                text(
                    "SELECT id, report_id, message, attempts, created_at, next_attempt_at FROM outbox"
                    " WHERE state = 'pending' AND message IS NOT NULL ORDER BY created_at, id"
                ),
            ).all()
        return [
            Mail(row.id, row.report_id, bytes(row.message), row.attempts, row.created_at, row.next_attempt_at)
            for row in rows
        ]

    def settle(self, mail_id: int, *, state: str, detail: str, at: datetime, next_attempt_at: datetime | None) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                text(
                    "UPDATE outbox SET state = :state, detail = :detail, updated_at = :at, next_attempt_at = :next,"
                    " attempts = attempts + CASE WHEN :tried THEN 1 ELSE 0 END,"
                    " message = CASE WHEN :over THEN NULL ELSE message END WHERE id = :id"
                ),
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
