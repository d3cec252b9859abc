"""The injectors do what they say: a fault that does not fire would make every test that uses it worthless."""

from __future__ import annotations

import psycopg
import pytest
import redis

from tests.conftest import SERVICES
from tests.fault_proxy import proxied
from tests.faults import (
    all_sessions_taken,
    backends,
    filled,
    frozen,
    frozen_redis,
    is_frozen,
    may_mount,
    proxied_postgres,
    refused,
    server_pids,
    small_disk,
    superuser,
)


def test_a_frozen_backend_and_a_frozen_redis_do_not_answer_until_the_block_ends(redis_url):
    with superuser(SERVICES) as session:
        (pid,) = session.execute("SELECT pg_backend_pid()").fetchone()
        assert pid in backends(SERVICES)
        assert pid in server_pids(SERVICES)
        with frozen(pid):
            assert is_frozen(pid)
        assert session.execute("SELECT 1").fetchone() == (1,)
    client = redis.Redis.from_url(redis_url, socket_timeout=0.1, retry=None)
    with frozen_redis(SERVICES), pytest.raises(redis.TimeoutError):
        client.ping()
    assert client.ping()
    client.close()


def test_a_table_refuses_rows_as_on_a_full_disk(database, trader):
    with (
        refused(SERVICES, database, "system_metrics"),
        superuser(SERVICES, database) as session,
        pytest.raises(psycopg.errors.DiskFull, match="injected fault on system_metrics"),
    ):
        session.execute("INSERT INTO system_metrics VALUES (now(), 'x', 1)")
    with superuser(SERVICES, database) as session:
        session.execute("INSERT INTO system_metrics VALUES (now(), 'x', 1)")


def test_all_places_of_the_server_can_be_taken(services):
    with all_sessions_taken(SERVICES) as held:
        assert held > 5
        with pytest.raises(psycopg.OperationalError, match="reserved|too many"):
            psycopg.connect(host=str(SERVICES.run), user="quorum_trader", dbname="postgres")


def test_the_proxy_passes_swallows_slices_cuts_and_drops_replies(tmp_path, services):
    folder = services.root / "proxy"
    folder.mkdir(exist_ok=True)
    with proxied_postgres(SERVICES, folder) as (proxy, host):
        address = {
            "host": str(host),
            "user": "postgres",
            "dbname": "postgres",
            "connect_timeout": 2,
            "autocommit": True,
        }
        with psycopg.connect(**address) as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
            proxy.mode = "slice"
            assert session.execute("SELECT 2").fetchone() == (2,)
            proxy.mode, proxy.literal = "drop_reply", b"CREATE ROLE"
            with pytest.raises(psycopg.OperationalError):
                session.execute("CREATE ROLE through_the_proxy")
            assert proxy.dropped == 1
        proxy.mode = "pass"
        with psycopg.connect(**address) as session:
            session.execute("DROP ROLE through_the_proxy")  # the request arrived, only its answer did not
            proxy.mode, proxy.literal = "cut_request", b"CREATE ROLE"
            with pytest.raises(psycopg.OperationalError):
                session.execute("CREATE ROLE never_made")
        proxy.mode = "pass"
        with psycopg.connect(**address) as session:
            assert session.execute("SELECT 1 FROM pg_roles WHERE rolname = 'never_made'").fetchone() is None
        proxy.mode, before = "blackhole", proxy.dropped
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            psycopg.connect(**address)
        assert proxy.dropped > before
        proxy.mode = "refuse"
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(**address)


def test_the_proxy_stands_at_a_port_too(redis_url):
    with proxied(0, SERVICES.run / "redis.sock") as proxy:
        client = redis.Redis(port=proxy.port)
        assert client.ping()
        client.close()


@pytest.mark.skipif(not may_mount(), reason="only root mounts a small disk")
def test_a_small_disk_is_full_until_the_block_ends(tmp_path):
    with small_disk(tmp_path / "disk", 2) as disk:
        with filled(disk, leave_bytes=8192), pytest.raises(OSError, match="No space left"):
            (disk / "file").write_bytes(bytes(100_000))
        assert (disk / "file").write_bytes(bytes(100_000)) == 100_000
