"""What closes positions without the database: never more than is known, never more than is held, one at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agents.core.exits import Exit, ExitBook, ExitWord
from agents.core.orders import FINAL_ORDER_STATES, NEXT_STATES, Fill, Order
from agents.core.venues import Holdings
from agents.orchestrator.exit_plan import ATTEMPTS, Known, RememberedOrders, exit_id, exits_wanted

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
AMOUNT = st.integers(-5, 5).map(Decimal)
WORD = ExitWord(AT, "leaving", "t")


def fill(number: int, quantity: Decimal) -> Fill:
    return Fill(
        fill_id=str(number),
        client_order_id="o",
        time=AT,
        symbol="BTC/USDT",
        side="buy" if quantity > 0 else "sell",
        quantity=abs(quantity),
        price=Decimal(1),
        fee=Decimal(0),
        spread_cost=Decimal(0),
        impact_cost=Decimal(0),
    )


def exit_(number: int, state, word: int = 1) -> Exit:
    key = exit_id("t", AT, "BTC/USDT", number)
    order = Order(
        client_order_id=key, decision_time=AT, symbol="BTC/USDT", side="sell", quantity=Decimal(1), kind="exit"
    )
    return Exit(order, state, "", word)


@given(
    booked=AMOUNT,
    since=st.lists(AMOUNT.filter(bool), max_size=3),
    total=AMOUNT,
    outside=AMOUNT,
    states=st.lists(st.sampled_from((*NEXT_STATES, *FINAL_ORDER_STATES)), max_size=4),
)
def test_it_only_shrinks_and_one_at_a_time(booked, since, total, outside, states):
    fills = [fill(n, quantity) for n, quantity in enumerate(since)]
    holdings = Holdings(totals={"BTC": total}, unbooked=fills, foreign=())
    book = ExitBook("t", AT, (WORD,), tuple(exit_(n, state) for n, state in enumerate(states, 1)))
    wanted = exits_wanted("t", Known(AT, {"BTC/USDT": booked}, (), {"BTC": outside}), holdings, book)
    known, held = booked + sum(since), total - outside
    may = all(state in FINAL_ORDER_STATES for state in states) and len(states) < ATTEMPTS
    if known > 0 and held > 0 and may:
        (order,) = wanted
        assert order.side == "sell" and order.quantity == min(known, held)
        assert order.client_order_id not in {e.order.client_order_id for e in book.exits}
    else:
        assert wanted == []


def test_what_was_taken_back_gives_way_and_a_new_word_counts_anew():
    refused = tuple(exit_(n, "rejected") for n in (1, 2, 3))
    working = ExitBook("t", AT, (WORD,), (exit_(1, "acked"),))
    holdings, known = (
        Holdings(totals={"BTC": Decimal(2)}, unbooked=(), foreign=()),
        Known(AT, {"BTC/USDT": Decimal(2)}, (), {}),
    )
    assert exits_wanted("t", known, holdings, ExitBook("t", AT, (WORD,), refused)) == []
    again = exits_wanted("t", known, holdings, ExitBook("t", AT, (WORD, WORD), refused))
    assert [order.client_order_id for order in again] == [exit_id("t", AT, "BTC/USDT", 4)]
    assert exits_wanted("t", known, holdings, working) == []
    gone = ExitBook("t", AT, (WORD, WORD), working.exits, frozenset({exit_id("t", AT, "BTC/USDT", 1)}))
    assert [order.client_order_id for order in exits_wanted("t", known, holdings, gone)] == [
        exit_id("t", AT, "BTC/USDT", 2)
    ]


def test_ids_are_those_of_the_spool_and_only_the_desk_s_own_orders_are_taken_back():
    ids = {exit_id("t", at, symbol, n) for at in (AT, AT.replace(hour=13)) for symbol in ("A", "B") for n in (1, 2)}
    assert len(ids) == 8 and exit_id("t", AT, "A", 1) in ids, "no two spools share one"
    mine = exit_(1, "acked").order
    made = Order(client_order_id="web-1", decision_time=AT, symbol="BTC/USDT", side="sell", quantity=Decimal(1))
    assert RememberedOrders("t").ours([mine, made]) == [mine]
    assert RememberedOrders("other").ours([mine, made]) == []
