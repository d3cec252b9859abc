"""`quorum failed`: what systemd runs where a unit of ours has given up (OnFailure=)."""

from __future__ import annotations

import re
import socket
import subprocess
from argparse import Namespace
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from pathlib import Path

from agents.adapters.database.outbox import PostgresOutbox
from agents.adapters.mail.mailer import SmtpMailer
from agents.cli.options import DESK_NAME, desk_settings
from agents.cli.screen import Screen
from agents.core.clock import SystemClock
from agents.core.errors import AgentsError, UsageError
from agents.core.log import mask_secrets
from agents.core.meta_types import MailSettings
from agents.core.settings import child_environment, load_settings
from agents.wiring.connections import connect_to_read

LINES_SHOWN = 30
JOURNAL_TIMEOUT_S = 20.0


def failed(options: Namespace, screen: Screen) -> int:
    """Say it in the journal, with the unit's last lines in a mail. The database may be what has failed: then the line
    is all there is."""
    if not options.unit.isprintable():
        raise UsageError("the name of a unit has no control characters")
    said = f"{options.unit} has failed on {socket.gethostname()} and will not be started again by itself"
    screen.say(said)
    settings = load_settings(options.settings or _settings_of(options.unit))
    connections = connect_to_read(settings, demo=False, say=screen.say)
    try:
        mail = PostgresOutbox(connections.meta).mail_settings()
    finally:
        connections.close()
    if mail is None:
        screen.result({"unit": options.unit, "mailed": False}, "no mail server is configured")
        return 0
    message = _message(mail, settings.desk.name, said, _last_lines(options.unit))
    problem = SmtpMailer().send(mail, message, mail.recipients).complaint
    if problem:
        raise AgentsError(f"the mail about {options.unit} was not sent: {problem}")
    screen.result({"unit": options.unit, "mailed": True}, f"mailed to {', '.join(mail.recipients)}")
    return 0


def _settings_of(unit: str) -> Path | None:
    """The settings file of the desk that a unit such as quorum-trading@btc.service is of."""
    desk = re.fullmatch(rf"quorum-[a-z]+@({DESK_NAME})(\.service)*", unit)
    return desk_settings(desk[1]) if desk else None


def _message(mail: MailSettings, desk: str, said: str, lines: str) -> bytes:
    made = EmailMessage(policy=SMTP)
    made["Subject"] = f"[{desk}] Look now: {said}"[:150]
    made["From"], made["To"] = mail.sender, ", ".join(mail.recipients)
    made["Date"] = format_datetime(SystemClock().now())
    made["Message-ID"] = make_msgid(domain="quorum.invalid")
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(f"{said}.\n\nIts last lines:\n\n{lines}\n\nStart it again with systemctl when that is mended.\n")
    return made.as_bytes()


def _last_lines(unit: str) -> str:
    """Of the journal, without secrets; a word where there is no journal."""
    command = ["journalctl", "--no-pager", "--lines", str(LINES_SHOWN), "--output", "short-iso"]
    command += [f"_SYSTEMD_UNIT={unit}", "+", f"_SYSTEMD_USER_UNIT={unit}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=JOURNAL_TIMEOUT_S, env=child_environment(), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "(the journal cannot be read)"
    return mask_secrets(done.stdout.strip()) or "(the journal has none)"
