"""C: what ends a whole database server, tried on servers of the case's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from agents.adapters.services.embedded import EmbeddedServices
from tests.board.cases import Run, case
from tests.board.scenes import BARS_IN_ALL, finish, same_but_for_unsent
from tests.board.world import Desk, World
from tests.faults import filled, small_disk, superuser

LAST = BARS_IN_ALL
DISK_MB = 144
"""The server keeps up to 96 MB of its log of changes."""
DATABASE = "quorum_board"


class OwnWorld(World):
    """Servers that nobody else uses."""

    def __init__(self, services: EmbeddedServices) -> None:
        self._services = services

    @property
    def services(self) -> EmbeddedServices:
        return self._services


@contextlib.contextmanager
def log_on(run: Run, disk: Path) -> Iterator[EmbeddedServices]:
    """Servers whose log of changes (pg_wal) lies on a disk of its own."""
    with run.world.servers.fresh() as services:
        services.up(lambda _line: None)
        services.ensure_database(DATABASE)
        services.stop()
        wal = services.data / "pg_wal"
        subprocess.run(["cp", "-a", str(wal), str(disk)], check=True)
        shutil.rmtree(wal)
        wal.symlink_to(disk / "pg_wal")
        services.up(lambda _line: None)
        yield services


@case(
    "C10",
    2,
    "the disk of the database's log of changes is full: the server panics, and again when it recovers",
    "said once, no order; with room again it goes on, and nothing that was committed is gone",
)
def _(run: Run) -> None:
    if os.geteuid() != 0:
        raise AssertionError("needs root, to mount a small disk")
    folder = run.desk.folder
    folder.chmod(0o755)
    with small_disk(folder / "disk", DISK_MB) as disk, log_on(run, disk) as services:
        run.desk = Desk(OwnWorld(services), folder / "desk", DATABASE)
        try:
            _trade_through_a_panic(run, services, disk)
        finally:
            run.desk.close()


def _trade_through_a_panic(run: Run, services: EmbeddedServices, disk: Path) -> None:
    desk = run.desk
    desk.feed(0, 60)
    supervisor = desk.start()
    desk.wait(20 + run.seed % 20)
    with filled(disk):
        _write_until_it_panics(services)
        log = (services.root / "logs" / "postgresql.log").read_text()
        assert "PANIC" in log and "No space left on device" in log, log[-800:]
        desk.wait_until(lambda: "cannot work now" in desk.said(), "a line about it", within_s=15.0)
        desk.wait_until(lambda: desk.decisions() is None, "the server to be gone", within_s=30.0)
        time.sleep(3.0)
        assert supervisor.starts == 1, f"the daemon ended {supervisor.starts - 1} times"
        run.proof(f"{log.count('PANIC')} PANIC, no space for the log")
    services.up(lambda _line: None)  # as the unit of the servers does
    begun = time.monotonic()
    reached = desk.decisions()
    assert reached is not None and reached >= 20, f"O3: {reached} decisions are left"
    desk.feed(60, LAST)
    desk.wait(reached + 1)
    run.recovered_s.append(time.monotonic() - begun)
    finish(run, wait_only=True)
    same_but_for_unsent(run)


def _write_until_it_panics(services: EmbeddedServices) -> None:
    """Fill what the server still has of its log, until it dies of that."""
    with contextlib.suppress(psycopg.Error), superuser(services) as session:
        for _ in range(4 * DISK_MB):
            session.execute("SELECT pg_logical_emit_message(false, 'board', repeat('x', 1000000))")
