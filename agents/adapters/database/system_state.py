"""The machine, the database and the cache as they are at this moment."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
from sqlalchemy import Connection

from agents.adapters.database.engine import row_dicts
from agents.core.facts import SystemState
from agents.core.ports import WeightCache

SLOW_QUERY_S = 5.0

_DATABASE = """
    SELECT pg_database_size(current_database()) AS database_bytes, xact_commit AS commits, xact_rollback AS rollbacks,
           (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
            AND pid <> pg_backend_pid() AND now() - query_start > make_interval(secs => :slow_query_s)) AS slow_queries
    FROM pg_stat_database WHERE datname = current_database()"""


def read_system_state(connection: Connection, cache: WeightCache, folder: Path) -> SystemState:
    """Free space is that of the disk that `folder` is on."""
    (database,) = row_dicts(connection, _DATABASE, slow_query_s=SLOW_QUERY_S)
    return SystemState(
        cpu_percent=psutil.cpu_percent(interval=None),
        load_1m=psutil.getloadavg()[0],
        cpus=psutil.cpu_count() or 1,
        memory_percent=psutil.virtual_memory().percent,
        disk_free_bytes=shutil.disk_usage(folder).free,
        redis_alive=_alive(cache),
        **database,
    )


def _alive(cache: WeightCache) -> bool:
    try:
        cache.read()
    except Exception:  # what it answers is the trading plane's business; here it only has to answer
        return True
    return cache.alive
