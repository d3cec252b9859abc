"""A desk that begins with a share of its capital, and what a desk with two currencies is told."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from agents.core.errors import SettingsError, UsageError
from agents.wiring.ramp import plan_ramp
from tests.daemons import day, line, walk
from tests.integration.test_bars_in_time import DECISIONS, FRESH, WARM_UP, close, differences, history, rows, start

__all__ = ["start"]  # the fixture
CAPITAL, DAYS = 100_000.0, 12.0
UNITS = "SELECT units FROM v_unit_values WHERE book = 'paper' ORDER BY time"


def test_a_ramp_is_in_ten_steps_across_restarts_and_computed_again_to_the_bit(start):
    with start(DESK={"initial_cash": CAPITAL}) as desk:
        trader, now = desk.connections.trader, desk.clock.now()
        assert plan_ramp(desk.settings, trader, now, Decimal("0.2"), DAYS) == 11
        assert plan_ramp(desk.settings, trader, now, Decimal("0.2"), DAYS) == 0, "started again with the same words"
        with pytest.raises(UsageError, match="another ramp is planned"):
            plan_ramp(desk.settings, trader, now, Decimal("0.3"), DAYS)
        history(desk)
        assert desk.turn() + desk.turn(61.0) == FRESH
        most = desk.scalar("SELECT max(equity) FROM decisions")
        assert most == pytest.approx(20_000.0, rel=0.1), "from the first decision on"
        assert desk.scalar("SELECT sum(abs(order_quantity * mark)) FROM decision_details") < 1.7 * 20_000.0
        for t in range(WARM_UP, WARM_UP + DECISIONS):
            close(desk, t)
            for symbol in "ABC":
                desk.write(f"{symbol}.csv", rows(symbol, t, t + 1))
            desk.turn(61.0)
            desk.turn(61.0)
            if t % 4 == 0:
                desk.restart()
        assert desk.scalar("SELECT sum(amount) FROM cash_flows WHERE taken_at IS NOT NULL") == 0
        assert desk.rows("SELECT DISTINCT state FROM v_cash_flows") == [("taken",)]
        steps = desk.rows("SELECT DISTINCT obeyed_after FROM cash_flows WHERE after_days > 0 ORDER BY 1")
        assert len(steps) == 10, "never two at once"
        units = [row[0] for row in desk.rows(UNITS)]
        assert units[0] == pytest.approx(0.2) and units[-1] == pytest.approx(1.0, rel=0.1) and units == sorted(units)
        values = [row[0] for row in desk.rows(UNITS.replace("units", "unit_value", 1))]
        assert values[0] == pytest.approx(CAPITAL, rel=0.05), "a unit is worth the capital at the start"
        assert max(abs(b / a - 1.0) for a, b in pairwise(values)) < 0.1
        assert differences(desk) == 0
        with desk.connections.owner.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE cash_flows DISABLE TRIGGER states_only")
            connection.exec_driver_sql("DELETE FROM cash_flows")
        with pytest.raises(UsageError, match="decided already"):
            plan_ramp(desk.settings, trader, now, Decimal("0.2"), DAYS)


def test_a_desk_whose_files_have_two_currencies_does_not_trade(start):
    with start() as desk:
        desk.write("x.csv", "".join(two_currencies()))
        desk.turn()
        with pytest.raises(SettingsError, match="BTC/USDT is priced in USDT and ETH/BTC in BTC; a desk has one"):
            desk.turn(61.0)
        assert desk.rows("SELECT 1 FROM decisions") == []


def two_currencies():
    prices = walk(WARM_UP, 1)
    for t in range(WARM_UP):
        for symbol in ("BTC/USDT", "ETH/BTC"):
            yield line(symbol, day(t), prices[t])
