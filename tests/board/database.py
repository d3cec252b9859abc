"""C: PostgreSQL stopped, killed, frozen, full, read-only, slow, or cut off at the worst moment."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg

from tests.board.cases import NotSurvivedError, Run, case
from tests.board.oracles import equals
from tests.board.scenes import BARS_IN_ALL, control, finish, same_but_for_unsent
from tests.board.world import BARS
from tests.fault_proxy import Proxy
from tests.faults import (
    all_sessions_taken,
    backends,
    filled,
    frozen,
    is_frozen,
    proxied_postgres,
    server_pids,
    small_disk,
)

LAST = BARS_IN_ALL
LINE_WITHIN_S, END_WITHIN_S = 10.0, 10.0
LINES = ("does not answer", "cannot work")
"""What the daemon says of a database that is not there."""


@contextlib.contextmanager
def through_proxy(run: Run) -> Iterator[Proxy]:
    """The desk's sessions go through a proxy; the board's own do not."""
    folder = run.desk.folder / "proxy"
    folder.mkdir()
    with proxied_postgres(run.world.services, folder) as (proxy, place):
        run.desk.environment["DATABASE_URL"] = run.desk.url.replace(str(run.world.services.run), str(place))
        try:
            yield proxy
        finally:
            run.desk.close()


@case("C01", 1, "COMMIT reaches the server, its answer is lost", "found out by key; one row each", quick=True, seeds=3)
def _(run: Run) -> None:
    _cut_at_commit(run, "drop_reply")


@case("C02", 1, "the connection is cut before COMMIT reaches the server", "tried again; one row each", seeds=3)
def _(run: Run) -> None:
    _cut_at_commit(run, "cut_request")


def _cut_at_commit(run: Run, mode: str) -> None:
    with through_proxy(run) as proxy:
        fed = 15 + run.seed % 23
        run.desk.feed(0, fed)
        run.desk.start()
        run.desk.wait(fed)
        proxy.literal = b"COMMIT"
        for k in range(3):
            proxy.mode = mode
            run.desk.feed(fed, fed + 5)
            fed += 5
            run.desk.wait_until(lambda k=k: proxy.dropped > k, "a COMMIT", within_s=30)
            proxy.mode = "pass"
            run.desk.wait(fed)
        run.proof(f"{proxy.dropped} times {mode} at COMMIT")
        run.desk.feed(fed, LAST)
        finish(run, wait_only=True)
        same_but_for_unsent(run)


def _stop_server(run: Run, number: int) -> None:
    desk = run.desk
    desk.feed(0, 70)
    desk.start()
    for _ in range(3):
        reached = desk.decisions() or 0
        if reached < 60:
            desk.wait(reached + 5 + run.seed % 7)
        os.kill(run.world.postmaster(), number)
        desk.wait_until(lambda: desk.decisions() is None, "the server to be gone", within_s=30)
        run.proof(f"signal {number} to the server")
        time.sleep(1.0)
        run.world.mend()
        begun, reached = time.monotonic(), desk.decisions() or 0
        if reached < 70:
            try:
                desk.wait(reached + 1, within_s=30)
            except AssertionError as error:
                raise NotSurvivedError(str(error)) from None
            run.recovered_s.append(time.monotonic() - begun)
    desk.feed(70, LAST)
    finish(run, wait_only=True)


@case("C03", 2, "the server stopped (fast) three times", "waits, goes on within 15 s, nothing doubled")
def _(run: Run) -> None:
    _stop_server(run, signal.SIGINT)
    assert max(run.recovered_s, default=0.0) < 15.0, f"took {max(run.recovered_s):.1f} s to go on"


@case("C04", 2, "a backend killed with -9, which ends every session", "goes on by itself", quick=True)
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 70)
    desk.start()
    desk.wait(20 + run.seed % 20)
    pid = _backends(run)[0]
    os.kill(pid, signal.SIGKILL)
    run.proof(f"kill -9 of backend {pid}")
    desk.feed(70, LAST)
    finish(run)
    same_but_for_unsent(run)


def _backends(run: Run) -> list[int]:
    """The desk's own sessions at the server."""
    pids = backends(run.world.services, database=run.desk.database, application="quorum%")
    assert pids, "the desk has no session"
    return pids


