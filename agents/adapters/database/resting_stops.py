"""What a desk has on record of its stops at the exchange. Written on the session that holds the desk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from agents.adapters.database.engine import transaction
from agents.adapters.database.writer import DeskWriter
from agents.core.clock import Clock, require_utc
from agents.core.orders import Order
from agents.core.venues import RestingStop

_STANDING = """
SELECT client_order_id, decision_time, symbol, side, quantity, stop_price, state, reason FROM resting_stops
WHERE state <> 'ended' ORDER BY symbol, client_order_id
"""
_SET_BY = """
SELECT count(*) FROM resting_stops WHERE decision_time = :decision AND symbol = :symbol AND state <> 'refused'
"""
_KNOWN = "SELECT client_order_id FROM resting_stops WHERE client_order_id = ANY(:ids)"
_NOTE = """
INSERT INTO resting_stops
    (client_order_id, decision_time, symbol, side, quantity, stop_price, state, reason, updated_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (client_order_id) DO UPDATE SET quantity = excluded.quantity, stop_price = excluded.stop_price,
    state = excluded.state, reason = excluded.reason, updated_at = excluded.updated_at
"""


class PostgresStopRecord:
    """Of one desk, as `core.venues.StopRecord`."""

    def __init__(self, writer: DeskWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    def known(self, client_order_ids: Sequence[str]) -> frozenset[str]:
        if not client_order_ids:
            return frozenset()
        with transaction(self._writer.engine) as connection:
            return frozenset(connection.execute(text(_KNOWN), {"ids": list(client_order_ids)}).scalars())

    def standing(self) -> list[RestingStop]:
        with transaction(self._writer.engine) as connection:
            rows = connection.execute(text(_STANDING)).all()
        return [
            RestingStop(
                order=Order(
                    client_order_id=row.client_order_id,
                    decision_time=require_utc(row.decision_time, "decision_time"),
                    symbol=row.symbol,
                    side=row.side,
                    quantity=row.quantity,
                    kind="stop",
                    stop_price=row.stop_price,
                ),
                stop_price=row.stop_price,
                state=row.state,
                reason=row.reason,
            )
            for row in rows
        ]

    def set_by(self, decision: datetime, symbol: str) -> int:
        with transaction(self._writer.engine) as connection:
            asked = {"decision": decision, "symbol": symbol}
            return int(connection.execute(text(_SET_BY), asked).scalar_one())

    def note(self, stop: RestingStop) -> None:
        order = stop.order
        values = (order.client_order_id, order.decision_time, order.symbol, order.side, order.quantity)
        with self._writer.transaction() as connection:
            connection.execute(_NOTE, (*values, stop.stop_price, stop.state, stop.reason, self._clock.now()))
