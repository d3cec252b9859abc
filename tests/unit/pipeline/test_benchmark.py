"""The benchmark books and the direction of shadow books: against plain Python, and on markets whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from agents.core.books import BENCHMARKS, CONTROLS, FIRST_SHADOW, HOLD, HOLD_AT_VOLATILITY, LIVE
from agents.core.settings import Settings
from agents.core.types import Bars, RiskState
from agents.pipeline.commands import obey
from agents.pipeline.desk import desk_of
from agents.pipeline.ledger import Ledger
from agents.pipeline.market import months_of
from agents.pipeline.saved_state import pack_state, unpack_state
from agents.pipeline.state import State, matched_inputs, new_outputs, new_state
from agents.pipeline.step import run_rows
from tests.market import make_bars
from tests.unit.pipeline.test_step import AGENTS, joined, plan, run_live, run_replay

NO_COSTS = {"commission_bps": 0.0, "minimum_commission": 0.0, "half_spread_bps": 0.0, "impact": 0.0, "leverage": 5.0}
FINE = {"lot_size": 1e-6, "minimum_trade_fraction": 0.0, "participation": 1.0}


def run(bars: Bars, settings_: Settings, forecast: np.ndarray | None = None, **changed: object):
    """The step over all bars, with one agent of these forecasts [n, S] (default: none)."""
    n, count = bars.close.shape
    said = np.full((n, count, 1), np.nan) if forecast is None else forecast[:, :, None]
    base = plan(settings_, bars.symbols)
    inputs = matched_inputs(bars, np.full((n, count), 0.02), said, np.ones((n, 1, 1)), np.ones(1))._replace(**changed)
    state, out = new_state(1, count, 1e6), new_outputs(n, 1, count)
    rows = np.zeros((n, len(state.cash), count))
    desk = desk_of(state, base.parameters)
    for t in range(n):
        run_rows(desk, inputs, out, t, t + 1)
        rows[t] = state.position
    return out, rows, state


def held_by_hand(bars: Bars, cash: float) -> np.ndarray:
    """Equity of equal parts, rebalanced monthly, without costs or lots; symbols as they come and are delisted."""
    month = months_of(bars.time)
    units, wanted, listed = np.zeros(len(bars.symbols)), np.zeros(len(bars.symbols)), set()
    mark = np.full(len(bars.symbols), np.nan)
    known, curve = None, []
    for t in range(len(month)):
        due = month[t] != known
        for s in range(len(bars.symbols)):
            cash += units[s] * bars.dividend[t, s]
            units[s], wanted[s], mark[s] = (
                units[s] * bars.split[t, s],
                wanted[s] * bars.split[t, s],
                mark[s] / bars.split[t, s],
            )
            if np.isfinite(bars.delisting[t, s]):
                cash += units[s] * bars.delisting[t, s]
                units[s] = wanted[s] = 0.0
                listed.discard(s)
                due = True
            if np.isfinite(bars.open[t, s]):
                cash -= wanted[s] * bars.open[t, s]
                units[s] += wanted[s]
                wanted[s] = 0.0
            if np.isfinite(bars.close[t, s]):
                mark[s] = bars.close[t, s]
                due = due or s not in listed
                listed.add(s)
        equity = cash + np.nansum(units * mark)
        if due:
            known = month[t]
            for s in listed:
                wanted[s] = equity / len(listed) / mark[s] - units[s]
        curve.append(equity)
    return np.array(curve)


def delisted(bars: Bars, t: int, s: int) -> Bars:
    """One symbol is taken off the market before bar `t`, at its last close less a tenth."""
    grids = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume", "delisting")}
    for grid in grids.values():
        grid[t:, s] = np.nan
    grids["delisting"][t, s] = 0.9 * bars.close[:t, s][np.isfinite(bars.close[:t, s])][-1]
    split, dividend = bars.split.copy(), bars.dividend.copy()
    split[t:, s], dividend[t:, s] = 1.0, 0.0
    return replace(bars, split=split, dividend=dividend, **grids)


@pytest.mark.parametrize("seed", range(4))
def test_hold_is_equal_parts_rebalanced_monthly(seed):
    """Symbols that come late, gaps, splits, dividends and a delisting; no costs: plain Python says the same."""
    bars = delisted(make_bars(400, 4, seed, gaps=0.1, actions=True), 300, 1)
    out, _, _ = run(bars, Settings(execution=NO_COSTS | FINE))
    np.testing.assert_allclose(out.equity[:, HOLD], held_by_hand(bars, 1e6), rtol=1e-6)


def test_hold_trades_once_a_month_and_pays_for_it():
    """One order for each symbol at the first bar of a month; what it costs is the cost model's."""
    bars = make_bars(400, 3, 2)
    out, _, _ = run(bars, Settings(execution={"leverage": 2.0}))
    free, _, _ = run(bars, Settings(execution=NO_COSTS))
    month = months_of(bars.time)
    firsts = {0, *(np.flatnonzero(month[1:] != month[:-1]) + 1)}
    traded = set(np.flatnonzero(out.turnover[:, HOLD]) - 1)
    assert traded == firsts
    lost = free.equity[-1, HOLD] - out.equity[-1, HOLD]
    assert 0.0003 < lost / 1e6 < 0.01, "3 bp of what it moves"


