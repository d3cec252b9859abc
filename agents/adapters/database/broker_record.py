"""What a desk keeps of the account that it trades on: what on it is not the desk's, and where the two sides' books
differ. Written on the session that holds the desk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, text

from agents.adapters.database.cash_flows import add_flows
from agents.adapters.database.engine import transaction
from agents.adapters.database.journal import PostgresJournal
from agents.core.cash_flows import NewFlow
from agents.core.clock import require_utc
from agents.core.orders import Order, OrderState
from agents.core.venues import Break, BreakKind, Dividends, ForeignOrder, FundingBooked, adopted_id

_BREAKS = "SELECT id, kind, name, ours, theirs, asked, coalesce(reason, '') FROM reconciliation_breaks"
_NOTE = """
INSERT INTO reconciliation_breaks (kind, name, ours, theirs, opened_at, seen_at) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (kind, name) WHERE closed_at IS NULL
DO UPDATE SET ours = excluded.ours, theirs = excluded.theirs, seen_at = excluded.seen_at
"""
_CLOSE = "UPDATE reconciliation_breaks SET closed_at = %s, resolution = %s WHERE id = %s AND closed_at IS NULL"
_OUTSIDE = """
INSERT INTO broker_outside (currency, amount, reason, updated_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (currency)
DO UPDATE SET amount = excluded.amount, reason = excluded.reason, updated_at = excluded.updated_at
"""
_PAID_ELSEWHERE = """
SELECT f.symbol, p.currency, sum(p.amount), sum(f.fee) FROM fill_fees p JOIN fills f USING (fill_id)
WHERE p.currency <> split_part(f.symbol, '/', 1) GROUP BY 1, 2
"""
_TOLD_UNTIL = """
SELECT greatest(max(updated_at), (SELECT max(time) FROM cash_flows WHERE source = 'person' AND key LIKE 'adopted-%'))
FROM broker_outside
"""
_DIVIDENDS = """
SELECT symbol, sum(cash) AS cash, count(*) AS times, max(time) AS newest FROM corporate_actions
WHERE kind = 'dividend' AND time > :since GROUP BY symbol
"""
_FUNDING = """
SELECT coalesce(sum(cash), 0) AS cash, count(*) AS times,
       coalesce((SELECT max(time) FROM decisions), :since) AS next_from
FROM corporate_actions WHERE kind = 'funding' AND time >= :since
"""
_RESERVED = """
SELECT coalesce(-sum(amount), 0) FROM cash_flows WHERE kind = 'ramp' AND taken_at IS NOT NULL AND refused IS NULL
"""
_ADOPT = """
INSERT INTO orders (client_order_id, decision_time, symbol, side, quantity, kind, state, reason)
VALUES (%s, %s, %s, %s, %s, 'adopted', 'acked', 'placed by others, adopted by a person')
ON CONFLICT DO NOTHING
"""


class PostgresBrokerRecord:
    """Of one desk."""

    def __init__(self, journal: PostgresJournal, engine: Engine) -> None:
        self._journal = journal
        self._engine = engine
        self.last_outside: Mapping[str, Decimal] | None = None
        """What `outside` said last, for when the database is away."""

    # ------------------------------------------------------------ the desk's orders and fills

    def open_orders(self) -> Sequence[tuple[Order, OrderState]]:
        return self._journal.open_orders()

    def booked(self, fill_ids: Sequence[str]) -> frozenset[str]:
        return self._among("fills", "fill_id", fill_ids)

    def known(self, client_order_ids: Sequence[str]) -> frozenset[str]:
        return self._among("orders", "client_order_id", client_order_ids)

    def _among(self, table: str, column: str, values: Sequence[str]) -> frozenset[str]:
        if not values:
            return frozenset()
        query = f"SELECT {column} FROM {table} WHERE {column} = ANY(:values)"  # noqa: S608 - our own names
        with transaction(self._engine) as connection:
            return frozenset(connection.execute(text(query), {"values": list(values)}).scalars())

    # ------------------------------------------------------------ the account

    def outside(self) -> Mapping[str, Decimal] | None:
        with transaction(self._engine) as connection:
            rows = connection.execute(text("SELECT currency, amount FROM broker_outside")).all()
        self.last_outside = {row.currency: row.amount for row in rows} or None
        return self.last_outside

    def set_outside(self, amounts: Mapping[str, Decimal], at: datetime, reason: str) -> None:
        with self._journal.writer.transaction() as connection:
            for currency, amount in sorted(amounts.items()):
                connection.execute(_OUTSIDE, (currency, amount, reason, at))

    def told_until(self) -> datetime:
        with transaction(self._engine) as connection:
            return require_utc(connection.execute(text(_TOLD_UNTIL)).scalar_one(), "told_until")

    def dividends(self, since: datetime) -> Mapping[str, Dividends]:
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_DIVIDENDS), {"since": since}).all()
        return {row.symbol: Dividends(row.cash, row.times, require_utc(row.newest, "dividends")) for row in rows}

    def funding(self, since: datetime) -> FundingBooked:
        with transaction(self._engine) as connection:
            row = connection.execute(text(_FUNDING), {"since": since}).one()
        return FundingBooked(Decimal(row.cash), row.times, require_utc(row.next_from, "funding"))

    def book(self, flows: Sequence[NewFlow]) -> int:
        with self._journal.writer.transaction() as connection:
            return add_flows(connection, flows)

    def reserved(self) -> Decimal:
        with transaction(self._engine) as connection:
            return Decimal(connection.execute(text(_RESERVED)).scalar_one())

    def paid_elsewhere(self) -> Sequence[tuple[str, str, Decimal, Decimal]]:
        with transaction(self._engine) as connection:
            return [tuple(row) for row in connection.execute(text(_PAID_ELSEWHERE))]

    # ------------------------------------------------------------ differences

    def breaks(self) -> Sequence[Break]:
        with self._journal.writer.session() as connection:
            rows = connection.execute(f"{_BREAKS} WHERE closed_at IS NULL ORDER BY id").fetchall()
        names = ("id", "kind", "name", "ours", "theirs", "asked", "reason")
        return [Break(**dict(zip(names, row, strict=True))) for row in rows]

    def note(self, found: Mapping[tuple[BreakKind, str], tuple[Decimal, Decimal]], at: datetime) -> None:
        gone = [broken for broken in self.breaks() if (broken.kind, broken.name) not in found]
        if not found and not gone:
            return
        with self._journal.writer.transaction() as connection:
            for (kind, name), (ours, theirs) in sorted(found.items()):
                connection.execute(_NOTE, (kind, name, ours, theirs, at, at))
            for broken in gone:
                connection.execute(_CLOSE, (at, "both sides agree again", broken.id))

    def close(self, broken: Break, resolution: str, at: datetime) -> None:
        with self._journal.writer.transaction() as connection:
            connection.execute(_CLOSE, (at, resolution, broken.id))

    def adopt(self, orders: Sequence[ForeignOrder]) -> None:
        with self._journal.writer.transaction() as connection:
            for order in orders:
                values = (adopted_id(order.venue_id), order.at, order.symbol, order.side, order.quantity)
                connection.execute(_ADOPT, values)
