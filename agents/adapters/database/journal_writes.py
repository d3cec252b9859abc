"""The statements that write a cycle into the journal's tables, on the connection that holds the desk."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache

from sqlalchemy.dialects import postgresql

from agents.adapters.database.array_text import array_of, array_text, copy_text
from agents.adapters.database.journal_rows import TableRows
from agents.adapters.database.locked_session import Driver
from agents.adapters.database.tables import metadata
from agents.core.orders import NEXT_STATES
from agents.core.types import OrderOutcome, WarmUp

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's is untyped
_STORE_STATE = """
INSERT INTO desk_state (id, time, state, warm_up) VALUES (1, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET time = excluded.time, state = excluded.state
"""
_FILL_COLUMNS = (
    "fill_id",
    "client_order_id",
    "time",
    "symbol",
    "side",
    "quantity",
    "price",
    "fee",
    "spread_cost",
    "impact_cost",
)
_INSERT_FILLS = f"""
INSERT INTO fills ({", ".join(_FILL_COLUMNS)})
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::numeric[], %s::numeric[],
    %s::numeric[], %s::numeric[], %s::numeric[])
ON CONFLICT (fill_id) DO NOTHING
"""  # noqa: S608 - our own names
_INSERT_FEES = """
INSERT INTO fill_fees (fill_id, currency, amount) SELECT * FROM unnest(%s::text[], %s::text[], %s::numeric[])
ON CONFLICT (fill_id) DO NOTHING
"""
_UPDATE_ORDERS = """
UPDATE orders SET state = n.state, reason = n.reason, updated_at = %s
FROM unnest(%s::text[], %s::text[], %s::text[]) AS n(id, state, reason)
WHERE client_order_id = n.id AND orders.state || '>' || n.state = ANY(%s::text[])
"""
_MOVES = array_text([f"{before}>{after}" for before, states in NEXT_STATES.items() for after in states])


def insert_rows(connection: Driver, part: TableRows, *, large: bool) -> None:
    """By COPY where there is much, else one INSERT, which fits into a pipeline with the others."""
    if not part.rows:
        return
    names = ", ".join(f'"{column}"' for column in part.columns)
    if large:
        with connection.cursor() as cursor, cursor.copy(f"COPY {part.table} ({names}) FROM STDIN") as copy:
            copy.write(copy_text(part.rows))
        return
    first, *others = zip(*part.rows, strict=True)
    of_one_time = part.columns[0] == "time" and len(set(first)) == 1
    values = [first[0] if of_one_time else array_of(first), *map(array_of, others)]
    connection.execute(_insert_of(part.table, part.columns, of_one_time), values)


def insert_all(connection: Driver, part: TableRows, conflict: str) -> None:
    """In one INSERT, whose clause ON CONFLICT is `conflict`."""
    if part.rows:
        query = f"{_insert_of(part.table, part.columns, False)} ON CONFLICT {conflict}"
        connection.execute(query, [array_of(column) for column in zip(*part.rows, strict=True)])


@cache
def _insert_of(table: str, columns: tuple[str, ...], of_one_time: bool) -> str:
    """One statement for any number of rows, with an array for each column; the time is sent, and read by the server,
    once where it is that of all rows."""
    names = ", ".join(f'"{column}"' for column in columns)
    kinds = [metadata.tables[table].c[column].type.compile(DIALECT) for column in columns]
    arrays = ", ".join(f"%s::{kind}[]" for kind in kinds[of_one_time:])
    chosen = f"%s::{kinds[0]}, n.*" if of_one_time else "*"
    return f"INSERT INTO {table} ({names}) SELECT {chosen} FROM unnest({arrays}) AS n"  # noqa: S608 - our own names


def write_outcomes(connection: Driver, outcomes: Iterable[OrderOutcome], at: datetime) -> None:
    """Fills, each once, and the newest state of every order; it only moves forward (`NEXT_STATES`)."""
    outcomes = list(outcomes)
    if not outcomes:
        return
    fills = [fill for outcome in outcomes for fill in outcome.fills]
    if fills:
        connection.execute(_INSERT_FILLS, [array_of([getattr(fill, name) for fill in fills]) for name in _FILL_COLUMNS])
    paid = [(fill.fill_id, fill.fee_currency, fill.fee_paid) for fill in fills if fill.fee_currency]
    if paid:
        connection.execute(_INSERT_FEES, [array_of(column) for column in zip(*paid, strict=True)])
    # Of several answers about one order in this batch the last counts.
    newest = {outcome.client_order_id: outcome for outcome in outcomes}
    states = [outcome.state for outcome in newest.values()]
    reasons = [outcome.reason for outcome in newest.values()]
    connection.execute(_UPDATE_ORDERS, (at, array_text(list(newest)), array_text(states), array_text(reasons), _MOVES))


def must_be_durable(outcomes: Iterable[OrderOutcome]) -> bool:
    """Whether these have to outlive a power cut. What an answer says can be asked for again; that an order is being
    sent cannot: without it the desk takes it for one that never left, and an order that rests works for ever."""
    return any(outcome.state == "sending" for outcome in outcomes)


def write_state(connection: Driver, at: datetime, state: bytes, warm_up: WarmUp | None) -> None:
    """The step's state after the decision at `at`, from which the next cycle goes on; `warm_up` counts for a desk's
    first record only."""
    connection.execute(_STORE_STATE, (at, state, None if warm_up is None else warm_up.pack()))
