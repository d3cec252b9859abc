"""What a desk has learnt, copied from another desk's database: its money and its trades stay there."""

from __future__ import annotations

from sqlalchemy import Engine, text

from agents.adapters.database.engine import driver_connection, transaction
from agents.adapters.database.locked_session import Driver
from agents.adapters.database.tables import metadata

LEARNT = ("weight_history", "weight_trials", "agent_life", "beliefs", "agent_days", "agent_scorecards")
_BEGUN = "SELECT EXISTS (SELECT 1 FROM decisions) OR EXISTS (SELECT 1 FROM weight_history)"


def has_begun(engine: Engine) -> bool:
    """Whether a desk has decided anything, or has weights of its own."""
    with transaction(engine) as connection:
        return bool(connection.execute(text(_BEGUN)).scalar())


def copy_learnt(source: Engine, target: Engine) -> dict[str, int]:
    """Copy all of it in one transaction, as the owner of `target`, who may number on; how many rows of each table. Both
    databases have the newest schema."""
    copied = {}
    with transaction(source) as reading, transaction(target) as writing:
        for table in LEARNT:
            columns = [column.name for column in metadata.tables[table].columns]
            names = ", ".join(f'"{name}"' for name in columns)
            with (
                driver_connection(reading).cursor() as read,
                driver_connection(writing).cursor() as write,
                read.copy(f"COPY {table} ({names}) TO STDOUT") as rows,
                write.copy(f"COPY {table} ({names}) FROM STDIN") as put,
            ):
                for block in rows:
                    put.write(block)
            copied[table] = write.rowcount
            if metadata.tables[table].columns[columns[0]].identity is not None:
                _number_on(driver_connection(writing), table, columns[0])
    return copied


def _number_on(connection: Driver, table: str, column: str) -> None:
    """The next row gets a number behind those that were copied."""
    sequence = f"pg_get_serial_sequence('{table}', '{column}')"
    connection.execute(f"SELECT setval({sequence}, max({column})) FROM {table}")  # noqa: S608 - our own names
