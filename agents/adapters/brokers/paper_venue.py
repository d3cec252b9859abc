"""The paper venue's list of orders, in the table paper_orders: what it accepted survives a crash of the desk.

So "did the broker get this order?" has a true answer after a restart, as with a real venue.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from agents.adapters.database.array_text import array_text
from agents.adapters.database.engine import transaction
from agents.adapters.database.writer import DeskWriter
from agents.core.types import Order

_COLUMNS = ("client_order_id", "symbol", "side", "quantity")


class PostgresPaperVenue:
    """The orders that the paper venue of one desk accepted; written on the session that holds the desk."""

    def __init__(self, writer: DeskWriter) -> None:
        self._writer = writer

    def accept(self, orders: Sequence[Order]) -> None:
        """Keep orders, all or none, in a transaction of their own that is committed on return; an order that is
        known already changes nothing. JournalError where this process does not hold the desk."""
        if not orders:
            return
        with self._writer.transaction(durable=False, pipelined=True) as connection:
            connection.execute(
                f"INSERT INTO paper_orders ({', '.join(_COLUMNS)})"  # noqa: S608 - our own names
                " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::numeric[]) ON CONFLICT DO NOTHING",
                [array_text([getattr(order, name) for order in orders]) for name in _COLUMNS],
            )

    def has(self, client_order_id: str) -> bool:
        """Whether the venue accepted an order of this id."""
        with transaction(self._writer.engine) as connection:
            row = connection.execute(
                text("SELECT 1 FROM paper_orders WHERE client_order_id = :id"), {"id": client_order_id}
            ).first()
        return row is not None
