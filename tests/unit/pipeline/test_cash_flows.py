"""Money in and out of a desk: returns, drawdowns and limits are those of a unit, by a fund's own books and in closed
form; the ledger stays a fold."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.books import FIRST_SHADOW, HOLD, LIVE
from agents.core.cash_flows import CAPITAL, CashFlow
from agents.core.types import RiskState
from agents.pipeline.cash_flows import take_flow, why_refused
from agents.pipeline.commands import obey
from agents.pipeline.desk import desk_of
from agents.pipeline.highs import drawdown_from, note_high, recent_high
from agents.pipeline.ledger import Ledger, fold_fills
from agents.pipeline.state import copy_state, new_outputs, new_state
from agents.pipeline.step import run_rows
from agents.quant.returns import max_drawdown
from tests.unit.pipeline.desks import CHEAP, made_desk


def flow(amount, kind="deposit", source="person"):
    return CashFlow(id=1, kind=kind, amount=Decimal(str(amount)), source=source)


def state_of(agents=2, symbols=1, cash=1000.0):
    return new_state(agents, symbols, cash)


class Fund:
    """A fund that issues and takes back units at their price: the definition of time-weighted."""

    def __init__(self, money):
        self.units, self.price = 1.0, money

    def earns(self, rate):
        self.price *= 1.0 + rate

    def moves(self, amount):
        self.units += amount / self.price


STEPS = st.lists(st.tuples(st.floats(-0.3, 0.4), st.floats(-0.6, 3.0)), min_size=1, max_size=25)


@given(steps=STEPS)
def test_a_unit_is_worth_what_a_fund_s_is_whatever_comes_and_goes(steps):
    """A flow is told as a share of the equity, each bar as a rate."""
    state, fund, units, values, highs = state_of(), Fund(1000.0), 1.0, [1000.0], [1000.0]
    for month, (rate, share) in enumerate(steps):
        amount = round(share * float(state.equity[LIVE]), 8)
        if amount:
            units *= take_flow(state, flow(amount))
            fund.moves(amount)
        assert state.peak[LIVE] == pytest.approx(units * max(highs), rel=1e-9)
        for b in range(FIRST_SHADOW):  # what a bar does
            state.equity[b] *= 1.0 + rate
            state.cash[b] = state.equity[b]
            state.peak[b] = max(state.peak[b], state.equity[b])
            note_high(state.highs[b], month, state.equity[b])
        fund.earns(rate)
        values.append(float(state.equity[LIVE]) / units)
        highs.append(fund.price)
        assert values[-1] == pytest.approx(fund.price, rel=1e-9) and units == pytest.approx(fund.units, rel=1e-9)
        drawdown = drawdown_from(recent_high(state.highs[LIVE], 0, state.peak[LIVE]), state.equity[LIVE])
        assert drawdown == pytest.approx(1.0 - fund.price / max(highs), abs=1e-9)
    assert max_drawdown(np.array(values)) == pytest.approx(max_drawdown(np.array(highs)), abs=1e-9)


def test_a_withdrawal_is_no_loss_and_a_deposit_heals_no_drawdown():
    for amount in (-500.0, 4000.0):
        state = state_of()
        state.equity[:], state.cash[:], state.today[1] = 800.0, 800.0, 900.0
        take_flow(state, flow(amount))
        assert state.equity[LIVE] == 800.0 + amount == state.cash[LIVE]
        assert drawdown_from(state.peak[LIVE], state.equity[LIVE]) == pytest.approx(0.2)
        assert drawdown_from(recent_high(state.highs[LIVE], 12, state.peak[LIVE]), state.equity[LIVE]) == pytest.approx(
            0.2
        )
        assert drawdown_from(state.today[1], state.equity[LIVE]) == pytest.approx(1 / 9)


def test_at_a_high_no_bit_is_lost():
    state = state_of()
    state.equity[:] = state.peak[:] = state.today[1] = 1234.567
    state.highs[:, 1] = 1234.567
    take_flow(state, flow("0.1"))
    assert state.peak[LIVE] == state.equity[LIVE] == state.today[1] == state.highs[LIVE, 1]


def test_every_book_with_an_account_moves_by_the_same_share_and_shadows_by_none():
    state = state_of()
    state.equity[HOLD], state.equity[LIVE + 1] = 2500.0, -3.0
    before = copy_state(state)
    take_flow(state, flow(-500))
    assert state.equity[HOLD] == 1250.0 and state.cash[HOLD] == before.cash[HOLD] - 1250.0
    assert state.equity[LIVE + 1] == -3.0, "nothing is taken from a ruined control"
    shadows = slice(FIRST_SHADOW, FIRST_SHADOW + 2)
    assert (state.cash[shadows] == before.cash[shadows]).all()
    assert (state.equity[shadows] == before.equity[shadows]).all()


@pytest.mark.parametrize("kind", ["interest", "borrow", "funding", "dividend"])
def test_what_is_earned_is_part_of_the_next_return(kind):
    state = state_of()
    before = copy_state(state)
    assert kind not in CAPITAL and take_flow(state, flow(-7.5, kind)) == 1.0
    assert state.cash[LIVE] == before.cash[LIVE] - 7.5, "the next close counts it"
    assert (state.equity == before.equity).all() and (state.peak == before.peak).all()
    assert (state.cash[1:] == before.cash[1:]).all(), "it came of what the live book held"


REFUSALS = [  # cash, equity, amount, source, refused
    (100.0, 1000.0, -100.0, "person", ""),
    (100.0, 1000.0, -100.01, "person", "cash of 100.00"),
    (100.0, 1000.0, -100.01, "exchange", ""),  # it has happened
    (-50.0, 1000.0, -1.0, "person", "cash of -50.00"),
    (-50.0, 1000.0, 1.0, "person", ""),
    (1500.0, 1000.0, -1000.0, "person", "equity is 1,000.00"),  # the cash of short sales is owed
    (1000.0, 1000.0, -1000.0, "rule", "equity is 1,000.00"),
]


@pytest.mark.parametrize(("cash", "equity", "amount", "source", "words"), REFUSALS)
def test_what_is_not_there_is_not_paid(cash, equity, amount, source, words):
    state = state_of()
    state.cash[LIVE], state.equity[LIVE] = cash, equity
    refused = why_refused(state, flow(amount, "withdrawal", source))
    assert (words in refused) if words else refused == ""


def test_all_of_it_taken_at_an_exchange_breaks_no_figure():
    state = state_of()
    assert take_flow(state, flow(-1000, "withdrawal", "exchange")) == 1.0
    assert state.cash[LIVE] == 0.0 and np.isfinite(state.peak).all() and np.isfinite(state.highs[:, 1]).all()


@given(amounts=st.lists(st.decimals(-900, 900, places=8).filter(bool), max_size=6), resume_at=st.integers(0, 6))
def test_a_persons_resume_and_flows_may_come_in_any_order(amounts, resume_at):
    """After a restart commands are obeyed again first, then flows: to the same bits."""
    live, again = state_of(), state_of()
    for state in (live, again):
        state.equity[:], state.cash[:], state.today[1] = 1000.0, 1000.0, 1100.0
        state.peak[:], state.highs[:, 1] = 1300.0, 1200.0
    taken = []
    for k, amount in enumerate([*amounts, None]):
        if k == min(resume_at, len(amounts)):
            obey(live, RiskState.ACTIVE)
        if amount is not None and not why_refused(live, flow(amount)):
            take_flow(live, flow(amount))
            taken.append(amount)
    obey(again, RiskState.ACTIVE)
    for amount in taken:
        take_flow(again, flow(amount))
    for name, array in live._asdict().items():
        np.testing.assert_array_equal(array, getattr(again, name), err_msg=name)


@given(amounts=st.lists(st.decimals(-(10**9), 10**9, places=8), max_size=10))
def test_the_ledger_is_a_fold_of_flows_to_the_last_unit(amounts):
    ledger, trades = fold_fills(Ledger(cash=Decimal("0.1")), [flow(amount) for amount in amounts])
    assert ledger.cash == Decimal("0.1") + sum(amounts) and trades == [] and dict(ledger.positions) == {}


def test_a_desk_with_twice_the_money_from_some_bar_on_has_the_same_returns():
    """Closed form: where positions scale (no lots, no least commission, all the volume there is), only money does."""
    rules = {**CHEAP, "lot_size": 1e-9, "minimum_commission": 0.0, "impact": 0.0, "participation": 1.0}
    desk = made_desk(3, 160, 2, 2, execution={**rules, "buffer_by_cost": False})
    at, paths = 90, []
    for share in (0.0, 1.0, -0.03):
        state = new_state(2, 2, desk.parameters.initial_cash)
        out, books = new_outputs(160, 2, 2), desk_of(state, desk.parameters)
        run_rows(books, desk.inputs, out, 0, at)
        grown = 1.0
        if share:
            grown = take_flow(state, flow(round(share * float(state.equity[LIVE]), 2)))
        state.pending[:FIRST_SHADOW] *= grown  # ordered before it
        state.position[:FIRST_SHADOW] *= grown  # the deposit is as if in kind: then all of it scales
        state.cash[:FIRST_SHADOW] = before_in_kind(state, grown)
        run_rows(books, desk.inputs, out, at, 160)
        units = np.where(np.arange(160) < at, 1.0, grown)[:, None]
        paths.append((out.equity[:, :FIRST_SHADOW] / units, out.risk_state))
    plain, *others = paths
    assert np.ptp(plain[0][:, LIVE]) > 0.01 * desk.parameters.initial_cash, "it trades"
    for values, states in others:
        np.testing.assert_allclose(values, plain[0], rtol=2e-6)
        np.testing.assert_array_equal(states, plain[1])


def before_in_kind(state, grown):
    """Cash of each book where a flow came in positions and cash alike: what equity leaves beside the positions."""
    held = state.position[:FIRST_SHADOW] @ np.nan_to_num(state.mark)
    return state.equity[:FIRST_SHADOW] - held
