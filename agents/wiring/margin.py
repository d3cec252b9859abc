"""How much a desk of perpetual futures may hold on its equity without an exchange ever having to close it."""

from __future__ import annotations

from collections.abc import Sequence

from agents.core.errors import SettingsError
from agents.core.settings import Settings
from agents.core.symbols import is_perpetual

MAINTENANCE = 0.05
"""Of what is held, the equity that must be left: more than exchanges ask of positions below some millions (Binance
USD-M: 0.4 % of BTC, to 2.5 % of smaller coins in their first bracket, 2025)."""


def largest_gross(largest_move: float) -> float:
    """Gross exposure over equity g at which a move by the factor `largest_move` against all of it leaves just the
    maintenance margin: 1 - g d = MAINTENANCE g (1 + d), with d = largest_move - 1."""
    move = largest_move - 1.0
    return 1.0 / (move + MAINTENANCE * (1.0 + move))


def require_margin(settings: Settings, symbols: Sequence[str]) -> None:
    """SettingsError where perpetual futures are held on so little that a bar may liquidate them. No rule of the step
    liquidates anything: such a desk does not start, on paper and in replays as anywhere."""
    if not any(map(is_perpetual, symbols)):
        return
    gross = min(settings.risk.gross_cap, settings.execution.leverage)
    most = largest_gross(settings.data.largest_move)
    if gross > most:
        raise SettingsError(
            f"risk.gross_cap and execution.leverage allow {gross:g} times the equity in perpetual futures, which a bar"
            f" that moves by data.largest_move ({settings.data.largest_move:g}) may liquidate; one of them must be at"
            f" most {most:.2f}"
        )
