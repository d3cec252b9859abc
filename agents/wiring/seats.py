"""Where each agent of a desk works: in this process, or in one of its own (`agents.isolation`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agents.adapters.workers.blocks import PanelBoard
from agents.adapters.workers.seat import Work, WorkerSeat
from agents.core.agent_code import is_file, make_agent
from agents.core.asking import problem_of
from agents.core.clock import Clock
from agents.core.errors import SettingsError
from agents.core.seats import Seat
from agents.core.settings import AgentsSettings
from agents.trading.inside import InsideSeat
from agents.trading.registry import AGENTS


def seats_of(chosen: AgentsSettings, names: Sequence[str], clock: Clock) -> tuple[Seat, ...]:
    """The seats of these agents, in this order; workers start here, all at the same time.

    SettingsError where a file that the settings name is missing, or where an agent that shall work inside cannot be
    made. An agent that cannot be made in its worker abstains, and says why in the work log.
    """
    board = PanelBoard()
    return tuple(_seat(chosen, name, board, clock) for name in names)


def _seat(chosen: AgentsSettings, name: str, board: PanelBoard, clock: Clock) -> Seat:
    if name not in AGENTS:
        place = _place_of(name, chosen.own[name])
        if chosen.isolation == "none":
            try:
                return InsideSeat(make_agent(place), clock, name)
            except Exception as error:  # a user's code may raise anything
                raise SettingsError(f"agents.own.{name}: {place} cannot be made: {problem_of(error)}") from None
        return WorkerSeat(Work(name=name, place=place, memory_mb=chosen.memory_mb), board, clock)
    factory = AGENTS[name]
    if chosen.isolation == "all" and isinstance(factory, type):
        place = f"{factory.__module__}:{factory.__qualname__}"
        work = Work(name=name, place=place, memory_mb=chosen.memory_mb, bars_needed=factory().bars_needed)
        return WorkerSeat(work, board, clock)
    return InsideSeat(factory(), clock)


def _place_of(name: str, place: str) -> str:
    """Where the settings say the code is; a file by its whole path, since workers run elsewhere."""
    code, _, class_name = place.rpartition(":")
    if not is_file(code):
        return place
    file = Path(code).expanduser().absolute()
    if not file.is_file():
        raise SettingsError(f"agents.own.{name}: {file}: no such file")
    return f"{file}:{class_name}"