def test_hold_within_a_leverage_of_one_is_filled_at_once_or_soon():
    """An open above the close does not leave a part in cash for a month."""
    bars = make_bars(60, 3, 2)
    out, rows, _ = run(bars, Settings())
    value = (rows[:, HOLD] * bars.close).sum(axis=1)
    assert (value[4:] / out.equity[4:, HOLD] > 0.99).all()
    assert (out.cash[:, HOLD] > -1.0).all()


def test_hold_at_volatility_is_as_bold_as_the_desk():
    """A desk that holds a quarter of everything all the time: after the first months `hold` is scaled to a quarter."""
    bars = make_bars(900, 3, 6)
    settings_ = Settings(
        combine={"volatility_target": 0.0525, "instrument_multiplier_cap": 1.0}, execution=NO_COSTS | FINE
    )
    out, rows, _ = run(bars, settings_, np.ones(bars.close.shape))
    moves = np.diff(np.log(out.equity), axis=0)[200:]
    live, hold, scaled = (moves[:, b].std() for b in (LIVE, HOLD, HOLD_AT_VOLATILITY))
    assert live < 0.7 * hold
    assert scaled == pytest.approx(live, rel=0.1)
    gross = (rows[:, HOLD_AT_VOLATILITY] * bars.close).sum(axis=1) / out.equity[:, HOLD_AT_VOLATILITY]
    assert (gross <= 1.0 + 1e-9).all()


def test_hold_at_volatility_knows_only_what_was():
    """What the desk does from a bar on changes nothing of the book up to that bar, and nothing before the next month."""
    bars, rng = make_bars(500, 3, 6), np.random.default_rng(1)
    forecast = rng.normal(0, 1, bars.close.shape)
    other = forecast.copy()
    other[300:] = 0.0
    (one, _, _), (two, _, _) = run(bars, Settings(), forecast), run(bars, Settings(), other)
    month = months_of(bars.time)
    until = int(np.flatnonzero(month > month[301])[0])
    np.testing.assert_array_equal(
        one.equity[: until + 1, HOLD_AT_VOLATILITY], two.equity[: until + 1, HOLD_AT_VOLATILITY]
    )
    assert one.equity[-1, HOLD_AT_VOLATILITY] != two.equity[-1, HOLD_AT_VOLATILITY]


def test_the_benchmark_never_halts_with_the_desk():
    """A halt of the desk, or its own fall, does not keep the benchmark from holding: who holds, holds."""
    bars = make_bars(300, 2, 3)
    out, rows, state = run(bars, Settings(risk={"reduce_drawdown": 0.005, "halt_drawdown": 0.01}))
    assert state.risk_state[HOLD] == RiskState.ACTIVE
    assert (rows[5:, HOLD] > 0).all()
    obey(state, RiskState.HALTED)
    assert state.risk_state[LIVE] == state.risk_state[1] == RiskState.HALTED
    assert state.risk_state[HOLD] == state.risk_state[HOLD_AT_VOLATILITY] == RiskState.ACTIVE
    assert out.equity[-1, HOLD] != 1e6


