"""`quorum agent regimes`: agents' skill by the market's regime."""

from __future__ import annotations

from argparse import Namespace

from rich.text import Text

from agents.adapters.database.agent_days import AgentDaysTable
from agents.adapters.database.desk_history import DeskHistory
from agents.cli.screen import Screen, rows_table
from agents.core.settings import load_settings
from agents.reports.regime_section import regime_lines, regime_sentence
from agents.wiring.connections import connect_to_read
from agents.wiring.regimes import by_regime_of

COLUMNS = {"by_volatility": "by vol.", "by_trend": "by trend"}
NOTHING = "no day began in a known regime yet: the market's is known half a year of bars after the first"


def regimes(options: Namespace, screen: Screen) -> None:
    """As of the newest decision."""
    connections = connect_to_read(load_settings(options.settings), demo=options.demo, say=screen.say)
    try:
        history = DeskHistory(connections.meta)
        span, found = history.span(), None
        if span is not None:
            days = AgentDaysTable(connections.meta, sorted(history.agents())).read(span.last.date())
            found = by_regime_of(connections.meta, days, span.last)
    finally:
        connections.close()
    document = None if found is None else found.as_plain()
    if found is None or not found.agents:
        screen.result(document, NOTHING)
        return
    lines = [{COLUMNS.get(name, name): value for name, value in line._asdict().items()} for line in regime_lines(found)]
    title = (
        "Sharpe above the average agent: by how much it is believed to be another one in such a market; by vol., by"
        " trend: how probable it is that the agent differs by it at all"
    )
    screen.result(document, rows_table(title, lines, tuple(lines[0])), Text(regime_sentence(found)))
