"""Where each agent of a desk works: in this process, or in one of its own (`agents.isolation`)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agents.adapters.own.making import make_own
from agents.adapters.workers.blocks import PanelBoard
from agents.adapters.workers.seat import Work, WorkerSeat
from agents.core.agent_code import file_of
from agents.core.asking import problem_of
from agents.core.clock import Clock
from agents.core.errors import SettingsError
from agents.core.log import log_event
from agents.core.own_folder import folder_problems
from agents.core.seats import Seat
from agents.core.settings import AgentsSettings
from agents.trading.base import YEAR_BARS
from agents.trading.inside import InsideSeat
from agents.trading.registry import AGENTS, make_agent_of

logger = logging.getLogger(__name__)


def seats_of(
    chosen: AgentsSettings, names: Sequence[str], clock: Clock, year_bars: int = YEAR_BARS
) -> tuple[Seat, ...]:
    """The seats of these agents, in this order, on a desk whose year has so many bars; workers start here, all at the
    same time.

    SettingsError where a file that the settings name is missing, or where an agent that shall work inside cannot be
    made. An agent that cannot be made in its worker abstains, and says why in the work log. A file of `agents.folder`
    that is no agent is told in a line.
    """
    for line in folder_problems(chosen):
        log_event(logger, f"not taken: {line}", level=logging.WARNING)
    board = PanelBoard()
    return tuple(_seat(chosen, name, board, clock, year_bars) for name in names)


def _seat(chosen: AgentsSettings, name: str, board: PanelBoard, clock: Clock, year_bars: int) -> Seat:
    if name not in AGENTS:
        place = _place_of(name, chosen.own[name])
        if chosen.isolation == "none":
            try:
                return InsideSeat(make_own(place), clock, name)
            except Exception as error:  # a user's code may raise anything
                raise SettingsError(f"agents.own.{name}: {place} cannot be made: {problem_of(error)}") from None
        return WorkerSeat(Work(name=name, place=place, memory_mb=chosen.memory_mb), board, clock)
    factory = AGENTS[name]
    if chosen.isolation == "all" and isinstance(factory, type):
        of_year = f"@{year_bars}" if getattr(factory, "in_months", False) else ""
        place = f"{factory.__module__}:{factory.__qualname__}{of_year}"
        needed = make_agent_of(name, year_bars).bars_needed
        return WorkerSeat(Work(name=name, place=place, memory_mb=chosen.memory_mb, bars_needed=needed), board, clock)
    return InsideSeat(make_agent_of(name, year_bars), clock)


def _place_of(name: str, place: str) -> str:
    """Where the settings say the code is; a file by its whole path, since workers run elsewhere."""
    named = file_of(place)
    if named is None:
        return place
    file = named.expanduser().absolute()
    if not file.is_file():
        raise SettingsError(f"agents.own.{name}: {file}: no such file")
    return f"{file}{place[len(str(named)) :]}"