def _said_in_time(run: Run, said: int, since: float) -> float:
    """Seconds until the daemon said that the database is not there; AssertionError where it took too long."""

    def told() -> bool:
        return any(line in run.desk.said()[said:] for line in LINES)

    while not told() and time.monotonic() - since < LINE_WITHIN_S + 10:
        time.sleep(0.1)
    after = time.monotonic() - since
    assert told(), f"not a line in {after:.0f} s"
    assert after < LINE_WITHIN_S, f"the first line came after {after:.1f} s"
    return after


def _trade_through_a_freeze(run: Run, frozen_pids: Callable[[], list[int]]) -> None:
    """Freeze server processes under a trading desk until the daemon has said so; then it goes on."""
    desk = run.desk
    desk.feed(0, 70)
    desk.start()
    desk.wait(70)
    pids = frozen_pids()
    with frozen(*pids):
        begun, said = time.monotonic(), len(desk.said())
        desk.feed(70, 75)
        run.proof(f"{sum(is_frozen(pid) for pid in pids)} of {len(pids)} server processes stand still")
        run.proof(f"a line after {_said_in_time(run, said, begun):.1f} s")
    desk.feed(75, LAST)
    finish(run)
    same_but_for_unsent(run)


@case("C05", 2, "one of the desk's backends frozen", "a line within 10 s, the session given up, trading goes on")
def _(run: Run) -> None:
    _trade_through_a_freeze(run, lambda: _backends(run))


@case("C06", 2, "the whole server frozen", "a line within 10 s, trading goes on when it wakes", quick=True)
def _(run: Run) -> None:
    _trade_through_a_freeze(run, lambda: server_pids(run.world.services))


@case("C06b", 2, "SIGTERM while the whole server is frozen", "the daemon ends within 10 s")
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 70)
    supervisor = desk.start()
    desk.wait(70)
    with frozen(*server_pids(run.world.services)):
        desk.feed(70, 75)
        time.sleep(2.0)
        begun = time.monotonic()
        supervisor.stop(within_s=END_WITHIN_S)
        run.proof(f"frozen; ended {time.monotonic() - begun:.1f} s after SIGTERM")
    desk.feed(75, LAST)
    desk.start()
    finish(run)
    same_but_for_unsent(run)


@case("C07", 2, "a black hole: the connection stands, no byte passes", "a line within 10 s, goes on after it")
def _(run: Run) -> None:
    with through_proxy(run) as proxy:
        desk = run.desk
        desk.feed(0, 70)
        desk.start()
        desk.wait(70)
        said, begun = len(desk.said()), time.monotonic()
        proxy.mode = "blackhole"
        desk.feed(70, 75)
        try:
            run.proof(f"a line after {_said_in_time(run, said, begun):.1f} s")
        finally:
            run.proof(f"{proxy.dropped} pieces swallowed")
            proxy.mode = "pass"
        desk.feed(75, LAST)
        finish(run)
        same_but_for_unsent(run)


@case("C08", 3, "20 ms on every piece that passes", "slower, the same record")
def _(run: Run) -> None:
    with through_proxy(run) as proxy:
        proxy.delay_s = 0.02
        run.desk.feed(0, LAST)
        run.desk.start()
        run.desk.wait(60)
        proxy.mode = "delay"
        run.proof("every piece delayed")
        run.desk.wait(70)
        proxy.mode = "pass"
        finish(run, wait_only=True)
        equals(run.desk, control(run.world))


@case("C09", 2, "the disk of the database is full", "said once, goes on when there is room, as if nothing had been")
def _(run: Run) -> None:
    desk = run.desk
    if os.geteuid() != 0:
        raise AssertionError("needs root, to mount a small disk")
    desk.folder.chmod(0o755)
    name = f"board_{os.getpid()}"
    with small_disk(desk.folder / "disk", 48) as disk:
        place = disk / "space"
        place.mkdir()
        os.chown(place, psutil.Process(run.world.postmaster()).uids().real, -1)
        with run.world.servers.superuser() as session:
            session.execute(f"CREATE TABLESPACE {name} LOCATION '{place}'")
            session.execute(f"ALTER DATABASE {desk.database} SET TABLESPACE {name}")
        try:
            _trade_on_a_full_disk(run, disk)
        finally:
            desk.close()
            with run.world.servers.superuser() as session:
                session.execute(f"ALTER DATABASE {desk.database} SET TABLESPACE pg_default")
                session.execute(f"DROP TABLESPACE {name}")


