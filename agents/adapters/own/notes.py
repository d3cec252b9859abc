"""What a user should know of a freqtrade strategy before Quorum trades it, read from its text."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agents.core.own_strategies import Kind, Strategy

NOT_HONOURED = (
    "minimal_roi",
    "stoploss",
    "trailing_stop",
    "use_custom_stoploss",
    "custom_stoploss",
    "custom_exit",
    "custom_roi",
    "custom_stake_amount",
    "custom_entry_price",
    "custom_exit_price",
    "adjust_trade_position",
    "confirm_trade_entry",
    "confirm_trade_exit",
    "position_adjustment_enable",
    "exit_profit_only",
    "sell_profit_only",
    "protections",
    "leverage",
)


def notes_of(strategy: Strategy, interval: str) -> list[str]:
    """Of a freqtrade strategy what is not honoured, and where its candles are not the desk's; nothing of others."""
    if strategy.kind is not Kind.FREQTRADE or strategy.body is None:
        return []
    written = dict(_written(strategy.body))
    ignored = [name for name in NOT_HONOURED if name in written]
    notes = []
    if ignored:
        notes.append(f"not honoured: {', '.join(ignored)}; sizes, stops and orders are the desk's")
    timeframe = written.get("timeframe") or written.get("ticker_interval")
    if isinstance(timeframe, ast.Constant) and timeframe.value != interval:
        notes.append(f"written for candles of {timeframe.value!s}; the desk's bars are of {interval}")
    return notes


def _written(body: ast.ClassDef) -> Iterator[tuple[str, ast.expr | None]]:
    """The names that a class defines, with what is assigned to them."""
    for node in body.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, None
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node.value
        elif isinstance(node, ast.Assign):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))
