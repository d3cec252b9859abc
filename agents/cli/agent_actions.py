"""The actions of `quorum agent`: the arguments and an example of each, which its own help shows."""

from __future__ import annotations

from argparse import ArgumentParser

from agents.cli import history_arguments
from agents.cli.actions import Action
from agents.cli.options import add_demo, agent_names, completed_by, nothing

KINDS = ("function", "freqtrade", "signals", "returns", "entries")
"""What `quorum agent new` writes; a test holds this to the templates."""


def _person(parser: ArgumentParser) -> None:
    """A person's word about an agent."""
    completed_by(parser.add_argument("name", nargs="?", metavar="NAME", help="the agent"), agent_names)
    completed_by(parser.add_argument("--reason", default="", metavar="TEXT", help="why"), nothing)
    add_demo(parser)


def _new(parser: ArgumentParser) -> None:
    completed_by(parser.add_argument("name", metavar="NAME", help="what the desk shall call it"), nothing)
    text = (
        "function (default): a pandas frame for each symbol -> positions; freqtrade: an IStrategy; signals: a table of"
        " time, symbol, position; returns: a table of time, return of what trades elsewhere; entries: boolean frames"
        " of entries and exits, as in vectorbt"
    )
    parser.add_argument("--kind", choices=KINDS, default="function", metavar="KIND", help=text)


AGENT = (
    Action("list", "where every agent stands", add_demo, ("quorum agent list",)),
    Action("regimes", "does an agent's skill differ by the market's regime?", add_demo, ("quorum agent regimes",)),
    Action(
        "promote",
        "listen to one in shadow, whatever its evidence",
        _person,
        ("quorum agent promote Momentum --reason 'two years elsewhere'",),
    ),
    Action(
        "retire",
        "listen to one no longer, whatever its evidence",
        _person,
        ("quorum agent retire Breakout --reason 'its venue is closed'",),
    ),
    Action(
        "new",
        "write a strategy of your own that works at once",
        _new,
        ("quorum agent new cross", "quorum agent new bandit --kind freqtrade", "quorum agent new mine --kind signals"),
    ),
    Action(
        "check",
        "one page about a strategy: look-ahead, speed, what it is worth",
        history_arguments.agent_check,
        (
            "quorum agent check my_agents/cross.py",
            "quorum agent check my_agents/cross.py --bars db --json",
            "quorum agent check ~/user_data/strategies/Awesome.py --bars bars/",
        ),
    ),
)
