"""The report as a mail, on a real SMTP server with TLS on loopback that also refuses, stalls, drips and cuts."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import socket
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from sqlalchemy import text

from agents.adapters.database.outbox import PostgresOutbox
from agents.adapters.mail.mailer import SmtpMailer, read_secret
from agents.core.errors import SettingsError
from agents.core.facts import Period
from agents.core.meta_ports import Delivery, NewMail
from agents.core.meta_types import MailSettings, Report
from agents.reports.mail_message import message
from agents.tuning.delivery import deliver

NOW = datetime(2024, 6, 14, 12, 0, tzinfo=UTC)
PASSWORD = "geheim-4711"
TO = ("you@example.org", "too@example.org")
# aiosmtpd warns of AUTH without STARTTLS also where the whole line is encrypted
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")


class Server:
    """Keeps what it was sent; `reply` overrides the answer to DATA."""

    def __init__(self):
        self.messages, self.reply, self.stall_s, self.logins, self.cut = [], "", 0.0, [], False

    async def handle_DATA(self, server, session, envelope):
        await asyncio.sleep(self.stall_s)
        if self.cut:
            self.cut = False
            self.messages.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
            server.transport.abort()
            return "250 never heard"
        if self.reply:
            return self.reply
        self.messages.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 taken"

    def authenticate(self, server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        self.logins.append((mechanism, session.ssl is not None))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def certificates(authority, tmp_path):
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return file, context


class Running:
    """aiosmtpd on a free port of loopback, in a thread of its own."""

    def __init__(self, server, context, security, **more):
        options = {"authenticator": server.authenticate, "hostname": "localhost", "loop": asyncio.new_event_loop()}
        if context is not None:
            options |= {"auth_required": True, "auth_require_tls": security == "starttls"}
        if context is not None and security == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        options |= more
        self.loop = options["loop"]
        wrapped = context if security == "tls" else None
        made = self.loop.create_server(lambda: SMTP(server, **options), "127.0.0.1", 0, ssl=wrapped)
        self.listener = self.loop.run_until_complete(made)
        self.port = self.listener.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def stop(self):
        async def close():
            self.listener.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0.05)

        asyncio.run_coroutine_threadsafe(close(), self.loop).result(5)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


def start(server, context, *, security="starttls"):
    running = Running(server, context, security)
    return running, running.port


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    return file


def settings(port, secret, security="starttls", **changes):
    base = MailSettings(
        server="localhost",
        port=port,
        security=security,
        account="desk",
        sender="desk@example.org",
        secret_file=str(secret),
        recipients=TO,
        mode="every_report",
        frequency_s=7200,
        quiet_hours=None,
    )
    return replace(base, **changes)


def report(**changes):
    values = {
        "id": 7,
        "generated_at": NOW,
        "period_start": NOW - timedelta(hours=2),
        "period_end": NOW,
        "subject": "[desk] All well; équité 1",
        "html": '<p>hello <img src="cid:equity" alt="e"></p>',
        "text": "hello",
        "images": {"equity": b"\x89PNG\r\n\x1a\n"},
    }
    return Report(**(values | changes))


def finished(**changes):
    return message(
        report(**changes), desk="desk", sender="desk@example.org", recipients=("you@example.org",)
    ).as_bytes()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_report_arrives_over_tls(certificates, secret, security):
    file, context = certificates
    server = Server()
    controller, port = start(server, context, security=security)
    try:
        assert SmtpMailer(file).send(settings(port, secret, security), finished(), TO).complaint == ""
    finally:
        controller.stop()
    ((sender, recipients, content),) = server.messages
    assert (sender, recipients) == ("desk@example.org", ["you@example.org", "too@example.org"])
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert parsed["Message-ID"] == "<report.desk.20240614T120000@quorum.invalid>"
    assert parsed["Subject"] == "[desk] All well; équité 1"


def test_the_message_has_text_first_then_html_with_its_picture():
    """I09."""
    parsed = email.message_from_bytes(finished(), policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/alternative"
    plain, related = parsed.iter_parts()
    assert plain.get_content_type() == "text/plain"
    assert related.get_content_type() == "multipart/related"
    html, picture = related.iter_parts()
    assert html.get_content_type() == "text/html"
    assert picture.get_content_type() == "image/png"
    assert picture["Content-ID"] == "<equity>"
    assert "cid:equity" in html.get_content()


def test_headers_take_no_line_breaks():
    """I05."""
    with pytest.raises(ValueError, match="mail address"):
        message(report(), desk="desk", sender="a@b.c\r\nBcc: x@y.z", recipients=("you@example.org",))
    with pytest.raises(ValueError, match="(?i)linefeed|carriage|newline"):
        message(
            report(subject="x\r\nBcc: x@y.z"), desk="desk", sender="a@b.c", recipients=("you@example.org",)
        ).as_bytes()


def test_no_password_without_tls(secret):
    """I03: a server without STARTTLS never hears the password."""
    server = Server()
    controller, port = start(server, None)
    try:
        problem = SmtpMailer().send(settings(port, secret), finished(), TO).complaint
    finally:
        controller.stop()
    assert "STARTTLS" in problem.upper() or "not supported" in problem
    assert server.logins == [] and server.messages == []


def test_no_password_to_a_server_that_asks_for_it_without_tls(secret):
    """I03: it offers AUTH in clear, and no STARTTLS: a client that upgrades where it can would log in."""
    server = Server()
    controller = Running(server, None, "starttls", auth_require_tls=False, auth_required=True)
    try:
        problem = SmtpMailer().send(settings(controller.port, secret), finished(), TO).problem
    finally:
        controller.stop()
    assert "STARTTLS" in problem.upper()
    assert server.logins == [] and server.messages == []


@pytest.mark.parametrize("trouble", ["self-signed", "wrong host"])
def test_a_certificate_that_does_not_fit_is_refused(authority, certificates, secret, trouble):
    """I03."""
    file, _ = certificates
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (trustme.CA() if trouble == "self-signed" else None or trustme.CA()).issue_cert("elsewhere.example").configure_cert(
        context
    )
    server = Server()
    controller, port = start(server, context)
    try:
        problem = SmtpMailer(file).send(settings(port, secret), finished(), TO).complaint
    finally:
        controller.stop()
    assert "certificate" in problem.lower() or "ssl" in problem.lower()
    assert server.logins == [] and server.messages == []


@pytest.mark.parametrize(("reply", "word"), [("451 later", "451"), ("554 no", "554")])
def test_refusals_are_one_line(certificates, secret, reply, word):
    """I01."""
    file, context = certificates
    server = Server()
    server.reply = reply
    controller, port = start(server, context)
    try:
        problem = SmtpMailer(file).send(settings(port, secret), finished(), TO).complaint
    finally:
        controller.stop()
    assert word in problem and "\n" not in problem


def test_a_wrong_password_is_said_without_the_password(certificates, tmp_path):
    file, context = certificates
    wrong = tmp_path / "wrong"
    wrong.write_text("falsch-0815")
    wrong.chmod(0o600)
    server = Server()
    controller, port = start(server, context)
    try:
        problem = SmtpMailer(file).send(settings(port, wrong), finished(), TO).complaint
    finally:
        controller.stop()
    assert "refuses account or password" in problem
    assert "falsch" not in problem


def test_a_password_file_that_others_can_read_is_refused(secret):
    secret.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_secret(settings(1, secret))


def raw_server(behaviour):
    """A TCP server that misbehaves from the first byte."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                behaviour(connection)

    threading.Thread(target=serve, daemon=True).start()
    return listener, listener.getsockname()[1]


