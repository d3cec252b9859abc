"""A person's yes before something is forgotten."""

from __future__ import annotations

import sys
from argparse import Namespace

from agents.cli.screen import Screen
from agents.core.errors import UsageError


def confirmed(options: Namespace, screen: Screen, what: str) -> bool:
    """Whether a person at the terminal agrees to `what`, or --yes was given; UsageError where nobody can be asked."""
    if options.yes:
        return True
    if options.json or not sys.stdin.isatty():
        raise UsageError(f"this would {what}; add --yes to do it")
    screen.err.print(f"{what}? Type yes: ", end="", markup=False)
    if sys.stdin.readline().strip().lower() == "yes":
        return True
    screen.say("nothing was changed")
    return False
