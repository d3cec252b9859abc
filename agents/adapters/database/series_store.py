"""Exogenous series (on-chain figures, scores of texts) in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.adapters.files.series_files import SeriesRows

# Texts of before they were told apart are a sum under an empty item: a text that may be in it is not counted again.
_STORE = """
INSERT INTO exogenous (name, symbol, time, item, available_at, value)
SELECT r.* FROM unnest(CAST(:name AS text[]), CAST(:symbol AS text[]), CAST(:time AS timestamptz[]),
    CAST(:item AS text[]), CAST(:available AS timestamptz[]), CAST(:value AS float8[]))
    AS r (name, symbol, time, item, available_at, value)
WHERE r.item = '' OR NOT EXISTS (SELECT 1 FROM exogenous e WHERE e.name = r.name AND e.symbol = r.symbol
    AND e.time = r.time AND e.item = '')
ON CONFLICT DO NOTHING
"""
_KEYS = """
INSERT INTO exogenous_keys
SELECT DISTINCT * FROM unnest(CAST(:name AS text[]), CAST(:symbol AS text[])) ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesReport:
    """What became of a file: values stored, values that were there already, rows left out, and its series."""

    file: str
    stored: int
    known: int
    left_out: int
    names: Sequence[str]


class SeriesStore:
    """The table `exogenous`: a value is stored once; the first stays."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def store(self, rows: SeriesRows) -> SeriesReport:
        """All values of a file in one transaction; storing them again changes nothing."""
        with transaction(self._engine) as connection:
            columns = {
                "name": rows.name,
                "symbol": rows.symbol,
                "time": rows.time,
                "item": rows.item,
                "available": rows.available_at,
                "value": rows.value,
            }
            stored = connection.execute(text(_STORE), columns).rowcount
            connection.execute(text(_KEYS), {"name": rows.name, "symbol": rows.symbol})
        return SeriesReport(
            file=rows.file,
            stored=stored,
            known=len(rows.value) - stored,
            left_out=rows.left_out,
            names=sorted(set(rows.name)),
        )
