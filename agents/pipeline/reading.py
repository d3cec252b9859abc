"""Bars and opinions -> the rows of a block: what every book sees of them, in the order of time."""

from __future__ import annotations

import math

from agents.pipeline.bar import CombinedSignal
from agents.pipeline.combine import note_opinions
from agents.pipeline.corporate_actions import move_marks
from agents.pipeline.fills import market_depth
from agents.pipeline.orders import unit_weights
from agents.pipeline.parameters import Parameters
from agents.pipeline.rows import Rows, Span, copy_row, depth_at, opinions_at
from agents.pipeline.state import Inputs, State
from agents.pipeline.suspect_prices import believed_opens
from agents.quant.compiled import compiled_inline


@compiled_inline
def read_rows(state: State, parameters: Parameters, inputs: Inputs, rows: Rows, span: Span) -> None:
    """The bars of `span` into `rows`; marks, volatilities and who is listed go on in `state`."""
    for t in range(span.first, span.stop):
        k = t - span.first
        rows.doubted[k] = _note_bars(inputs, rows, t, k)
        rows.acts[k] = move_marks(state, inputs.split[t], inputs.dividend[t], inputs.delisting[t])
        _note_funding(inputs, rows, t, k)
        copy_row(state.mark, rows.mark_before[k])
        for s in range(len(state.doubt)):
            rows.doubt_before[k, s] = state.doubt[s] if inputs.doubt_counts[t] else math.nan
        copy_row(inputs.open[t], rows.open[k])
        if rows.doubted[k]:
            believed_opens(inputs.open[t], rows.suspect[k], rows.open[k])
        market_depth(inputs.volume[t], state.volatility, parameters, depth_at(rows, k))
        _note_returns(inputs, rows, t, k)
        _move_marks(state, inputs, rows, t, k)
        signal = CombinedSignal(rows.open[k], rows.open[k], rows.unit_weight[k], rows.cost_band[k])
        unit_weights(inputs.volatility[t], parameters.sizing, signal)
        note_opinions(inputs.forecast[t], opinions_at(rows, k))
        _note_listed(state, inputs, rows, t, k)
        copy_row(inputs.volatility[t], state.volatility)


@compiled_inline
def _note_bars(inputs: Inputs, rows: Rows, t: int, k: int) -> bool:
    """Which symbols have a bar, and which is suspect; whether any is."""
    opened, closed, doubted = inputs.open[t], inputs.close[t], False
    for s in range(len(opened)):
        there = math.isfinite(opened[s]) and math.isfinite(closed[s])
        suspect = there and inputs.suspect[t, s]
        rows.has_bar[k, s], rows.suspect[k, s] = there, suspect
        rows.may_only_shrink[k, s] = inputs.stale[t, s] or suspect
        doubted = doubted or suspect
    return doubted


@compiled_inline
def _note_funding(inputs: Inputs, rows: Rows, t: int, k: int) -> None:
    """Whether there is any before the open, and within the bar."""
    before, within, acts, funds = inputs.funding[t], inputs.funding_within[t], False, False
    for s in range(len(before)):
        acts = acts or before[s] != 0.0
        funds = funds or within[s] != 0.0
    rows.acts[k] = rows.acts[k] or acts
    rows.funds[k] = funds


@compiled_inline
def _note_returns(inputs: Inputs, rows: Rows, t: int, k: int) -> None:
    """What a position earns until the bar's open, and from there on; nothing at a price that is not believed."""
    opened, closed, dividend, delisting = inputs.open[t], inputs.close[t], inputs.dividend[t], inputs.delisting[t]
    before, within = inputs.funding[t], inputs.funding_within[t]
    mark, overnight, intraday = rows.mark_before[k], rows.overnight[k], rows.intraday[k]
    for s in range(len(opened)):
        overnight[s] = math.nan
        intraday[s] = 0.0
        if math.isfinite(delisting[s]):
            overnight[s] = delisting[s] / mark[s] - 1.0 if mark[s] > 0.0 else 0.0
        elif rows.has_bar[k, s] and not rows.suspect[k, s]:
            overnight[s] = 0.0
            intraday[s] = (closed[s] + within[s]) / opened[s] - 1.0
            if mark[s] > 0.0:
                paid = dividend[s] / inputs.split[t, s] if dividend[s] != 0.0 else 0.0
                overnight[s] = (opened[s] + (paid + before[s])) / mark[s] - 1.0


@compiled_inline
def _move_marks(state: State, inputs: Inputs, rows: Rows, t: int, k: int) -> None:
    """To the close, where there is one that is believed."""
    closed, mark, doubt = inputs.close[t], state.mark, state.doubt
    for s in range(len(closed)):
        if rows.suspect[k, s]:
            doubt[s] = closed[s]
        elif rows.has_bar[k, s]:
            mark[s], doubt[s] = closed[s], math.nan
        counts = inputs.doubt_counts[t]
        rows.mark[k, s] = mark[s]
        rows.doubt[k, s], rows.feared[k, s] = doubt[s] if counts else math.nan, math.nan if counts else doubt[s]


@compiled_inline
def _note_listed(state: State, inputs: Inputs, rows: Rows, t: int, k: int) -> None:
    """Who belongs to the benchmark's universe, and whether it begins to rebalance: at the first bar of a month, and
    when a symbol comes or goes."""
    listed, delisting, begins, members = state.listed, inputs.delisting[t], False, 0
    for s in range(len(listed)):
        if rows.acts[k] and math.isfinite(delisting[s]):
            listed[s] = 0.0
            begins = True
        stays = 0.0 if inputs.leaving[t, s] else max(listed[s], 1.0 if rows.has_bar[k, s] else 0.0)
        if stays != listed[s]:
            listed[s] = stays
            begins = True
        members += 1 if stays > 0.0 else 0
        rows.listed[k, s] = stays
    rows.new_month[k] = state.rebalancing[0] != inputs.month[t]
    state.rebalancing[0] = inputs.month[t]
    rows.rebalances[k] = begins or rows.new_month[k]
    rows.share[k] = 1.0 / members if members > 0 else 0.0
