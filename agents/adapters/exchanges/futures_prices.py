"""Public prices of perpetual futures, and what was settled of them: of exchanges that trade nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.adapters.exchanges.public_prices import PublicPrices
from agents.core.arrays import Floats

PERPETUALS = ("binanceusdm",)
"""Such exchanges, by ccxt's names; what they trade is paid and settled in the same currency."""
MARK_INTERVAL, MARK_MS, MARKS = "1h", 3_600_000, 500
MINUTE_MS = 60_000


def prices_of(name: str, url: str = "") -> PublicPrices:
    """The public prices of an exchange, whatever it trades. UsageError as for `PublicPrices`."""
    return FuturesPrices(name, url) if name in PERPETUALS else PublicPrices(name, url)


class FuturesPrices(PublicPrices):
    """One exchange of PERPETUALS."""

    kind = "perpetual"

    def __init__(self, name: str, url: str = "") -> None:
        super().__init__(name, url)
        self._exchange.options["defaultType"] = "swap"

    def _is_ours(self, market: Mapping[str, Any]) -> bool:
        return bool(market.get("swap") and market.get("linear"))

    def funding(self, symbol: str, since_ms: int, limit: int) -> Floats:
        """At most `limit` settlements [n, 3] at `since_ms` or later, oldest first: the start of their minute in ms
        since 1970, rate, and mark price (NaN where it cannot be had). DataError where there is no such symbol."""
        self._require_market(symbol)
        answer = self._ask(self._exchange.fetch_funding_rate_history, symbol, since_ms, limit)
        try:
            rows = [(row["timestamp"] // MINUTE_MS * MINUTE_MS, row["fundingRate"], _marked(row)) for row in answer]
            settled = np.array(rows, dtype=np.float64).reshape(-1, 3)
        except (TypeError, ValueError, KeyError):
            raise self._away("answers with funding that cannot be understood") from None
        settled = settled[np.unique(settled[:, 0], return_index=True)[1]]
        settled = settled[settled[:, 0] >= since_ms]
        unknown = np.flatnonzero(~np.isfinite(settled[:, 2]))
        if len(unknown):  # of old ones the exchange tells no price; its mark candles do
            marks = self._marks(symbol, int(settled[unknown[0], 0]), int(settled[unknown[-1], 0]))
            settled[unknown, 2] = [marks.get(int(settled[k, 0]), np.nan) for k in unknown]
        return settled

    def _marks(self, symbol: str, first_ms: int, last_ms: int) -> dict[int, float]:
        """The mark price at the beginning of hours."""
        marks: dict[int, float] = {}
        while first_ms <= last_ms:
            page = self._ask(self._exchange.fetch_ohlcv, symbol, MARK_INTERVAL, first_ms, MARKS, {"price": "mark"})
            marks |= {int(candle[0]): float(candle[1]) for candle in page}
            if not page or int(page[-1][0]) < first_ms:
                break
            first_ms = int(page[-1][0]) + MARK_MS
        return marks


def _marked(row: Mapping[str, Any]) -> float:
    """The mark price beside a settlement; NaN where there is none."""
    told = row["info"].get("markPrice")
    return float(told) if told and float(told) > 0.0 else np.nan
