"""A desk whose stops rest at an exchange: they are hit while the daemon is up, dead, or without its database, and the next
decision books them as the step's stops; the exchange's own book and the desk's say the same, and the check finds nothing.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from agents.adapters.brokers import resting_stops
from agents.adapters.database.broker_accounts import open_breaks
from agents.adapters.exchanges.fake_orders import Manners
from agents.adapters.exchanges.fault_script import Fault
from agents.adapters.exchanges.recorded_market import LOW, OPENED
from agents.core.errors import ServiceError
from agents.core.ports import RiskEvent
from agents.core.types import RiskState
from agents.wiring.job_settings import tuning_of
from agents.wiring.parity import CheckedDesk, check_parity
from tests.conftest import SERVICES
from tests.daemons import until
from tests.exchange import SYMBOLS
from tests.faults import frozen, server_pids
from tests.integration.test_exchange_orders import HOURS, MARKET, PLACE, agrees, hour, key, quiet, trading
from tests.integration.test_live_prices import store_of

__all__ = ["key"]
LOSS = 0.2
"""So far that random prices never reach it, and a test's fall does."""
STOPS = "SELECT symbol, state, quantity, stop_price FROM v_resting_stops ORDER BY symbol"
CLOSED = """
SELECT o.symbol, o.state, o.reason, sum(f.quantity) FROM orders o LEFT JOIN fills f USING (client_order_id)
WHERE o.kind = 'stop' GROUP BY o.client_order_id ORDER BY o.symbol
"""


def stopping(folder, *faults, **more):
    risk = {"allow_short": False, "kill_file": folder / "KILL", "stop_loss": LOSS, **more.pop("risk", {})}
    agents = {"AGENTS": {"enabled": ("MarketHold",)}}
    return trading(folder, *faults, **agents, RISK=risk, **more)


def fall(monkeypatch, after, share=0.5, symbols=SYMBOLS):
    """In the hour that begins then prices fall to a part of what they are, and are as they were at its end."""
    for symbol in symbols:
        candles = MARKET.candles[symbol].copy()
        there = candles[:, OPENED] == after.timestamp() * 1000
        assert there.any()
        candles[there, LOW] = np.round(candles[there, LOW] * share, 2)
        monkeypatch.setitem(MARKET.candles, symbol, candles)


def resting(desk):
    """What works there: (symbol, quantity, stop)."""
    desk.account.advance(round(desk.clock.now().timestamp() * 1000))
    kept = desk.account.orders.values()
    return sorted((o.symbol, o.quantity - o.executed, o.stop) for o in kept if o.works and o.stop is not None)


def one_for_each_position(desk, others=0):
    """The oracle: one stop for each position, of all of it but what is less than a step, and no difference
    of books; `others` of each coin are a person's own."""
    rests = resting(desk)
    held = {s: desk.account.balances.get(s.partition("/")[0], Decimal(0)) - others for s in SYMBOLS}
    assert [symbol for symbol, _, _ in rests] == sorted(symbol for symbol, quantity in held.items() if quantity)
    for symbol, quantity, _ in rests:
        assert 0 <= held[symbol] - quantity < Decimal("0.00001")
    assert open_breaks(desk.connections.trader) == []
    return rests


def reproduced(desk):
    """The nightly check finds no difference but fills that the cost model makes otherwise."""
    checked = CheckedDesk(desk.settings, desk.connections.meta, store_of(desk), tuning_of(desk.settings))
    found = check_parity(checked, desk.clock.now(), keep=False)
    wrong = {kind for kind, count in found["counts"].items() if count} - {"fill"}
    assert found["decisions"] >= 2 and not wrong, found["examples"]
    assert not [e for e in found["examples"] if "position" in str(e["subject"])], found["examples"]


def closed_by_stops(desk, symbols=SYMBOLS):
    assert [row[:2] for row in desk.rows(CLOSED)] == [(symbol, "filled") for symbol in sorted(symbols)]
    quiet(desk)
    agrees_with_stops(desk)
    reproduced(desk)


