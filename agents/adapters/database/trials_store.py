"""Settings that were tried on a history, and the state that the processes of a search share.

That state is Optuna's storage, in a schema of its own.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from agents.adapters.database.engine import transaction
from agents.core.errors import ServiceError
from agents.core.types import Floats

SCHEMA = "search"
HEARTBEAT_S, GRACE_S = 5, 30
STUDY_LOCK = 7710007
_RECORD = """
INSERT INTO settings_tried (data_hash, symbols, first_bar, last_bar, settings_hash, settings, result, returns)
VALUES (
    :data, :symbols, :first, :last, :hash, CAST(:settings AS jsonb), CAST(:result AS jsonb), :returns)
ON CONFLICT (data_hash, settings_hash) DO NOTHING
"""
_KNOWN = """
SELECT settings_hash, result, returns FROM settings_tried
WHERE data_hash = :data AND settings_hash = ANY(:hashes)
"""
_TRIED_ON = """
SELECT count(DISTINCT settings_hash) FROM settings_tried
WHERE symbols && :symbols AND first_bar <= :last AND last_bar >= :first
"""


class TriedHistory(NamedTuple):
    """Bars that settings were tried on: a digest of them, their symbols, the first and the last bar."""

    data_hash: str
    symbols: Sequence[str]
    first: datetime
    last: datetime


class TrialOutcome(NamedTuple):
    """What came of one setting: figures that fit into JSON, and the live book's daily returns."""

    result: Mapping[str, Any]
    returns: Floats


class TrialsStore:
    """The table settings_tried."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(
        self, history: TriedHistory, settings_hash: str, settings: Mapping[str, Any], outcome: TrialOutcome
    ) -> None:
        """Count one setting on one history; trying it again changes nothing."""
        values = {
            "data": history.data_hash,
            "symbols": list(history.symbols),
            "first": history.first,
            "last": history.last,
            "hash": settings_hash,
            "settings": json.dumps(settings, default=str),
            "result": json.dumps(outcome.result),
            "returns": zlib.compress(np.ascontiguousarray(outcome.returns, dtype="<f8").tobytes(), 6),
        }
        with transaction(self._engine) as connection:
            connection.execute(text(_RECORD), values)

    def known(self, data_hash: str, hashes: Sequence[str]) -> dict[str, TrialOutcome]:
        """What came of those of the settings that were tried on this history, by their hash."""
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_KNOWN), {"data": data_hash, "hashes": list(hashes)}).all()
        return {row.settings_hash: TrialOutcome(row.result, _unpacked(row.returns)) for row in rows}

    def tried_on(self, symbols: Sequence[str], first: datetime, last: datetime) -> int:
        """How many settings were tried on histories that share a symbol and a day with this one."""
        bounds = {"symbols": list(symbols), "first": first, "last": last}
        with transaction(self._engine) as connection:
            return int(connection.execute(text(_TRIED_ON), bounds).scalar_one())


def _unpacked(returns: bytes) -> Floats:
    return np.frombuffer(zlib.decompress(bytes(returns)), dtype="<f8")


@contextmanager
def study_of(owner: Engine, name: str, *, seed: int, learns: bool) -> Iterator[Any]:
    """Optuna's study of this name, shared by all processes that search in this database.

    It `learns` from what was tried, or draws at random from `seed`. Trials of a process that died are tried again by
    another after GRACE_S. ServiceError where this user may not create the schema.
    """
    import optuna  # only a search needs it

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with transaction(owner) as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    except ProgrammingError:
        raise ServiceError(
            f"a search keeps its state in a schema '{SCHEMA}' that this user may not create; run, as a superuser:"
            f' GRANT CREATE ON DATABASE "{owner.url.database}" TO "{owner.url.username}"'
        ) from None
    url = owner.url.update_query_dict({"options": f"-csearch_path={SCHEMA}"}).render_as_string(hide_password=False)
    sampler = optuna.samplers.TPESampler(seed=seed) if learns else optuna.samplers.RandomSampler(seed=seed)
    with transaction(owner) as connection:  # Optuna's tables are made by the first process; the others wait for it
        connection.execute(text(f"SELECT pg_advisory_xact_lock({STUDY_LOCK})"))
        storage = optuna.storages.RDBStorage(
            url,
            engine_kwargs={"pool_size": 1, "max_overflow": 4},
            heartbeat_interval=HEARTBEAT_S,
            grace_period=GRACE_S,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=3),
        )
        study = optuna.create_study(
            study_name=name, storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
        )
    try:
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()
