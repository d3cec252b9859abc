"""Settings that were tried on a history, and the shared state of a search (Optuna's storage, in a schema of its own)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from agents.adapters.database.engine import row_dicts, transaction
from agents.core.errors import ServiceError
from agents.core.types import Floats

SCHEMA = "search"
HEARTBEAT_S, GRACE_S = 5, 30
STUDY_LOCK = 7710007


class TrialsStore:
    """The table settings_tried."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(
        self,
        data_hash: str,
        symbols: Sequence[str],
        first: datetime,
        last: datetime,
        settings_hash: str,
        settings: Mapping[str, Any],
        result: Mapping[str, Any],
        returns: Floats,
    ) -> None:
        """Count one setting on one history; trying it again changes nothing."""
        packed = zlib.compress(np.ascontiguousarray(returns, dtype="<f8").tobytes(), 6)
        with transaction(self._engine) as connection:
            connection.execute(
                text(
                    "INSERT INTO settings_tried (data_hash, symbols, first_bar, last_bar, settings_hash, settings, result, returns)"
                    " VALUES (:data, :symbols, :first, :last, :hash, CAST(:settings AS jsonb), CAST(:result AS jsonb), :returns)"
                    " ON CONFLICT (data_hash, settings_hash) DO NOTHING"
                ),
                {
                    "data": data_hash,
                    "symbols": list(symbols),
                    "first": first,
                    "last": last,
                    "hash": settings_hash,
                    "settings": json.dumps(settings, default=str),
                    "result": json.dumps(result),
                    "returns": packed,
                },
            )

    def known(self, data_hash: str, hashes: Sequence[str]) -> dict[str, dict[str, Any]]:
        """settings hash -> its result, with the daily returns as "returns"."""
        with transaction(self._engine) as connection:
            rows = row_dicts(
                connection,
                "SELECT settings_hash, result, returns FROM settings_tried WHERE data_hash = :data AND settings_hash = ANY(:hashes)",
                data=data_hash,
                hashes=list(hashes),
            )
        return {
            r["settings_hash"]: {
                **r["result"],
                "returns": np.frombuffer(zlib.decompress(bytes(r["returns"])), dtype="<f8"),
            }
            for r in rows
        }

    def tried_on(self, symbols: Sequence[str], first: datetime, last: datetime) -> int:
        """How many settings were tried on histories that share a symbol and a day with this one."""
        query = "SELECT count(DISTINCT settings_hash) FROM settings_tried WHERE symbols && :symbols AND first_bar <= :last AND last_bar >= :first"
        with transaction(self._engine) as connection:
            return int(
                connection.execute(text(query), {"symbols": list(symbols), "first": first, "last": last}).scalar_one()
            )


@contextmanager
def study_of(owner: Engine, name: str, *, seed: int, learns: bool) -> Iterator[Any]:
    """Optuna's study of this name, shared by all processes that search in this database; trials of a process that died are tried
    again by another after half a minute."""
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
