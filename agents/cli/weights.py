"""`quorum weights`: in force, in the past, and why. What proposes or changes weights is in `weights_change`."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.reader import DeskReader
from agents.cli.screen import Screen, rows_table
from agents.core.errors import UsageError
from agents.core.settings import load_settings
from agents.reports.formatting import number, percent
from agents.wiring.connections import connect_to_read

HISTORY_ROWS = 20
HISTORY = (
    "SELECT version, timestamp, status, method, agent_weights, sharpe_improvement, realised_improvement, sample_size,"
    " trials, reason FROM weight_history ORDER BY version DESC LIMIT :n"
)
DECISION = (
    "SELECT * FROM weight_history"
    " WHERE version = coalesce(CAST(:version AS integer), (SELECT max(version) FROM weight_history))"
)


def weights(options: Namespace, screen: Screen) -> int:
    """The seven actions."""
    if options.action in ("propose", "revert", "resume", "optimize"):
        from agents.cli import (
            weights_change,  # here: the solvers take longer to import than the other actions to answer
        )

        change = {
            "propose": weights_change.propose,
            "revert": weights_change.revert,
            "resume": weights_change.resume,
            "optimize": weights_change.optimize,
        }
        change[options.action](options, screen)
        return 0
    connections = connect_to_read(load_settings(options.settings), demo=options.demo, say=screen.say)
    try:
        reader = DeskReader(connections.meta)
        if options.action == "show":
            _show(reader, screen)
        elif options.action == "history":
            _history(reader, screen)
        else:
            _why(reader, options.version, screen)
    finally:
        connections.close()
    return 0


def _show(reader: DeskReader, screen: Screen) -> None:
    rows = reader.weights()
    if not rows:
        screen.result(rows, "no weights yet: no decision was made")
        return
    one = rows[0]
    since = _minute(one["timestamp"])
    weights = [{"agent": row["agent_name"], "weight": percent(row["weight"])} for row in rows]
    screen.result(
        rows,
        rows_table("Weights in force", weights, ("agent", "weight")),
        Text(f"version {one['version']}, in force since {since} UTC, from {one['source']}: {one['reason']}"),
    )


def _history(reader: DeskReader, screen: Screen) -> None:
    rows = reader.rows(HISTORY, n=HISTORY_ROWS)
    lines = [
        {"version": row["version"], "decided": _minute(row["timestamp"]), "status": row["status"], "what": _words(row)}
        for row in rows
    ]
    columns = ("version", "decided", "status", "what")
    screen.result(rows, rows_table("Weight decisions", lines, columns) if rows else "no decision about weights yet")


def _words(decision: Row) -> str:
    """The weights decided upon, what they were expected to add to the Sharpe ratio and did, and why."""
    weights = ", ".join(f"{name} {percent(weight, 0)}" for name, weight in decision["agent_weights"].items())
    expected = number(decision["sharpe_improvement"], sign=True)
    realised = number(decision["realised_improvement"], sign=True)
    return f"{weights}; Sharpe expected {expected}, realised {realised}; {decision['reason']}"


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _why(reader: DeskReader, version: int | None, screen: Screen) -> None:
    """One decision (None: the newest): what changed, by cause, and the evidence for it."""
    rows = reader.rows(DECISION, version=version)
    if not rows:
        there_is = "there is no decision yet" if version is None else f"there is no version {version}"
        raise UsageError(f"weights why: {there_is}{'' if version is None else '; see: quorum weights history'}")
    decision = rows[0]
    changes = _changes(decision)
    line = (
        f"version {decision['version']}, {_minute(decision['timestamp'])} UTC, {decision['method']}:"
        f" {decision['status']}. {decision['reason']}"
    )
    evidence: dict[str, Any] = decision["evidence"] or {}
    facts = [f"{k.replace('_', ' ')} {v}" for k, v in evidence.items() if isinstance(v, (int, float, str))]
    screen.result(
        decision,
        Text(line),
        rows_table("Changes in points, by cause", changes, tuple(changes[0]) if changes else ()),
        Text(f"evidence: {', '.join(facts)}" if facts else ""),
    )


def _changes(decision: Row) -> list[Row]:
    """Each agent's weight before and after, and what each cause moved it by, in points."""
    causes, previous = decision["causes"] or {}, decision["previous_weights"] or {}
    return [
        {
            "agent": name,
            "before": percent(previous.get(name)),
            "after": percent(weight),
            **{cause: number(100 * part, sign=True) for cause, part in causes.get(name, {}).items()},
        }
        for name, weight in decision["agent_weights"].items()
    ]
