"""The actions of `quorum desk`: the arguments and an example of each, which its own help shows."""

from __future__ import annotations

from argparse import ArgumentParser

from agents.cli.actions import Action
from agents.cli.arguments import no_arguments
from agents.cli.options import completed_by, desk_name, nothing
from agents.core.profiles import PROFILES


def _new(parser: ArgumentParser) -> None:
    name = parser.add_argument("name", type=desk_name, metavar="NAME", help="up to 16 of a-z, 0-9, _ and -")
    completed_by(name, nothing)
    text = f"what it trades: {', '.join(PROFILES)} (default: stocks)"
    parser.add_argument("--profile", choices=tuple(PROFILES), default="stocks", metavar="PROFILE", help=text)


DESK = (
    Action(
        "list", "the desks of this machine, and how each is", no_arguments, ("quorum desk", "quorum desk list --json")
    ),
    Action(
        "new",
        "one more: settings, database, bars and logs of its own",
        _new,
        ("quorum desk new btc --profile crypto-spot",),
    ),
)
