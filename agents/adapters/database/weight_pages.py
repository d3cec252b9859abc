"""Decisions about weights as pages list them: some at a time, newest first, and one by its version."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Engine, text

from agents.adapters.database.engine import transaction
from agents.adapters.database.weight_rows import DECISION_COLUMNS, decision_of
from agents.core.facts import RecordedDecision

_WITH = "apply", "revert", "initial"
_LIST = f"""
SELECT {DECISION_COLUMNS}, realised_improvement, realised_at FROM weight_history
WHERE (CAST(:before AS bigint) IS NULL OR version < :before) AND (:all OR status = ANY(:moving))
ORDER BY version DESC LIMIT :limit
"""  # noqa: S608 - columns of ours
_ONE = f"""
SELECT {DECISION_COLUMNS}, realised_improvement, realised_at FROM weight_history WHERE version = :version
"""  # noqa: S608 - as above


def recorded_decisions(engine: Engine, *, before: int | None, moved_only: bool, limit: int) -> list[RecordedDecision]:
    """The newest decisions of versions below `before` (None: of all); those alone that moved weights, where that is
    asked."""
    values = {"before": before, "all": not moved_only, "moving": list(_WITH), "limit": limit}
    return _read(engine, _LIST, values)


def recorded_decision(engine: Engine, version: int) -> RecordedDecision | None:
    """The decision of a version; None where there is none."""
    return next(iter(_read(engine, _ONE, {"version": version})), None)


def _read(engine: Engine, query: str, values: Mapping[str, object]) -> list[RecordedDecision]:
    with transaction(engine) as connection:
        return [
            RecordedDecision(
                version=row.version,
                decision=decision_of(row),
                realised_improvement=row.realised_improvement,
                realised_at=row.realised_at,
            )
            for row in connection.execute(text(query), values)
        ]
