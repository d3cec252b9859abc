"""Reading a settings file, and telling which key of it is wrong, and what is allowed (`settings_edit` changes one)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from agents.core.errors import SettingsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

EXPECTED = {
    "float_": "must be a number",
    "int_": "must be a whole number",
    "bool_": "must be true or false",
    "string_type": 'must be text, in quotes: "..."',
    "string_pattern": "is not written as it must be (quorum.toml.example shows how)",
    "tuple_": 'must be a list, such as ["A", "B"]',
    "dict_": "must be a table of keys",
    "model_": "must be a table of keys",
}
"""What is expected, by the beginning of pydantic's name of the error; its own words name Python's types."""


def read_toml(path: Path, *, must_exist: bool) -> dict[str, Any]:
    """The tables of a settings file, empty where there is none; SettingsError for a missing one that must exist, and
    for what is no TOML."""
    if not path.exists():
        if must_exist:
            raise SettingsError(f"{path}: no such settings file; copy quorum.toml.example and edit it")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def json_or_text(text: str) -> Any:
    """A list or a table that is written as JSON; else the text itself, which the setting's type makes sense of."""
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The values with the changes; tables that both have are merged key by key."""
    result = dict(values)
    for key, change in changes.items():
        before = result.get(key)
        result[key] = merged(before, change) if isinstance(before, dict) and isinstance(change, dict) else change
    return result


def explain(settings: type[BaseModel], error: ValidationError, source_of: Callable[[list[str]], str]) -> str:
    """What is wrong, one line for each key; `source_of` names the file or variable that holds the key at a path."""
    lines = []
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        key, source = ".".join(path) or "settings", source_of(path)
        allowed = _keys_beside(settings, path)
        if item["type"] == "extra_forbidden":
            near = _nearest(path[-1], allowed)
            hint = f" (did you mean {near}?)" if near else ""
            lines.append(f"{source}: unknown key '{key}'{hint}; allowed here: {', '.join(allowed)}")
        else:
            shown = "" if "url" in key else f", got {item.get('input')!r}"
            lines.append(f"{source}: key '{key}': {_expected(item)}{shown}")
    return "\n".join(lines)


def change_problem(settings: type[BaseModel], section: str, item: ErrorDetails) -> str:
    """What is wrong with one changed key of a section."""
    path = [section, *(str(part) for part in item["loc"])]
    if item["type"] == "extra_forbidden":
        allowed = _keys_beside(settings, path)
        near = _nearest(path[-1], allowed)
        hint = f" (did you mean {near}?)" if near else f"; allowed: {', '.join(allowed)}"
        return f"unknown key '{'.'.join(path)}'{hint}"
    return f"key '{'.'.join(path)}': {_expected(item)}, got {item.get('input')!r}"


def _expected(item: ErrorDetails) -> str:
    """What a key's value must be, in the words of a settings file."""
    kind = item["type"]
    for start, words in EXPECTED.items():
        if kind.startswith(start):
            return words
    return item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _nearest(word: str, known: list[str]) -> str | None:
    import difflib  # only an error needs it

    near = difflib.get_close_matches(word, known, n=1)
    return near[0] if near else None


def _keys_beside(settings: type[BaseModel], path: list[str]) -> list[str]:
    """The keys allowed where `path` ends."""
    model: Any = settings
    for part in path[:-1]:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        model = next((a for a in (annotation, *get_args(annotation)) if hasattr(a, "model_fields")), None)
        if model is None:
            return []
    return sorted(model.model_fields)
