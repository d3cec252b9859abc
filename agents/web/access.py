"""Who may look: a token in a file that only its owner reads, and a cookie that shows that somebody had it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from agents.core.clock import Clock
from agents.core.errors import SettingsError

TOKEN_FILE = "web_token"  # noqa: S105 - the name of the file
TOKEN_BYTES = 32
COOKIE = "quorum_web"
LASTS_S = 30 * 86400
"""A login lasts so long, or until the token's file is removed and the dashboard started again."""
ANSWER_CHARACTERS = 300
"""Longer than any token, short enough to compare."""


@dataclass(frozen=True, slots=True)
class Access:
    """The token, which no log, error or page shows, and the clock that logins run out by."""

    token: str = field(repr=False)
    clock: Clock

    def opens(self, answer: str) -> bool:
        """Whether this is the token; takes the same time whatever it is."""
        given = answer.strip()[:ANSWER_CHARACTERS].encode()
        return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(self.token.encode()).digest())

    def cookie(self) -> str:
        """A cookie that `knows` accepts for `LASTS_S`; it does not hold the token."""
        until = str(int(self.clock.now().timestamp()) + LASTS_S)
        return f"{until}.{self._mark(until)}"

    def knows(self, cookie: str) -> bool:
        """Whether a cookie is one of ours that has not run out."""
        until, _, mark = cookie.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < len("1" * 12)):
            return False
        genuine = hmac.compare_digest(mark.encode(), self._mark(until).encode())
        return genuine and int(until) > self.clock.now().timestamp()

    def _mark(self, until: str) -> str:
        return hmac.new(self.token.encode(), f"session {until}".encode(), hashlib.sha256).hexdigest()


def token_in(folder: Path) -> tuple[str, Path]:
    """The token of the file in `folder`, which is made at the first start, and the file. SettingsError where the file
    cannot be made, is empty, or may be read by others."""
    file = folder / TOKEN_FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _kept(file), file
    except OSError as error:
        raise SettingsError(f"the dashboard's token cannot be kept in {file}: {error.strerror}") from None
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with os.fdopen(made, "w") as stream:
        stream.write(token + "\n")
    return token, file


def _kept(file: Path) -> str:
    try:
        found, token = file.stat(), file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the dashboard's token in {file} cannot be read ({error}); remove it for a new one"
        ) from None
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 or found.st_uid not in (os.geteuid(), 0):
        raise SettingsError(
            f"{file} may be read by others (mode {mode:o}); remove it, and the next start makes a new one"
        )
    if len(token) < TOKEN_BYTES:
        raise SettingsError(f"{file} holds no token of {TOKEN_BYTES} characters; remove it for a new one")
    return token
