"""Server programs without root: Debian's packages, unpacked into a private prefix.

patchelf points the few programs at the prefix's own loader and libraries, so that the machine's own C library does not
matter. A prefix needs no network once it is there.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from agents.adapters.services.apt import WAYS_OUT, DebianSource, fetch_packages, run_tool
from agents.adapters.services.folder import Say, locked
from agents.core.errors import ServiceError

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
LEFT_OUT = ("share/doc", "share/locale", "share/man", "lib/postgresql/*/lib/bitcode")
"""Of the unpacked packages, below usr: texts for people, and what PostgreSQL's JIT needs, which is off."""


def fetch_prefix(prefix: Path, cache: Path, say: Say, source: DebianSource | None = None) -> Path:
    """Make `prefix` hold the servers; returns it. Does nothing where it is complete.

    Packages come from `cache`, which state folders share and one process at a time fills. The prefix appears in one
    rename, never half. ServiceError where this machine cannot do it, or the archive cannot be reached or trusted.
    """
    if prefix.is_dir():
        return prefix
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(f"cache directory {cache} cannot be written ({error}); set XDG_CACHE_HOME") from None
    with locked(cache / "lock", say, "waiting for another quorum command that is fetching the servers"):
        archives = fetch_packages(cache, say, source)
        say(f"unpacking {len(archives)} packages")
        fresh = prefix.with_name(prefix.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for archive in archives:
            run_tool(["dpkg-deb", "--extract", str(archive), str(fresh)], f"cannot unpack {archive.name}")
    for pattern in LEFT_OUT:
        for folder in (fresh / "usr").glob(pattern):
            shutil.rmtree(folder)
    _repoint(fresh, prefix)
    fresh.rename(prefix)
    return prefix


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
            run_tool([*command, str(program)], f"cannot adapt {program.name}")
