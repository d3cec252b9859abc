"""The computing parts of scripts/bench.py: the step and the agents, each beside a bare compiled loop."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numba
import numpy as np

from agents.core.settings import Settings
from agents.core.types import Bars, Panel
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.market import bar_volatility, panel_of
from agents.pipeline.state import matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars
from agents.trading.guard import raw_forecasts
from agents.trading.registry import make_agents
from agents.wiring.desk import parameters_of

SYMBOLS, BARS, REPEATS = 20, 5000, 9


def median_s(work: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def market(bars: int = BARS, symbols: int = SYMBOLS) -> Bars:
    rng = np.random.default_rng(1)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (bars, symbols)), axis=0))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.002, close.shape))
    one = np.ones(close.shape)
    stamps = np.datetime64("2000-01-03T21:00", "us") + np.arange(bars) * np.timedelta64(86_400_000_000, "us")
    return Bars(
        time=stamps,
        opened=stamps - np.timedelta64(23_400, "s"),
        symbols=tuple(f"S{k:02d}" for k in range(symbols)),
        open=open_,
        high=np.maximum(open_, close) * 1.005,
        low=np.minimum(open_, close) * 0.995,
        close=close,
        volume=rng.integers(100_000, 5_000_000, close.shape).astype(float),
        adjustment=one,
        split=one,
        dividend=0 * one,
    )


@numba.njit(cache=False, error_model="numpy")
def bare_loop(open_, close, volume, volatility, forecast, weights, target, buffer, cost, impact, equity):
    """The floor of the step: the same ten books combined, sized, filled at the next open with the same costs and
    marked; no limits, lots, attribution, risk state, records or corporate actions."""
    bars, symbols, agents = forecast.shape
    books = 4 + agents
    position, order, cash = np.zeros((books, symbols)), np.zeros((books, symbols)), np.full(books, 1e6)
    for t in range(bars):
        for b in range(books):
            value = cash[b]
            for s in range(symbols):
                x = order[b, s]
                if x != 0.0:
                    slip = cost + impact * volatility[t, s] * math.sqrt(abs(x) / volume[t, s])
                    price = open_[t, s] * (1.0 + math.copysign(slip, x))
                    cash[b] -= x * price + abs(x) * price * 1e-4
                    value -= x * price + abs(x) * price * 1e-4
                    position[b, s] += x
                value += position[b, s] * close[t, s]
            equity[t, b] = value
            for s in range(symbols):
                if b < 4:
                    total, weight = 0.0, 0.0
                    for a in range(agents):
                        f = forecast[t, s, a]
                        if f == f:
                            total += weights[b, a] * f
                            weight += weights[b, a]
                    combined = total / weight if weight > 0.0 else 0.0
                else:
                    combined = forecast[t, s, b - 4]
                    if combined != combined:
                        combined = 0.0
                unit = target / volatility[t, s]
                order[b, s] = 0.0
                if unit == unit:
                    wanted = combined * unit * 1e6 / close[t, s]
                    if abs(wanted - position[b, s]) > buffer * unit * 1e6 / close[t, s]:
                        order[b, s] = wanted - position[b, s]


def bench_step() -> dict[str, object]:
    bars = market()
    panel = panel_of(bars)
    raw = raw_forecasts([agent.signals(panel) for agent in make_agents([])])
    settings = Settings()
    p = parameters_of(settings, bars.symbols)
    agents = raw.shape[1]
    forecast, correlation = scale_forecasts(raw, 250, 2.0)
    volatility = bar_volatility(panel, 40)
    inputs = matched_inputs(bars, volatility, forecast, correlation, np.full(agents, 1 / agents))

    def pipeline() -> None:
        scale_forecasts(raw, 250, 2.0)
        run_bars(new_state(agents, SYMBOLS, 1e6), inputs, p, new_outputs(BARS, agents, SYMBOLS))

    def step_only() -> None:
        run_bars(new_state(agents, SYMBOLS, 1e6), inputs, p, new_outputs(BARS, agents, SYMBOLS))

    equity, weights = np.zeros((BARS, 4 + agents)), np.full((4, agents), 1 / agents)

    def floor() -> None:
        bare_loop(bars.open, bars.close, bars.volume, volatility, forecast, weights, 0.002, 0.1, 2e-4, 0.1, equity)

    for work in (pipeline, floor):
        work()
    count = BARS * SYMBOLS
    ours, step, bare = median_s(pipeline), median_s(step_only), median_s(floor)
    return {
        "pipeline_bars_per_s": count / ours,
        "step_bars_per_s": count / step,
        "floor_bars_per_s": count / bare,
        "ratio_to_floor": ours / bare,
    }


@numba.njit(cache=False)
def bare_indicators(close, result):
    """The floor of the agents: SMA(20) and RSI(14) in one pass."""
    bars, symbols = close.shape
    for s in range(symbols):
        total, gain, loss = 0.0, 0.0, 0.0
        for t in range(bars):
            total += close[t, s] - (close[t - 20, s] if t >= 20 else 0.0)
            move = close[t, s] - close[t - 1, s] if t else 0.0
            gain, loss = (gain * 13 + max(move, 0.0)) / 14, (loss * 13 + max(-move, 0.0)) / 14
            result[t, s] = total / 20 + gain / (gain + loss + 1e-12)


def bench_agents() -> dict[str, object]:
    panel = panel_of(market())
    rng = np.random.default_rng(2)
    cap = 1e6 * panel.close
    series = {"market_cap": cap, "realized_cap": cap * 0.8, "transfer_value": cap * rng.uniform(0.01, 0.05, cap.shape)}
    panel = Panel(
        **{f: getattr(panel, f) for f in ("time", "symbols", "open", "high", "low", "close", "volume")},
        exogenous=series,
    )
    out = np.empty(panel.close.shape)
    bare_indicators(panel.close, out)
    count = panel.close.size
    floor = median_s(lambda: bare_indicators(panel.close, out))
    figures: dict[str, object] = {"floor_ns_per_bar": floor / count * 1e9}
    for agent in make_agents([]):
        agent.signals(panel.rows(0, 50))
        spent = median_s(lambda agent=agent: agent.signals(panel), 3)
        figures[agent.name] = {"ns_per_bar": spent / count * 1e9, "ratio_to_floor": spent / floor}
    return figures