def test_a_symbol_that_leaves_is_sold_and_its_part_shared():
    bars = make_bars(120, 3, 3)
    leaving = np.zeros(bars.close.shape, dtype=bool)
    leaving[50:, 2] = True
    _, rows, _ = run(bars, Settings(execution=NO_COSTS | FINE), leaving=leaving)
    assert (rows[52:, HOLD, 2] == 0.0).all()
    share = rows[52, HOLD] * bars.open[51]
    assert share[0] == pytest.approx(share[1], rel=0.05)


def test_bars_that_cannot_be_traded_on_delay_the_benchmark():
    """On a bar that is too old nothing is bought; at the next one that is not, it is."""
    bars = make_bars(20, 2, 3)
    stale = np.zeros(bars.close.shape, dtype=bool)
    stale[:4] = True
    _, rows, _ = run(bars, Settings(), stale=stale)
    assert (rows[:5, HOLD] == 0.0).all()
    assert (rows[5, HOLD] > 0.0).all()


def test_live_and_replay_hold_the_same_to_the_bit():
    bars = make_bars(360, 3, 8, gaps=0.05, actions=True)
    whole, live = run_replay(bars), run_live(bars, 0)
    columns = [1 + CONTROLS.index(name) for name in BENCHMARKS]
    assert np.ptp(joined(live, "equity")[:, columns], axis=0).min() > 1e3
    np.testing.assert_array_equal(joined(live, "equity")[:, columns], joined(whole, "equity")[:, columns])
    np.testing.assert_array_equal(joined(live, "cash")[:, columns], joined(whole, "cash")[:, columns])


# ---------------------------------------------------------------- shadows do what the desk could do


def shadows(settings_: Settings, **changed: object) -> np.ndarray:
    bars, rng = make_bars(300, 3, 4), np.random.default_rng(4)
    return run(bars, settings_, rng.normal(0, 1, bars.close.shape), **changed)[1][:, FIRST_SHADOW]


def test_shadows_of_a_long_only_desk_are_long_only():
    """Seen: a desk that may not sell short was judged by short positions of its agents' books."""
    both, only = shadows(Settings()), shadows(Settings(risk={"allow_short": False}))
    assert (both < -1.0).any()
    assert (only >= 0.0).all()
    assert (only > 1.0).any()
    bought = (both > 1.0) & (only > 1.0)
    assert bought.mean() > 0.2


def test_a_short_shadow_is_closed_when_the_desk_becomes_long_only():
    base = plan(Settings(risk={"allow_short": False}), ("S0", "S1"))
    bars = make_bars(3, 2, 4)
    state, out = new_state(1, 2, 1e6), new_outputs(3, 1, 2)
    state.position[FIRST_SHADOW] = (-500.0, 200.0)
    inputs = matched_inputs(bars, np.full((3, 2), 0.02), np.full((3, 2, 1), -0.5), np.ones((3, 1, 1)), np.ones(1))
    run_rows(desk_of(state, base.parameters), inputs, out, 0, 2)
    assert state.position[FIRST_SHADOW].tolist() == [0.0, 0.0]


def test_shadows_go_on_while_the_desk_is_halted_and_stop_with_the_market():
    """The desk's own halt would freeze the evidence; a market that cannot be traded holds shadows, too."""
    bars, rng = make_bars(200, 2, 4), np.random.default_rng(4)
    said = rng.normal(0, 1, bars.close.shape)
    _, rows, _ = run(bars, Settings(risk={"reduce_drawdown": 0.0005, "halt_drawdown": 0.001}), said)
    assert (np.abs(np.diff(rows[100:, FIRST_SHADOW], axis=0)).sum(axis=1) > 0).mean() > 0.5
    stale = np.zeros(bars.close.shape, dtype=bool)
    stale[100:] = True
    _, rows, _ = run(bars, Settings(), said, stale=stale)
    size = np.abs(rows[101:, FIRST_SHADOW])
    assert (np.diff(size, axis=0) <= 1e-9).all(), "only less"


