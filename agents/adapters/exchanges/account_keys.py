"""The key of an account at an exchange: from systemd's credentials, a file that only its owner reads, or the
environment; never from the database, the settings or a command line."""

from __future__ import annotations

import hashlib
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agents.core.errors import SettingsError

NAMES = ("key", "secret", "password")


@dataclass(frozen=True, slots=True)
class AccountKey:
    """`password` is what some exchanges ask for beside the two. Its words never show it."""

    key: str = field(repr=False)
    secret: str = field(repr=False)
    password: str = field(default="", repr=False)

    @property
    def fingerprint(self) -> str:
        """Tells one key from another and says nothing else of it."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


def key_of(exchange: str, folder: Path, credentials: Path | None, environment: Mapping[str, str]) -> AccountKey:
    """The account's key: of systemd's `credentials` folder, else of the file `folder`/<exchange>_key.toml, else of
    `environment` (key, secret and password by these names). SettingsError, which shows nothing of it, where there is
    none, or where others may read the file."""
    name = f"{exchange}_key.toml"
    if credentials is not None and (credentials / name).exists():
        return _parsed(credentials / name)
    file = folder / name
    if file.exists():
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077 or file.stat().st_uid not in (os.geteuid(), 0):
            raise SettingsError(f"{file} may be read by others (mode {mode:o}); run: chmod 600 {file}")
        return _parsed(file)
    if environment.get("key") and environment.get("secret"):
        return AccountKey(environment["key"], environment["secret"], environment.get("password", ""))
    raise SettingsError(
        f"orders at {exchange} need a key: write it into {file} (mode 600: key = '...', secret = '...'), give systemd a"
        f" credential {name}, or set EXCHANGE_API_KEY and EXCHANGE_API_SECRET"
    )


def _parsed(file: Path) -> AccountKey:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise SettingsError(f"{file} cannot be read as TOML: key = '...' and secret = '...', each on a line") from None
    unknown = sorted(set(values) - set(NAMES))
    if unknown or not all(isinstance(values.get(name), str) and values[name] for name in NAMES[:2]):
        raise SettingsError(f"{file} must hold key = '...' and secret = '...' (some exchanges: password), nothing else")
    return AccountKey(**values)
