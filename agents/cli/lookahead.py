"""`quorum lookahead`: does an agent look into the future, or hang on where its data begin?"""

from __future__ import annotations

import importlib
import importlib.util
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.table import Table

from agents.cli.history import open_history
from agents.cli.screen import Screen, new_table
from agents.core.errors import UsageError
from agents.core.ports import Agent
from agents.core.settings import load_settings
from agents.core.types import Panel
from agents.pipeline.market import panel_of
from agents.replay.lookahead import CHECKS, Offence, check_lookahead
from agents.trading.registry import AGENTS, make_agents

Result = dict[str, Any]
"""One agent's offences, as in the JSON document."""


def lookahead(options: Namespace, screen: Screen) -> int:
    """The command; exit status 1 where an agent offends."""
    agents = [_agent(name) for name in options.agent] or list(make_agents([]))
    with ExitStack() as stack:
        opened = open_history(options, load_settings(options.settings), stack, screen)
        panel = panel_of(opened.bars())
        results = [_result(agent, panel, screen) for agent in agents]
    screen.result(results, _table(results), *_offence_lines(results))
    return 1 if any(result["offences"] for result in results) else 0


def _result(agent: Agent, panel: Panel, screen: Screen) -> Result:
    with ExitStack() as stack:
        offences = check_lookahead(agent, panel, screen.progress(stack, agent.name))
    return {
        "agent": agent.name,
        "bars": len(panel.time),
        "bars_needed": agent.bars_needed,
        "offences": [_offence_document(offence) for offence in offences],
    }


def _offence_document(offence: Offence) -> dict[str, Any]:
    return {
        "check": offence.check,
        "time": offence.time.isoformat() if offence.time else None,
        "symbol": offence.symbol,
        "detail": offence.detail,
    }


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


def _table(results: Sequence[Result]) -> Table:
    table = new_table("Lookahead")
    for name in ("agent", *CHECKS, "first offence"):
        table.add_column(name)
    for result in results:
        offences = result["offences"]
        failed = {offence["check"] for offence in offences}
        otherwise = "not tried" if "answer" in failed else "ok"
        verdicts = ("FAILS" if check in failed else otherwise for check in CHECKS)
        table.add_row(result["agent"], *verdicts, _place(offences[0]) if offences else "")
    return table


def _offence_lines(results: Sequence[Result]) -> list[str]:
    return [
        f"{result['agent']}, {offence['check']}, {_place(offence)}: {offence['detail']}"
        for result in results
        for offence in result["offences"]
    ]


def _place(offence: dict[str, Any]) -> str:
    time = (offence["time"] or "")[:16].replace("T", " ")
    return f"{time} {offence['symbol']}".strip()