def _trade_on_a_full_disk(run: Run, disk: Path) -> None:
    desk = run.desk
    desk.feed(0, LAST)
    desk.start()
    desk.wait(20 + run.seed % 20)
    with filled(disk):
        begun = time.monotonic()
        while "No space left" not in desk.said() and time.monotonic() - begun < 40:
            time.sleep(0.1)
        assert "No space left" in desk.said(), "the disk was full and nobody noticed"
        stuck = desk.decisions()
        time.sleep(3.0)
        assert desk.trading is not None
        run.proof(f"ENOSPC at {stuck} decisions; {desk.trading.starts - 1} restarts")
        assert desk.trading.starts == 1, f"the daemon ended {desk.trading.starts - 1} times"
    finish(run)
    same_but_for_unsent(run)


@case("C11", 3, "no connection is left at the server", "waits, goes on when there are some")
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 60)
    desk.start()
    desk.wait(20)
    with all_sessions_taken(run.world.services) as held:
        _terminate(run)
        time.sleep(3.0)
        run.proof(f"{held} sessions held, the desk's ended")
    desk.feed(60, LAST)
    finish(run)
    same_but_for_unsent(run)


def _terminate(run: Run) -> int:
    query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{run.desk.database}' AND application_name LIKE 'quorum%'"
    with contextlib.suppress(psycopg.Error):
        return len(run.desk.rows(query))
    for process in psutil.Process(run.world.postmaster()).children():
        if run.desk.database in " ".join(process.cmdline()):
            process.terminate()
    return -1


@case("C12", 2, "the database becomes read-only", "said at the first write, goes on when it may write again")
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 60)
    desk.start()
    desk.wait(20)
    with desk.session() as session:
        session.execute(f"ALTER DATABASE {desk.database} SET default_transaction_read_only = on")
    _terminate(run)
    begun = time.monotonic()
    while "read-only" not in desk.said() and time.monotonic() - begun < 20:
        time.sleep(0.1)
    assert "read-only" in desk.said(), "the database was read-only and nobody noticed"
    run.proof(f"read-only at {desk.decisions()} decisions")
    with desk.session() as session:
        session.execute("SET default_transaction_read_only = off")
        session.execute(f"ALTER DATABASE {desk.database} RESET default_transaction_read_only")
    _terminate(run)
    desk.feed(60, LAST)
    finish(run)
    same_but_for_unsent(run)


@case("C13", 2, "tables locked by another session, again and again", "waits or tries again; nothing lost", seeds=2)
def _(run: Run) -> None:
    desk, rng = run.desk, random.Random(run.seed)
    desk.feed(0, LAST)
    desk.start()
    desk.wait(10)
    for _ in range(6):
        table = rng.choice(["decisions", "orders", "fills", "signals", "bars", "desk_state"])
        with desk.session() as session, session.transaction():
            session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            time.sleep(rng.uniform(0.2, 0.8))
        run.proof(f"{table} locked")
    finish(run, wait_only=True)
    equals(desk, control(run.world))


@case("C14", 2, "every session of the desk ended, again and again", "goes on by itself", seeds=2)
def _(run: Run) -> None:
    desk, rng = run.desk, random.Random(run.seed)
    desk.feed(0, 80)
    desk.start()
    desk.wait(10)
    for _ in range(4):
        run.proof(f"{_terminate(run)} sessions ended")
        time.sleep(rng.uniform(0.3, 1.2))
    desk.feed(80, LAST)
    finish(run, wait_only=True)
    assert str(BARS.time[-1])[:10] == str(desk.scalar("SELECT max(time)::date FROM decisions"))
