"""What a daemon does for the servers it works with, and what it keeps of the times without them."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from agents.adapters.database.outages import record_outage
from agents.adapters.services.keeper import ServerKeeper
from agents.adapters.services.notify import notify
from agents.core.clock import Clock
from agents.core.endurance import Endurance
from agents.core.settings import Settings
from agents.wiring.connections import services_of


def tending(settings: Settings, clock: Clock) -> Callable[[], None]:
    """Keeps the embedded servers up, where they are used and nobody else is there for it."""
    own_servers = settings.database_url is not None and settings.redis_url is not None
    if own_servers or not settings.keep_servers:
        return lambda: None
    return ServerKeeper(services_of(settings), clock).look


def endurance_of(plane: str, clock: Clock, engine: Engine) -> Endurance:
    """What a daemon does about errors; lasting ones are kept in the database."""
    return Endurance(plane, clock, notify, lambda outage: record_outage(engine, outage))
