"""This project: the step with one agent or some, as a replay drives it, and `quorum replay` itself."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from peers.work import CASH, CEILING, FAST, FIRST_DAY, RSI, SHARES, SLOW, best_of

SIX = ("TechnicalAnalyst", "SentimentAnalyst", "TrendFollower", "MeanReversion", "Breakout", "Momentum")
"""Six agents that speak on prices alone."""


def _settings(agents=()):
    from agents.core.settings import Settings

    costs = {
        "commission_bps": 1.0,
        "minimum_commission": 0.0,
        "half_spread_bps": 0.0,
        "impact": 0.0,
        "participation": 1.0,
        "buffer": 0.0,
        "minimum_trade_fraction": 0.0,
        "lot_size": SHARES,
    }
    return Settings(
        desk={"initial_cash": CASH},
        execution=costs,
        risk={"symbol_cap": 10.0, "gross_cap": 10.0, "halt_drawdown": 1.0},
        agents={"enabled": list(agents), "isolation": "none"},
    )


def _bars(m):
    import numpy as np

    from agents.core.types import Bars

    one = np.ones(m["close"].shape)
    days = np.busday_offset(FIRST_DAY, np.arange(len(one)))  # as `dates`, which would bring pandas' memory into ours
    stamps = days.astype("datetime64[us]") + np.timedelta64(21, "h")
    return Bars(
        time=stamps,
        opened=stamps - np.timedelta64(390, "m"),
        symbols=tuple(f"S{k:02d}" for k in range(one.shape[1])),
        adjustment=one,
        split=one,
        dividend=0.0 * one,
        **{n: np.ascontiguousarray(m[n]) for n in ("open", "high", "low", "close", "volume")},
    )


def _sized(close, p):
    """Volatilities at which the step asks for just under 200 shares at a forecast of 2: one lot at any above 1."""
    symbols = close.shape[1]
    share = min(p.sizing.instrument_multiplier_cap, symbols**0.5) / symbols
    return p.sizing.target_volatility * share * CASH / (0.995 * SHARES * close)


def _step_run(m, settings, raw_of):
    import numpy as np

    from agents.core.allocator import share_one_arena
    from agents.pipeline.combine import scale_forecasts
    from agents.pipeline.state import matched_inputs, new_outputs, new_state
    from agents.pipeline.step import run_bars
    from agents.wiring.desk import parameters_of

    share_one_arena()
    bars = _bars(m)
    p, (days, symbols) = parameters_of(settings, bars.symbols), m["close"].shape

    def work() -> tuple[float, int]:
        raw = raw_of(bars)
        forecast, correlation = scale_forecasts(raw, settings.combine.scale_window_bars, 2.0)
        agents = raw.shape[1]
        inputs = matched_inputs(bars, _sized(bars.close, p), forecast, correlation, np.full(agents, 1.0 / agents))
        out = new_outputs(days, agents, symbols)
        run_bars(new_state(agents, symbols, CASH), inputs, p, out)
        return float(out.equity[-1, 0]), int(np.count_nonzero(out.fill_quantity))

    work()
    return best_of(m, work, 9)


def quorum_1(m):
    """One agent, with its shadow book, control and benchmark books, attribution, limits and records."""
    import numpy as np

    from agents.quant.indicators import ewma
    from agents.quant.windows import rolling_mean

    def raw(bars):
        fast, slow = (rolling_mean(bars.close, n, n) for n in (FAST, SLOW))
        move = np.diff(bars.close, axis=0, prepend=np.nan)
        gain, loss = (ewma(np.maximum(side, 0.0), 2.0 * RSI - 1.0) for side in (move, -move))
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((fast > slow) & (100.0 - 100.0 / (1.0 + gain / loss) < CEILING)).astype(np.float64)[:, None, :]

    return _step_run(m, _settings(), raw)


def _asked(m, names):
    """Agents that come with Quorum, each on a thread of its own, as a replay asks them, with a shadow book each."""
    from agents.core.clock import SystemClock
    from agents.trading.guard import raw_forecasts
    from agents.wiring.desk import agents_of
    from agents.wiring.replay import asking

    settings = _settings(names)
    ask = asking(agents_of(settings, SystemClock()))
    return _step_run(m, settings, lambda bars: raw_forecasts(ask(bars))) | {"equity": None}


def quorum_6(m):
    """Six agents and the same books."""
    return _asked(m, SIX)


def quorum_10(m):
    """All agents that come with Quorum."""
    return _asked(m, ())


def quorum_replay(m, *, tuned: bool = False):
    """`quorum replay` itself, all agents."""
    from agents.core.settings import Settings
    from agents.wiring.history import ReplayRequest, history_of
    from agents.wiring.replay import replay_history

    history = history_of(_bars(m))
    plan = ReplayRequest(settings=Settings(), tuning=tuned, report_every=None)

    def work() -> tuple[float, int]:
        run = replay_history(history, plan).run
        return float(run.equity[-1, 0]), run.fill_count

    work()
    return best_of(m, work, 2 if tuned else 5) | {"equity": None}


def quorum_replay_jobs(m):
    """The same with all jobs due every simulated 2, 6 and 24 hours."""
    return quorum_replay(m, tuned=True)
