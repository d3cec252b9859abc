"""`quorum todo`: what the reports suggest, a person's tasks, and what becomes of them."""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime

from agents.adapters.database.to_do import ToDo
from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.settings import load_settings
from agents.wiring.connections import connect_to_read

OUTCOMES = {"accept": "accepted, and a task now", "dismiss": "dismissed", "add": "added", "done": "done"}


def todo(options: Namespace, screen: Screen) -> int:
    """Lists what is open, or decides about one of them."""
    connections = connect_to_read(load_settings(options.settings), demo=options.demo, say=screen.say)
    try:
        to_do = ToDo(connections.meta)
        if options.action == "list":
            _list(to_do, screen)
            return 0
        title = _decide(to_do, options, SystemClock().now())
    finally:
        connections.close()
    screen.result({"title": title, "action": options.action}, f"{OUTCOMES[options.action]}: {title}")
    return 0


def _list(to_do: ToDo, screen: Screen) -> None:
    rows = to_do.open()
    screen.result(
        rows,
        rows_table("Suggestions", rows["suggestions"], ("id", "severity", "kind", "state", "title", "action")),
        rows_table("Tasks", rows["tasks"], ("id", "priority", "state", "title", "assigned_to")),
    )


def _decide(to_do: ToDo, options: Namespace, at: datetime) -> str:
    """The title of what was decided about; UsageError where there is no such thing."""
    action, what = options.action, options.what
    if not what:
        hint = "give a title" if action == "add" else "name an id (see: quorum todo)"
        raise UsageError(f"todo {action}: {hint}")
    if action == "add":
        to_do.add(what, options.priority, at)
        return str(what)
    if not what.isdigit():
        raise UsageError(f"todo {action}: '{what}' is no id; see: quorum todo")
    if action == "done":
        title = to_do.finish(int(what), at)
    else:
        title = to_do.decide(int(what), "accepted" if action == "accept" else "dismissed", at)
    if title is None:
        raise UsageError(f"todo {action}: there is no open one with id {what}; see: quorum todo")
    return title
