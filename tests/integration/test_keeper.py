"""Who keeps the embedded servers up: what dies, stands still or fails to start is back soon, and one process sees to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from agents.adapters.services import embedded
from agents.adapters.services.keeper import ServerKeeper
from agents.adapters.services.programs import Programs, find_programs
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError
from tests.conftest import SERVICES
from tests.faults import frozen, frozen_redis, frozen_server, kill_redis, kill_server, superuser
from tests.program import ROOT, run, started

CLOCK = SystemClock()


def quiet(_line: str) -> None:
    return None


@pytest.mark.fault
def test_a_dead_server_is_started_again_by_one_keeper_and_not_after_a_person_stopped_it(fresh):
    fresh.up(quiet)
    keeper, clock = ServerKeeper(fresh, CLOCK), CLOCK
    kill_server(fresh)
    kill_redis(fresh)
    with fresh.supervising() as ours:
        assert ours
        assert subprocess_looks(fresh) == "left to others", "another process supervises"
        assert fresh.postgres.pid() is None
    keeper.look()
    assert all(server.running for server in fresh.status())
    before = fresh.postgres.pid()
    clock.sleep_s(2.1)
    keeper.look()
    assert fresh.postgres.pid() == before, "what runs is left alone"
    fresh.down()
    clock.sleep_s(2.1)
    keeper.look()
    assert not any(server.running for server in fresh.status()), "a person's word"
    fresh.up(quiet)
    assert all(server.running for server in fresh.status())


def subprocess_looks(services) -> str:
    """What another process' keeper does about the dead servers."""
    code = (
        "import sys; from pathlib import Path; from agents.adapters.services.embedded import EmbeddedServices;"
        "from agents.adapters.services.keeper import ServerKeeper; from agents.core.clock import SystemClock;"
        "s = EmbeddedServices(Path(sys.argv[1])); s.prefix = Path(sys.argv[2]); ServerKeeper(s, SystemClock()).look();"
        "print('started' if s.postgres.pid() else 'left to others')"
    )
    command = [sys.executable, "-c", code, str(services.root), str(SERVICES.prefix)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


@pytest.mark.fault
@pytest.mark.slow
def test_a_server_that_stands_still_is_ended_and_started_again(fresh):
    """C06 where nobody sends SIGCONT: with less patience than the user's."""
    fresh.up(quiet)
    keeper, before = ServerKeeper(fresh, CLOCK, frozen_s=0.5), (fresh.postgres.pid(), fresh.redis.pid())
    with frozen_server(fresh), frozen_redis(fresh):
        while {fresh.postgres.pid(), fresh.redis.pid()} & set(before):
            keeper.mend()
            CLOCK.sleep_s(0.3)
        after = fresh.postgres.pid(), fresh.redis.pid()
    assert None not in after
    assert set(after).isdisjoint(before)
    assert all(server.running for server in fresh.status())


@pytest.mark.fault
@pytest.mark.slow
def test_services_run_keeps_both_up_for_everybody_and_stops_in_time(fresh, tmp_path):
    """As the unit quorum-services does: a killed server is back by itself, and other commands leave it to that process."""
    environment = {**os.environ, "QUORUM_STATE_DIR": str(fresh.root)}
    with started("services", "run", cwd=tmp_path, environment=environment) as process:
        assert wait_until(lambda: all(server.running for server in fresh.status())), fresh.status()
        kill_server(fresh)
        kill_redis(fresh)
        assert wait_until(lambda: all(server.running for server in fresh.status())), fresh.status()
        run("services", "up", cwd=tmp_path, environment=environment)
        assert all(server.running for server in fresh.status())
        with frozen_server(fresh):
            started_s = CLOCK.monotonic_s()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30.0)
            assert CLOCK.monotonic_s() - started_s < 10.0
        assert process.returncode == 0, err
        assert fresh.postgres.pid() is None
        assert fresh.redis.pid() is None


def wait_until(condition, timeout_s: float = 60.0) -> bool:
    deadline = CLOCK.monotonic_s() + timeout_s
    while not condition():
        if CLOCK.monotonic_s() > deadline:
            return False
        CLOCK.sleep_s(0.1)
    return True


@pytest.mark.fault
def test_a_redis_that_dies_while_it_starts_is_told_at_once_and_started_again(fresh, monkeypatch):
    """Killed between its start and its first answer, as by the OOM killer: nobody waits for what is gone."""
    programs = find_programs(fresh.prefix, quiet)
    dying = fresh.root / "dying" / "redis-server"
    dying.parent.mkdir()
    dying.write_text(
        f'#!/bin/sh\n{programs.redis}/redis-server "$@"\n'
        f"until [ -s {fresh.run}/redis.pid ]; do sleep 0.01; done\nkill -9 $(cat {fresh.run}/redis.pid)\n"
    )
    dying.chmod(0o755)
    first = iter([Programs(programs.postgres, dying.parent, "a Redis that dies")])
    monkeypatch.setattr(embedded, "find_programs", lambda _prefix, _say: next(first, programs))
    keeper, started_s = ServerKeeper(fresh, CLOCK), CLOCK.monotonic_s()
    with pytest.raises(ServiceError, match=r"Redis ended while it started; see .*logs"):
        keeper.mend()
    keeper.mend()
    assert all(server.running for server in fresh.status())
    assert CLOCK.monotonic_s() - started_s < 45.0


@pytest.mark.fault
def test_a_server_that_does_not_start_keeps_no_other_down(fresh):
    """PostgreSQL's data are damaged: Redis, which everybody wants, too, is there nevertheless."""
    fresh.up(quiet)
    fresh.stop()
    control = fresh.data / "global" / "pg_control"
    control.rename(control.with_name("away"))
    keeper = ServerKeeper(fresh, CLOCK)
    with pytest.raises(ServiceError, match="PostgreSQL did not start"):
        keeper.mend()
    assert [server.running for server in fresh.status()] == [False, True]
    control.with_name("away").rename(control)
    keeper.mend()
    assert all(server.running for server in fresh.status())


@pytest.mark.fault
def test_a_session_that_outlives_its_server_is_ended(fresh):
    """One that computes or stands still does not see its server die; the memory that it holds lets no new one start."""
    fresh.up(quiet)
    with superuser(fresh) as session:
        backend, server = session.info.backend_pid, fresh.postgres.pid()
        assert server is not None
        with frozen(backend):
            os.kill(server, signal.SIGKILL)
            assert wait_until(lambda: fresh.postgres.pid() is None)
            started_s = CLOCK.monotonic_s()
            ServerKeeper(fresh, CLOCK).mend()
    assert all(server.running for server in fresh.status())
    assert CLOCK.monotonic_s() - started_s < 45.0


@pytest.mark.fault
def test_a_shell_in_the_data_folder_is_no_server(fresh):
    """A person who looks at the files there is neither waited for nor killed."""
    fresh.up(quiet)
    with subprocess.Popen(["sleep", "60"], cwd=fresh.data) as person:
        try:
            kill_server(fresh)
            ServerKeeper(fresh, CLOCK).mend()
            fresh.postgres.kill()
            assert person.poll() is None
        finally:
            person.kill()
