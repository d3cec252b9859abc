"""The server programs: those that are installed on this machine, else Debian's in a private prefix."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from agents.adapters.services.debian import fetch_prefix
from agents.adapters.services.folder import Say
from agents.core.errors import ServiceError
from agents.core.settings import cache_dir


@dataclass(frozen=True, slots=True)
class Programs:
    """Folders of the server programs and where they came from."""

    postgres: Path
    redis: Path
    origin: str


def find_programs(prefix: Path, say: Say) -> Programs:
    """The installed programs where there are some that fit; else those in `prefix`, which is fetched where it is
    missing. ServiceError where that is impossible."""
    installed = find_installed()
    if installed is not None:
        return installed
    fetch_prefix(prefix, package_cache(), say)
    postgres = next(iter(sorted(prefix.glob("usr/lib/postgresql/*/bin"), reverse=True)), None)
    if postgres is None:
        raise ServiceError(f"{prefix} holds no PostgreSQL; remove that folder and try again")
    return Programs(postgres, prefix / "usr" / "bin", "Debian packages in a private prefix")


def find_installed() -> Programs | None:
    """A PostgreSQL of this machine that has timescaledb, with a redis-server; None where either is missing."""
    server = shutil.which("redis-server")
    candidates = [Path(p) for p in ("/usr/lib/postgresql", "/usr/pgsql") if Path(p).is_dir()]
    for binaries in sorted((b for c in candidates for b in c.glob("*/bin")), key=_major, reverse=True):
        control = Path("/usr/share/postgresql") / binaries.parent.name / "extension" / "timescaledb.control"
        if control.exists() and (binaries / "initdb").exists() and server is not None:
            return Programs(binaries, Path(server).parent, "installed on this machine")
    return None


def package_cache() -> Path:
    """Where this user's state folders share fetched packages."""
    return cache_dir() / "debian"


def _major(binaries: Path) -> int:
    name = binaries.parent.name
    return int(name) if name.isdigit() else 0
