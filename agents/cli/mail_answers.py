"""What is asked of who wants reports by mail: the questions, what an answer may be, and the settings they make."""

from __future__ import annotations

import math
import re
from argparse import Namespace
from collections.abc import Callable
from email.utils import parseaddr
from zoneinfo import ZoneInfo

from agents.core.errors import UsageError
from agents.core.meta_types import MailSettings

MODES = ("every_report", "only_if_changed", "daily_digest")
PORTS = {"starttls": 587, "tls": 465}
GMAIL = "smtp.gmail.com"
GMAILS_WAY = (
    "Gmail takes an App Password here, not that of your account: switch on 2-Step Verification, make one at"
    " https://myaccount.google.com/apppasswords, and enter its 16 letters."
)
DEFAULTS = {
    "server": GMAIL,
    "security": "starttls",
    "account": "",
    "mode": "every_report",
    "frequency_hours": "2",
    "quiet": "none",
    "timezone": "UTC",
}
Answers = dict[str, str]
"""Name of a question -> what was answered, as it was typed."""


def default_of(name: str, known: Answers) -> str:
    """What is proposed where nothing is known."""
    if name == "port":
        return str(PORTS[known["security"]])
    if name == "sender":
        return known["account"]
    return known["sender"] if name == "recipients" and "sender" in known else DEFAULTS.get(name, "")


def hint_for(server: str) -> str:
    """What a person has to know of this server's password; "" where nothing is known."""
    return f". {GMAILS_WAY}" if server == GMAIL else ""


def as_answers(now: MailSettings | None) -> Answers:
    """What is configured, as answers."""
    if now is None:
        return {}
    plain = {name: str(getattr(now, name)) for name in ("server", "security", "port", "account", "sender", "mode")}
    quiet = "-".join(now.quiet_hours) if now.quiet_hours else "none"
    hours = f"{now.frequency_s / 3600:g}"
    return plain | {
        "recipients": ",".join(now.recipients),
        "frequency_hours": hours,
        "quiet": quiet,
        "timezone": now.timezone,
    }


def given_by(options: Namespace) -> Answers:
    """What the flags say. Another way to secure the line means its usual port, where none is named."""
    given = {name: str(value) for name in QUESTIONS if (value := getattr(options, name)) is not None}
    if "security" in given and "port" not in given:
        given["port"] = str(PORTS[given["security"]])
    return given


def settings_of(answers: Answers, secret_file: str) -> MailSettings:
    """The settings that checked answers make; the password, where there is an account, is in `secret_file`."""
    start, _, end = answers["quiet"].partition("-")
    return MailSettings(
        server=answers["server"],
        port=int(answers["port"]),
        security=answers["security"],  # type: ignore[arg-type]  # checked
        account=answers["account"],
        sender=answers["sender"],
        secret_file=secret_file if answers["account"] else None,
        recipients=tuple(answers["recipients"].split(",")),
        mode=answers["mode"],  # type: ignore[arg-type]  # checked
        frequency_s=int(float(answers["frequency_hours"]) * 3600),
        quiet_hours=(start, end) if end else None,
        timezone=answers["timezone"],
    )


# ---------------------------------------------------------------- what an answer may be


def _server(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:-]+", value):
        raise UsageError(f"--server: '{value}' is no host name such as {GMAIL}")
    return value


def _security(value: str) -> str:
    if value not in PORTS:
        raise UsageError("--security must be starttls or tls")
    return value


def _port(value: str) -> str:
    if not value.isdigit() or not 1 <= int(value) <= 65535:
        raise UsageError("--port must be a number from 1 to 65535")
    return value


def _account(value: str) -> str:
    if any(ord(c) < 32 for c in value):
        raise UsageError("--account holds a character that no account has")
    return value


def _addresses(flag: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        addresses = [address.strip() for address in value.split(",") if address.strip()]
        for address in addresses or [""]:
            if "@" not in parseaddr(address)[1] or any(ord(c) < 32 for c in address):
                raise UsageError(f"{flag}: '{address}' is no mail address")
        return ",".join(addresses)

    return check


def _mode(value: str) -> str:
    if value not in MODES:
        raise UsageError(f"--mode must be one of {', '.join(MODES)}")
    return value


def _hours(value: str) -> str:
    try:
        hours = float(value)
    except ValueError:
        hours = math.nan
    if not 0 < hours < math.inf:
        raise UsageError("--frequency-hours must be positive")
    return value


def _quiet(value: str) -> str:
    if value in ("", "none"):
        return "none"
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", value):
        raise UsageError("--quiet: expected hours such as 22:00-07:00, or none")
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise UsageError(f"--timezone: '{value}' is not an IANA time zone such as Europe/Berlin") from None
    return value


CONNECTION = ("server", "security", "port", "account")
"""What the login needs: asked and tried first."""
QUESTIONS: dict[str, tuple[str, Callable[[str], str]]] = {
    "server": ("SMTP server", _server),
    "security": ("security: starttls or tls", _security),
    "port": ("port", _port),
    "account": ("account (its address at Gmail; empty: none)", _account),
    "sender": ("sender address", _addresses("--sender")),
    "recipients": ("recipients, with commas", _addresses("--recipients")),
    "mode": (f"mode: {', '.join(MODES)}", _mode),
    "frequency_hours": ("at most one mail in so many hours", _hours),
    "quiet": ("quiet hours, such as 22:00-07:00, or none", _quiet),
    "timezone": ("time zone of the quiet hours", _timezone),
}
"""Name -> what a person is asked, and what makes the answer fit or raises UsageError, naming the flag."""
