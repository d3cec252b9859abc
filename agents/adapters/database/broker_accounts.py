"""Which account a desk trades on, and where its books and the desk's differ, for a person: read, and asked for."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

from agents.adapters.database.engine import Row, row_dicts, transaction
from agents.core.venues import Remedy

_ASK = """
UPDATE reconciliation_breaks SET asked = :remedy, reason = :reason WHERE name = :name AND closed_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAccount:
    """The account that a desk trades on, as it was when somebody confirmed it."""

    broker: str
    mode: str
    fingerprint: str


def known_account(engine: Engine) -> KnownAccount | None:
    """The account that this desk trades on; None where it never traded on one."""
    query = "SELECT broker, mode, fingerprint FROM broker_accounts ORDER BY id DESC LIMIT 1"
    with transaction(engine) as connection:
        row = connection.execute(text(query)).first()
    return None if row is None else KnownAccount(broker=row.broker, mode=row.mode, fingerprint=row.fingerprint)


def account_on_record(engine: Engine) -> Row | None:
    """The account that this desk trades on, and who confirmed it when; None where it never traded on one."""
    query = "SELECT broker, mode, confirmed_by, recorded_at FROM broker_accounts ORDER BY id DESC LIMIT 1"
    with transaction(engine) as connection:
        return next(iter(row_dicts(connection, query)), None)


def confirm_account(engine: Engine, account: KnownAccount, words: str, person: str) -> None:
    """From now on it is this one; `words` are what a `person`, a user of this machine, typed ("" where nothing is at
    stake)."""
    statement = (
        "INSERT INTO broker_accounts (broker, mode, fingerprint, confirmed, confirmed_by) VALUES (:b, :m, :f, :w, :p)"
    )
    values = {"b": account.broker, "m": account.mode, "f": account.fingerprint, "w": words, "p": person}
    with transaction(engine) as connection:
        connection.execute(text(statement), values)


def open_breaks(engine: Engine) -> list[Row]:
    """Differences that are open, oldest first."""
    with transaction(engine) as connection:
        return row_dicts(connection, "SELECT * FROM v_breaks ORDER BY opened_at, kind, name")


def ask(engine: Engine, name: str, remedy: Remedy, reason: str) -> int:
    """What a person wants done about the open differences of a symbol or currency; how many there are."""
    with transaction(engine) as connection:
        return connection.execute(text(_ASK), {"name": name, "remedy": remedy, "reason": reason}).rowcount
