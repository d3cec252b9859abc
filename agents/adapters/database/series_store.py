"""Exogenous series (on-chain figures, scores of texts) in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.adapters.files.series_files import SeriesRows


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
            stored = connection.execute(
                text(
                    "INSERT INTO exogenous (name, symbol, time, available_at, value)"
                    " SELECT * FROM unnest(CAST(:name AS text[]), CAST(:symbol AS text[]),"
                    " CAST(:time AS timestamptz[]), CAST(:available AS timestamptz[]), CAST(:value AS float8[]))"
                    " ON CONFLICT DO NOTHING"
                ),
                {
                    "name": rows.name,
                    "symbol": rows.symbol,
                    "time": rows.time,
                    "available": rows.available_at,
                    "value": rows.value,
                },
            ).rowcount
        return SeriesReport(
            file=rows.file,
            stored=stored,
            known=len(rows.value) - stored,
            left_out=rows.left_out,
            names=sorted(set(rows.name)),
        )
