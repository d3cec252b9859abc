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


def file_name(exchange: str, mode: str) -> str:
    """Of a key's file, or of systemd's credential: keys of a test net and of real money never stand in each other's
    place."""
    return f"{exchange}_sandbox_key.toml" if mode == "sandbox" else f"{exchange}_key.toml"


def key_of(name: str, folder: Path, credentials: Path | None, environment: Mapping[str, str]) -> AccountKey:
    """The account's key, by `name` of its file: of systemd's `credentials` folder, else of the file in `folder`, else
    of `environment` (key, secret and password by these names). SettingsError, which shows nothing of it, where there is
    none, or where others may read the file."""
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
    raise SettingsError(f"orders need a key, and {file} is not there; {ways_to_give(name, file)}")


def ways_to_give(name: str, file: Path) -> str:
    """What a person does who has a key."""
    return (
        f"quorum connect EXCHANGE --trade asks for it at a terminal; or write {file} (mode 600: key = '...',"
        f" secret = '...'), give systemd a credential {name} of these lines, or set EXCHANGE_API_KEY and"
        " EXCHANGE_API_SECRET"
    )


def is_sayable(text: str) -> bool:
    """Whether this can be a part of a key: requests carry it in a header, a line of its own in a file."""
    return bool(text) and text.isascii() and text.isprintable() and not set(text) & set(" '\"\\")


def write_key(file: Path, key: AccountKey) -> None:
    """Keep it in a file that only this user reads, from its first byte on; the folder is made where it is missing.
    SettingsError where it cannot be written; then what was there is there still."""
    lines = [f"{name} = '{getattr(key, name)}'\n" for name in NAMES if getattr(key, name)]
    fresh = file.with_name(file.name + ".new")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
            stream.writelines(lines)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise SettingsError(f"{file} cannot be written: {error.strerror}; the key is not kept") from None


def _parsed(file: Path) -> AccountKey:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise SettingsError(f"{file} cannot be read as TOML: key = '...' and secret = '...', each on a line") from None
    unknown = sorted(set(values) - set(NAMES))
    if unknown or not all(isinstance(values.get(name), str) and values[name] for name in NAMES[:2]):
        raise SettingsError(f"{file} must hold key = '...' and secret = '...' (some exchanges: password), nothing else")
    return AccountKey(**values)
