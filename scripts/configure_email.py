#!/usr/bin/env python3
"""Say where reports are mailed: asks, checks the connection, sends a test message, and keeps the answers.

    scripts/configure_email.py
    scripts/configure_email.py --server smtp.example.org --port 587 --security starttls --account me --password-stdin \\
        --sender me@example.org --recipients me@example.org,partner@example.org --mode daily_digest --quiet 22:00-07:00

The password goes into a file that only you can read (mode 0600), never into the database, a log or the command line.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import subprocess
import sys
from contextlib import closing
from email.utils import parseaddr
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

try:
    from agents.core.errors import AgentsError, UsageError
except ImportError:  # not in the virtual environment yet
    if os.environ.get("QUORUM_REEXEC"):
        raise
    subprocess.run([ROOT / "scripts" / "setup_venv.sh", "requirements.lock"], check=True)
    python = str(ROOT / ".venv" / "bin" / "python")
    os.execve(python, [python, *sys.argv], {**os.environ, "QUORUM_REEXEC": "1"})

MODES = ("every_report", "only_if_changed", "daily_digest")
PORTS = {"starttls": 587, "tls": 465}


def main() -> int:
    options = parser().parse_args()
    os.environ.pop("QUORUM_REEXEC", None)
    try:
        return configure(options)
    except AgentsError as error:
        print(f"quorum: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, EOFError):
        print("\nquorum: nothing was changed", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--server")
    made.add_argument("--port", type=int)
    made.add_argument("--security", choices=tuple(PORTS))
    made.add_argument("--account", help="empty for a server that asks for none")
    made.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    made.add_argument("--sender")
    made.add_argument("--recipients", help="addresses with commas between")
    made.add_argument("--mode", choices=MODES)
    made.add_argument("--frequency-hours", type=float, help="at most one mail in so many hours (default 2)")
    made.add_argument("--quiet", metavar="HH:MM-HH:MM", help="no mail in these hours")
    made.add_argument("--timezone", help="of the quiet hours (default UTC)")
    made.add_argument("--no-test", action="store_true", help="check the connection, send no message")
    made.add_argument("--no-check", action="store_true", help="keep the answers without talking to the server")
    made.add_argument("--show", action="store_true", help="show what is configured and end")
    return made


def configure(options: argparse.Namespace) -> int:
    from agents.adapters.database.outbox import PostgresOutbox
    from agents.adapters.mail.mailer import SmtpMailer
    from agents.core.settings import load_settings, secrets_dir
    from agents.wiring.connections import connect

    settings = load_settings()
    connections = connect(settings, demo=False, say=lambda line: print("·", line, file=sys.stderr))
    with closing(connections):
        outbox = PostgresOutbox(connections.meta)
        now = outbox.mail_settings()
        if options.show:
            print(now if now is not None else "nothing is configured")
            return 0
        asked = options.server is None and sys.stdin.isatty()
        wanted, password = gather(options, now, ask=asked)
        folder = secrets_dir(settings.state_dir)
        path = folder / "smtp_password"
        made = mail_settings(wanted, path if wanted["account"] else None)
        if password is not None:
            store_secret(path, password)
        mailer = SmtpMailer()
        if not options.no_check:
            print(f"· connecting to {made.server}:{made.port} ({made.security})", file=sys.stderr)
            problem = (
                mailer.check(made)
                if options.no_test
                else mailer.send(made, test_message(made), made.recipients).complaint
            )
            if problem:
                raise UsageError(f"{problem}. Nothing was stored; mend it or add --no-check")
        outbox.store_mail_settings(made)
    sent = (
        "" if options.no_check or options.no_test else f"; a test message is on its way to {', '.join(made.recipients)}"
    )
    print(f"stored: {made.mode.replace('_', ' ')} through {made.server}:{made.port} as {made.sender}{sent}")
    return 0


def gather(options: argparse.Namespace, now: Any, *, ask: bool) -> tuple[dict[str, Any], str | None]:
    """The answers, from flags, from the person, or as they were; and the password, None to keep the stored one."""

    def answer(name: str, question: str, default: Any) -> str:
        given = getattr(options, name)
        known = getattr(now, name, None)
        fallback = ",".join(known) if isinstance(known, tuple) else known
        fallback = default if fallback is None else fallback
        if given is not None or not ask:
            return str(given if given is not None else fallback)
        return input(f"{question} [{fallback}]: ").strip() or str(fallback)

    wanted: dict[str, Any] = {"server": answer("server", "SMTP server", "")}
    wanted["security"] = answer("security", "security: starttls or tls", "starttls")
    wanted["port"] = answer("port", "port", PORTS.get(wanted["security"], 587))
    wanted["account"] = answer("account", "account (empty: none)", "")
    password = None
    if wanted["account"]:
        if options.password_stdin:
            password = sys.stdin.readline().rstrip("\n")
        elif ask:
            password = getpass.getpass("password (not shown; empty keeps the stored one): ") or None
    wanted["sender"] = answer("sender", "sender address", wanted["account"])
    wanted["recipients"] = answer("recipients", "recipients, with commas", wanted["sender"])
    wanted["mode"] = answer("mode", f"mode: {', '.join(MODES)}", "every_report")
    hours = options.frequency_hours if options.frequency_hours is not None else (now.frequency_s / 3600 if now else 2.0)
    wanted["frequency_hours"] = (
        float(input(f"at most one mail in so many hours [{hours:g}]: ").strip() or hours) if ask else hours
    )
    known = "-".join(now.quiet_hours) if now is not None and now.quiet_hours else ""
    quiet = options.quiet
    if quiet is None and ask:
        quiet = input(f"quiet hours, such as 22:00-07:00 [{known or 'none'}]: ").strip()
    wanted["quiet"] = known if quiet is None or (ask and not quiet) else quiet
    wanted["timezone"] = answer("timezone", "time zone of the quiet hours", "UTC")
    return wanted, password


def mail_settings(wanted: dict[str, Any], secret: Path | None) -> Any:
    """MailSettings; UsageError, naming the flag, for anything that cannot be right."""
    from zoneinfo import ZoneInfo

    from agents.core.meta_types import MailSettings

    if not re.fullmatch(r"[A-Za-z0-9.:-]+", wanted["server"]):
        raise UsageError("--server: expected a host name such as smtp.example.org")
    if wanted["security"] not in PORTS or not str(wanted["port"]).isdigit() or not 1 <= int(wanted["port"]) <= 65535:
        raise UsageError("--security must be starttls or tls, --port a number from 1 to 65535")
    recipients = tuple(a.strip() for a in wanted["recipients"].split(",") if a.strip())
    for flag, addresses in (("--sender", (wanted["sender"],)), ("--recipients", recipients)):
        for address in addresses or ("",):
            if "@" not in parseaddr(address)[1] or any(ord(c) < 32 for c in address):
                raise UsageError(f"{flag}: '{address}' is no mail address")
    if wanted["mode"] not in MODES:
        raise UsageError(f"--mode must be one of {', '.join(MODES)}")
    if wanted["quiet"] and not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", wanted["quiet"]):
        raise UsageError("--quiet: expected hours such as 22:00-07:00")
    try:
        ZoneInfo(wanted["timezone"])
    except (KeyError, ValueError, OSError):
        raise UsageError(f"--timezone: '{wanted['timezone']}' is not an IANA time zone such as Europe/Berlin") from None
    if not wanted["frequency_hours"] > 0:
        raise UsageError("--frequency-hours must be positive")
    start, _, end = wanted["quiet"].partition("-")
    return MailSettings(
        server=wanted["server"],
        port=int(wanted["port"]),
        security=wanted["security"],
        account=wanted["account"],
        sender=wanted["sender"],
        secret_file=str(secret) if secret else None,
        recipients=recipients,
        mode=wanted["mode"],
        frequency_s=int(wanted["frequency_hours"] * 3600),
        quiet_hours=(start, end) if wanted["quiet"] else None,
        timezone=wanted["timezone"],
    )


def store_secret(path: Path, password: str) -> None:
    """Written beside and moved into place, never readable by others."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(password + "\n")
    beside.replace(path)


def test_message(settings: Any) -> bytes:
    from email.message import EmailMessage
    from email.policy import SMTP
    from email.utils import make_msgid

    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = "Quorum can reach you"
    mail["From"], mail["To"] = settings.sender, ", ".join(settings.recipients)
    mail["Message-ID"] = make_msgid(domain="quorum.invalid")
    mail.set_content("This is the test message that you asked for. Reports will come from this address.\n")
    return mail.as_bytes()


if __name__ == "__main__":
    sys.exit(main())
