"""Funding of perpetual futures in the step: every book pays on what it held, attributed to who held it, in the ledger to
the last unit, the same live and replayed; it is no price to anybody."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.core.books import LIVE
from agents.core.settings import Settings
from agents.core.types import Bars
from agents.pipeline.desk import desk_of
from agents.pipeline.ledger import Ledger, fold_fills
from agents.pipeline.market import panel_of
from agents.pipeline.step import run_rows
from tests.market import make_bars
from tests.unit.pipeline.desks import made_desk
from tests.unit.pipeline.test_step import joined, run_live, run_replay

FREE = {"commission_bps": 0.0, "minimum_commission": 0.0, "half_spread_bps": 0.0, "impact": 0.0, "buffer": 0.05}


def rates(shape, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cash for a unit before opens and within bars, of both signs, most of it none."""
    rng = np.random.default_rng(seed)
    before, within = rng.normal(0.0, 0.3, (2, *shape)) * (rng.random((2, *shape)) < 0.4)
    return before, within


def funded(bars: Bars, seed: int) -> Bars:
    before, within = rates(bars.close.shape, seed)
    return replace(bars, funding=before, funding_within=within)


def trade(seed: int, bars: int = 90, **options):
    """The step bar by bar: of each bar the positions and marks before and after, and holdings of the live book."""
    desk = made_desk(seed, bars, 3, 2, risk={"allow_short": True}, **options)
    before, within = rates(desk.inputs.open.shape, seed + 50)
    inputs = desk.inputs._replace(funding=before, funding_within=within)
    kept = {name: [] for name in ("position", "mark", "holding")}

    def run(books, now, out, first, stop):
        now = now._replace(funding=before, funding_within=within)
        for t in range(first, stop):
            run_rows(books, now, out, t, t + 1)
            for name, rows in kept.items():
                rows.append(getattr(books.state, name).copy())

    traded = desk.traded(run, lambda state, parameters: desk_of(state, parameters, 1))
    return inputs, traded.out, {name: np.array(rows) for name, rows in kept.items()}, desk.parameters.initial_cash


@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 10_000))
def test_every_book_pays_on_what_it_held(seed):
    """Without costs a book's profit is what its positions moved by, and the funding of what it held: plain Python says
    the same for the live book, the controls, the benchmark and the shadows, bar by bar."""
    inputs, out, kept, cash = trade(seed, execution=FREE)
    equity = np.vstack([np.full((1, out.equity.shape[1]), cash), out.equity])
    nothing = np.zeros(kept["position"].shape[1:])
    paid = 0.0
    for t in range(len(inputs.open)):
        held = kept["position"][t - 1] if t else nothing
        now, mark = kept["position"][t], kept["mark"][t - 1] if t else inputs.open[0]
        moved = held * (inputs.open[t] - mark) + now * (inputs.close[t] - inputs.open[t])
        funding = held * inputs.funding[t] + now * inputs.funding_within[t]
        paid += np.abs(funding).sum()
        earned = (moved + funding).sum(axis=1)
        np.testing.assert_allclose(equity[t + 1] - equity[t], earned, atol=1e-3)  # prices are whole 1e-8
    assert paid > 1000.0


@pytest.mark.parametrize("seed", range(3))
def test_it_goes_to_the_agents_that_held(seed):
    """Each agent's contribution is that of its own part of the position, funding included; together they are the desk's
    profit."""
    inputs, out, kept, cash = trade(seed, execution=FREE)
    for t in range(1, len(inputs.open)):
        held, now = kept["holding"][t - 1], kept["holding"][t]
        before = inputs.open[t] - kept["mark"][t - 1] + inputs.funding[t]
        after = inputs.close[t] - inputs.open[t] + inputs.funding_within[t]
        mine = (held * before[:, None] + now * after[:, None]).sum(axis=0)
        np.testing.assert_allclose(out.contribution[t], mine, atol=1e-3)
    live = np.diff(np.concatenate([[cash], out.equity[:, LIVE]]))
    np.testing.assert_allclose(out.contribution.sum(axis=1), live, atol=1e-5)


def test_the_money_adds_up_to_the_last_unit():
    """Costs, gaps, splits, stops and funding: the folded ledger is what every fill and every settlement say, and the
    trades with what is open have all of it."""
    bars = funded(make_bars(260, 3, 8, gaps=0.05, actions=True), 4)
    journal = run_replay(bars, Settings(risk={"allow_short": True, "stop_loss": 0.05}))
    fills = list(journal.fills.values())
    actions = [action for cycle in journal.cycles for action in cycle.actions]
    trades = [trade for cycle in journal.cycles for trade in cycle.trades]
    shares = [share for cycle in journal.cycles for share in cycle.contributions]
    settled = [action for action in actions if action.kind == "funding"]
    assert len(settled) > 50 and {action.cash > 0 for action in settled} == {True, False}
    assert len({(a.time, a.symbol, a.kind) for a in actions}) == len(actions), "the table's key"
    start = Decimal(Settings().desk.initial_cash)
    cash = start - sum(f.signed_quantity * f.price + f.fee for f in fills) + sum(a.cash for a in actions)
    held = journal.cycles[-1].positions.values()
    assert cash + sum(p.cost for p in held) - sum(p.carried for p in held) == start + sum(t.pnl for t in trades)
    assert float(cash) == pytest.approx(joined(journal, "cash")[-1, LIVE], abs=1e-5)
    for closed in trades:
        assert sum(s.contribution for s in shares if s.trade_id == closed.trade_id) == closed.pnl


def test_live_and_replay_pay_the_same():
    """The orchestrator bar by bar, with the paper broker, against the replay of the same bars."""
    bars = funded(make_bars(150, 3, 12, gaps=0.03), 9)
    live, replayed = run_live(bars, 0), run_replay(bars)
    for name in ("position", "order_quantity"):
        assert np.array_equal(joined(live, name), joined(replayed, name)), name
    for name in ("equity", "cash", "contribution"):  # an agent's opinion may differ in its last bit
        np.testing.assert_allclose(joined(live, name), joined(replayed, name), rtol=1e-9, atol=1e-6)
    assert [c.actions for c in live.cycles if c.actions] and (
        [a for c in live.cycles for a in c.actions] == [a for c in replayed.cycles for a in c.actions]
    )


def test_it_is_no_price():
    """Agents see the same panel, and a settlement closes no trade and opens none in the ledger."""
    bars = make_bars(60, 2, 1)
    with_it = funded(bars, 2)
    for name in ("open", "high", "low", "close"):
        assert np.array_equal(getattr(panel_of(bars), name), getattr(panel_of(with_it), name))
    journal = run_replay(with_it)
    paid = next(a for c in journal.cycles for a in c.actions)
    ledger, closed = fold_fills(Ledger(cash=Decimal(0)), [paid])
    assert (ledger.cash, dict(ledger.positions), closed) == (paid.cash, {}, [])
