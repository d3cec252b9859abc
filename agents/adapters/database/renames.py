"""The table `symbol_renames`: other names under which files bring the bars of a symbol, as a person told.

The desk's own name of a symbol stays: it stands in decisions, orders and fills, which are never rewritten.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.bar_reads import take_load_lock
from agents.adapters.database.engine import transaction
from agents.core.errors import UsageError

_ALL = "SELECT name, symbol FROM symbol_renames"
_BARS = "SELECT count(*) FROM bars WHERE symbol = :symbol"
_DECIDED = "SELECT EXISTS (SELECT 1 FROM decision_details WHERE symbol = :symbol)"
_FORGET_READS = """
INSERT INTO bar_reads (file, size, consumed, consumed_rows, sha256, rows_read, rows_loaded, rows_equal,
    rows_quarantined, rows_corrected)
SELECT DISTINCT source, 0, 0, 0, '', 0, 0, 0, 0, 0 FROM bars WHERE symbol = :name
"""


class Renames:
    """Names of symbols in files, beside those of `data.aliases`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> dict[str, str]:
        """A file's name of a symbol -> the desk's."""
        with transaction(self._engine) as connection:
            return read_renames(connection)

    def require_possible(self, symbol: str, name: str) -> int:
        """How many bars came as `name` so far. UsageError where rows of that name cannot go on as `symbol`."""
        with transaction(self._engine) as connection:
            known = read_renames(connection)
            if symbol == name:
                raise UsageError(f"{symbol} has that name already")
            if name in known:
                raise UsageError(f"{name} is {known[name]} already")
            if symbol in known:
                raise UsageError(f"{symbol} is another name of {known[symbol]}; say: rename {known[symbol]} {name}")
            if name in known.values():
                raise UsageError(f"{name} has another name itself; a chain of names helps nobody")
            if not connection.execute(text(_BARS), {"symbol": symbol}).scalar():
                raise UsageError(f"{symbol} has no bars here; the first of the two is the name so far: quorum data")
            if connection.execute(text(_DECIDED), {"symbol": name}).scalar():
                raise UsageError(
                    f"{name} is a symbol of this desk with decisions of its own, which stay; close it"
                    f" (quorum bars delist {name}), or let both go on"
                )
            return int(connection.execute(text(_BARS), {"symbol": name}).scalar_one())

    def rename(self, symbol: str, name: str) -> None:
        """Rows of `name` are rows of `symbol` from now on; what came as `name` so far is taken back, and its files are
        read again. The owner of the tables may. UsageError as for `require_possible`."""
        self.require_possible(symbol, name)
        with transaction(self._engine) as connection:
            take_load_lock(connection)
            connection.execute(
                text("INSERT INTO symbol_renames (name, symbol) VALUES (:name, :symbol)"),
                {"name": name, "symbol": symbol},
            )
            connection.execute(text(_FORGET_READS), {"name": name})
            connection.execute(text("DELETE FROM market_actions WHERE symbol = :name"), {"name": name})
            connection.execute(text("DELETE FROM funding_rates WHERE symbol = :name"), {"name": name})
            connection.execute(text("DELETE FROM bars WHERE symbol = :name"), {"name": name})


def read_renames(connection: Connection) -> dict[str, str]:
    """A file's name of a symbol -> the desk's, as persons told."""
    return {row.name: row.symbol for row in connection.execute(text(_ALL))}
