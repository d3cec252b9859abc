"""What the commands show."""

from __future__ import annotations

from rich.table import Table

from agents.cli.screen import Screen
from agents.cli.status import summary_tables

FIGURES = {"equity": 1.0, "total_return": 0.1, "annual_return": 0.1, "sharpe": 1.0, "max_drawdown": 0.1}
DOCUMENT = {
    "period": ["2020-01-01T21:00:00Z", "2021-01-01T21:00:00Z"],
    "book": "paper",
    "live": FIGURES,
    "controls": {"equal": FIGURES},
    "agents": [
        {"agent_name": name, "weight": 0.5, "contribution": 1.0, "shadow_sharpe": 0.5, "hit_rate": 0.5, "signals": 3}
        for name in ("Breakout", "remainder")
    ],
    "counts": {
        "decisions": 1,
        "orders": 1,
        "unfilled_orders": 0,
        "fills": 1,
        "trades": 1,
        "winning_trades": 0.5,
        "fees": 1.0,
        "slippage": 1.0,
    },
}


def test_tables_show_words_not_their_markup(capsys):
    tables = summary_tables(DOCUMENT)
    assert any(isinstance(table, Table) for table in tables)
    Screen(as_json=False).result(DOCUMENT, *tables)
    shown = capsys.readouterr().out
    assert "paper" in shown and "remainder" in shown
    assert "[bold]" not in shown and "[dim]" not in shown and "[/" not in shown
