"""The actions of `quorum bars` and `quorum data`: the arguments and an example of each, which its own help shows."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import NamedTuple

from agents.cli.options import add_demo, completed_by, moment, moment_after, nothing, symbol


class Action(NamedTuple):
    """What a command can do: the word for it, its purpose (starts small, no full stop), how it adds its arguments, and
    examples. The first one of a command is done where none is named."""

    name: str
    purpose: str
    add_arguments: Callable[[ArgumentParser], None]
    examples: tuple[str, ...]


def _symbol(parser: ArgumentParser, name: str = "symbol", *, text: str = "such as AAPL", wanted: bool = True) -> None:
    count = None if wanted else "?"
    completed_by(parser.add_argument(name, nargs=count, type=symbol, metavar=name.upper(), help=text), nothing)


def _of_symbol(parser: ArgumentParser) -> None:
    _symbol(parser)
    add_demo(parser)


def _of_one_or_all(parser: ArgumentParser) -> None:
    _symbol(parser, text="this one only (default: all)", wanted=False)
    add_demo(parser)


def _delist(parser: ArgumentParser) -> None:
    _symbol(parser)
    parser.add_argument("--price", type=float, metavar="PRICE", help="what is paid for a share, 0 for nothing")
    text = "from when, in UTC (default: after the symbol's last bar)"
    completed_by(parser.add_argument("--at", type=moment, metavar="TIME", help=text), nothing)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_demo(parser)


def _rename(parser: ArgumentParser) -> None:
    _symbol(parser, text="what the desk calls it, and goes on to")
    _symbol(parser, "name", text="what files call it from now on")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_demo(parser)


def _list(parser: ArgumentParser) -> None:
    parser.add_argument("--history", action="store_true", help="also what is settled: suspect bars of the past")
    add_demo(parser)


def _corrections(parser: ArgumentParser) -> None:
    _symbol(parser, text="this one only (default: all)", wanted=False)
    parser.add_argument("--seen", action="store_true", help="you know them now; closes their alarm")
    add_demo(parser)


def _remove(parser: ArgumentParser) -> None:
    _symbol(parser)
    text = "the first bar, in UTC (default: the symbol's first)"
    completed_by(parser.add_argument("--from", dest="start", type=moment, metavar="TIME", help=text), nothing)
    text = "the last bar; a date means its end (default: the symbol's last)"
    completed_by(parser.add_argument("--to", dest="end", type=moment_after, metavar="TIME", help=text), nothing)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_demo(parser)


BARS = (
    Action("list", "symbols whose newest price is not believed, and what you said", add_demo, ("quorum bars",)),
    Action(
        "accept", "the newest price is right: the next one is held against it", _of_symbol, ("quorum bars accept A",)
    ),
    Action("undo", "take an acceptance back, or a delisting not yet acted on", _of_symbol, ("quorum bars undo A",)),
    Action("reject", "the newest price is wrong: bars must agree anew", _of_symbol, ("quorum bars reject A",)),
    Action(
        "delist",
        "it was taken off the market: every book is closed at a price",
        _delist,
        ("quorum bars delist TWTR --price 54.20", "quorum bars delist BBBY --price 0 --at 2023-05-03"),
    ),
    Action(
        "rename",
        "files have another name for it: their rows go on as this symbol",
        _rename,
        ("quorum bars rename FB META",),
    ),
)
DATA = (
    Action("list", "symbols: bars, gaps, and what is open", _list, ("quorum data", "quorum data list --history")),
    Action("gaps", "where bars are missing", _of_one_or_all, ("quorum data gaps", "quorum data gaps AAPL")),
    Action(
        "corrections",
        "bars that a later file gave otherwise",
        _corrections,
        ("quorum data corrections AAPL", "quorum data corrections --seen"),
    ),
    Action("quarantine", "files and rows that were refused, and why", add_demo, ("quorum data quarantine --json",)),
    Action(
        "remove",
        "take back bars that no decision has used",
        _remove,
        ("quorum data remove T", "quorum data remove T --from 2024-01-02 --to 2024-01-05"),
    ),
)
