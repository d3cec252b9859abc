"""A desk on an exchange's live candles: whatever the exchange does, it decides what an undisturbed one decides."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from agents.adapters.database.meta_store import MetaStore
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.made_up_market import downloaded
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.errors import ServiceError
from agents.core.ports import RiskEvent
from agents.core.types import RiskState
from agents.wiring.desk import stand_in_of
from agents.wiring.job_settings import tuning_of
from agents.wiring.parity import CheckedDesk, check_parity
from tests.daemons import HandClock, running, until
from tests.exchange import SYMBOLS, LiveClock, eventually, recorded

NOW = datetime(2026, 3, 4, 10, 24, tzinfo=UTC)
WARM_UP, HOURS = 600, 4
MARKET = recorded(NOW, before=WARM_UP, after=HOURS + 2)
WHAT_MATTERS = (
    "SELECT time, equity FROM decisions ORDER BY time",
    "SELECT decision_time, symbol, side, quantity FROM orders ORDER BY decision_time, symbol",
    "SELECT time, price, quantity, fee FROM fills ORDER BY time, price, quantity",
    "SELECT symbol, time, open, high, low, close, volume FROM bars ORDER BY symbol, time",
)


@contextmanager
def trading(folder, script=None, *, market=MARKET, clock=None, **more):
    """A desk on the made-up exchange; one clock for both. It asks for candles, where nothing else is said."""
    clock = clock or HandClock(NOW)
    with FakeExchange(market, clock, script) as fake:
        data = {
            "feed": "ccxt:binance",
            "exchange_url": fake.url,
            "symbols": SYMBOLS,
            "interval": "1h",
            "calendar": "24/7",
            "time_means": "open",
            "stream_wait_s": 0.0,
            **more,
        }
        agents = {"enabled": ("TrendFollower", "MeanReversion")}
        with running(folder, clock, AGENTS=agents, EXECUTION={"lot_size": 0.0001}, **data) as desk:
            desk.fake = fake
            yield desk


def outcome(desk):
    return [desk.rows(query) for query in WHAT_MATTERS]


def differences(desk):
    """(decisions that a replay makes again, how many of them differ)."""
    checked = CheckedDesk(desk.settings, desk.connections.meta, store_of(desk), tuning_of(desk.settings))
    parity = check_parity(checked, desk.clock.now(), keep=False)
    return parity["decisions"], parity["differences"]


@pytest.fixture(scope="module")
def session(tmp_path_factory, services):
    """Where the candles of the undisturbed session are."""
    return tmp_path_factory.mktemp("control")


@pytest.fixture(scope="module")
def undisturbed(session):
    with trading(session) as desk:
        assert until(desk, NOW + timedelta(hours=HOURS)) == 0
        assert len(desk.rows(WHAT_MATTERS[0])) >= HOURS - 1
        assert len(desk.rows(WHAT_MATTERS[2])) > 0, "it trades"
        closes = {float(c[4]) for c in MARKET.candles["BTC/USDT"]}
        assert {row[0] for row in desk.rows("SELECT close FROM bars WHERE symbol = 'BTC/USDT'")} <= closes
        assert differences(desk) == (len(desk.rows(WHAT_MATTERS[0])), 0)
        return outcome(desk)


def store_of(desk):
    cache, stand_in = MemoryWeightCache(), stand_in_of(desk.settings)
    return MetaStore(desk.connections.meta, cache, desk.settings.agents.enabled, stand_in, desk.clock)


def hour(number):
    return NOW.replace(minute=0) + timedelta(hours=number)


def for_a_while(kind, number, seconds, path=""):
    begins = hour(number) - timedelta(seconds=30)
    return Fault(kind=kind, path=path, count=0, begins=begins, ends=begins + timedelta(seconds=seconds), seconds=20.0)


CASES = {
    "limits and errors": (
        [
            for_a_while("limited", 1, 60),
            for_a_while("error", 1, 90),
            for_a_while("page", 2, 50),
            for_a_while("empty", 2, 90),
            for_a_while("banned", 3, 200),
        ],
        (),
    ),
    "maintenance over an hour": ([for_a_while("maintenance", 1, 4500)], ()),
    "lost, cut and half answers": (
        [
            for_a_while("lost", 1, 50, "klines"),
            for_a_while("cut", 2, 50),
            for_a_while("late", 1, 80, "klines"),
            for_a_while("late", 3, 40, "klines"),
        ],
        (),
    ),
    "restarts": ([for_a_while("error", 2, 90)], (hour(1) + timedelta(seconds=2), hour(2) + timedelta(seconds=20))),
}


@pytest.mark.parametrize("case", CASES)
def test_a_disturbed_desk_decides_what_an_undisturbed_one_does(tmp_path, undisturbed, case):
    faults, restarts = CASES[case]
    with trading(tmp_path, FaultScript(faults)) as desk:
        assert until(desk, NOW + timedelta(hours=HOURS), restarts=restarts) > 0
        assert outcome(desk) == undisturbed


def streams(kind, number, seconds):
    return dataclasses.replace(for_a_while(kind, number, seconds), path="stream")


STREAMS = {
    "ends, is silent, loses the last state": (
        [streams("lost", 1, 50), streams("empty", 2, 600), streams("late", 3, 300), streams("shuffled", 4, 300)],
        (),
    ),
    "ends at once, again and again; none is accepted; restarts": (
        [streams("cut", 1, 400), streams("limited", 2, 4500), for_a_while("error", 3, 60)],
        (hour(1) + timedelta(seconds=2), hour(3) + timedelta(seconds=100)),
    ),
}


@pytest.mark.parametrize("case", STREAMS)
def test_a_desk_that_listens_decides_what_one_that_asks_does(tmp_path, undisturbed, case):
    faults, restarts = STREAMS[case]
    clock = LiveClock(NOW)
    with trading(tmp_path, FaultScript(faults), clock=clock, stream_wait_s=60.0) as desk:
        clock.fake, clock.stream = desk.fake, lambda: desk.daemon._around.feed._stream
        desk.turn(5.0)
        eventually(lambda: desk.fake.stream.accepted, 120.0)  # what it listens with is loaded meanwhile
        until(desk, NOW + timedelta(hours=HOURS), restarts=restarts)
        assert outcome(desk) == undisturbed
        assert desk.fake.stream.accepted > 1
        heard = HOURS - len([f for f in faults if f.kind in ("lost", "empty", "late", "cut", "limited")])
        if not restarts:
            assert desk.fake.asked["/api/v3/klines"] <= 2 * (1 + HOURS - heard), "what was heard is not asked for"


def test_a_recorded_session_is_traded_again_through_reconnects_and_replays_the_same(tmp_path, undisturbed, session):
    """Its files are the exchange now; the connection is lost, and the desk starts anew in between."""
    recorded_market = downloaded(session / "bars", "1h")
    assert set(recorded_market.candles) == set(SYMBOLS)
    faults = [for_a_while("lost", 1, 70), for_a_while("cut", 2, 70), for_a_while("maintenance", 3, 300)]
    with trading(tmp_path, FaultScript(faults), market=recorded_market) as desk:
        restarts = hour(1) + timedelta(seconds=20), hour(3) + timedelta(seconds=100)
        assert until(desk, NOW + timedelta(hours=HOURS), restarts=restarts) > 0
        assert outcome(desk) == undisturbed
        assert differences(desk) == (len(undisturbed[0]), 0)


def test_a_halt_is_obeyed_while_the_exchange_is_away(tmp_path):
    """Seen: a person's halt waited for prices."""
    away = Fault(kind="maintenance", count=0, begins=NOW + timedelta(minutes=5))
    with trading(tmp_path, FaultScript([away])) as desk:
        desk.turn()
        desk.clock.sleep_s(3600.0)
        at, state = desk.clock.now(), RiskState.HALTED
        order = RiskEvent(at=at, before=state, after=state, reason="test", actor="person", applied=False)
        desk._journal.record_risk_event(order)
        with pytest.raises(ServiceError):
            desk.turn()
        assert desk.scalar("SELECT count(*) FROM risk_events WHERE applied_at IS NOT NULL") == 1
