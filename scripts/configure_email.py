#!/usr/bin/env python3
"""Say where reports are mailed: asks, checks each answer at once, logs in, sends a test message, keeps the answers.

    scripts/configure_email.py                  asks; an answer that cannot be right is asked for again, the others stay
    scripts/configure_email.py --server smtp.example.org --port 587 --security starttls --account me --password-stdin \\
        --sender me@example.org --recipients me@example.org,partner@example.org --mode daily_digest --quiet 22:00-07:00

The password goes into a file that only you can read (mode 0600), never into the database, a log or the command line.
"""

from __future__ import annotations

import argparse
import getpass
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

try:
    from agents.cli.mail_answers import (
        CONNECTION,
        GMAIL,
        MODES,
        PORTS,
        QUESTIONS,
        Answers,
        as_answers,
        default_of,
        given_by,
        hint_for,
        settings_of,
    )
    from agents.core.errors import AgentsError, UsageError
except ImportError:  # not in the virtual environment yet
    if os.environ.get("QUORUM_REEXEC"):
        raise
    subprocess.run([ROOT / "scripts" / "setup_venv.sh", "requirements.lock"], check=True)
    python = str(ROOT / ".venv" / "bin" / "python")
    os.execve(python, [python, *sys.argv], {**os.environ, "QUORUM_REEXEC": "1"})


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
    made.add_argument("--server", help=f"default {GMAIL}")
    made.add_argument("--port", type=int)
    made.add_argument("--security", choices=tuple(PORTS))
    made.add_argument("--account", help="empty for a server that asks for none")
    made.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
    made.add_argument("--sender")
    made.add_argument("--recipients", help="addresses with commas between")
    made.add_argument("--mode", choices=MODES)
    made.add_argument("--frequency-hours", type=float, help="at most one mail in so many hours (default 2)")
    made.add_argument("--quiet", metavar="HH:MM-HH:MM", help="no mail in these hours; none: at any time")
    made.add_argument("--timezone", help="of the quiet hours (default UTC)")
    made.add_argument("--no-test", action="store_true", help="check the connection, send no message")
    made.add_argument("--no-check", action="store_true", help="keep the answers without talking to the server")
    made.add_argument("--show", action="store_true", help="show what is configured and end")
    return made


def lines_of(now: Any) -> list[str]:
    """What is configured, a line for each thing."""
    hours = "none" if now.quiet_hours is None else f"{'-'.join(now.quiet_hours)} {now.timezone}"
    return [
        f"server      {now.server}:{now.port}, {now.security}",
        f"account     {now.account or 'none'}",
        f"password    {f'in {now.secret_file}' if now.secret_file else 'none'}",
        f"sender      {now.sender}",
        f"recipients  {', '.join(now.recipients)}",
        f"when        {now.mode.replace('_', ' ')}, at most one mail in {now.frequency_s / 3600:g} h",
        f"quiet       {hours}",
    ]


def configure(options: argparse.Namespace) -> int:
    from agents.adapters.database.outbox import PostgresOutbox
    from agents.core.settings import load_settings, secrets_dir
    from agents.wiring.connections import connect

    settings = load_settings()
    connections = connect(settings, demo=False, say=lambda line: print("·", line, file=sys.stderr))
    with closing(connections):
        outbox = PostgresOutbox(connections.meta)
        now = outbox.mail_settings()
        if options.show:
            print("\n".join(lines_of(now)) if now is not None else "nothing is configured")
            return 0
        attempt = Attempt(options, secrets_dir(settings.state_dir) / "smtp_password")
        known = as_answers(now) | given_by(options)
        try:
            if options.server is None and sys.stdin.isatty():
                made = converse(attempt, known)
            else:
                made = attempt.of_flags(known)
            attempt.keep_password()
        finally:
            attempt.forget_password()
        outbox.store_mail_settings(made)
    sent = (
        "" if options.no_check or options.no_test else f"; a test message is on its way to {', '.join(made.recipients)}"
    )
    print(f"stored: {made.mode.replace('_', ' ')} through {made.server}:{made.port} as {made.sender}{sent}")
    return 0


class Attempt:
    """Settings that are being tried; a new password lies beside the one in use until they work."""

    def __init__(self, options: argparse.Namespace, secret: Path) -> None:
        from agents.adapters.mail.mailer import SmtpMailer

        self.options = options
        self._mailer = SmtpMailer()
        self._secret = secret
        self._tried = secret.with_suffix(".tried")

    def set_password(self, password: str) -> None:
        store_secret(self._tried, password)

    def keep_password(self) -> None:
        if self._tried.exists():
            self._tried.replace(self._secret)

    def forget_password(self) -> None:
        self._tried.unlink(missing_ok=True)

    def of_flags(self, known: Answers) -> Any:
        """What the flags say, checked; UsageError, naming the flag, for the first that cannot be right."""
        for name, (_, check) in QUESTIONS.items():
            known[name] = check(known.get(name, default_of(name, known)))
            if name == "account" and known["account"] and self.options.password_stdin:
                self.set_password(sys.stdin.readline().rstrip("\n"))
        made = self.settings(known)
        problem = self.problem(made, with_message=True)
        if problem:
            raise UsageError(f"{problem}. Nothing was stored; mend it or add --no-check{hint_for(made.server)}")
        return self.settings(known, final=True)

    def problem(self, made: Any, *, with_message: bool) -> str:
        """Why the server does not take our login, or the test message; "" where it does, or nobody wants to know."""
        if self.options.no_check:
            return ""
        print(f"· connecting to {made.server}:{made.port} ({made.security})", file=sys.stderr)
        if with_message and not self.options.no_test:
            return str(self._mailer.send(made, test_message(made), made.recipients).complaint)
        return self._mailer.check(made)

    def settings(self, answers: Answers, *, final: bool = False) -> Any:
        secret = self._tried if self._tried.exists() and not final else self._secret
        return settings_of(answers, str(secret))


def converse(attempt: Attempt, known: Answers) -> Any:
    """Ask until the server lets us in, then for the rest until the test message leaves; what was answered stays."""
    letters = [name for name in QUESTIONS if name not in CONNECTION]
    made = None
    while made is None:
        for name in CONNECTION:
            known[name] = ask(name, known)
        if known["account"]:
            print(hint_for(known["server"]).strip() or "Its password is kept in a file that only you can read.")
            password = getpass.getpass("password (not shown; empty keeps the stored one): ")
            if password:
                attempt.set_password(password)
        rest = {name: known.get(name, default_of(name, known)) for name in letters}
        made = tried(attempt, {**known, **rest}, with_message=False)
    while True:
        for name in letters:
            known[name] = ask(name, known)
        if tried(attempt, known, with_message=True) is not None:
            return attempt.settings(known, final=True)


def tried(attempt: Attempt, answers: Answers, *, with_message: bool) -> Any:
    """The settings where they work; else None, and it is said why."""
    made = attempt.settings(answers)
    problem = attempt.problem(made, with_message=with_message)
    if problem:
        print(f"{problem}. Your answers are kept: press Enter where one is right.")
        return None
    return made


def ask(name: str, known: Answers) -> str:
    """A person's answer, once it can be right."""
    question, check = QUESTIONS[name]
    while True:
        fallback = known.get(name, default_of(name, known))
        try:
            return check(input(f"{question} [{fallback}]: ").strip() or fallback)
        except UsageError as error:
            print(f"  {error}")


# ---------------------------------------------------------------- the password and the test message


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
