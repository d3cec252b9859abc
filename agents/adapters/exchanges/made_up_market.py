"""Markets for the made-up exchange: random walks with trends, or what was downloaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from agents.adapters.exchanges.candle_file import HEADER
from agents.adapters.exchanges.recorded_market import OPENED, RecordedMarket
from agents.core.arrays import Floats
from agents.core.errors import DataError
from agents.core.settings import INTERVALS_S

STEP = 0.01
"""Standard deviation of a bar's return."""
TREND, TREND_BARS = 0.5, 50.0
"""The standard deviation of what a bar's return is expected to be, over `STEP`, and the half-life of that in bars: on a
walk without trends a desk that knows its costs hardly ever trades, and whoever practises would see nothing."""


def made_up(start: datetime, symbols: Sequence[str], interval: str, bars: tuple[int, int], seed: int) -> RecordedMarket:
    """Random walks with trends, no gap around `start`: of the `bars` (before, after) the first are over by then."""
    length_ms = INTERVALS_S[interval] * 1000
    before, count = bars[0], sum(bars)
    first = int(start.timestamp() * 1000) // length_ms * length_ms - before * length_ms
    candles = {}
    for k, symbol in enumerate(symbols):
        rng = np.random.default_rng(seed + k)
        returns = STEP * (rng.normal(size=count) + TREND * _wandering(rng.normal(size=count)))
        close = np.round(100.0 * np.exp(np.cumsum(returns)), 2)
        opened = np.concatenate([[100.0], close[:-1]])
        high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.5
        time = first + np.arange(count) * length_ms
        candles[symbol] = np.column_stack([time, opened, high, low, close, rng.integers(1, 900, count)])
    return RecordedMarket(interval, length_ms, candles, seed)


def _wandering(steps: Floats) -> Floats:
    """An autoregression of variance 1 that forgets half in `TREND_BARS`, driven by `steps`."""
    kept, now, path = 0.5 ** (1.0 / TREND_BARS), 0.0, np.empty_like(steps)
    for t, step in enumerate(steps):
        now = path[t] = kept * now + np.sqrt(1.0 - kept * kept) * step
    return path


def downloaded(folder: Path, interval: str) -> RecordedMarket:
    """The candles of one interval that `quorum download` brought into a folder; DataError where there are none."""
    candles = dict(_candles_of(file) for file in sorted(folder.glob(f"*-{interval}.csv")))
    if not candles:
        raise DataError(
            f"{folder}: no files of candles of {interval}, such as binance-BTC-USDT-{interval}.csv; bring some"
            f" (quorum download --exchange binance --symbols BTC/USDT --interval {interval} --from 2025-01-01),"
            " or practise without --market, on made-up prices"
        )
    return RecordedMarket(interval, INTERVALS_S[interval] * 1000, candles)


def _candles_of(file: Path) -> tuple[str, Floats]:
    lines = file.read_bytes().splitlines()
    if not lines or lines[0] + b"\n" != HEADER or len(lines) == 1:
        raise DataError(f"{file}: is no file of candles as quorum download --exchange writes them")
    rows = [line.decode().split(",") for line in lines[1:]]
    symbol = rows[0][1]
    if not re.fullmatch(r"[A-Z0-9.]+/[A-Z0-9.]+", symbol):
        raise DataError(f"{file}: its symbol {symbol!r} is none of an exchange, such as BTC/USDT")
    try:
        opened = np.array([row[0].removesuffix("Z") for row in rows], dtype="datetime64[ms]").astype(np.float64)
        numbers = np.array([row[2:] for row in rows], dtype=np.float64)
        candles = np.column_stack([opened, numbers]).reshape(len(rows), 6)
    except ValueError:
        raise DataError(f"{file}: holds a line that is no candle") from None
    return symbol, candles[np.unique(candles[:, OPENED], return_index=True)[1]]
