"""The work: a market, the rule, and how long a program takes over it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

CASH, FEE, SHARES = 1e9, 1e-4, 100.0
FAST, SLOW, RSI, CEILING = 20, 50, 14, 70.0
FIRST_DAY = "2010-01-04"
EDGE = 3.0
"""Logarithm of how far prices go from the first one."""


def make_market(path: Path, symbols: int, days: int) -> None:
    """Random walks with overnight gaps, from a seed; thrown back at a twentieth and at twenty times their first price,
    so that in long ones nobody's orders outgrow the account: programs would differ by what they then refuse."""
    import numpy as np

    rng = np.random.default_rng(7)
    walk = np.cumsum(rng.normal(0.0002, 0.015, (days, symbols)), axis=0)
    thrown_back = np.abs((walk - EDGE) % (4.0 * EDGE) - 2.0 * EDGE) - EDGE
    close = 50.0 * np.exp(np.where(np.abs(walk) <= EDGE, walk, thrown_back))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0.0, 0.004, close.shape))
    high, low = np.maximum(open_, close) * 1.003, np.minimum(open_, close) * 0.997
    np.savez(
        path,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=rng.integers(1_000_000, 9_000_000, close.shape).astype(float),
    )


def dates(days: int):
    import pandas as pd

    return pd.bdate_range(FIRST_DAY, periods=days)


def holding(close):
    """Where the rule holds, [T, S] bool, for programs that take signals; Wilder's RSI, from the first close."""
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(close)
    move = frame.diff()
    gain = move.clip(lower=0.0).ewm(alpha=1.0 / RSI, adjust=False).mean()
    loss = (-move.clip(upper=0.0)).ewm(alpha=1.0 / RSI, adjust=False).mean()
    strength = 100.0 - 100.0 / (1.0 + gain / loss)
    hold = (frame.rolling(FAST).mean() > frame.rolling(SLOW).mean()) & (strength < CEILING)
    return np.asarray(hold)


def best_of(m, work: Callable[[], tuple[float, int]], repeats: int = 3) -> dict[str, float]:
    """The fastest of some runs over market `m`: by the clock, on all cores that the program uses, and by processor."""
    seconds, processor, found = float("inf"), float("inf"), (0.0, 0)
    for _ in range(repeats):
        started, used = time.perf_counter(), time.process_time()
        found = work()
        seconds, processor = min(seconds, time.perf_counter() - started), min(processor, time.process_time() - used)
    bars = m["close"].size
    figures = {"seconds": seconds, "bars_per_s": bars / seconds, "processor_bars_per_s": bars / processor}
    return figures | {"equity": found[0], "orders": found[1]}
