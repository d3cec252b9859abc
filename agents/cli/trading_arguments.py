"""What the commands about a running desk are called with: trade, halt, resume, reconcile."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from agents.cli.options import completed_by, days, nothing, share
from agents.core.errors import UsageError


def halt(parser: ArgumentParser) -> None:
    """`quorum halt`."""
    how = parser.add_mutually_exclusive_group()
    for name, text in (
        ("reduce", "only scale the limits down, as a drawdown does, until a resume"),
        ("flatten", "close every position at the next decision, too"),
        ("kill", "by the kill file: nothing leaves from now on, also where the database is down"),
    ):
        how.add_argument(f"--{name}", dest="how", action="store_const", const=name, help=text)
    text = "with --flatten: by a file, so that a desk at an exchange closes its positions while the database is away"
    parser.add_argument("--offline", action="store_true", help=text)
    reason(parser)


def reason(parser: ArgumentParser) -> None:
    """`quorum halt` and `quorum resume`."""
    text = "why, for the record"
    completed_by(parser.add_argument("--reason", required=True, metavar="TEXT", help=text), nothing)


def reason_of(options: Namespace) -> str:
    """A person's reason, for the record. UsageError where it is empty."""
    if not options.reason.strip():
        raise UsageError("--reason is empty; say in a few words why, it is kept on record")
    return str(options.reason)


def reconcile(parser: ArgumentParser) -> None:
    """`quorum reconcile`."""
    what = parser.add_mutually_exclusive_group()
    for name, text in (
        ("adopt", "executions of orders that somebody else placed, or this cash, are the desk's"),
        ("ignore", "the difference is not the desk's: money or coins of your own"),
    ):
        completed_by(what.add_argument(f"--{name}", metavar="SYMBOL", help=text), nothing)
    completed_by(parser.add_argument("--reason", metavar="TEXT", help="why, for the record"), nothing)


def trade(parser: ArgumentParser) -> None:
    """`quorum trade`."""
    text = "start nothing: only confirm, at a terminal, that this desk may trade real money (for a daemon without one)"
    parser.add_argument("--confirm", action="store_true", help=text)
    text = "settings of another desk, such as one on paper: this new one takes along what that has learnt"
    parser.add_argument("--carry-from", type=Path, metavar="FILE", help=text)
    text = "a new desk begins with this share of desk.initial_cash, and gets the rest in ten steps"
    completed_by(parser.add_argument("--ramp", type=share, metavar="SHARE", help=text), nothing)
    text = "the last step is so long after the first decision, by the bars' time (default: 30)"
    completed_by(parser.add_argument("--ramp-days", type=days, default=30, metavar="DAYS", help=text), nothing)
