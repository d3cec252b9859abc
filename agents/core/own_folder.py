"""The folder of a user's own strategies (`agents.folder`): each file in it is an agent, named after the file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from agents.core.errors import DataError
from agents.core.own_strategies import TABLES, Kind, name_of, strategy_of
from agents.core.profiles import OURS
from agents.core.settings_sections import AgentsSettings

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_FILES = 500


@dataclass(frozen=True, slots=True)
class Folder:
    """The agents and the tables of returns of a folder, name -> file, and a line for each file that is neither."""

    agents: dict[str, Path] = field(default_factory=dict)
    returns: dict[str, Path] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_folder(folder: Path) -> Folder:
    """Every strategy in a folder; nothing where there is none. Hidden files, those whose name begins with _, and those
    of another ending are none."""
    agents: dict[str, Path] = {}
    returns: dict[str, Path] = {}
    problems: list[str] = []
    try:
        files = sorted(file for file in folder.iterdir() if _may_be_one(file)) if folder.is_dir() else []
    except OSError as error:
        return Folder(problems=(f"{folder}: cannot be read: {error.strerror or error}",))
    if len(files) > MOST_FILES:
        problems.append(f"{folder}: holds {len(files)} files, the first {MOST_FILES} are looked at")
    for file in files[:MOST_FILES]:
        name = name_of(file)
        try:
            kind = strategy_of(file).kind
            if not NAME.fullmatch(name):
                raise DataError(f"{file}: '{name}' is no name for an agent: letters, digits, _ and - only")
            if name in OURS:
                raise DataError(f"{file}: an agent that comes with Quorum is named {name}; rename the file")
            if name in agents or name in returns:
                raise DataError(f"{file}: another file gives the name {name}: {agents.get(name) or returns[name]}")
            (returns if kind is Kind.RETURNS else agents)[name] = file
        except DataError as error:
            problems.append(str(error))
    return Folder(agents, returns, tuple(problems))


def _may_be_one(file: Path) -> bool:
    return file.suffix in (".py", *TABLES) and not file.name.startswith((".", "_")) and file.is_file()


def with_folder(agents: AgentsSettings) -> AgentsSettings:
    """The settings with what the folder holds among `own` and `external`; what is written there wins."""
    folder = read_folder(agents.folder)
    own = {name: str(file) for name, file in folder.agents.items()} | agents.own
    external = {name: str(file) for name, file in folder.returns.items()} | agents.external
    return agents.model_copy(update={"own": own, "external": external})


def folder_problems(agents: AgentsSettings) -> tuple[str, ...]:
    """A line for each file of the folder that is not taken, and why."""
    folder = read_folder(agents.folder)
    taken = [
        f"{file}: the name {name} is taken by {where[name]} (agents.{key}); rename one of them"
        for files, where, key in ((folder.agents, agents.own, "own"), (folder.returns, agents.external, "external"))
        for name, file in files.items()
        if where.get(name, str(file)) != str(file)
    ]
    return (*folder.problems, *taken)
