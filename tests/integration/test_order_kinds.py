"""Orders that rest, on a desk with a journal: a restart, a halt, the nightly check, the chain, and what each kind cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database.reader import DeskReader
from agents.core.settings import with_changes
from agents.core.types import as_datetime
from agents.reports.why_words import order_lines
from agents.wiring.job_settings import tuning_of
from agents.wiring.parity import CheckedDesk, check_parity
from tests.integration.test_parity import BARS, FIRST, SETTINGS, LiveDesk

RESTART, LAST = 150, 190
"""Between them a person halts the desk and lets it go on, again and again."""
WHILE_DECIDING = {("fill", as_datetime(BARS.time[t]).isoformat()) for t in (170, 175)}
"""A person's word that comes while a bar is being decided finds its orders filled already, by the state of before; the
cost model of the check has it a moment earlier."""
ORDERS = """
SELECT o.kind, o.side, o.quantity::float8 AS quantity, o.symbol, o.decision_time, o.state, o.limit_price, d.mark,
       coalesce(sum(f.quantity), 0)::float8 AS filled, coalesce(sum(f.quantity * f.price), 0)::float8 AS paid,
       coalesce(sum(f.fee), 0)::float8 AS fees
FROM orders o JOIN decision_details d ON d.time = o.decision_time AND d.symbol = o.symbol
LEFT JOIN fills f USING (client_order_id) GROUP BY o.client_order_id, d.mark
"""


@pytest.mark.parametrize("kind", ["limit", "chase"])
def test_a_desk_whose_orders_rest_is_reproduced_and_its_slippage_told(kind, owner, trader, meta, redis_url):
    settings = with_changes(SETTINGS, {"execution.order_type": kind, "execution.passive_share": 0.3})
    desk = LiveDesk(owner, trader, meta, redis_url, settings=settings)
    try:
        desk.trade(FIRST, RESTART)
        desk.trade(RESTART, LAST)
        checked = CheckedDesk(settings, desk.connections.meta, desk.plane.store, tuning_of(settings))
        found = check_parity(checked, as_datetime(BARS.time[-1]), keep=False)
        assert found["decisions"] == LAST - FIRST
        assert {(e["kind"], e["time"]) for e in found["examples"]} <= WHILE_DECIDING, found["examples"]
        for name, (recorded, modelled) in found["slippage"].items():
            assert recorded == pytest.approx(modelled, rel=0.02), name
    finally:
        desk.plane.cache.close()
    rows = DeskReader(owner).rows
    orders = rows(ORDERS)
    assert sum(order["kind"] == kind for order in orders) > 40
    assert all((order["limit_price"] is not None) == (order["kind"] == kind) for order in orders)
    slippage_is_that_of_the_orders(orders, {row["kind"]: row for row in rows("SELECT * FROM v_slippage")})
    wrong = next((o["symbol"], bars_met(o)[0]) for o in orders if o["kind"] == kind and o["state"] == "expired")
    doubt(owner, wrong[0], as_datetime(BARS.time[wrong[1]]))
    slippage_is_that_of_the_orders(orders, {row["kind"]: row for row in rows("SELECT * FROM v_slippage")}, wrong)
    newest = next(order for order in orders if order["kind"] == kind)
    shown = DeskReader(owner).why(newest["symbol"], newest["decision_time"])
    (line, *_) = order_lines(shown)
    assert line.startswith("limit order" if kind == "limit" else "limit order that chases")
    assert f" at {newest['limit_price'].normalize():f}" in line


def decided_at(order):
    """The bar of its decision."""
    return int(np.searchsorted(BARS.time, np.datetime64(order["decision_time"].replace(tzinfo=None))))


def bars_met(order):
    """Bars of its symbol after its decision."""
    s = BARS.symbols.index(order["symbol"])
    return [k for k in range(decided_at(order) + 1, LAST) if math.isfinite(BARS.close[k, s])]


def doubt(owner, symbol, time):
    """The bar's price is ten times too high, and not believed."""
    with owner.begin() as connection:
        wrong = "UPDATE bars SET suspect = true, close = 10 * close, high = 10 * high WHERE symbol = :s AND time = :t"
        assert connection.execute(text(wrong), {"s": symbol, "t": time}).rowcount == 1


def slippage_is_that_of_the_orders(orders, told, wrong=(None, None)):
    """By hand: against the close decided on, which splits move, and with what was missed until the bar's close; without
    those that met a bar that is not believed."""
    parts: dict[str, list[list[float]]] = {}
    doubted: dict[str, int] = {}
    for order in orders:
        s, t, later = BARS.symbols.index(order["symbol"]), decided_at(order), bars_met(order)
        if order["state"] not in ("filled", "expired", "cancelled") or not later:
            continue
        if (order["symbol"], later[0]) == wrong:
            doubted[order["kind"]] = doubted.get(order["kind"], 0) + 1
            continue
        ratio = float(np.prod(BARS.split[t + 1 : later[0] + 1, s]))
        way, mark, filled = 1 if order["side"] == "buy" else -1, order["mark"], order["filled"] / ratio
        rest = max(0.0, order["quantity"] - filled)
        parts.setdefault(order["kind"], []).append(
            [
                order["quantity"] * mark,
                filled * mark,
                rest * mark,
                way * (order["paid"] - filled * mark),
                order["fees"],
                way * rest * (BARS.close[later[0], s] * ratio - mark),
            ]
        )
    assert set(told) == set(parts)
    assert bool(doubted) == (wrong[0] is not None)
    for kind, rows in parts.items():
        ordered, done, missed, slipped, fees, away = np.sum(rows, axis=0)
        row = told[kind]
        assert (row["orders"], row["doubted"]) == (len(rows), doubted.get(kind, 0))
        each = np.array(rows)
        assert row["median_bps"] == pytest.approx(np.median(1e4 * each[:, 3:].sum(axis=1) / each[:, 0]))
        assert row["ordered"] == pytest.approx(ordered)
        assert row["filled"] == pytest.approx(done / ordered)
        assert row["slippage_bps"] == pytest.approx(1e4 * slipped / done)
        assert row["fees_bps"] == pytest.approx(1e4 * fees / done)
        assert row["missed_bps"] == (pytest.approx(1e4 * away / missed) if missed > 0 else None)
        assert row["shortfall_bps"] == pytest.approx(1e4 * (slipped + fees + away) / ordered)