def agrees_with_stops(desk):
    assert agrees(desk) > 1
    held = desk.account.balances
    assert all(q <= held.get(s.partition("/")[0], 0) for s, q, _ in resting(desk)), "more would be sold than is held"


def flatten(desk):
    """A person's word."""
    before, after = RiskState.ACTIVE, RiskState.HALTED
    event = RiskEvent(
        at=desk.clock.now(), before=before, after=after, reason="leaving", actor="person", applied=False, flatten=True
    )
    desk._journal.record_risk_event(event)


def test_a_stop_rests_for_each_position_moves_with_it_and_a_restart_sets_no_second_one(tmp_path):
    with stopping(tmp_path, risk={"trailing_stop": 0.15}) as desk:
        until(desk, hour(2) + timedelta(minutes=5))
        first = one_for_each_position(desk)
        until(desk, hour(HOURS), restarts=(hour(3) + timedelta(minutes=1), hour(4) + timedelta(minutes=1)))
        assert one_for_each_position(desk) != first, "a new high has moved one"
        sent = desk.fake.asked[PLACE]
        desk.restart()
        for _ in range(5):
            desk.turn()
        assert desk.fake.asked[PLACE] == sent
        assert {row[1] for row in desk.rows(STOPS)} == {"resting"}
        assert desk.rows(CLOSED) == []
        quiet(desk)
        agrees_with_stops(desk)
        reproduced(desk)


HIT = hour(2)
AWAY = ["daemon up", "daemon dead", "database away"]


@pytest.mark.parametrize("case", AWAY)
def test_a_stop_is_hit_and_the_next_decision_books_it(tmp_path, monkeypatch, case):
    with stopping(tmp_path) as desk:
        until(desk, HIT - timedelta(minutes=5))
        one_for_each_position(desk)
        fall(monkeypatch, HIT)
        until(desk, HIT + timedelta(minutes=2))
        if case == "daemon dead":
            desk.end()
            desk.clock.sleep_s(3300.0)
            desk.account.advance(round(desk.clock.now().timestamp() * 1000))
            assert not [q for s, q in desk.account.balances.items() if s != "USDT" and q > Decimal("0.00001")]
            desk._start()
        elif case == "database away":
            with frozen(*server_pids(SERVICES)):
                with pytest.raises(ServiceError):
                    desk.turn()
                desk.clock.sleep_s(3300.0)
                assert resting(desk) == []
        until(desk, HIT + timedelta(hours=1, minutes=5))
        stopped = desk.rows("SELECT symbol FROM decision_details WHERE clamps LIKE '%stopped%'")
        assert len(stopped) == len(SYMBOLS)
        until(desk, HIT + timedelta(hours=3, minutes=5))
        assert desk.rows("SELECT * FROM positions") == [], "it waits before it may be entered again"
        assert resting(desk) == []
        closed_by_stops(desk)


def test_hit_as_the_decision_is_made_nothing_is_sold_twice(tmp_path, monkeypatch):
    """A person flattens the desk; between the decision and its sales the stops are reached."""
    with stopping(tmp_path) as desk:
        desk.account.move("BTC", Decimal(50))  # a person's own
        desk.account.move("ETH", Decimal(50))
        until(desk, HIT - timedelta(minutes=5))
        one_for_each_position(desk, others=50)
        flatten(desk)
        sold = desk.daemon._desk.broker.place

        def hit_first(orders):
            for order in desk.account.orders.values():
                if order.works and order.stop is not None:
                    order.woken_ms = round(desk.clock.now().timestamp() * 1000)
                    order.woken_price = order.stop
            return sold(orders)

        monkeypatch.setattr(desk.daemon._desk.broker, "place", hit_first)
        until(desk, HIT + timedelta(hours=2, minutes=5))
        assert desk.rows("SELECT * FROM positions") == []
        assert (desk.account.balances["BTC"], desk.account.balances["ETH"]) == (50, 50)
        reasons = {row[0] for row in desk.rows("SELECT reason FROM orders WHERE state = 'not_placed'")}
        assert reasons == {"its stop at the exchange has sold it"}
        quiet(desk)
        reproduced(desk)


