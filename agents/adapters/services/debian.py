"""Server binaries without root: Debian's signed packages, unpacked into a private prefix.

apt runs under a configuration of its own (no system state is read but proxies and keyrings, none is written) and
verifies signatures and hashes; `dpkg-deb` unpacks; patchelf points the few programs at the prefix's own loader and
libraries, so that the machine's own C library does not matter. A fetched prefix needs no network any more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agents.core.errors import ServiceError
from agents.core.settings import child_environment

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = ("postgresql-17", "postgresql-17-timescaledb", "postgresql-client-17", "redis-server")
PROGRAMS = (
    "postgres",
    "initdb",
    "pg_ctl",
    "psql",
    "pg_dump",
    "pg_restore",
    "redis-server",
    "redis-check-rdb",
)
NOT_NEEDED = (
    "adduser",
    "debconf",
    "init-system-helpers",
    "libllvm19",
    "libpam-modules",
    "libpam-modules-bin",
    "libpam-runtime",
    "locales",
    "login.defs",
    "lsb-base",
    "netbase",
    "openssl",
    "passwd",
    "perl",
    "postgresql-client-common",
    "postgresql-common",
    "procps",
    "sensible-utils",
    "ssl-cert",
    "sysvinit-utils",
    "tzdata",
    "ucf",
    "python3",
)
"""Packages that only Debian's own set-up scripts need: apt is told that they are there (JIT is switched off)."""
DOWNLOAD_TIMEOUT_S = 1800
WAYS_OUT = (
    "set DATABASE_URL and REDIS_URL to servers of your own (PostgreSQL with the timescaledb extension, for example"
    " the docker image timescale/timescaledb), or install postgresql-17-timescaledb and redis-server"
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianSource:
    """An archive and the keyring that must have signed it."""

    mirror: str = "http://deb.debian.org/debian"
    suite: str = "trixie"
    keyring: Path = KEYRING


def fetch_prefix(prefix: Path, workspace: Path, say: Say, source: DebianSource | None = None) -> Path:
    """Make `prefix` hold the servers; returns it. Does nothing where it is complete.

    Interrupted downloads resume from `workspace`; the prefix appears in one rename, never half. ServiceError where
    this machine cannot do it, the archive cannot be reached, or its signature is missing or wrong.
    """
    if prefix.is_dir():
        return prefix
    _require_tools()
    workspace.mkdir(parents=True, exist_ok=True)
    source = source or DebianSource(keyring=_find_keyring(workspace))
    archives = _download(workspace, source, say)
    say(f"unpacking {len(archives)} packages")
    fresh = prefix.with_name(prefix.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for archive in archives:
        _run(["dpkg-deb", "--extract", str(archive), str(fresh)], f"cannot unpack {archive.name}")
    _repoint(fresh, prefix)
    fresh.rename(prefix)
    shutil.rmtree(workspace, ignore_errors=True)
    return prefix


def _require_tools() -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ServiceError(f"{tool} was not found, so Debian's packages cannot be fetched here; {WAYS_OUT}")


def _find_keyring(workspace: Path) -> Path:
    """Debian's keyring of this machine; on Ubuntu the package debian-archive-keyring, which Ubuntu signs."""
    if KEYRING.exists():
        return KEYRING
    root = workspace / "keyring"
    found = root / KEYRING.relative_to("/")
    if not found.exists():
        root.mkdir(parents=True, exist_ok=True)
        hint = "no Debian archive keyring on this machine; run 'apt install debian-archive-keyring' or " + WAYS_OUT
        _run(["apt-get", "download", "debian-archive-keyring"], hint, cwd=root)
        for archive in root.glob("debian-archive-keyring_*.deb"):
            _run(["dpkg-deb", "--extract", str(archive), str(root)], hint)
    return found


def _download(workspace: Path, source: DebianSource, say: Say) -> list[Path]:
    environment = child_environment(APT_CONFIG=str(_write_apt_configuration(workspace, source)), LC_ALL="C")
    failed = f"Debian's archive {source.mirror} ({source.suite}) cannot be used"
    say("reading Debian's package index")
    _run(["apt-get", "update", "--error-on=any"], failed, environment=environment)
    say("fetching PostgreSQL 17, TimescaleDB and Redis (about 45 MB)")
    _run(
        ["apt-get", "install", "--download-only", "--yes", "--no-install-recommends", *PACKAGES],
        failed,
        environment=environment,
    )
    return sorted((workspace / "cache" / "archives").glob("*.deb"))


def _write_apt_configuration(workspace: Path, source: DebianSource) -> Path:
    for folder in ("state/lists/partial", "cache/archives/partial", "etc", "log"):
        (workspace / folder).mkdir(parents=True, exist_ok=True)
    architecture = _run(["dpkg", "--print-architecture"], "dpkg does not work").strip()
    status = "".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: 999:0\nArchitecture: {architecture}\n"
        f"Multi-Arch: allowed\nMaintainer: none\nDescription: not needed here\n\n"
        for name in NOT_NEEDED
    )
    (workspace / "state" / "status").write_text(status)
    (workspace / "etc" / "sources.list").write_text(
        f"deb [signed-by={source.keyring} arch={architecture}] {source.mirror} {source.suite} main\n"
    )
    kept = [line for line in _run(["apt-config", "dump"], "apt does not work").splitlines() if _is_transport(line)]
    lines = [
        f'Dir "{workspace}/";',
        f'Dir::State "{workspace}/state";',
        f'Dir::State::Lists "{workspace}/state/lists";',
        f'Dir::State::status "{workspace}/state/status";',
        f'Dir::Cache "{workspace}/cache";',
        f'Dir::Log "{workspace}/log";',
        f'Dir::Etc "{workspace}/etc";',
        f'Dir::Etc::SourceList "{workspace}/etc/sources.list";',
        *(f'Dir::Etc::{part} "{workspace}/etc/none";' for part in _PRIVATE_PARTS),
        f'APT::Architecture "{architecture}";',
        f'APT::Architectures {{ "{architecture}"; }};',
        f'APT::Sandbox::User "{"root" if os.geteuid() == 0 else ""}";',
        'APT::Get::AllowUnauthenticated "false";',
        'APT::Install-Recommends "false";',
        'Acquire::AllowInsecureRepositories "false";',
        'Acquire::AllowWeakRepositories "false";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        *kept,
    ]
    file = workspace / "etc" / "apt.conf"
    file.write_text("\n".join(lines) + "\n")
    return file


_PRIVATE_PARTS = (
    "SourceParts",
    "Main",
    "Parts",
    "Preferences",
    "PreferencesParts",
    "Trusted",
    "TrustedParts",
    "netrc",
    "netrcparts",
)


def _is_transport(line: str) -> bool:
    return line.startswith(("Acquire::http", "Acquire::https", "Acquire::ftp")) and '""' not in line


def _repoint(root: Path, final: Path) -> None:
    """Give the programs the loader and libraries of the prefix; DT_RPATH, since it also serves what they load."""
    patchelf = Path(sys.executable).parent / "patchelf"
    loaders = sorted(p for p in root.rglob("ld-linux*.so.*") if p.is_file())
    if not loaders:
        raise ServiceError(f"the fetched packages hold no loader for this machine; {WAYS_OUT}")
    folders = {p.parent for p in root.rglob("*.so*") if "lib" in p.parts and "postgresql" not in p.parts}
    rpath = ":".join(sorted(str(final / folder.relative_to(root)) for folder in folders))
    loader = final / loaders[0].relative_to(root)
    for program in (p for p in root.rglob("bin/*") if p.name in PROGRAMS and p.is_file() and not p.is_symlink()):
        if program.read_bytes()[:4] == b"\x7fELF":
            command = [str(patchelf), "--set-interpreter", str(loader), "--force-rpath", "--set-rpath", rpath]
            _run([*command, str(program)], f"cannot adapt {program.name}")


def _run(command: list[str], failed: str, *, environment: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    result = subprocess.run(
        command,
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=DOWNLOAD_TIMEOUT_S,
    )
    if result.returncode != 0:
        said = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith(("E:", "Err:", "W:"))] or said[-1:]
        raise ServiceError(f"{failed}: {' '.join(errors)[:600]}")
    return result.stdout
