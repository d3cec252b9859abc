"""What a command is: an entry of the table in `commands`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import NamedTuple

from agents.cli.actions import Action


class Command(NamedTuple):
    """A command: its name, the module of `agents.cli` whose function of that name runs it, its purpose (starts small,
    no full stop), how it adds its arguments, examples, and what else its help says. Where it has `actions`, the word
    behind it names one, and that one's arguments, examples and help take the place of its own."""

    name: str
    module: str
    purpose: str
    add_arguments: Callable[[ArgumentParser], None]
    examples: tuple[str, ...]
    more: str = ""
    actions: tuple[Action, ...] = ()

    @property
    def function(self) -> str:
        """The name of the function that runs it."""
        return self.name.replace("-", "_")
