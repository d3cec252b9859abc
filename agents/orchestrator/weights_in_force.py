"""Which weights are in force: Redis, else the database, else the settings, else equal; never a mix of versions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from agents.core.errors import InvalidWeightsError, ServiceError
from agents.core.log import log_event
from agents.core.ports import WeightCache, WeightStore
from agents.core.types import WeightSet
from agents.core.weight_sets import StandIn, in_force, require_usable

logger = logging.getLogger(__name__)


class DeskWeights:
    """The weights of one desk's agents, kept in memory for `refresh_s`, reloaded at once when a newer version is
    announced or the cache falls out or comes back. A version older than one already used is never taken again. A set
    that was published for other agents is fitted to those there are now, as the meta plane does."""

    def __init__(
        self,
        agents: Sequence[str],
        store: WeightStore,
        cache: WeightCache,
        stand_in: StandIn,
        refresh_s: float,
    ) -> None:
        self._agents = tuple(agents)
        self._store = store
        self._cache = cache
        self._stand_in = stand_in
        self._refresh = timedelta(seconds=refresh_s)
        self._current: WeightSet | None = None
        self._published: WeightSet | None = None
        self._loaded_at: datetime | None = None
        self._cache_was_alive = True

    def current(self, at: datetime) -> WeightSet:
        """The weights in force at `at`."""
        announced = self._cache.announced()
        known = self._current
        stale = known is None or self._loaded_at is None or not timedelta(0) <= at - self._loaded_at < self._refresh
        used = self._published
        expired = used is not None and used.valid_until is not None and used.valid_until <= at
        newer = announced is not None and announced > (0 if used is None else used.version)
        if stale or expired or newer or self._cache.alive != self._cache_was_alive or known is None:
            self._cache_was_alive = self._cache.alive
            self._published = self._load(at)
            known = self._fitted(at)
            if self._current is None or (known.version, known.level) != (
                self._current.version,
                self._current.level,
            ):
                log_event(logger, "weights in force", version=known.version, source=known.level, reason=known.reason)
            self._current, self._loaded_at = known, at
        return known

    def _fitted(self, at: datetime) -> WeightSet:
        try:
            return in_force(self._published, self._agents, self._stand_in, at)
        except InvalidWeightsError as error:
            log_event(logger, "agents.static_weights are refused", level=logging.WARNING, error=error)
            return in_force(self._published, self._agents, self._stand_in._replace(static={}), at)

    def _load(self, at: datetime) -> WeightSet | None:
        """The newest published set, sound in itself; None where there is none."""
        truth, database_answered = self._from_store(at)
        copy = self._from_cache(at)
        used = self._published
        floor = used.version if used is not None else 0
        known = truth.version if truth is not None else 0
        if copy is not None and copy.version > known and database_answered:
            log_event(
                logger,
                "redis holds a version that the database does not have",
                level=logging.WARNING,
                version=copy.version,
            )
        elif copy is not None and copy.version >= max(floor, known):
            if truth is None or copy.weights == truth.weights:
                return copy
            log_event(
                logger,
                "redis holds other weights for the same version",
                level=logging.WARNING,
                version=copy.version,
            )
        if truth is not None and truth.version >= floor:
            self._cache.write(truth)
            return truth
        if not database_answered and used is not None and (used.valid_until is None or used.valid_until > at):
            return used
        return None

    def _from_cache(self, at: datetime) -> WeightSet | None:
        try:
            copy = self._cache.read()
            return None if copy is None else require_usable(copy, tuple(copy.weights), at)
        except InvalidWeightsError as error:
            log_event(logger, "weights in redis are refused", level=logging.WARNING, error=error)
            return None

    def _from_store(self, at: datetime) -> tuple[WeightSet | None, bool]:
        try:
            row = self._store.newest()
            return (None if row is None else require_usable(row, tuple(row.weights), at)), True
        except InvalidWeightsError as error:
            log_event(logger, "weights in the database are refused", level=logging.WARNING, error=error)
            return None, True
        except ServiceError as error:
            log_event(logger, "the database does not answer for weights", level=logging.WARNING, error=error)
            return None, False