@pytest.mark.parametrize("volume", [1e9, 2e4])
def test_who_only_holds_is_moved_by_nothing_that_the_desk_does(volume):
    """Seen: orders of `hold_at_volatility` that thin volume cut made `hold` trade once more, by how bold the desk was."""
    bars = make_bars(300, 3, 12)
    bars = replace(bars, volume=np.full_like(bars.volume, volume))
    rng = np.random.default_rng(4)
    calm, wild = (size * rng.standard_normal(bars.close.shape) for size in (0.2, 2.0))
    (first, held, _), (second, held_too, _) = (run(bars, Settings(), said) for said in (calm, wild))
    np.testing.assert_array_equal(held[:, HOLD], held_too[:, HOLD])
    np.testing.assert_array_equal(first.equity[:, HOLD], second.equity[:, HOLD])
    assert (held[:, HOLD_AT_VOLATILITY] != held_too[:, HOLD_AT_VOLATILITY]).any()


# ---------------------------------------------------------------- states of before


def old_state(state: State, agents: tuple[str, ...], symbols: tuple[str, ...]) -> bytes:
    """As version 1 packed it: three controls, none of the new arrays, no names of books."""
    import io

    keep = [0, 1, 2, 3, *range(FIRST_SHADOW, FIRST_SHADOW + len(agents))]
    values = {
        name: array[keep] if name in ("position", "pending", "cash", "equity", "peak", "risk_state") else array
        for name, array in state._asdict().items()
        if name not in ("listed", "rebalancing", "squares", "highs")
    }
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=np.array([1]),
        symbols=np.array(symbols, dtype=np.str_),
        agents=np.array(agents, dtype=np.str_),
        ledger_cash=np.array(["1000000"]),
        **values,
    )
    return buffer.getvalue()


def test_a_state_of_before_gets_the_benchmark_with_the_equity_of_today():
    bars = make_bars(200, 3, 8)
    base = plan(Settings(), bars.symbols)
    state, cash = unpack_state(run_replay(bars).cycles[-1].state, base, AGENTS.names)
    packed = old_state(state, AGENTS.names, bars.symbols)
    again, same = unpack_state(packed, base, AGENTS.names)
    for b in (HOLD, HOLD_AT_VOLATILITY):
        assert again.equity[b] == again.cash[b] == again.peak[b] == state.equity[LIVE]
        assert not again.position[b].any()
    assert again.rebalancing[1] == 1.0
    for name in ("position", "cash", "equity"):
        others = [0, 1, 2, 3, *range(FIRST_SHADOW, len(state.cash))]
        np.testing.assert_array_equal(getattr(again, name)[others], getattr(state, name)[others])
    assert float(cash) != 0.0 and same == "1000000"


def test_a_state_of_a_version_that_rebalanced_both_books_together_goes_on():
    bars = make_bars(200, 3, 8)
    base = plan(Settings(), bars.symbols)
    state, cash = unpack_state(run_replay(bars).cycles[-1].state, base, AGENTS.names)
    older = state._replace(rebalancing=state.rebalancing[:2])
    again, _ = unpack_state(
        pack_state(older, bars.symbols, AGENTS.names, Ledger(cash=Decimal(cash))), base, AGENTS.names
    )
    np.testing.assert_array_equal(again.rebalancing, state.rebalancing[[0, 1, 1]])


def test_a_state_keeps_its_books_when_agents_and_symbols_change():
    bars = make_bars(200, 3, 8)
    base = plan(Settings(), bars.symbols)
    state, cash = unpack_state(run_replay(bars).cycles[-1].state, base, AGENTS.names)
    packed = pack_state(state, bars.symbols, AGENTS.names, Ledger(cash=Decimal(cash)))
    fewer = AGENTS.names[1:]
    again, _ = unpack_state(packed, plan(Settings(), (*bars.symbols, "NEW")), fewer)
    np.testing.assert_array_equal(again.cash[:FIRST_SHADOW], state.cash[:FIRST_SHADOW])
    np.testing.assert_array_equal(again.cash[FIRST_SHADOW:], state.cash[FIRST_SHADOW + 1 :])
    np.testing.assert_array_equal(again.listed, [1, 1, 1, 0])
    np.testing.assert_array_equal(again.rebalancing, state.rebalancing)
    beside, _ = unpack_state(packed, base, AGENTS.names, beside=True)
    assert len(beside.cash) == FIRST_SHADOW + 2 * len(AGENTS.names) + 1
    for b in range(FIRST_SHADOW + len(AGENTS.names), len(beside.cash)):
        np.testing.assert_array_equal(beside.position[b], state.position[LIVE])
        assert beside.equity[b] == state.equity[LIVE]
