"""Debian's signed packages without root: apt under a configuration of its own, and a cache that state folders share.

Of the machine's apt only proxies, keyrings and the address of no index are read, and nothing is written. apt checks the
signature of the index; the index holds the SHA-256 of each package, and no package is used that has another one,
whether it was fetched now or months ago.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agents.adapters.services.folder import Say
from agents.core.errors import ServiceError
from agents.core.settings import child_environment

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PACKAGES = ("postgresql-17", "postgresql-17-timescaledb", "postgresql-client-17", "redis-server")
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
TOOL_TIMEOUT_S = 1800
WAYS_OUT = (
    "set DATABASE_URL and REDIS_URL to servers of your own (PostgreSQL with the timescaledb extension, for example"
    " the docker image timescale/timescaledb), or install postgresql-17-timescaledb and redis-server"
)
_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianSource:
    """An archive and the keyring that must have signed it."""

    mirror: str = "http://deb.debian.org/debian"
    suite: str = "trixie"
    keyring: Path = KEYRING


def fetch_packages(cache: Path, say: Say, source: DebianSource | None = None) -> list[Path]:
    """The servers' packages and all they need, in `cache`; only what it lacks is downloaded.

    The next call resumes an interrupted download. What is no longer current, or not what Debian signed, is removed
    from the cache. ServiceError where this machine has no apt, or the archive cannot be reached or trusted.
    """
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ServiceError(f"{tool} was not found, so Debian's packages cannot be fetched here; {WAYS_OUT}")
    source = source or DebianSource(keyring=_find_keyring(cache))
    environment = child_environment(APT_CONFIG=str(_write_configuration(cache, source)), LC_ALL="C")
    failed = f"Debian's archive {source.mirror} ({source.suite}) cannot be used"
    say("reading Debian's package index")
    run_tool(["apt-get", "update", "--error-on=any"], failed, environment=environment)
    nothing = f"Dir::Cache::archives={cache / 'none'}"  # so that apt names those too that the cache holds
    listing = run_tool([*_INSTALL, "--print-uris", "-o", nothing, *PACKAGES], failed, environment=environment)
    sums = _sums_of(listing, failed)
    archives = cache / "archives"
    if missing := _drop_unfit(archives, sums):
        say(f"fetching PostgreSQL 17, TimescaleDB and Redis ({len(missing)} of {len(sums)} packages, 45 MB in all)")
        run_tool([*_INSTALL, "--download-only", *PACKAGES], failed, environment=environment)
    if wrong := _drop_unfit(archives, sums):
        raise ServiceError(f"{failed}: {', '.join(wrong)} is missing or not what Debian signed; try again")
    return [archives / name for name in sorted(sums)]


def run_tool(
    command: list[str], failed: str, *, environment: dict[str, str] | None = None, cwd: Path | None = None
) -> str:
    """What the program printed; ServiceError, `failed` and its own complaint, where it failed."""
    result = subprocess.run(
        command,
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=TOOL_TIMEOUT_S,
    )
    if result.returncode != 0:
        lines = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E:", "Err:", "W:"))] or lines[-1:]
        raise ServiceError(f"{failed}: {' '.join(errors)[:600]}")
    return result.stdout


def _sums_of(listing: str, failed: str) -> dict[str, str]:
    """File name -> SHA-256, of `apt-get --print-uris`: lines of 'URL' NAME SIZE SHA256:SUM."""
    lines = [line for line in listing.splitlines() if line.startswith("'")]
    matches = [re.fullmatch(r"'\S+' ([^\s/]+\.deb) \d+ SHA256:([0-9a-f]{64})\s*", line) for line in lines]
    sums = {match[1]: match[2] for match in matches if match}
    if not sums or len(sums) != len(lines):
        raise ServiceError(f"{failed}: its index gives no SHA-256 for some package; {WAYS_OUT}")
    return sums


def _drop_unfit(archives: Path, sums: dict[str, str]) -> list[str]:
    """Remove every package that is not one of `sums`; returns the names that are missing then."""
    for file in archives.glob("*.deb"):
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != sums.get(file.name):
                file.unlink()
    return [name for name in sums if not (archives / name).exists()]


def _find_keyring(cache: Path) -> Path:
    """Debian's keyring of this machine; on Ubuntu that of the package debian-archive-keyring, which Ubuntu signs."""
    if KEYRING.exists():
        return KEYRING
    root = cache / "keyring"
    keyring = root / KEYRING.relative_to("/")
    if not keyring.exists():
        root.mkdir(parents=True, exist_ok=True)
        hint = "no Debian archive keyring on this machine; run 'apt install debian-archive-keyring' or " + WAYS_OUT
        run_tool(["apt-get", "download", "debian-archive-keyring"], hint, cwd=root)
        for archive in root.glob("debian-archive-keyring_*.deb"):
            run_tool(["dpkg-deb", "--extract", str(archive), str(root)], hint)
    return keyring


def _write_configuration(cache: Path, source: DebianSource) -> Path:
    for name in ("state/lists/partial", "archives/partial", "none/partial", "etc", "log"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    architecture = run_tool(["dpkg", "--print-architecture"], "dpkg does not work").strip()
    status = "".join(
        f"Package: {name}\nStatus: install ok installed\nVersion: 999:0\nArchitecture: {architecture}\n"
        f"Multi-Arch: allowed\nMaintainer: none\nDescription: not needed here\n\n"
        for name in NOT_NEEDED
    )
    (cache / "state" / "status").write_text(status)
    (cache / "etc" / "sources.list").write_text(
        f"deb [signed-by={source.keyring} arch={architecture}] {source.mirror} {source.suite} main\n"
    )
    file = cache / "etc" / "apt.conf"
    file.write_text("\n".join(_configuration_lines(cache, architecture)) + "\n")
    return file


def _configuration_lines(cache: Path, architecture: str) -> list[str]:
    dump = run_tool(["apt-config", "dump"], "apt does not work").splitlines()
    return [
        f'Dir "{cache}/";',
        f'Dir::State "{cache}/state";',
        f'Dir::State::Lists "{cache}/state/lists";',
        f'Dir::State::status "{cache}/state/status";',
        f'Dir::Cache "{cache}";',
        f'Dir::Cache::archives "{cache}/archives";',
        'Dir::Cache::pkgcache "";',
        'Dir::Cache::srcpkgcache "";',
        f'Dir::Log "{cache}/log";',
        f'Dir::Etc "{cache}/etc";',
        f'Dir::Etc::SourceList "{cache}/etc/sources.list";',
        *(f'Dir::Etc::{part} "{cache}/etc/none";' for part in _PRIVATE_PARTS),
        f'APT::Architecture "{architecture}";',
        f'APT::Architectures {{ "{architecture}"; }};',
        f'APT::Sandbox::User "{"root" if os.geteuid() == 0 else ""}";',
        'APT::Get::AllowUnauthenticated "false";',
        'APT::Install-Recommends "false";',
        'Acquire::AllowInsecureRepositories "false";',
        'Acquire::AllowWeakRepositories "false";',
        'Acquire::ForceHash "SHA256";',
        'Acquire::GzipIndexes "true";',
        'Acquire::Languages "none";',
        'Acquire::Retries "3";',
        *(line for line in dump if _is_transport(line)),
    ]


def _is_transport(line: str) -> bool:
    return line.startswith(("Acquire::http", "Acquire::https", "Acquire::ftp")) and '""' not in line
