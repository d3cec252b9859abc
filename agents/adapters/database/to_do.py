"""What a person decides about suggestions and tasks."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.engine import Row, row_dicts, transaction

_SUGGESTIONS = (
    "SELECT id, kind, severity, state, title, action FROM improvement_suggestions WHERE state IN ('open', 'accepted')"
    " ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low', 'info'], severity), id"
)
_TASKS = (
    "SELECT id, title, state, priority, assigned_to FROM project_tasks WHERE state NOT IN ('done', 'dismissed')"
    " ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low'], priority), id"
)
_FINISH = """
UPDATE project_tasks SET state = 'done', updated_at = :at
WHERE id = :id AND state NOT IN ('done', 'dismissed') RETURNING title
"""


class ToDo:
    """Suggestions and tasks of one desk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def open(self) -> dict[str, list[Row]]:
        """Open and accepted suggestions, and tasks that are not over."""
        with transaction(self._engine) as connection:
            return {"suggestions": row_dicts(connection, _SUGGESTIONS), "tasks": row_dicts(connection, _TASKS)}

    def decide(self, suggestion: int, state: str, at: datetime) -> str | None:
        """Accept an open suggestion, which makes a task of it, or dismiss it; its title, None where there is none."""
        with transaction(self._engine) as connection:
            suggestions = row_dicts(
                connection,
                "UPDATE improvement_suggestions SET state = :state, updated_at = :at WHERE id = :id AND state = 'open'"
                " RETURNING title, action, severity",
                id=suggestion,
                state=state,
                at=at,
            )
            for row in suggestions if state == "accepted" else ():
                priority = row["severity"] if row["severity"] != "info" else "low"
                _insert(connection, row["title"], row["action"], priority, at)
        return str(suggestions[0]["title"]) if suggestions else None

    def add(self, title: str, priority: str, at: datetime) -> None:
        """A task of a person's own."""
        with transaction(self._engine) as connection:
            _insert(connection, title, "", priority, at)

    def finish(self, task: int, at: datetime) -> str | None:
        """Mark a task done; its title, None where there is none."""
        with transaction(self._engine) as connection:
            title = connection.execute(text(_FINISH), {"id": task, "at": at}).scalar()
        return None if title is None else str(title)


def _insert(connection: Connection, title: str, description: str, priority: str, at: datetime) -> None:
    connection.execute(
        text(
            "INSERT INTO project_tasks (title, description, state, priority, created_at, updated_at)"
            " VALUES (:title, :description, 'open', :priority, :at, :at)"
        ),
        {"title": title, "description": description, "priority": priority, "at": at},
    )
