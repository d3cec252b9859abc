"""`quorum lookahead`: does an agent look into the future, or hang on where its data begin?"""

from __future__ import annotations

import importlib
import importlib.util
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.table import Table
from rich.text import Text

from agents.cli.history import open_history
from agents.cli.screen import Screen, new_table
from agents.core.errors import UsageError
from agents.core.ports import Agent
from agents.core.settings import load_settings
from agents.core.types import Panel
from agents.pipeline.market import panel_of
from agents.replay.lookahead import CHECKS, Offence, check_lookahead
from agents.trading.registry import AGENTS, make_agents


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checks say of one agent on `bars` bars; no offence is a clean bill."""

    agent: str
    bars: int
    bars_needed: int
    offences: list[Offence]

    def as_plain(self) -> dict[str, Any]:
        """For JSON."""
        offences = [
            {"check": o.check, "time": o.time.isoformat() if o.time else None, "symbol": o.symbol, "detail": o.detail}
            for o in self.offences
        ]
        return {"agent": self.agent, "bars": self.bars, "bars_needed": self.bars_needed, "offences": offences}


def lookahead(options: Namespace, screen: Screen) -> int:
    """The command; exit status 1 where an agent offends."""
    agents = [_agent(name) for name in options.agent] or list(make_agents([]))
    with ExitStack() as stack:
        opened = open_history(options, load_settings(options.settings), stack, screen)
        panel = panel_of(opened.bars())
        verdicts = [_verdict(agent, panel, screen) for agent in agents]
    screen.result([verdict.as_plain() for verdict in verdicts], _table(verdicts), *_offence_lines(verdicts))
    return 1 if any(verdict.offences for verdict in verdicts) else 0


def _verdict(agent: Agent, panel: Panel, screen: Screen) -> Verdict:
    with ExitStack() as stack:
        offences = check_lookahead(agent, panel, screen.progress(stack, agent.name))
    return Verdict(agent.name, len(panel.time), agent.bars_needed, offences)


# ---------------------------------------------------------------- a user's agent


def _agent(name: str) -> Agent:
    """One of ours by name, or a class from a file or module, made without arguments."""
    if name in AGENTS:
        return AGENTS[name]()
    place, sign, class_name = name.rpartition(":")
    if not sign:
        raise UsageError(
            f"no agent is named '{name}'; known are {', '.join(AGENTS)}; your own is FILE.py:CLASS or module:CLASS"
        )
    if place.endswith(".py") and not Path(place).exists():
        raise UsageError(f"{place}: no such file")
    with _users_code(name):
        module = _module_of_file(place) if place.endswith(".py") else importlib.import_module(place)
        agent: Agent = getattr(module, class_name)()
    missing = [part for part in ("name", "bars_needed", "signals") if not hasattr(agent, part)]
    if missing:
        raise UsageError(f"{name}: has no {', '.join(missing)}; an agent needs name, bars_needed and signals(panel)")
    return agent


@contextmanager
def _users_code(name: str) -> Iterator[None]:
    """What a user wrote may raise anything: it becomes a UsageError."""
    try:
        yield
    except Exception as error:
        raise UsageError(f"{name}: cannot be made: {type(error).__name__}: {error}") from None


def _module_of_file(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("own_agent", file)
    assert spec is not None and spec.loader is not None, "every .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- tables


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = new_table("Lookahead")
    for name in ("agent", *CHECKS, "first offence"):
        table.add_column(name)
    for verdict in verdicts:
        failed = {offence.check for offence in verdict.offences}
        otherwise = "not tried" if "answer" in failed else "ok"
        words = ("FAILS" if check in failed else otherwise for check in CHECKS)
        table.add_row(verdict.agent, *words, _place(verdict.offences[0]) if verdict.offences else "")
    return table


def _offence_lines(verdicts: Sequence[Verdict]) -> list[Text]:
    return [
        Text(f"{verdict.agent}, {offence.check}, {_place(offence)}: {offence.detail}")
        for verdict in verdicts
        for offence in verdict.offences
    ]


def _place(offence: Offence) -> str:
    time = f"{offence.time:%Y-%m-%d %H:%M}" if offence.time else ""
    return f"{time} {offence.symbol}".strip()
