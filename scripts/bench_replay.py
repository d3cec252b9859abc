#!/usr/bin/env python3
"""A year of minute bars of 50 symbols that never close (26 million bars) through the replay: bars/s and peak memory.

    scripts/bench_replay.py [--days 365] [--symbols 50] [--no-tuning] [--json]

The market is computed as it is read, so that it takes no room of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.core.settings import Settings
from agents.core.types import Bars, as_stamp
from agents.quant.measures import daily_of
from agents.wiring.history import History, ReplayRequest
from agents.wiring.replay import replay_history

START = np.datetime64("2023-01-01T00:00", "us")
MINUTE = np.timedelta64(60_000_000, "us")
BLOCK = 4096


class Minutes:
    """A bar source whose prices are waves and seeded noise, the same however they are read."""

    def __init__(self, rows: int, symbols: int) -> None:
        self.rows, self.symbols = rows, tuple(f"S{k:02d}" for k in range(symbols))

    def after(self, moment: datetime | None, *, limit: int) -> Bars:
        first = 0 if moment is None else max(0, int((as_stamp(moment) - START) // MINUTE))
        return self._rows(first, min(self.rows, first + limit))

    def window(self, *, until: datetime, count: int) -> Bars:
        stop = max(0, min(self.rows, int((as_stamp(until) - START) // MINUTE)))
        return self._rows(max(0, stop - count), stop)

    def _rows(self, first: int, stop: int) -> Bars:
        close = self._prices(first, stop)
        before = self._prices(max(0, first - 1), stop - 1) if stop > first else close
        open_ = before if len(before) == len(close) else np.vstack([close[:1], before])
        one = np.ones(close.shape)
        time_ = START + (np.arange(first, stop) + 1) * MINUTE
        return Bars(
            time=time_,
            opened=time_ - MINUTE,
            symbols=self.symbols,
            open=open_,
            high=np.maximum(open_, close),
            low=np.minimum(open_, close),
            close=close,
            volume=50_000.0 * one,
            adjustment=one,
            split=one,
            dividend=0.0 * one,
        )

    def _prices(self, first: int, stop: int) -> np.ndarray:
        t, s = np.arange(first, stop)[:, None], np.arange(len(self.symbols))[None, :]
        noise = np.empty((stop - first, len(self.symbols)))
        for block in range(first // BLOCK, (max(stop, first + 1) - 1) // BLOCK + 1):
            drawn = np.random.default_rng(block).standard_normal((BLOCK, len(self.symbols)))
            low, high = max(first, block * BLOCK), min(stop, (block + 1) * BLOCK)
            noise[low - first : high - first] = drawn[low - block * BLOCK : high - block * BLOCK]
        return 50.0 * np.exp(0.2 * np.sin(t / 39_997.0 + s) + 0.02 * np.sin(t / 431.7 + 2.0 * s) + 0.0006 * noise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--no-tuning", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    around = {"interval": "1m", "session_open": "00:00", "session_close": "24:00", "timezone": "UTC"}
    source = Minutes(options.days * 1440, options.symbols)
    history = History(source=source, symbols=source.symbols, total_bars=source.rows)
    warm = Minutes(4_400, options.symbols)
    plan = ReplayRequest(settings=Settings(data=around), tuning=not options.no_tuning)
    replay_history(History(source=warm, symbols=warm.symbols, total_bars=warm.rows), plan)

    def show(done: int, total: int, at: datetime, _equity: float) -> None:
        print(
            f"\r{done / total:6.1%}  {at:%Y-%m-%d}  "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0:,.0f} MB",
            end="",
            file=sys.stderr,
        )

    started = time.perf_counter()
    replayed = replay_history(history, plan, progress=show)
    seconds = time.perf_counter() - started
    print(file=sys.stderr)
    figures = {
        "symbol_bars": replayed.run.symbol_bars,
        "seconds": round(seconds, 1),
        "bars_per_s": round(replayed.run.symbol_bars / seconds),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0),
        "fills": replayed.run.fill_count,
        "days": len(daily_of(replayed.run).date),
        "decisions_about_weights": len(replayed.decisions),
    }
    print(json.dumps(figures, indent=1) if options.json else "\n".join(f"{k:<26}{v:>14,}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
