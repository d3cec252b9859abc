"""An alarm from the database to the mailbox: a mail when it begins, none while it lasts, one when it is over."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from sqlalchemy import text

from agents.adapters.mail.mailer import SmtpMailer
from agents.core.clock import SystemClock
from agents.core.settings import Settings
from agents.tuning.delivery import deliver
from agents.wiring.connections import Connections
from agents.wiring.meta import MetaPlane
from tests.integration.test_mail import Server, authority, certificates, secret, start
from tests.integration.test_mail_periods import ME, mail_settings

__all__ = ["authority", "certificates", "secret"]

START = datetime(2026, 3, 28, 0, 0, tzinfo=UTC)
BEGINS = """
INSERT INTO reconciliation_breaks (kind, name, ours, theirs, opened_at, seen_at) VALUES ('cash', 'USDT', 100, 90, :at, :at)
"""
ENDS = "UPDATE reconciliation_breaks SET closed_at = :at, resolution = 'both agree again'"


@pytest.fixture
def plane(owner, trader, meta, redis_url):
    connections = Connections(owner, trader, meta, redis_url, (), {})
    made = MetaPlane(Settings(desk={"name": "t"}), connections, SystemClock(), with_pictures=False)
    yield made
    made.cache.close()


def test_a_difference_with_the_exchange_is_mailed_when_it_begins_and_when_it_is_over(
    plane, owner, certificates, secret, monkeypatch
):
    """To a person who wants mail only where something has changed, from a real server over TLS."""
    monkeypatch.setattr(psutil, "getloadavg", lambda: (0.0, 0.0, 0.0))  # a busy machine is news, too
    file, context = certificates
    server = Server()
    controller, port = start(server, context)
    sender = mail_settings(port=port, account="desk", secret_file=str(secret), recipients=(ME,), mode="only_if_changed")
    plane.outbox.store_mail_settings(sender)
    happens = {3: BEGINS, 6: ENDS}
    came = {}
    try:
        for turn in range(1, 9):
            at = START + turn * timedelta(hours=2)
            if turn in happens:
                with owner.begin() as connection:
                    connection.execute(text(happens[turn]), {"at": at - timedelta(minutes=9)})
            plane.run_job("project_manager", at)
            deliver(plane.outbox, SmtpMailer(file), at)
            while server.messages:
                came[turn] = server.messages.pop()[2]
    finally:
        controller.stop()
    assert set(came) == {1, 3, 6}, "the first report, and both edges"
    told = {turn: _words(content) for turn, content in came.items()}
    assert "reconciliation" not in told[1][1]
    subject, body = told[3]
    assert "reconciliation" in body and "USDT" in body and "100" in body and "90" in body
    assert "reconciliation (USDT)" in subject
    assert told[6][0] == told[1][0] and "reconciliation" not in told[6][1]


def _words(content: bytes) -> tuple[str, str]:
    message = email.message_from_bytes(content, policy=email.policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    return str(message["Subject"]), " ".join(body.get_content().split())
