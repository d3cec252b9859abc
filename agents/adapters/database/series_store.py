"""Exogenous series (on-chain figures, scores of texts) into the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.core.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesReport:
    """What became of a file: values stored, values that were there already, rows left out."""

    file: str
    stored: int
    known: int
    left_out: int
    names: Sequence[str]


class SeriesStore:
    """The table `exogenous`: a value is stored once; the first stays."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def store(self, file: str, frame: pd.DataFrame, left_out: int) -> SeriesReport:
        """Rows (name, symbol, time, available_at, value) in one transaction."""
        if frame.empty:
            raise DataError(f"{file}: holds no usable row")
        with transaction(self._engine) as connection:
            stored = connection.execute(
                text(
                    "INSERT INTO exogenous (name, symbol, time, available_at, value)"
                    " SELECT * FROM unnest(CAST(:name AS text[]), CAST(:symbol AS text[]), CAST(:time AS timestamptz[]),"
                    " CAST(:available AS timestamptz[]), CAST(:value AS float8[])) ON CONFLICT DO NOTHING"
                ),
                {
                    "name": frame["name"].tolist(),
                    "symbol": frame["symbol"].tolist(),
                    "time": frame["time"].dt.to_pydatetime().tolist(),
                    "available": frame["available_at"].dt.to_pydatetime().tolist(),
                    "value": frame["value"].tolist(),
                },
            ).rowcount
        names = sorted(frame["name"].unique())
        return SeriesReport(file=file, stored=stored, known=len(frame) - stored, left_out=left_out, names=names)
