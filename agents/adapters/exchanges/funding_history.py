"""Funding of perpetual futures from an exchange into a file beside the bars, page by page, from where the file ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from agents.adapters.exchanges.candle_file import CandleFile
from agents.adapters.exchanges.futures_prices import MINUTE_MS, FuturesPrices
from agents.core.arrays import Floats

HEADER = b"time,symbol,rate,price\n"
PAGE = 1000


def funding_file(folder: Path, exchange: str, symbol: str) -> CandleFile:
    """`<folder>/<exchange>-<BASE-QUOTE-SETTLE>.funding.csv`, whose rows are a moment, rate and price."""
    name = f"{exchange}-{re.sub('[^A-Za-z0-9.]', '-', symbol)}.funding.csv"
    return CandleFile(folder / name, symbol, HEADER)


def fetch_funding(
    prices: FuturesPrices, file: CandleFile, start_ms: int, patiently: Callable[[Callable[[], Floats]], Floats]
) -> int:
    """What was settled from `start_ms` on, or since the file ends, into the file; how many settlements. `patiently`
    asks. What comes without a price, and for which none is to be had, ends it: it is asked for again."""
    newest, count = file.newest_ms(), 0
    since = start_ms if newest is None else newest + MINUTE_MS
    while True:
        page = patiently(partial(prices.funding, file.symbol, since, PAGE))
        priced = page[np.cumprod(np.isfinite(page).all(axis=1)).astype(bool)] if len(page) else page
        if len(priced):
            count += file.append(priced)
            since = int(priced[-1, 0]) + MINUTE_MS
        if len(priced) < PAGE:
            return count
