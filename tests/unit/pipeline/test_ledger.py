"""The Decimal ledger: FAULTS 3.1's identities over any sequence of fills, splits and dividends, and cases by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.types import CorporateAction, Fill, to_decimal
from agents.pipeline.ledger import Ledger, fold_fills

T0 = datetime(2020, 1, 1, tzinfo=UTC)
START = D(1_000_000)


def fill(signed: object, price: object, *, fee: object = 0, symbol: str = "A", number: int = 0) -> Fill:
    quantity = D(str(signed))
    return Fill(
        fill_id=f"f{number}",
        client_order_id=f"o{number}",
        time=T0 + timedelta(days=number),
        symbol=symbol,
        side="buy" if quantity > 0 else "sell",
        quantity=abs(quantity),
        price=D(str(price)),
        fee=D(str(fee)),
        spread_cost=D(0),
        impact_cost=D(0),
    )


def action(kind: str, *, ratio: object = 1, change: object = 0, cash: object = 0, number: int = 0) -> CorporateAction:
    return CorporateAction(
        time=T0 + timedelta(days=number),
        symbol="A",
        kind=kind,
        ratio=D(str(ratio)),
        quantity_change=D(str(change)),
        cash=D(str(cash)),
    )


money = st.integers(1, 50_000).map(lambda cents: D(cents) / 100)
signed = st.integers(-500, 500).filter(bool).map(lambda n: D(n) / 10)
events = st.lists(
    st.tuples(st.sampled_from(["A", "B"]), signed, money, st.integers(0, 500).map(lambda n: D(n) / 1000)), max_size=40
)


@given(events)
def test_money_is_in_a_trade_or_in_a_position(sequence):
    """(a) position = sum of fills, (b) cash = start - cost - fees, (d) all money is accounted for to the last unit."""
    fills = [fill(q, p, fee=fee, symbol=s, number=n) for n, (s, q, p, fee) in enumerate(sequence)]
    ledger, trades = fold_fills(Ledger(cash=START), fills)
    for symbol in ("A", "B"):
        total = sum((f.signed_quantity for f in fills if f.symbol == symbol), D(0))
        held = ledger.positions.get(symbol)
        assert (held.quantity if held else D(0)) == total
    assert ledger.cash == START - sum((f.signed_quantity * f.price + f.fee for f in fills), D(0))
    open_cost = sum((p.cost - p.carried for p in ledger.positions.values()), D(0))
    assert ledger.cash + open_cost == START + sum((t.pnl for t in trades), D(0))


@given(events, st.integers(1, 39))
def test_folding_in_two_batches_is_folding_in_one(sequence, cut):
    fills = [fill(q, p, fee=fee, symbol=s, number=n) for n, (s, q, p, fee) in enumerate(sequence)]
    whole, trades = fold_fills(Ledger(cash=START), fills)
    first, some = fold_fills(Ledger(cash=START), fills[:cut])
    second, rest = fold_fills(first, fills[cut:])
    assert (second.cash, dict(second.positions)) == (whole.cash, dict(whole.positions))
    assert some + rest == trades


@given(events, st.lists(st.tuples(st.integers(0, 39), st.sampled_from(["2", "1.5", "0.1"]), money), max_size=4))
def test_money_adds_up_through_splits_and_dividends(sequence, actions):
    ledger, pnl, paid = Ledger(cash=START), D(0), D(0)
    flows = D(0)
    for n, (symbol, quantity, price, fee) in enumerate(sequence):
        for at, ratio, value in actions:
            held = ledger.positions.get("A")
            if at == n and held:
                whole = (held.quantity * D(ratio)).to_integral_value(rounding="ROUND_DOWN")
                cash = ((held.quantity * D(ratio) - whole) * value).quantize(D("0.00000001"))
                split = action("split", ratio=ratio, change=whole - held.quantity, cash=cash, number=n)
                ledger, closed = fold_fills(ledger, [split])
                pnl += sum((t.pnl for t in closed), D(0))
                paid += cash
        ledger, closed = fold_fills(ledger, [fill(quantity, price, fee=fee, symbol=symbol, number=n)])
        pnl += sum((t.pnl for t in closed), D(0))
        flows += quantity * price + fee
    assert ledger.cash == START - flows + paid
    open_cost = sum((p.cost - p.carried for p in ledger.positions.values()), D(0))
    assert ledger.cash + open_cost == START + pnl


def test_a_round_trip_by_hand():
    """Buy 10 at 100 (fee 1), sell 4 at 110 (fee 0.5): the slice earns 4 x 10 - 0.4 of entry fee - 0.5 = 39.1."""
    ledger, trades = fold_fills(Ledger(cash=START), [fill(10, 100, fee=1), fill(-4, 110, fee="0.5", number=1)])
    assert [t.pnl for t in trades] == [D("39.1")]
    assert (trades[0].entry_price, trades[0].exit_price, trades[0].side) == (D(100), D(110), "long")
    assert ledger.positions["A"].quantity == 6
    assert ledger.positions["A"].average_entry_price == 100
    assert ledger.cash + 6 * D(110) == START + D("39.1") + 6 * 10 - D("0.6")


def test_a_flip_closes_and_opens():
    """Long 10 at 100; sell 15 at 90 with fee 3: closes 10 for -100 - 2, opens short 5 carrying fee 1."""
    ledger, trades = fold_fills(Ledger(cash=START), [fill(10, 100), fill(-15, 90, fee=3, number=1)])
    assert trades[0].pnl == D(-102)
    position = ledger.positions["A"]
    assert (position.quantity, position.cost, position.carried) == (D(-5), D(-450), D(-1))


def test_a_short_earns_when_the_price_falls():
    _, trades = fold_fills(Ledger(cash=START), [fill(-10, 100), fill(10, 90, number=1)])
    assert trades[0].pnl == 100
    assert trades[0].side == "short"


def test_a_split_and_a_dividend_belong_to_the_position():
    """10 at 100, 2:1 -> 20 at 50; dividend 0.5 each = 10; all sold at 52: 20 x 52 - 1000 + 10 = 50."""
    steps = [fill(10, 100), action("split", ratio=2, change=10), action("dividend", cash=10), fill(-20, 52, number=1)]
    ledger, trades = fold_fills(Ledger(cash=START), steps)
    assert trades[0].pnl == 50
    assert ledger.cash == START + 50


def test_a_position_that_a_reverse_split_pays_out_is_a_trade():
    """5 at 1.00, 1:10 -> half a share, paid out at 9.00 each: 4.5 - 5 = -0.5."""
    ledger, trades = fold_fills(Ledger(cash=START), [fill(5, 1), action("split", ratio="0.1", change=-5, cash="4.5")])
    assert trades[0].pnl == D("-0.5")
    assert not ledger.positions


def test_money_from_floats():
    assert to_decimal(0.1) == D("0.1")
    assert to_decimal(2.675) == D("2.675")
    with pytest.raises(ValueError, match="not an amount"):
        to_decimal(float("nan"))
