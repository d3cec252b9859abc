"""What the desk would have been without each agent, day by day, and what each added: tables agent_books and
agent_value_added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from sqlalchemy import Engine, text

from agents.adapters.database.engine import driver_connection, transaction
from agents.adapters.database.journal_rows import TableRows
from agents.adapters.database.journal_writes import insert_all
from agents.core.value_added import AgentBooks, AgentValueAdded

_DAY_COLUMNS = ("date", "agent_name", "desk_equity", "book_equity", "with_agent")
_NEWEST_DAY = """
(date, agent_name) DO UPDATE SET desk_equity = excluded.desk_equity, book_equity = excluded.book_equity,
    with_agent = excluded.with_agent
"""
_DAYS = """
INSERT INTO agent_books (date, agent_name, desk_equity, book_equity, with_agent)
VALUES (:date, :agent_name, :desk_equity, :book_equity, :with_agent)
ON CONFLICT (date, agent_name) DO UPDATE SET desk_equity = excluded.desk_equity, book_equity = excluded.book_equity,
    with_agent = excluded.with_agent
"""
_DAYS = """
SELECT date, agent_name, desk_equity, book_equity, with_agent FROM agent_books ORDER BY date, agent_name
"""
_FIGURES = (
    "date",
    "agent_name",
    "window_days",
    "compared",
    "days",
    "days_differing",
    "return_a_year",
    "return_low",
    "return_high",
    "sharpe_difference",
    "sharpe_low",
    "sharpe_high",
    "verdict",
)
_KEEP_FIGURES = f"""
INSERT INTO agent_value_added ({", ".join(_FIGURES)}) VALUES ({", ".join(f":{name}" for name in _FIGURES)})
ON CONFLICT (date, agent_name, window_days)
DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _FIGURES[3:])}
"""  # noqa: S608 - our own names


class AgentBookStore:
    """Reads and keeps the books beside a desk; keeping a day twice is once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep_days(self, books: AgentBooks) -> None:
        """The newest value of a day stands."""
        rows = [
            (day, name, float(books.desk[d]), float(books.books[d, k]), bool(books.with_agent[d, k]))
            for d, day in enumerate(books.date.astype("datetime64[D]").tolist())
            for k, name in enumerate(books.agents)
            if np.isfinite(books.books[d, k])
        ]
        with transaction(self._engine) as connection:
            insert_all(driver_connection(connection), TableRows("agent_books", _DAY_COLUMNS, rows), _NEWEST_DAY)

    def days(self) -> AgentBooks:
        """All that is kept, oldest first."""
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_DAYS)).all()
        dates = sorted({row.date for row in rows})
        agents = tuple(sorted({row.agent_name for row in rows}))
        place = {day: d for d, day in enumerate(dates)}
        desk, books = np.full(len(dates), np.nan), np.full((len(dates), len(agents)), np.nan)
        with_agent = np.zeros(books.shape, dtype=bool)
        for row in rows:
            d, k = place[row.date], agents.index(row.agent_name)
            desk[d], books[d, k], with_agent[d, k] = row.desk_equity, row.book_equity, row.with_agent
        return AgentBooks(
            date=np.array(dates, dtype="datetime64[D]"), agents=agents, desk=desk, books=books, with_agent=with_agent
        )

    def keep_figures(self, figures: Sequence[AgentValueAdded]) -> None:
        """One row for each agent and window of a date."""
        if figures:
            with transaction(self._engine) as connection:
                connection.execute(text(_KEEP_FIGURES), [asdict(row) for row in figures])
