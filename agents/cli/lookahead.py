"""`quorum lookahead`: does an agent look into the future, or hang on where its data begin?"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from agents.adapters.own.making import make_own
from agents.cli.history import open_history
from agents.cli.screen import Screen, new_table
from agents.core.agent_code import file_of
from agents.core.asking import problem_of
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
    settings = load_settings(options.settings)
    agents = [_agent(name, settings.agents.own) for name in options.agent] or list(make_agents([]))
    with ExitStack() as stack:
        opened = open_history(options, settings, stack, screen, {})
        panel = panel_of(opened.bars())
        verdicts = [_verdict(agent, panel, screen) for agent in agents]
    screen.result([verdict.as_plain() for verdict in verdicts], _table(verdicts), *_offence_lines(verdicts))
    return 1 if any(verdict.offences for verdict in verdicts) else 0


def _verdict(agent: Agent, panel: Panel, screen: Screen) -> Verdict:
    with ExitStack() as stack:
        offences = check_lookahead(agent, panel, screen.progress(stack, agent.name))
    return Verdict(agent.name, len(panel.time), agent.bars_needed, offences)


# ---------------------------------------------------------------- a user's agent


def _agent(name: str, own: Mapping[str, str]) -> Agent:
    """One of ours or of the settings by name, or a class from a file or module, made without arguments."""
    if name in AGENTS:
        return AGENTS[name]()
    place = own.get(name, name)
    file = file_of(place)
    if place == name and ":" not in name and not name.endswith((".py", ".csv", ".parquet")):
        raise UsageError(
            f"no agent is named '{name}'; known are {', '.join((*AGENTS, *own))};"
            " your own is FILE.py:CLASS, module:CLASS or FILE"
        )
    if file is not None and not file.exists():
        raise UsageError(f"{file}: no such file")
    try:
        return make_own(place)
    except Exception as error:  # what a user wrote may raise anything
        raise UsageError(f"{name}: cannot be made: {problem_of(error)}") from None


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
