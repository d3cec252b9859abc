"""Which regime of the market each of a desk's days began in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction

_DAYS = "SELECT date::text AS date, regime FROM v_regime_days WHERE date <= CAST(:until AS date)"
_NEWEST = "SELECT regime FROM decisions WHERE time <= :until ORDER BY time DESC LIMIT 1"


def regime_days(engine: Engine, until: datetime) -> tuple[dict[str, str], str | None]:
    """ISO date -> regime of every day up to `until` that began in a known one; and that of the newest decision."""
    with transaction(engine) as connection:
        days = {row.date: row.regime for row in connection.execute(text(_DAYS), {"until": until})}
        return days, connection.execute(text(_NEWEST), {"until": until}).scalar()
