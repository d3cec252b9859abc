"""The table job_runs, and the right to run each job: advisory locks that live and die with one session."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

from sqlalchemy import Engine, text

from agents.adapters.database.engine import driver_connection, transaction
from agents.adapters.database.journal_rows import TableRows
from agents.adapters.database.journal_writes import insert_all
from agents.adapters.database.locked_session import LockedSession
from agents.core.meta_types import JobRun

META_LOCK = 7710006
"""The upper half of the locks' numbers; the lower one is of the job's name."""
_BEGAN = """
SELECT least((SELECT min(started_at) FROM job_runs), (SELECT min(recorded_at) FROM decisions))
"""
_CLAIM = """
INSERT INTO job_runs AS j (job, due_at, started_at, status, detail, missed)
VALUES (:job, :due, :at, 'running', '', :missed)
ON CONFLICT (job, due_at) DO UPDATE SET
    status = 'running', started_at = :at, finished_at = NULL, attempts = j.attempts + 1, detail = ''
WHERE j.status IN ('failed', 'skipped') OR (j.status = 'running' AND j.started_at < :stale)
RETURNING id
"""
_WORKED = """
INSERT INTO agent_work_log (time, agent_name, action, duration_ms, opinions, ok, detail)
SELECT finished_at, job, 'job', extract(epoch FROM finished_at - started_at) * 1000, 0, :ok, detail
FROM job_runs WHERE id = :id ON CONFLICT DO NOTHING
"""
_RUN_COLUMNS = ("job", "due_at", "started_at", "finished_at", "status", "detail", "missed")
_LOG_ALL = """
INSERT INTO agent_work_log (time, agent_name, action, duration_ms, opinions, ok, detail)
SELECT finished_at, job, 'job', 0, 0, true, detail FROM job_runs WHERE status = 'succeeded' ON CONFLICT DO NOTHING
"""
_SET_ASIDE = """
UPDATE job_runs SET status = 'skipped', finished_at = :at, detail = 'set aside: made by a clock ahead of time'
WHERE due_at > :after AND status <> 'skipped'
"""


def _lock_of(name: str) -> int:
    return (META_LOCK << 32) + zlib.crc32(name.encode())


class PostgresJobStore:
    """One desk's job runs."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._locked = LockedSession(engine)
        self._wanted: tuple[str, ...] = ()

    def lead(self, names: Sequence[str]) -> frozenset[str]:
        with transaction(self._engine):
            pass  # an unreachable server is one clear error
        locks = {_lock_of(name): name for name in names}
        if self._wanted != tuple(names):
            self._locked.drop()
            self._wanted, self._locked = tuple(names), LockedSession(self._engine, *locks)
        self._locked.is_alive()  # a lost session is dropped here, and its locks with it
        self._locked.take()
        return frozenset(locks[lock] for lock in self._locked.held)

    def release(self) -> None:
        """Let another process lead."""
        self._locked.drop()

    def newest(self, job: str, at: datetime) -> JobRun | None:
        condition = "WHERE job = :job AND due_at <= :at AND status <> 'skipped' ORDER BY due_at DESC LIMIT 1"
        runs = self._rows(condition, job=job, at=at)
        return runs[0] if runs else None

    def set_aside(self, *, after: datetime, at: datetime) -> int:
        with transaction(self._engine) as connection:
            return connection.execute(text(_SET_ASIDE), {"after": after, "at": at}).rowcount

    def began_at(self) -> datetime | None:
        """When this desk first did anything, a decision or a run of a job; None where it never did."""
        with transaction(self._engine) as connection:
            began: datetime | None = connection.execute(text(_BEGAN)).scalar()
        return began

    def record(self, runs: Sequence[JobRun]) -> None:
        """Put finished runs of a replay on record, with what they did in the log of work; a run that is there stays."""
        with transaction(self._engine) as connection:
            rows = list(map(attrgetter(*_RUN_COLUMNS), runs))
            insert_all(
                driver_connection(connection), TableRows("job_runs", _RUN_COLUMNS, rows), "(job, due_at) DO NOTHING"
            )
            connection.execute(text(_LOG_ALL))

    def recent(self, limit: int) -> list[JobRun]:
        """The newest runs of all jobs, newest first."""
        return self._rows("ORDER BY coalesce(started_at, due_at) DESC, id DESC LIMIT :limit", limit=limit)

    def _rows(self, condition: str, **parameters: object) -> list[JobRun]:
        columns = "job, due_at, started_at, finished_at, status, detail, attempts, missed"
        query = f"SELECT {columns} FROM job_runs {condition}"  # noqa: S608 - constants above
        with transaction(self._engine) as connection:
            return [JobRun(**row._mapping) for row in connection.execute(text(query), parameters)]

    def claim(self, job: str, due_at: datetime, at: datetime, *, missed: int, stale_before: datetime) -> int | None:
        with transaction(self._engine) as connection:
            run_id = connection.execute(
                text(_CLAIM), {"job": job, "due": due_at, "at": at, "missed": missed, "stale": stale_before}
            ).scalar()
        return None if run_id is None else int(run_id)

    def finish(self, run_id: int, *, at: datetime, ok: bool, detail: str) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                text("UPDATE job_runs SET status = :status, finished_at = :at, detail = :detail WHERE id = :id"),
                {"status": "succeeded" if ok else "failed", "at": at, "detail": detail, "id": run_id},
            )
            connection.execute(text(_WORKED), {"ok": ok, "id": run_id})
