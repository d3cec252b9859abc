"""Files of a user's own strategies: what each of them is, told from its name and its text, without running any.

A file of Python is a strategy by what it defines at its top: a function `positions` or `entries`, a freqtrade
`IStrategy`, or a class with a method `signals`. A table is one of signals, or, where its name ends in `.returns.csv` or
`.returns.parquet`, one of the daily returns of a strategy that trades elsewhere.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agents.core.errors import DataError

TABLES = (".csv", ".parquet")
LARGEST_BYTES = 1_000_000
"""Of a file of Python."""


class Kind(StrEnum):
    """What a strategy's file is."""

    AGENT = "agent"
    FUNCTION = "function"
    FREQTRADE = "freqtrade"
    ENTRIES = "entries"
    SIGNALS = "signals"
    RETURNS = "returns"


FUNCTIONS = {"positions": Kind.FUNCTION, "entries": Kind.ENTRIES}
EXPECTED = (
    "a function positions(bars) or entries(close), a class with signals(panel), or a freqtrade strategy, a class of"
    " IStrategy"
)


@dataclass(frozen=True, slots=True)
class Strategy:
    """What a file holds: its kind, the name of its class (empty where it is none), and the text of that class."""

    kind: Kind
    class_name: str = ""
    body: ast.ClassDef | None = None


def strategy_of(file: Path) -> Strategy:
    """What a file holds. DataError, naming the file and the cause, where it is no strategy."""
    if file.suffix in TABLES:
        return Strategy(Kind.RETURNS if file.stem.endswith(".returns") else Kind.SIGNALS)
    if file.suffix != ".py":
        raise DataError(f"{file}: expected a file ending in .py, {' or '.join(TABLES)}")
    found = _defined(file, _parsed(file))
    if not found:
        raise DataError(f"{file}: defines no strategy: expected {EXPECTED}; a helper's name begins with _")
    if len(found) > 1:
        named = ", ".join(strategy.class_name or str(strategy.kind) for strategy in found)
        raise DataError(f"{file}: defines {len(found)} strategies ({named}); one file holds one")
    return found[0]


def _parsed(file: Path) -> ast.Module:
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise DataError(f"{file}: is larger than {LARGEST_BYTES:,} bytes, which no strategy is")
        return ast.parse(file.read_bytes(), file.name)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from None
    except SyntaxError as error:
        where = f"line {error.lineno}: " if error.lineno else ""
        raise DataError(f"{file}: {where}is no Python: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: is no Python: {error}") from None


def _defined(file: Path, module: ast.Module) -> list[Strategy]:
    found = []
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name in FUNCTIONS:
            found.append(Strategy(FUNCTIONS[node.name]))
        elif isinstance(node, ast.ClassDef):
            if any(_last_name(base) == "IStrategy" for base in node.bases):
                found.append(Strategy(Kind.FREQTRADE, node.name, node))
            elif any(isinstance(part, ast.FunctionDef) and part.name == "signals" for part in node.body):
                found.append(Strategy(Kind.AGENT, node.name, node))
    same_name = [strategy for strategy in found if strategy.class_name == file.stem]
    return same_name or found


def _last_name(base: ast.expr) -> str:
    if isinstance(base, ast.Attribute):
        return base.attr
    return base.id if isinstance(base, ast.Name) else ""


def name_of(file: Path) -> str:
    """The name that a file gives its agent: its own without what it ends in."""
    return file.stem.removesuffix(".returns") if file.suffix in TABLES else file.stem
