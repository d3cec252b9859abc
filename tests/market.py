"""Made markets for tests: panels and bars with late listings, gaps, splits and dividends, from a seed; and agents
that know what comes."""

from __future__ import annotations

import numpy as np

from agents.adapters.files.bar_rows import BarBatch
from agents.core.types import Bars, Panel, Signals
from agents.trading.guard import AgentPanel
from agents.trading.registry import make_agents

DAY = np.timedelta64(86_400_000_000, "us")
START = np.datetime64("2001-01-01T21:00:00", "us")


def make_prices(bars: int, symbols: int, seed: int, volatility: float = 0.02) -> np.ndarray:
    """Random walks from 50, no gaps."""
    rng = np.random.default_rng(seed)
    return 50.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, (bars, symbols)), axis=0))


def make_bars(bars: int = 300, symbols: int = 3, seed: int = 0, *, gaps: float = 0.0, actions: bool = False) -> Bars:
    """Raw bars; with `actions` some 2:1 and 3:2 splits and dividends, with `gaps` that share of bars missing and the
    last symbol listed late."""
    rng = np.random.default_rng(seed + 1000)
    close = make_prices(bars, symbols, seed)
    open_price = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0.0, 0.004, close.shape))
    high = np.maximum(open_price, close) * (1.0 + rng.uniform(0.0, 0.01, close.shape))
    low = np.minimum(open_price, close) * (1.0 - rng.uniform(0.0, 0.01, close.shape))
    volume = rng.integers(20_000, 2_000_000, close.shape).astype(np.float64)
    split, dividend = np.ones(close.shape), np.zeros(close.shape)
    if actions:
        for s in range(symbols):
            split[rng.integers(bars // 3, bars), s] = (2.0, 1.5, 0.5)[s % 3]
            dividend[rng.integers(bars // 3, bars), s] = 0.4
    growth = np.cumprod(split, axis=0)
    raw = {"open": open_price / growth, "high": high / growth, "low": low / growth, "close": close / growth}
    if gaps:
        missing = rng.random(close.shape) < gaps
        missing[: bars // 4, -1] = True
        for array in (*raw.values(), volume):
            array[missing] = np.nan
        split[missing], dividend[missing] = 1.0, 0.0
        growth = np.cumprod(split, axis=0)
    time = START + np.arange(bars) * DAY
    return Bars(
        time=time,
        opened=time - np.timedelta64(6 * 3600, "s"),
        symbols=tuple(f"S{k}" for k in range(symbols)),
        **raw,
        volume=volume,
        adjustment=growth,
        split=split,
        dividend=dividend,
    )


def batch_of(bars: Bars) -> BarBatch:
    """A `Bars` as the loader's rows."""
    s, t = np.nonzero(np.isfinite(bars.close.T))
    columns = {
        n: getattr(bars, n)[t, s] for n in ("open", "high", "low", "close", "volume", "adjustment", "split", "dividend")
    }
    return BarBatch(
        file="made.csv",
        sha256="0",
        symbols=bars.symbols,
        symbol=s,
        row_numbers=np.arange(len(s)) + 1,
        bar_open=bars.opened[t],
        time=bars.time[t],
        available_at=bars.time[t],
        **columns,
    )


def make_panel(bars: int = 300, symbols: int = 3, seed: int = 0, *, gaps: float = 0.0) -> Panel:
    """An adjusted panel with all exogenous series that the agents read."""
    rng = np.random.default_rng(seed + 7)
    close = make_prices(bars, symbols, seed)
    open_price = np.vstack([close[:1], close[:-1]])
    high = np.maximum(open_price, close) * (1.0 + rng.uniform(0.0, 0.01, close.shape))
    low = np.minimum(open_price, close) * (1.0 - rng.uniform(0.0, 0.01, close.shape))
    volume = rng.integers(1_000, 2_000_000, close.shape).astype(np.float64)
    if gaps:
        missing = rng.random(close.shape) < gaps
        missing[: bars // 4, -1] = True
        for array in (open_price, high, low, close, volume):
            array[missing] = np.nan
    count = (rng.random(close.shape) < 0.05).astype(np.float64)
    cap = 1e6 * np.exp(np.cumsum(rng.normal(0, 0.02, close.shape), axis=0))
    exogenous = {
        "market_cap": cap,
        "realized_cap": cap * rng.uniform(0.5, 1.1, close.shape),
        "transfer_value": cap * rng.uniform(0.01, 0.05, close.shape),
        "news_count": count,
        "news_score": count * rng.uniform(-1, 1, close.shape),
    }
    return Panel(
        time=START + np.arange(bars) * DAY,
        symbols=tuple(f"S{k}" for k in range(symbols)),
        open=open_price,
        high=high,
        low=low,
        close=close,
        volume=volume,
        exogenous=exogenous,
    )


def all_agents(clock: object) -> AgentPanel:
    """Every registered agent behind its guard."""
    return AgentPanel(make_agents([]), clock, timeout_s=30.0, breaker_failures=10, breaker_retry_s=3600.0)


class Oracle:
    """Knows the next bar's direction `skill` of the time; a test's crystal ball, deaf to everything else."""

    bars_needed = 1

    def __init__(self, name, skill, seed):
        self.name, self.skill, self.seed = name, skill, seed

    def signals(self, panel):
        future = np.zeros_like(panel.close)
        future[:-1] = np.sign(panel.close[1:] / panel.open[1:] - 1.0)
        rng = np.random.default_rng(self.seed)
        direction = np.where(rng.random(panel.close.shape) < self.skill, future, -future)
        strength = 0.5 * direction * rng.uniform(0.5, 1.0, panel.close.shape)
        return Signals(
            strength=strength, confidence=np.full(panel.close.shape, 0.6), abstained=~np.isfinite(panel.close)
        )

    def reason(self, panel, time_index, symbol_index):
        return "the crystal ball says so"

    def reason_of(self, signals, time_index, symbol_index):
        return "the crystal ball says so"


ORACLES = {
    "Right": lambda: Oracle("Right", 0.62, 1),
    "Wrong": lambda: Oracle("Wrong", 0.38, 2),
    "Noise": lambda: Oracle("Noise", 0.5, 3),
    "Coin": lambda: Oracle("Coin", 0.5, 4),
}
"""Four agents of known skill, as the registry holds agents."""


def decide_on(desk, broker, window, at, *, stale=False):
    """One turn of the daemon: the paper venue sees the newest bar of `window`, then the desk decides on it."""
    broker.match(window)
    return desk.run_cycle(window, broker, at, stale=stale)
