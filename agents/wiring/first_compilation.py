"""Compiling the step and the agents' indicators before they are needed: minutes, once for each machine and version.

Without it the first decision would wait that long without a word. It calls what a cycle calls, with arrays of the same
types, on a few bars that nobody traded; what is compiled stays in the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.core.asking import read_only
from agents.core.settings import Settings
from agents.core.types import Bars
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.market import bar_volatility, panel_of
from agents.pipeline.record import broker_fills_of
from agents.pipeline.state import matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_bars, run_part
from agents.quant.compiled import is_compiled
from agents.trading.guard import raw_forecasts
from agents.trading.registry import AGENTS, make_agents
from agents.wiring.desk import plan_of

WARNING = "compiling the step for this machine, once: 2 to 5 minutes, most of them in the last part"
"""150 s on two cores with nothing else to do, 370 s on two that five others used."""
BARS = 300
Show = Callable[[int, int], None]
"""Shows how many of how many parts are compiled."""


def is_due() -> bool:
    """Whether the step, which takes longest, was never compiled on this machine."""
    return not is_compiled(run_part)


def compile_desk(settings: Settings, show: Show) -> None:
    """Compile what a desk with these settings calls."""
    bars = _some_bars()
    plan, panel = plan_of(settings, bars.symbols), read_only(panel_of(bars))
    agents = make_agents(name for name in settings.agents.enabled if name in AGENTS)
    parts = len(agents) + 2
    signals = []
    for k, agent in enumerate(agents):
        show(k, parts)
        signals.append(agent.signals(panel))
    show(parts - 2, parts)
    cap, window = plan.parameters.sizing.forecast_cap, plan.scale_window_bars
    forecast, correlation = scale_forecasts(raw_forecasts(signals), window, cap)
    volatility = bar_volatility(panel, plan.volatility_window_bars)
    show(parts - 1, parts)
    last, symbols = bars.rows(BARS - 1, BARS), len(bars.symbols)
    weights = np.full(len(agents), 1.0 / len(agents))
    inputs = matched_inputs(last, volatility[-1:], forecast[-1:], correlation[-1:], weights)
    inputs = inputs._replace(external=True, broker_fills=broker_fills_of([], bars.symbols))
    state, out = new_state(len(agents), symbols, plan.parameters.initial_cash), new_outputs(1, len(agents), symbols)
    run_bars(state, inputs, plan.parameters, out)
    show(parts, parts)


def _some_bars() -> Bars:
    """Two symbols that go up and down."""
    days = np.datetime64("2024-01-01T21:00", "us") + np.arange(BARS) * np.timedelta64(1, "D")
    close = 100.0 + 10.0 * np.sin(np.arange(BARS)[:, None] / np.array([7.0, 11.0]))
    ones = np.ones(close.shape)
    return Bars(
        time=days,
        opened=days - np.timedelta64(6, "h"),
        symbols=("A", "B"),
        open=close,
        high=close + 1.0,
        low=close - 1.0,
        close=close,
        volume=1e6 * ones,
        adjustment=ones,
        split=ones,
        dividend=0.0 * ones,
    )
