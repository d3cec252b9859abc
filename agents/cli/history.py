"""The history that a command goes through: the demo's file, files of bars, or the bars of the desk's database."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.files.bar_folder import read_folder
from agents.cli.options import columns_of
from agents.cli.screen import Screen
from agents.core.clock import SystemClock
from agents.core.settings import Settings, with_changes
from agents.core.types import Bars
from agents.wiring.connections import connect
from agents.wiring.demo_desk import demo_file, demo_settings
from agents.wiring.history import History, history_of, require_interval, whole_of


@dataclass(frozen=True, slots=True)
class OpenHistory:
    """A history, the settings that fit it, and the desk's database (as the meta plane) where it comes from there."""

    history: History
    settings: Settings
    database: Engine | None

    def bars(self) -> Bars:
        """All its bars in memory."""
        return whole_of(self.history)


def open_history(
    options: Namespace, settings: Settings, stack: ExitStack, screen: Screen, changes: Mapping[str, Any]
) -> OpenHistory:
    """The history that the options name, under the settings with `changes`; a database stays open as long as `stack`.
    DataError where the bars are not `data.interval` apart."""
    base = demo_settings(settings) if options.demo else settings
    opened = _opened(options, with_changes(base, changes), stack, screen)
    require_interval(opened.history, opened.settings)
    return opened


def _opened(options: Namespace, settings: Settings, stack: ExitStack, screen: Screen) -> OpenHistory:
    if options.bars == "db":
        connections = connect(settings, demo=False, say=screen.say)
        stack.callback(connections.close)
        store = BarsStore(connections.trader, options.symbols)
        total = store.count(options.start, options.end)
        symbols = store.symbols()
        history = History(source=store, symbols=symbols, total_bars=total, start=options.start, end=options.end)
        return OpenHistory(history, settings, connections.meta)
    path = demo_file() if options.demo else Path(options.bars)
    screen.say(f"reading {path.name if options.demo else path}")
    folder = read_folder(path, settings.data, columns_of(options.map), SystemClock().now(), options.symbols)
    if folder.bad or folder.conflicts:
        first = ""
        if folder.bad:
            file, row = folder.bad[0]
            first = f"; the first: {file} row {row.row_number}: {row.reason}"
        conflicts = f"{folder.conflicts} bars that a later file gives other prices"
        screen.say(f"{len(folder.bad)} rows left out, {conflicts}{first}")
    return OpenHistory(history_of(folder.bars, options.start, options.end), settings, None)
