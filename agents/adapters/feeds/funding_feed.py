"""The live funding of a desk's perpetual futures: asked for once for each bar, into files beside the candles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from agents.adapters.exchanges.funding_history import fetch_funding, funding_file
from agents.adapters.exchanges.futures_prices import FuturesPrices
from agents.core.arrays import Floats


class FundingFeed:
    """Brings what was settled of `symbols` into `folder`; of a new file from `warm_up_ms` before the bar on."""

    def __init__(self, prices: FuturesPrices, folder: Path, symbols: Sequence[str], warm_up_ms: int) -> None:
        self._prices = prices
        self._files = {symbol: funding_file(folder, prices.name, symbol) for symbol in symbols}
        self._warm_up_ms = warm_up_ms
        self._taken: dict[str, int] = {}

    def take(self, due_ms: int) -> None:
        """Ask for each symbol whose bar that opened at `due_ms` was not asked for. ExchangeAwayError: those that were
        taken stay."""
        for symbol, file in self._files.items():
            if self._taken.get(symbol) != due_ms and self._prices.has_market(symbol):
                fetch_funding(self._prices, file, max(0, due_ms - self._warm_up_ms), _once)
                self._taken[symbol] = due_ms


def _once(ask: Callable[[], Floats]) -> Floats:
    return ask()