def drip(connection):
    for byte in b"220 " + b"x" * 600:
        connection.send(bytes([byte]))
        time.sleep(0.05)


@pytest.mark.parametrize("behaviour", [lambda c: time.sleep(30), drip], ids=["silent", "drips"])
def test_one_deadline_for_the_whole_conversation(secret, behaviour):
    """I02: a server that says nothing, or a byte at a time."""
    listener, port = raw_server(behaviour)
    begun = time.monotonic()
    problem = SmtpMailer(total_timeout_s=1.5).send(settings(port, secret), finished(), TO).complaint
    assert time.monotonic() - begun < 20.0, "both would go on for 30 s"
    assert "1.5 s" in problem
    listener.close()


def test_a_server_that_stalls_after_the_message(certificates, secret):
    """I02: DATA accepted, then silence."""
    file, context = certificates
    server = Server()
    server.stall_s = 4.0
    controller, port = start(server, context)
    try:
        assert "1 s" in SmtpMailer(file, total_timeout_s=1.0).send(settings(port, secret), finished(), TO).complaint
    finally:
        controller.stop()


def test_nobody_there_and_no_such_name(secret):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert SmtpMailer(total_timeout_s=5).send(settings(port, secret), finished(), TO).complaint
    assert (
        SmtpMailer(total_timeout_s=5)
        .send(settings(port, secret, server="no.such.host.invalid"), finished(), TO)
        .complaint
    )


# ---------------------------------------------------------------- outbox


class FakeMailer:
    """Says what it is told to say."""

    def __init__(self, *answers):
        self.answers, self.sent = list(answers), []

    def send(self, settings, content, recipients):
        answer = self.answers.pop(0) if self.answers else ""
        if not answer:
            self.sent.append(content)
        return Delivery(answer)


def pending(report_id: int, message_id: str, message: bytes, start=NOW, end=NOW) -> NewMail:
    return NewMail(
        report_id=report_id,
        message_id=message_id,
        message=message,
        state="pending",
        detail="",
        period=Period(start, end),
        recipients=TO,
    )


