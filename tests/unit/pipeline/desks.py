"""Made desks for tests of the whole step: markets and opinions from a seed, with everything that a desk may be set to
and everything that may happen to it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from agents.core.settings import Settings
from agents.core.types import RiskState
from agents.pipeline.bar import BrokerFills
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.market import bar_volatility, panel_of
from agents.pipeline.parameters import NO_GROUPS, Parameters, StopRules, Threshold
from agents.pipeline.state import Inputs, Outputs, State, matched_inputs, new_outputs, new_state
from agents.quant.leave_one_out import leave_one_out
from agents.wiring.desk import parameters_of
from tests.market import make_bars

FLOOR = 0.05


class Traded(NamedTuple):
    """What came of it."""

    out: Outputs
    state: State

    def digests(self) -> dict[str, str]:
        """One for each array."""
        made = {"out": self.out._asdict(), "state": self.state._asdict()}
        arrays = {f"{kind}.{name}": array for kind, of in made.items() for name, array in of.items()}
        return {name: hashlib.sha256(array.tobytes()).hexdigest()[:12] for name, array in arrays.items()}


class MadeDesk(NamedTuple):
    """A desk, what happens to it, and the rows at which its weights change and a person looks after it."""

    parameters: Parameters
    inputs: Inputs
    beside: bool
    turns: tuple[int, ...]

    def traded(self, run_rows, books_of) -> Traded:
        """What `run_rows` made, between the turns, on what `books_of` makes of a state and its parameters."""
        n, symbols, agents = self.inputs.forecast.shape
        more = agents + 1 if self.beside else 0
        state = new_state(agents, symbols, self.parameters.initial_cash, more)
        out, books = new_outputs(n, agents, symbols, more), books_of(state, self.parameters)
        rng = np.random.default_rng(n)
        weights = np.full(agents, 1.0 / agents)
        for first, stop in zip((0, *self.turns), (*self.turns, n), strict=True):
            now = self.inputs._replace(weights=weights)
            if self.beside:
                now = now._replace(beside=leave_one_out(weights, FLOOR))
            run_rows(books, now, out, first, stop)
            weights = rng.dirichlet(np.ones(agents)) if agents > 1 else weights
            state.risk_state[state.risk_state == RiskState.HALTED] = RiskState.ACTIVE
            state.peak[:] = state.equity
        return Traded(out, state)


def made_desk(seed: int, bars: int, symbols: int, agents: int, **options: Any) -> MadeDesk:
    """Options: gaps, actions, delisting, suspect, stale, leaving, external, stops, limits, beside, and `risk` and
    `execution` as in the settings; turns are rows."""
    rng = np.random.default_rng(seed)
    made = make_bars(bars, symbols, seed, gaps=options.get("gaps", 0.0), actions=options.get("actions", False))
    shape = (bars, symbols)
    there = np.isfinite(made.close)
    made = replace(made, suspect=there & (rng.random(shape) < options.get("suspect", 0.0)))
    if "delisting" in options:
        price = np.full(shape, np.nan)
        price[options["delisting"], 0] = made.close[options["delisting"] - 5, 0] * 0.7
        gone = np.s_[options["delisting"] : options["delisting"] + 40, 0]
        for array in (made.open, made.high, made.low, made.close, made.volume):
            array[gone] = np.nan
        made = replace(made, delisting=price, suspect=made.suspect & np.isfinite(made.close))
    settings = Settings(risk=options.get("risk", {}), execution=options.get("execution", {}))
    p = parameters_of(settings, made.symbols)
    p = p._replace(stops=StopRules(*map(float, options.get("stops", (0, 0, 1)))))
    if options.get("limits"):
        p = p._replace(
            limits=p.limits._replace(
                groups=np.arange(symbols) % 2 if symbols > 1 else NO_GROUPS,
                group=Threshold(0.4, True),
                order_size=Threshold(0.1, True),
                daily_loss=Threshold(0.03, True),
                losses=Threshold(6.0, True),
            )
        )
    raw = _opinions(rng, bars, agents, symbols, options.get("abstains", 0.1))
    forecast, correlation = scale_forecasts(raw, 100, p.sizing.forecast_cap)
    volatility = bar_volatility(panel_of(made), 20)
    inputs = matched_inputs(made, volatility, forecast, correlation, np.full(agents, 1.0 / agents))
    inputs = inputs._replace(
        stale=rng.random(shape) < options.get("stale", 0.0), leaving=rng.random(shape) < options.get("leaving", 0.0)
    )
    if options.get("uncounted") and agents > 1:
        counted = np.ones(agents)
        counted[-1] = 0.0
        inputs = inputs._replace(counted=counted)
    if options.get("external"):
        filled = np.where(there & (rng.random(shape) < 0.1), rng.integers(-30, 31, shape), 0).astype(float)
        price = np.where(there, made.open, 0.0)
        inputs = inputs._replace(
            external=True,
            broker_fills=BrokerFills(filled, price, np.abs(filled) * 0.01),
            broker_stops=BrokerFills(*(np.zeros(shape) for _ in range(3))),
        )
    return MadeDesk(p, inputs, options.get("beside", False), tuple(options.get("turns", ())))


def _opinions(rng: np.random.Generator, bars: int, agents: int, symbols: int, abstains: float) -> np.ndarray:
    """Raw opinions [T, A, S]: slow ones and fast ones, sometimes none."""
    raw = np.zeros((bars, agents, symbols))
    keep = np.linspace(0.5, 0.98, agents)[:, None]
    for t in range(1, bars):
        raw[t] = keep * raw[t - 1] + np.sqrt(1 - keep**2) * rng.normal(size=(agents, symbols))
    raw = np.tanh(raw)
    raw[rng.random(raw.shape) < abstains] = np.nan
    raw[rng.random(raw.shape) < 0.05] = 0.0
    return raw


CHEAP = {"half_spread_bps": 0.1, "commission_bps": 0.1, "buffer": 0.05, "minimum_trade_fraction": 0.0001}
TIGHT = {"reduce_drawdown": 0.03, "halt_drawdown": 0.08}
DESKS: dict[str, dict[str, Any]] = {
    "one agent": {"seed": 1, "bars": 700, "symbols": 4, "agents": 1, "execution": CHEAP},
    "one symbol": {"seed": 2, "bars": 700, "symbols": 1, "agents": 1, "execution": CHEAP, "abstains": 0.0},
    "six agents": {"seed": 3, "bars": 600, "symbols": 5, "agents": 6, "execution": CHEAP, "turns": (300, 301, 420)},
    "short allowed": {
        "seed": 4,
        "bars": 500,
        "symbols": 3,
        "agents": 3,
        "risk": {"allow_short": True, **TIGHT},
        "execution": {**CHEAP, "impact": 0.5, "participation": 0.001},
        "turns": (200, 350),
    },
    "everything happens": {
        "seed": 5,
        "bars": 600,
        "symbols": 4,
        "agents": 3,
        "gaps": 0.08,
        "actions": True,
        "delisting": 350,
        "suspect": 0.03,
        "stale": 0.02,
        "leaving": 0.01,
        "stops": (0.05, 0.06, 3),
        "limits": True,
        "uncounted": True,
        "beside": True,
        "risk": {"allow_short": True},
        "execution": CHEAP,
        "turns": (100, 250, 251, 400),
    },
    "beside": {
        "seed": 6,
        "bars": 400,
        "symbols": 3,
        "agents": 2,
        "beside": True,
        "risk": TIGHT,
        "execution": CHEAP,
        "turns": (150, 300),
    },
    "a broker's fills": {
        "seed": 7,
        "bars": 400,
        "symbols": 3,
        "agents": 2,
        "external": True,
        "gaps": 0.05,
        "stops": (0.05, 0.0, 2),
        "execution": CHEAP,
        "beside": True,
    },
    "stops of one agent": {
        "seed": 8,
        "bars": 500,
        "symbols": 3,
        "agents": 1,
        "stops": (0.04, 0.05, 4),
        "execution": {"half_spread_bps": 2.0, "buffer": 0.1, "lot_size": 1.0},
        "turns": (250,),
        "suspect": 0.02,
    },
    "orders that chase": {
        "seed": 9,
        "bars": 400,
        "symbols": 3,
        "agents": 2,
        "gaps": 0.05,
        "actions": True,
        "suspect": 0.02,
        "stops": (0.04, 0.05, 2),
        "beside": True,
        "risk": {"allow_short": True, **TIGHT},
        "execution": {**CHEAP, "order_type": "chase", "passive_share": 0.3, "locked_move": 0.02},
        "turns": (150,),
    },
}
