"""`quorum report`: the report that would be mailed, on the screen, in a file or browser, or to the recipients now."""

from __future__ import annotations

import tempfile
import webbrowser
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agents.adapters.database.reader import DeskReader
from agents.adapters.mail.mailer import SmtpMailer
from agents.cli.screen import Screen
from agents.core.errors import AgentsError, UsageError
from agents.core.meta_types import Report
from agents.core.settings import load_settings
from agents.reports.mail_message import message
from agents.reports.report import standalone_html
from agents.wiring.meta import MetaPlane, meta_plane

NOWHERE = "quorum@localhost.invalid", ("you@localhost.invalid",)
"""Sender and recipients in a file, where no mail server is configured."""


def report(options: Namespace, screen: Screen) -> int:
    """Compose one; show it, write it, or mail it. Nothing is recorded."""
    if options.out is not None and options.out.suffix not in (".html", ".eml"):
        raise UsageError(f"--out {options.out}: the name must end in .html or .eml")
    with meta_plane(load_settings(options.settings), demo=options.demo, say=screen.say) as plane:
        end = _end_of_demo(plane) if options.demo else plane.desk_time()
        screen.say("drawing")
        # Looked at now, since the meta daemon may be the one that is dead.
        wrong = None if options.demo else plane.wrong_at(plane.clock.now())
        composed, summary, _ = plane.report(end, _start(options, plane, end), keep=False, wrong=wrong)
        if options.send_test:
            _send_test(plane, composed, screen)
        elif options.out is None and not options.open:
            screen.result(
                {"subject": composed.subject, "summary": summary.as_plain(), "text": composed.text}, composed.text
            )
        else:
            path = options.out or Path(tempfile.mkdtemp(prefix="quorum-report-")) / "report.html"
            _write(path, plane, composed)
            opened = options.open and webbrowser.open(path.resolve().as_uri())
            line = f"{'opened' if opened else 'wrote'} {path}: {composed.subject}"
            screen.result({"file": str(path), "subject": composed.subject}, line)
    return 0


def _start(options: Namespace, plane: MetaPlane, end: datetime) -> datetime | None:
    """From when the report goes; None means since the last report."""
    if options.days:
        return end - timedelta(days=options.days)
    return end - timedelta(days=plane.settings.meta.demo_every_days) if options.demo else None


def _end_of_demo(plane: MetaPlane) -> datetime:
    newest = DeskReader(plane.engine).rows("SELECT max(time) AS newest FROM decisions")[0]["newest"]
    if not isinstance(newest, datetime):
        raise UsageError("the demo has not run yet; run: quorum demo")
    return newest.astimezone(UTC)


def _write(path: Path, plane: MetaPlane, composed: Report) -> None:
    """The page, or the very message that would be mailed, by the file's name."""
    try:
        if path.suffix == ".html":
            path.write_text(standalone_html(composed), encoding="utf-8")
            return
        mail = plane.outbox.mail_settings()
        sender, recipients = (mail.sender, mail.recipients) if mail else NOWHERE
        desk = plane.settings.desk.name
        path.write_bytes(message(composed, desk=desk, sender=sender, recipients=recipients).as_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror})") from None


def _send_test(plane: MetaPlane, composed: Report, screen: Screen) -> None:
    mail = plane.outbox.mail_settings()
    if mail is None:
        raise UsageError("no mail server is configured; run scripts/configure_email.py")
    finished = message(composed, desk=plane.settings.desk.name, sender=mail.sender, recipients=mail.recipients)
    screen.say(f"sending to {', '.join(mail.recipients)} through {mail.server}")
    problem = SmtpMailer().send(mail, finished.as_bytes(), mail.recipients).complaint
    if problem:
        raise AgentsError(f"the test report was not sent: {problem}")
    screen.result({"sent": True, "recipients": mail.recipients}, f"sent: {composed.subject}")
