"""Which agents there are, by name: for commands that must not start the compiler to know it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from agents.core.errors import SettingsError

REGISTRY = Path(__file__).with_name("registry.py")


def registered_names() -> tuple[str, ...]:
    """The keys of the registry's table, read from its source."""
    tree = ast.parse(REGISTRY.read_text(encoding="utf-8"))
    tables = [node.value for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)]
    return tuple(str(key.value) for table in tables for key in table.keys if isinstance(key, ast.Constant))


def chosen_names(
    registered: Iterable[str], enabled: Iterable[str], own: Iterable[str], shadow: Iterable[str] = ()
) -> tuple[str, ...]:
    """The names of the agents that a desk asks, those that trade (none enabled: all but the shadows) and those in
    `shadow`: the registered ones in their order, then the user's `own` by name; SettingsError for a name that is
    unknown, or that both have, or where nobody is left to trade."""
    table, shadows = tuple(registered), set(shadow)
    known = (*table, *sorted(own))
    wanted = set(enabled) or set(known) - shadows
    for name in sorted(set(own) & set(table)):
        raise SettingsError(
            f"agents.own.{name}: an agent that comes with Quorum has this name; choose another (a file of agents.folder"
            " is named after its agent: rename it)"
        )
    for name in sorted(wanted - set(known)):
        raise SettingsError(f"agents.enabled: no agent is named '{name}'; known are {', '.join(known)}")
    for name in sorted(shadows - set(known)):
        raise SettingsError(f"agents.shadow: no agent is named '{name}'; known are {', '.join(known)}")
    if not wanted:
        raise SettingsError("agents.shadow: all agents are in it, and nobody is left to trade; take one out")
    return tuple(name for name in known if name in wanted | shadows)
