"""An agent out of a user's code: a class in a file or a module, made without arguments.

Importing code runs it. Only a worker process and commands that a user runs on their own code may call this.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from agents.core.ports import Agent

MOST_BARS = 1_000_000
"""The longest memory that an agent may ask for."""


def make_agent(place: str) -> Agent:
    """The agent at `FILE.py:CLASS` or `module:CLASS`; at `module:CLASS@BARS` it is made with the number of bars in a
    year. Raises whatever the code raises, and TypeError where the class lacks what an agent needs."""
    module_name, _, class_name = place.rpartition(":")
    class_name, _, year_bars = class_name.partition("@")
    module = module_of_file(module_name) if is_file(module_name) else importlib.import_module(module_name)
    factory = getattr(module, class_name)
    return checked_agent(factory(int(year_bars)) if year_bars else factory(), class_name)


def checked_agent(agent: Agent, class_name: str) -> Agent:
    """The same agent; TypeError, with the name of its class, where it lacks what an agent needs."""
    missing = [part for part in ("name", "bars_needed", "signals") if not hasattr(agent, part)]
    if missing:
        raise TypeError(f"{class_name} has no {', '.join(missing)}; an agent has name, bars_needed and signals(panel)")
    memory = agent.bars_needed
    if not isinstance(memory, int) or not 1 <= memory <= MOST_BARS:
        raise TypeError(f"{class_name}.bars_needed is {memory!r:.40}, expected a whole number from 1 to {MOST_BARS:,}")
    return agent


def is_file(place: str) -> bool:
    """Whether code is named by its file, not by its module."""
    return place.endswith(".py")


def file_of(place: str) -> Path | None:
    """The file that a place names, `FILE.py:CLASS` or `FILE`; None where it names a module."""
    code, sign, _ = place.rpartition(":")
    if not sign:
        return Path(place)
    return Path(code) if is_file(code) else None


def module_of_file(file: str) -> ModuleType:
    """A file of Python, run as a module."""
    spec = importlib.util.spec_from_file_location(f"own_agent_{Path(file).stem}", file)
    assert spec is not None and spec.loader is not None, "every .py file has a loader"
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    return module
