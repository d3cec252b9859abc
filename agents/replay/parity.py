"""Is the live desk the program that a replay runs? Recorded decisions against recomputed ones, by name. Pure.

The recomputation takes what the desk took: bars, signals, weights, fills, cash flows and persons' commands. Everything
in between must come out the same. Fills, which a real broker makes, are compared with what the cost model would have
made of the same orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from agents.core.books import FIRST_SHADOW, LIVE
from agents.core.recorded import Recorded
from agents.core.regimes import words_of
from agents.core.types import (
    Bars,
    Booleans,
    Clamp,
    Floats,
    NoTrade,
    RiskState,
    Signals,
    Times,
    as_datetime,
)
from agents.core.value_added import AgentBooks
from agents.pipeline.bar import BrokerFills
from agents.pipeline.cash_flows import take_flow
from agents.pipeline.combine import scale_forecasts
from agents.pipeline.commands import obey
from agents.pipeline.desk import desk_of
from agents.pipeline.market import bar_volatility, days_of, known_volume, months_of, panel_of, tradable
from agents.pipeline.parameters import DeskPlan
from agents.pipeline.state import Inputs, Outputs, State, copy_state, new_outputs
from agents.pipeline.step import run_rows
from agents.quant.leave_one_out import leave_one_out
from agents.quant.regimes import regimes_of
from agents.quant.returns import day_ends
from agents.replay.differences import Parity
from agents.replay.recorded_fills import RecordedFills, recorded_fills

SIGNAL_TOLERANCE = 1e-9
"""Recursive means forget, they do not vanish: after a restart a signal may differ by so much, an order by nothing."""
MONEY_TOLERANCE = 1e-6
FILL_TOLERANCE = 1e-8


class RecordedBatch(NamedTuple):
    """Recorded decisions with what they were made from.

    `bars` hold `memory` rows before the first decision, then one row for each. `warm_up` and `on_record` are opinions
    [rows, A, S] before that (NaN = abstained): those on record, and those of the warm-up of a desk that began before
    warm-ups were kept: such a desk forgot it when it was restarted.
    """

    recorded: Recorded
    bars: Bars
    memory: int
    warm_up: Floats
    on_record: Floats


def compare_steps(batch: RecordedBatch, plan: DeskPlan, state: State, parity: Parity, floor: float) -> AgentBooks:
    """Run the step again over a batch's decisions, changing `state`, and note what differs. Returns the books beside
    the desk (the state has room for them), in which an agent of weight 0 stands at `floor`."""
    recorded = batch.recorded
    there = ~np.isnan(recorded.order)  # a symbol joins the desk at a restart; before that it was not in the step
    fills = recorded_fills(batch.recorded, batch.bars, batch.memory, plan.desk)
    inputs, mark = _inputs_of(batch, plan, there, fills), state.mark.copy()
    out, model = _run_again(batch, plan, state, inputs, (there, floor))
    _compare_rows(recorded, there, inputs.forecast, out, parity)
    bars = tradable(batch.bars, plan.publication_delay_s).rows(batch.memory, len(batch.bars.time))
    _compare_fills(recorded, FillsAndModel(bars, fills, model, np.vstack([mark, out.mark[:-1]])), parity)
    _compare_regimes(batch, there, parity)
    parity.decisions += len(recorded.time)
    beside = out.equity[:, FIRST_SHADOW + len(recorded.agents) :] / recorded.units[:, None]
    return books_beside(recorded.time, recorded.agents, beside, recorded.weights)


def books_beside(time: Times, agents: tuple[str, ...], beside: Floats, weights: Floats) -> AgentBooks:
    """The books beside a desk at the ends of days, from their equity bar by bar [T, A + 1], the desk's own first, and
    the `weights` [T, A] in force."""
    last = day_ends(time)
    return AgentBooks(
        date=time[last].astype("datetime64[D]"),
        agents=agents,
        desk=beside[last, 0],
        books=beside[last, 1:],
        with_agent=weights[last] == 0.0,
    )


def _inputs_of(batch: RecordedBatch, plan: DeskPlan, there: Booleans, fills: RecordedFills) -> Inputs:
    """What the step was given, but for forecasts, correlations and weights, which are made row by row."""
    recorded, bars, memory = batch.recorded, batch.bars, batch.memory
    rows, agents, symbols = len(recorded.time), len(recorded.agents), len(recorded.symbols)
    volatility = bar_volatility(panel_of(bars), plan.volatility_window_bars)[memory:]
    stale, leaving = (
        np.array([str(limit) in clamps for clamps in recorded.clamps.ravel()], dtype=bool).reshape(rows, symbols)
        for limit in (Clamp.STALE, Clamp.LEAVING)
    )
    bars = tradable(bars, plan.publication_delay_s)
    grid = {
        name: getattr(bars, name)[memory:]
        for name in ("open", "high", "low", "close", "split", "dividend", "delisting", "funding", "funding_within")
    }
    grid["open"], grid["close"] = (np.where(there, grid[name], np.nan) for name in ("open", "close"))
    return Inputs(
        **grid,
        volume=known_volume(bars)[memory:],
        volatility=np.where(there, volatility, np.nan),
        forecast=np.zeros((rows, symbols, agents)),
        correlation=np.zeros((rows, agents, agents)),
        weights=np.zeros(agents),
        counted=plan.counted(recorded.agents),
        beside=np.zeros((0, agents)),
        month=months_of(bars.time[memory:]),
        day=days_of(bars.time[memory:]),
        stale=stale,
        suspect=bars.suspect[memory:],
        doubt_counts=np.zeros(rows, dtype=bool),
        leaving=leaving,
        external=True,
        broker_fills=_broker_fills(fills.orders),
        broker_stops=_broker_fills(fills.stops),
    )


def _broker_fills(grids: Mapping[str, Floats]) -> BrokerFills:
    return BrokerFills(grids["quantity"], grids["price"], grids["fee"])


def _run_again(
    batch: RecordedBatch, plan: DeskPlan, state: State, inputs: Inputs, known_of: tuple[Booleans, float]
) -> tuple[Outputs, Outputs]:
    """The step with the recorded fills, and, bar by bar from the same states, with those of the cost model. Fills
    `inputs.forecast` and `inputs.correlation`: each row from its own window, as live. `known_of` are the symbols that
    the desk had [T, S], and the weight at which the books beside try an agent of weight 0."""
    there, floor = known_of
    recorded = batch.recorded
    rows, agents, symbols = len(recorded.time), len(recorded.agents), len(recorded.symbols)
    raw = np.where(recorded.abstained, np.nan, recorded.strength * recorded.confidence)
    known = np.concatenate([batch.warm_up, batch.on_record, raw])
    before, desk = len(known) - rows, desk_of(state, plan.parameters)
    out, model = (new_outputs(rows, agents, symbols, agents + 1) for _ in range(2))
    first_beside = FIRST_SHADOW + agents
    for t in range(rows):
        stop = before + t + 1
        window = known[max(0, stop - plan.scale_window_bars) : stop]
        window = np.where(there[t], window, np.nan)  # the desk measured conviction on the symbols that it had
        inputs.forecast[t], inputs.correlation[t] = _scaled(window, plan)
        short = window[-(len(batch.on_record) + t + 1) :]
        if len(short) < len(window) and not _alike(recorded.forecast[t], inputs.forecast[t], SIGNAL_TOLERANCE).all():
            inputs.forecast[t], inputs.correlation[t] = _scaled(short, plan)  # the desk was restarted before now
        for command in recorded.commands.get(t, ()):
            obey(state, command.state, flatten=command.flatten)
        for flow in recorded.flows.get(t, ()):
            take_flow(state, flow)
        state.heard[:, ~there[t]] = np.nan  # a symbol that the desk does not have begins anew when it comes back
        for learnt in (state.moves, state.wanted, state.followed, state.stops):
            learnt[:, ~there[t]] = 0.0
        taken_back = list(recorded.taken_back.get(t, ()))
        state.pending[LIVE, taken_back] = 0.0
        state.pending[first_beside:, taken_back] = 0.0
        inputs.doubt_counts[t] = _doubt_counted(recorded, inputs, state, t)
        now = inputs._replace(weights=recorded.weights[t], beside=leave_one_out(recorded.weights[t], floor))
        run_rows(desk._replace(state=copy_state(state)), now._replace(external=False), model, t, t + 1)
        run_rows(desk, now, out, t, t + 1)
    return out, model


def _doubt_counted(recorded: Recorded, inputs: Inputs, state: State, t: int) -> bool:
    """Whether decision `t`, after `state`, valued a position at a suspect price, as older versions did: its mark on
    record is not the last believed close."""
    doubted = inputs.suspect[t] | (np.isfinite(state.doubt) & ~np.isfinite(inputs.close[t]))
    believed = state.mark / inputs.split[t]
    return bool((doubted & (recorded.position[t] != 0.0) & ~_alike(recorded.mark[t], believed, 1e-12)).any())


def _scaled(window: Floats, plan: DeskPlan) -> tuple[Floats, Floats]:
    forecast, correlation = scale_forecasts(window, plan.scale_window_bars, plan.parameters.sizing.forecast_cap)
    return forecast[-1], correlation[-1]


def _compare_rows(recorded: Recorded, there: Booleans, forecast: Floats, out: Outputs, parity: Parity) -> None:
    times = [as_datetime(time) for time in recorded.time]

    def differing(first: Any, second: Any, tolerance: float = SIGNAL_TOLERANCE) -> Iterator[tuple[int, ...]]:
        same = _alike(first, second, tolerance)
        where = there if same.ndim == 2 else there[:, :, None]
        return zip(*np.nonzero(~same & where), strict=True)

    for t, s, a in differing(recorded.forecast, forecast):
        subject = f"{recorded.agents[a]} {recorded.symbols[s]}, in the common unit"
        parity.differ("signal", times[t], subject, recorded.forecast[t, s, a], forecast[t, s, a])
    words = {bits: Clamp.words_of(bits) for bits in set(out.clamps.ravel().tolist())}
    clamps = np.array([words[bits] for bits in out.clamps.ravel().tolist()], dtype=object).reshape(out.clamps.shape)
    unlike = ~_alike(recorded.target, out.target_weight, SIGNAL_TOLERANCE) | (recorded.clamps != clamps)
    for t, s in zip(*np.nonzero(unlike & there), strict=True):
        then, now = (
            f"{recorded.target[t, s]:.9g} {recorded.clamps[t, s]}",
            f"{out.target_weight[t, s]:.9g} {clamps[t, s]}",
        )
        parity.differ("risk", times[t], recorded.symbols[s], then.strip(), now.strip())
    for t, s in zip(*np.nonzero((recorded.order != out.order) & there), strict=True):
        then = f"{recorded.order[t, s]:.9g} {recorded.no_trade[t, s]}"
        now = f"{out.order[t, s]:.9g} {NoTrade(out.no_trade[t, s])}"
        parity.differ("order", times[t], recorded.symbols[s], then.strip(), now.strip())
    for t, s in differing(recorded.position, out.position):
        parity.differ("fill", times[t], f"{recorded.symbols[s]}, position", recorded.position[t, s], out.position[t, s])
    for t, time in enumerate(times):
        state, equity = str(RiskState(out.risk_state[t])), float(out.equity[t, LIVE])
        if recorded.risk_state[t] != state:
            parity.differ("risk", time, "risk state", recorded.risk_state[t], state)
        if not abs(recorded.equity[t] - equity) <= 1e-12 * abs(equity) + MONEY_TOLERANCE:
            parity.differ("equity", time, "live book", recorded.equity[t], equity)


def _alike(first: Any, second: Any, tolerance: float) -> Any:
    return np.isclose(first, second, rtol=tolerance, atol=tolerance, equal_nan=True)


class FillsAndModel(NamedTuple):
    """Recorded fills, what the cost model makes of the same orders, the bars of both,
    and `mark` [T, S]: the prices that each order was decided on."""

    bars: Bars
    fills: RecordedFills
    model: Outputs
    mark: Floats


def _compare_fills(recorded: Recorded, both: FillsAndModel, parity: Parity) -> None:
    """Fill by fill against the model, and where the money went."""
    bars, (fills, stops), model, mark = both
    for t, s in zip(*np.nonzero((stops["quantity"] != 0.0) | (model.stop_quantity != 0.0)), strict=True):
        made = tuple(stops[name][t, s] for name in ("quantity", "price", "fee"))
        modelled = model.stop_quantity[t, s], model.stop_price[t, s], model.stop_fee[t, s]
        _compare_fill(recorded, (t, s), made, modelled, parity)
        parity.add_slippage(0, 0.0, stops["spread"][t, s], stops["impact"][t, s], stops["fee"][t, s])
        parity.add_slippage(1, 0.0, model.stop_spread[t, s], model.stop_impact[t, s], modelled[2])
    for t, s in zip(*np.nonzero((fills["quantity"] != 0.0) | (model.fill_quantity != 0.0)), strict=True):
        quantity, fee = fills["quantity"][t, s], fills["fee"][t, s]
        made = (quantity, fills["price"][t, s], fee)
        modelled = (model.fill_quantity[t, s], model.fill_price[t, s], model.fill_fee[t, s])
        _compare_fill(recorded, (t, s), made, modelled, parity)
        delay = bars.open[t, s] - mark[t, s] / bars.split[t, s]
        parity.add_slippage(0, quantity * delay, fills["spread"][t, s], fills["impact"][t, s], fee)
        parity.add_slippage(1, modelled[0] * delay, model.fill_spread[t, s], model.fill_impact[t, s], modelled[2])


def _compare_regimes(batch: RecordedBatch, there: Booleans, parity: Parity) -> None:
    """The market's regime at each decision, of the symbols that the desk had then; one on record as not known may be
    of an older version."""
    close = panel_of(batch.bars).close
    for had in np.unique(there, axis=0):
        again = regimes_of(np.where(had, close, np.nan))[batch.memory :]
        for t in np.flatnonzero((there == had).all(axis=1)):
            then, now = batch.recorded.regime[t], words_of(int(again[t]))
            if then is not None and then != now:
                parity.differ("regime", as_datetime(batch.recorded.time[t]), "the market", then, now)


def _compare_fill(
    recorded: Recorded, cell: tuple[int, int], made: tuple[float, ...], modelled: tuple[float, ...], parity: Parity
) -> None:
    """Signed quantity, price and fee of one fill, against those of the cost model."""
    made = made if made[0] else (0.0, 0.0, made[2])
    if not _alike(made, modelled, FILL_TOLERANCE).all():
        words = ("{:.9g} at {:.9g}, fee {:.9g}".format(*fill) for fill in (made, modelled))
        parity.differ("fill", as_datetime(recorded.time[cell[0]]), recorded.symbols[cell[1]], *words)


def compare_signals(recorded: Recorded, asked: Mapping[str, Signals], parity: Parity) -> None:
    """What the agents say now of the same bars, one row for each decision, against what they said then; one that failed
    then, or was not on the desk, said nothing."""
    for name, now in asked.items():
        a = recorded.agents.index(name)
        same = (recorded.abstained[:, a] == now.abstained) & (
            recorded.abstained[:, a]
            | (
                _alike(recorded.strength[:, a], now.strength, SIGNAL_TOLERANCE)
                & _alike(recorded.confidence[:, a], now.confidence, SIGNAL_TOLERANCE)
            )
        )
        there = ~np.isnan(recorded.order) & (recorded.on_desk & ~recorded.failed)[:, a][:, None]
        for t, s in zip(*np.nonzero(~same & there), strict=True):
            then = (
                "abstained"
                if recorded.abstained[t, a, s]
                else f"{recorded.strength[t, a, s]:+.9f} x {recorded.confidence[t, a, s]:.9f}"
            )
            today = "abstains" if now.abstained[t, s] else f"{now.strength[t, s]:+.9f} x {now.confidence[t, s]:.9f}"
            parity.differ("signal", as_datetime(recorded.time[t]), f"{name} {recorded.symbols[s]}", then, today)
