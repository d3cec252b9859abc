"""Funding through files, daemon and database: each settlement is paid once, whenever it becomes known, and the parity
check agrees."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from tests.daemons import HandClock, day, line, moment, running, walk
from tests.integration.test_wrong_prices import parity_of

WARM_UP, DECISIONS = 320, 10
PRICES = {symbol: walk(WARM_UP + DECISIONS, seed) for seed, symbol in enumerate("AB")}
LATE = WARM_UP + 5
"""What is settled on this day is known a day later only."""


def rate(t: int, hour: int) -> float:
    """In thousandths of what is usual to see it in the equity; both signs."""
    return 0.004 * np.sin(t + hour)


def funding(t: int) -> str:
    """What is settled from the day's beginning to before its end, of A."""
    return "".join(f"{day(t)}T{hour:02}:00:00.004Z,A,{rate(t, hour):.8f},{PRICES['A'][t]:.4f}\n" for hour in (0, 8, 16))


@pytest.fixture(scope="module")
def traded(services, tmp_path_factory):
    """Ten days of a desk around the clock, restarted once."""
    folder = tmp_path_factory.mktemp("funding")
    (folder / "bars").mkdir()
    clock = HandClock(moment(WARM_UP, 0, 5))
    always = {"calendar": "24/7", "session_open": "00:00", "session_close": "24:00"}
    sections = {"AGENTS": {"enabled": ("TrendFollower", "MeanReversion", "Breakout")}, "RISK": {"allow_short": True}}
    with running(folder, clock, complete_within_s=0.0, symbols=("A", "B"), **always, **sections) as desk:
        for symbol in "AB":
            desk.write(f"{symbol}.csv", "".join(line(symbol, day(t), PRICES[symbol][t]) for t in range(WARM_UP)))
        path = desk.folder / "A.funding.csv"
        path.write_text("time,symbol,rate,price\n" + "".join(funding(t) for t in range(WARM_UP - 20, WARM_UP)))
        desk.turn()
        for t in range(WARM_UP, WARM_UP + DECISIONS):
            clock.sleep_s((moment(t + 1, 0, 5) - clock.now()).total_seconds())
            with path.open("a") as stream:
                stream.write((funding(LATE) if t == LATE + 1 else "") + (funding(t) if t != LATE else ""))
            for symbol in "BA":
                desk.write(f"{symbol}.csv", line(symbol, day(t), PRICES[symbol][t]))
            desk.turn()
            if t == LATE:
                desk.restart()
        yield desk


def expected(desk) -> list[Decimal]:
    """By hand: what A's position of each moment pays; where it became known late, the position then."""
    held = {row[0].date().isoformat(): row[1] for row in desk.rows(POSITIONS)}
    paid = []
    for t in range(WARM_UP - 1, WARM_UP + DECISIONS):  # two fresh days of the warm-up are decided on, too
        for hour in (0, 8, 16):
            by = day(t) if hour == 0 else day(t + 1)  # the decision of a day is at the next one's beginning
            by = day(LATE + 1) if t == LATE else by
            paid.append(-Decimal(held.get(by, 0)) * Decimal(f"{rate(t, hour):.8f}") * Decimal(f"{PRICES['A'][t]:.4f}"))
    return paid


POSITIONS = "SELECT time, position::numeric FROM decision_details WHERE symbol = 'A' ORDER BY time"


def test_each_settlement_is_paid_once_on_what_was_held(traded):
    booked = traded.rows("SELECT time, cash FROM corporate_actions WHERE kind = 'funding' ORDER BY time")
    assert len(booked) >= DECISIONS and {cash > 0 for _, cash in booked} == {True, False}
    assert float(sum(cash for _, cash in booked)) == pytest.approx(float(sum(expected(traded))), abs=1e-5)
    assert traded.scalar("SELECT count(*) FROM funding_rates") == 3 * (20 + DECISIONS)
    assert traded.scalar("SELECT count(*) FROM decisions") == DECISIONS + 2


def test_live_is_the_replay_with_funding(traded):
    found = parity_of(traded)
    assert found["differences"] == 0, found


def test_the_money_adds_up_in_every_view(traded):
    """To the last unit: cash; and profit by symbol, which names funding of its own."""
    start = Decimal(traded.settings.desk.initial_cash)
    fills = "SELECT sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END * price + fee) FROM fills"
    cash = start - traded.scalar(fills) + traded.scalar("SELECT sum(cash) FROM corporate_actions")
    assert float(cash) == pytest.approx(
        traded.scalar("SELECT cash FROM equity WHERE book = 'paper' ORDER BY time DESC LIMIT 1"), abs=1e-6
    )
    by_symbol = traded.rows(
        "SELECT symbol, gross - fees - spread - impact + funding, net, funding FROM v_pnl_by_symbol"
    )
    for symbol, added, net, paid in by_symbol:
        assert added == pytest.approx(net) and (paid != 0) == (symbol == "A")
    equity = Decimal(repr(traded.scalar("SELECT equity FROM decisions ORDER BY time DESC LIMIT 1")))
    assert sum(net for _, _, net, _ in by_symbol) == pytest.approx(float(equity - start), abs=0.01)
    paid = traded.scalar("SELECT sum(cash) FROM corporate_actions WHERE kind = 'funding'")
    assert traded.scalar("SELECT funding FROM v_costs WHERE period = 'all'") == pytest.approx(float(paid))
    agents = traded.scalar("SELECT sum(net) FROM v_pnl_by_agent")
    assert agents == pytest.approx(float(equity - start), abs=0.01)
    flows = traded.rows("SELECT DISTINCT kind, reason FROM v_cash_flows")
    assert flows == [("funding", "settled on what was held")]