def test_a_halt_leaves_stops_and_flattening_takes_them_back(tmp_path):
    with stopping(tmp_path) as desk:
        until(desk, HIT - timedelta(minutes=5))
        rests = one_for_each_position(desk)
        desk.settings.risk.kill_file.touch()
        until(desk, HIT + timedelta(minutes=5))
        assert resting(desk) == rests
        desk.settings.risk.kill_file.unlink()
        flatten(desk)
        until(desk, HIT + timedelta(hours=2, minutes=5))
        assert (resting(desk), desk.rows("SELECT * FROM positions"), desk.rows(CLOSED)) == ([], [], [])
        assert open_breaks(desk.connections.trader) == []
        quiet(desk)
        agrees_with_stops(desk)


def test_filled_in_parts_it_is_booked_once_and_the_rest_is_closed(tmp_path, monkeypatch):
    with stopping(tmp_path) as desk:
        until(desk, HIT - timedelta(minutes=5))
        desk.account.manners = Manners(parts=3, part_s=1200.0, late_s=30.0, doubled=True, shuffled=True)
        for order in desk.account.orders.values():
            order.parts = 3 if order.works else order.parts
        fall(monkeypatch, HIT)
        until(desk, HIT + timedelta(hours=3, minutes=5), restarts=(HIT + timedelta(minutes=50),))
        assert desk.rows("SELECT * FROM positions") == []
        assert len(desk.rows(CLOSED)) >= len(SYMBOLS)
        quiet(desk)
        agrees_with_stops(desk)
        reproduced(desk)


POINTS = ["stop.before_send", "stop.after_send", "stop.taken_back"]


@pytest.mark.parametrize("point", POINTS)
def test_whatever_it_dies_of_there_is_one_stop_for_each_position_afterwards(tmp_path, monkeypatch, point):
    class EndedError(BaseException):
        """The process is killed here."""

    def end(name):
        if name == point:
            raise EndedError

    with stopping(tmp_path, risk={"trailing_stop": 0.15}) as desk:
        until(desk, HIT - timedelta(minutes=5))
        if point == "stop.taken_back":
            flatten(desk)
        lives = resting_stops.killpoint
        monkeypatch.setattr(resting_stops, "killpoint", end)
        with pytest.raises(EndedError):
            until(desk, HIT + timedelta(hours=2, minutes=5))
        monkeypatch.setattr(resting_stops, "killpoint", lives)
        desk.restart()
        until(desk, HIT + timedelta(hours=HOURS - 2, minutes=5))
        if point == "stop.taken_back":
            assert (resting(desk), desk.rows("SELECT * FROM positions")) == ([], [])
        else:
            one_for_each_position(desk)
        quiet(desk)
        agrees_with_stops(desk)


LOST = {
    "reply lost": Fault(kind="lost", path=PLACE, after=2),
    "comes half a minute later": Fault(kind="delayed", path=PLACE, after=2, seconds=30.0),
    "cancel lost": Fault(kind="lost", path="DELETE /api/v3/order"),
}


@pytest.mark.parametrize("case", LOST)
def test_an_answer_about_a_stop_that_is_lost_leaves_one_for_each_position(tmp_path, case):
    with stopping(tmp_path, LOST[case], risk={"trailing_stop": 0.15}) as desk:
        until(desk, hour(HOURS))
        for _ in range(40):
            desk.turn(5.0)
        one_for_each_position(desk)
        quiet(desk)
        agrees_with_stops(desk)
        reproduced(desk)
