"""What connecting to an exchange and to a broker of stocks share: the symbols, the clock, the settings file."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.settings import load_settings
from agents.core.settings_edit import edited
from agents.core.symbols import is_symbol

CLOCKS_APART_S = 5.0
WRITTEN = "# Written by quorum connect; quorum.toml.example tells every key.\n\n"


class TellsTime(Protocol):
    """Whoever has a clock of its own."""

    def time_ms(self) -> int | None:
        """In ms since 1970; None where it does not tell."""
        ...


def asked_symbols(options: Namespace, such_as: str) -> tuple[str, ...]:
    """As a person types them at a terminal. UsageError."""
    if options.json or not sys.stdin.isatty():
        raise UsageError(f"say which symbols the desk trades, such as --symbols {such_as}")
    sys.stderr.write(f"which symbols does the desk trade, such as {such_as}? ")
    sys.stderr.flush()
    symbols = tuple(dict.fromkeys(sys.stdin.readline().replace(",", " ").split()))
    wrong = [symbol for symbol in symbols if not is_symbol(symbol)]
    if wrong or not symbols:
        raise UsageError(f"{wrong[0]!r} is no symbol such as {such_as.split()[0]}" if wrong else "no symbol was named")
    return symbols


def ahead_s(theirs: TellsTime) -> float | None:
    """How far our clock is ahead of the exchange's, in seconds, taken in the middle of the question; None where it does
    not tell."""
    clock = SystemClock()
    before = clock.now().timestamp()
    theirs_ms = theirs.time_ms()
    after = clock.now().timestamp()
    return None if theirs_ms is None else round((before + after) / 2 - theirs_ms / 1000, 3)


def write_settings(path: Path, changes: dict[str, Any], dropped: Sequence[tuple[str, str]] = ()) -> Path | None:
    """Put the changes into the settings file, without the keys `dropped` ((table, key) each), once they are known to be
    right; where that changes a file, a copy of what it was stays and is returned."""
    path = path.resolve()  # what a link leads to
    before = path.read_text(encoding="utf-8") if path.exists() else None
    text = edited(WRITTEN if before is None else before, changes, dropped)
    if text == before:
        return None
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(text, encoding="utf-8")
        load_settings(fresh)
        kept = _keep_a_copy(path, fresh)
        fresh.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}; nothing was changed") from None
    finally:
        fresh.unlink(missing_ok=True)
    return kept


def _keep_a_copy(path: Path, fresh: Path) -> Path | None:
    """What the file was beside it; the new one is read by nobody else than the old one."""
    if not path.exists():
        return None
    shutil.copymode(path, fresh)
    return Path(shutil.copy2(path, path.with_name(path.name + ".before")))


def clock_line(exchange: str, ahead_s: float | None) -> str:
    """What a person reads of it."""
    if ahead_s is None:
        return f"Clock: {exchange} does not tell the time; nothing to compare with"
    if clock_is_right(ahead_s):
        return f"Clock: within {max(abs(ahead_s), 0.1):.1f} s of {exchange}'s"
    side = "ahead of" if ahead_s > 0 else "behind"
    return f"Clock: {abs(ahead_s):.1f} s {side} {exchange}'s; set it before you trade: timedatectl set-ntp true"


def clock_is_right(ahead_s: float | None) -> bool:
    """As far as anybody tells."""
    return ahead_s is None or abs(ahead_s) <= CLOCKS_APART_S