@pytest.fixture
def outbox(owner, database):
    from agents.adapters.database.engine import open_engine
    from tests.conftest import SERVICES

    engine = open_engine(SERVICES.database_url(database, "quorum_meta"))
    made = PostgresOutbox(engine)
    with owner.begin() as connection:
        for k in range(1, 30):
            connection.execute(
                text(
                    "INSERT INTO project_reports (generated_at, period_start, period_end, summary, recommendations, html, text)"
                    " VALUES (:t, :t, :e, '{}', '[]', '', '')"
                ),
                {"t": NOW + timedelta(hours=k), "e": NOW + timedelta(hours=k + 1)},
            )
    made.store_mail_settings(settings(25, "/nowhere"))
    yield made
    engine.dispose()


def states(owner):
    with owner.connect() as connection:
        return (
            connection.execute(
                text("SELECT report_id, state, attempts, detail, message IS NULL FROM outbox ORDER BY report_id")
            )
            .tuples()
            .all()
        )


def test_settings_come_back_as_they_were(outbox):
    wanted = settings(587, "/x", quiet_hours=("22:00", "07:00"), timezone="Europe/Berlin", mode="daily_digest")
    outbox.store_mail_settings(wanted)
    assert outbox.mail_settings() == wanted


def test_a_failed_delivery_is_tried_again_with_growing_pauses(outbox, owner):
    outbox.enqueue(pending(1, "<1@x>", b"one"), NOW)
    mailer = FakeMailer("451 later", "451 later", "451 later")
    at, tried = NOW, []
    for _ in range(60):
        if deliver(outbox, mailer, at):
            tried.append((at - NOW).total_seconds() / 60)
        at += timedelta(minutes=1)
    assert tried[:4] == [0, 1, 3, 7]
    assert mailer.sent == [b"one"]
    assert states(owner) == [(1, "sent", 4, "", True)]


def test_after_two_days_of_outage_one_mail_not_twenty_four(outbox, owner):
    """I08."""
    mailer = FakeMailer(*["refused"] * 1000)
    for k in range(24):
        at = NOW + timedelta(hours=2 * k)
        outbox.enqueue(pending(k + 1, f"<{k}@x>", f"report {k + 1}".encode()), at)
        deliver(outbox, mailer, at)
    mailer.answers.clear()
    deliver(outbox, mailer, NOW + timedelta(hours=50))
    assert mailer.sent == [b"report 24"]
    found = states(owner)
    assert [state for _, state, *_ in found] == ["skipped"] * 23 + ["sent"]
    assert found[0][3].startswith("covered by report")


def test_cut_after_the_final_dot_is_one_repeat_with_the_same_id(outbox, certificates, secret):
    """I04, A10: the server has the message, its answer is lost; the repeat can be recognised by its Message-ID."""
    file, context = certificates
    server = Server()
    server.cut = True
    running, port = start(server, context)
    try:
        outbox.store_mail_settings(settings(port, secret))
        outbox.enqueue(pending(1, "<1@x>", finished()), NOW)
        deliver(outbox, SmtpMailer(file, total_timeout_s=60), NOW)
        deliver(outbox, SmtpMailer(file, total_timeout_s=60), NOW + timedelta(minutes=1))
        deliver(outbox, SmtpMailer(file, total_timeout_s=60), NOW + timedelta(minutes=9))
    finally:
        running.stop()
    ids = [email.message_from_bytes(content)["Message-ID"] for _, _, content in server.messages]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_given_up_after_three_days(outbox, owner):
    outbox.enqueue(pending(1, "<1@x>", b"one"), NOW)
    deliver(outbox, FakeMailer("refused"), NOW + timedelta(days=4))
    assert states(owner)[0][:2] == (1, "failed")


def test_an_older_report_that_waits_for_its_retry_is_covered_by_a_newer_one(outbox, owner):
    outbox.enqueue(pending(1, "<1@x>", b"one"), NOW)
    deliver(outbox, FakeMailer("refused"), NOW)
    soon = NOW + timedelta(seconds=10)
    outbox.enqueue(pending(2, "<2@x>", b"two"), soon)
    deliver(outbox, FakeMailer(""), soon)
    assert [row[:2] for row in states(owner)] == [(1, "skipped"), (2, "sent")]
    assert deliver(outbox, FakeMailer(""), NOW + timedelta(days=1)) == [], "nothing older follows"


def test_the_same_report_is_queued_once(outbox, owner):
    for _ in range(3):
        outbox.enqueue(pending(1, "<1@x>", b"one"), NOW)
    assert len(states(owner)) == 1
    assert len(outbox.waiting()) == 1


def test_no_password_is_in_the_database(outbox, owner):
    with owner.connect() as connection:
        row = connection.execute(text("SELECT * FROM email_config")).one()
    assert PASSWORD not in str(row)
