"""Changing a settings file as a person would: what it says of other things, its comments and its order stay."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any


def edited(text: str, changes: Mapping[str, Any], dropped: Sequence[tuple[str, str]] = ()) -> str:
    """The TOML `text` without the keys `dropped`, (table, key) each, and with the changes; tables that both have are
    merged key by key, and a value that is already there keeps its place and the comment behind it."""
    import tomlkit  # only who writes settings needs it

    document = tomlkit.parse(text)
    for table, key in dropped:
        if isinstance(section := document.get(table), MutableMapping):
            section.pop(key, None)
    _change(document, changes)
    return tomlkit.dumps(document)


def _change(table: MutableMapping[str, Any], changes: Mapping[str, Any]) -> None:
    behind = _behind_a_blank_line(table)
    for key, change in changes.items():
        before = table.get(key)
        if isinstance(before, MutableMapping) and isinstance(change, Mapping):
            _change(before, change)
        elif before != change:
            table[key] = change
    if behind:
        table.value.body.extend(behind)  # type: ignore[attr-defined]  # only a table has something behind it


def _behind_a_blank_line(table: Any) -> list[tuple[Any, Any]]:
    """Comments at the end of a table that a blank line sets apart, taken out of it: they speak of what comes next, and
    new keys belong before them."""
    from tomlkit.items import Table, Whitespace

    if not isinstance(table, Table):
        return []
    body = table.value.body
    last = next((k for k in reversed(range(len(body))) if body[k][0] is not None), -1)
    blank = next((k for k in range(last + 1, len(body)) if isinstance(body[k][1], Whitespace)), len(body))
    behind = body[blank:]
    del body[blank:]
    return behind
