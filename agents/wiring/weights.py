"""The weights in force of a desk: its database, and the copy in Redis."""

from __future__ import annotations

from agents.adapters.cache.redis_weights import RedisWeightCache
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.core.clock import SystemClock
from agents.core.settings import Settings
from agents.orchestrator.weights_in_force import DeskWeights
from agents.trading.guard import AgentPanel
from agents.wiring.connections import Connections
from agents.wiring.desk import stand_in_of


def weight_cache(settings: Settings, connections: Connections) -> RedisWeightCache:
    """The copy of the weights in Redis, which desks of other names or databases may share."""
    return RedisWeightCache(connections.redis_url, f"{connections.database}:{settings.desk.name}", SystemClock())


def desk_weights(settings: Settings, connections: Connections, agents: AgentPanel) -> DeskWeights:
    """The weights in force for a desk, over its database and Redis."""
    cache = weight_cache(settings, connections)
    return DeskWeights(
        agents.names,
        PostgresWeightStore(connections.trader),
        cache,
        stand_in_of(settings),
        settings.agents.weights_refresh_s,
    )
