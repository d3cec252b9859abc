"""The actions of `quorum cash`: the arguments and an example of each, which its own help shows."""

from __future__ import annotations

from argparse import ArgumentParser

from agents.cli.actions import Action
from agents.cli.options import add_demo, completed_by, exact_amount, nothing, signed_amount, symbol
from agents.cli.trading_arguments import reason
from agents.core.cash_flows import CAPITAL, FLOW_KINDS

EARNED = tuple(kind for kind in FLOW_KINDS if kind not in CAPITAL)


def _told(parser: ArgumentParser) -> None:
    reason(parser)
    text = "your own name for it, such as the bank's; the same name again is not booked twice"
    completed_by(parser.add_argument("--id", metavar="NAME", help=text), nothing)
    add_demo(parser)


def _moved(parser: ArgumentParser) -> None:
    text = "in the currency of the desk's prices, such as 1000 or 250.50"
    completed_by(parser.add_argument("amount", type=exact_amount, metavar="AMOUNT", help=text), nothing)
    _told(parser)


def _earned(parser: ArgumentParser) -> None:
    parser.add_argument("kind", choices=EARNED, metavar="KIND", help=", ".join(EARNED))
    text = "what came, such as 12.30; what was paid is negative: -12.30"
    completed_by(parser.add_argument("amount", type=signed_amount, metavar="AMOUNT", help=text), nothing)
    text = "of which symbol, such as AAPL"
    completed_by(parser.add_argument("--symbol", type=symbol, metavar="SYMBOL", help=text), nothing)
    _told(parser)


CASH = (
    Action("list", "money that came and went, and what waits", add_demo, ("quorum cash", "quorum cash list --json")),
    Action(
        "deposit",
        "more capital from the next bar on; no return is changed by it",
        _moved,
        ("quorum cash deposit 5000 --reason 'savings of March'",),
    ),
    Action(
        "withdraw",
        "less capital from the next bar on; at most the cash there is",
        _moved,
        ("quorum cash withdraw 1200.50 --reason rent --id 2026-04",),
    ),
    Action(
        "earned",
        "interest and the like: part of the next bar's return",
        _earned,
        (
            "quorum cash earned interest 12.30 --reason 'on idle cash, March'",
            "quorum cash earned borrow -3 --reason fee",
        ),
    ),
)
