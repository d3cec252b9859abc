"""What must hold after every fault, read from the database as the fault left it, never from the program.

The control is the same desk on the same bars without the fault. Numbers of the oracles are those of the catalogue:
O1 money, O2 one order for one decision, O3 nothing missing, O4 nothing sent while halted, O5 weights, O7 secrets,
O8 sessions, O10 processes.
"""

from __future__ import annotations

from decimal import Decimal

import psutil

from tests.board.world import BARS, CANARY, Desk

TABLES = {
    "decisions": ("recorded_at", "data_version", "weights_level"),
    "signals": (),
    "decision_details": (),
    "orders": ("recorded_at", "updated_at", "reason"),
    "fills": ("recorded_at",),
    "trades": (),
    "trade_attribution": (),
    "equity": (),
    "shadow_returns": (),
    "bar_contributions": (),
}
"""Table -> columns that may differ between two runs of the same desk."""
START_CASH = Decimal(1_000_000)


def sound(desk: Desk, *, decisions: int = len(BARS.time)) -> None:
    """O1, O2, O3, O5, O7, O8, O10 on a desk that has stopped."""
    assert desk.decisions() == decisions, f"O3: {desk.decisions()} decisions, expected {decisions}"
    for name, query in _NOTHING_MAY_ANSWER.items():
        rows = desk.rows(query)
        assert not rows, f"{name}: {rows[:3]}"
    _cash(desk)
    _secrets(desk)
    _leftovers(desk)


_NOTHING_MAY_ANSWER = {
    "O1 filled more than ordered": "SELECT client_order_id FROM orders o WHERE quantity < (SELECT coalesce(sum(quantity), 0)"
    " FROM fills f WHERE f.client_order_id = o.client_order_id)",
    "O1 filled without a fill": "SELECT client_order_id FROM orders o WHERE state = 'filled' AND NOT EXISTS"
    " (SELECT 1 FROM fills f WHERE f.client_order_id = o.client_order_id)",
    "O1 contributions are not the profit": "SELECT trade_id FROM trades t WHERE pnl <> (SELECT sum(contribution)"
    " FROM trade_attribution a WHERE a.trade_id = t.trade_id)",
    "O2 two orders for one decision": "SELECT decision_time, symbol FROM orders GROUP BY 1, 2 HAVING count(*) > 1",
    "O2 an order without a decision": "SELECT client_order_id FROM orders o WHERE NOT EXISTS (SELECT 1 FROM decisions d"
    " WHERE d.time = o.decision_time)",
    "O3 an order without an end": "SELECT client_order_id, state FROM orders WHERE state IN ('intent', 'unknown')",
    "O3 a decision without its details": "SELECT time FROM decisions d WHERE NOT EXISTS"
    " (SELECT 1 FROM decision_details x WHERE x.time = d.time)",
    "O5 weights do not sum to 1": "SELECT time FROM decisions WHERE abs((SELECT sum(value::numeric) FROM"
    " jsonb_each_text(weights)) - 1) > 0.000001",
    "O1 positions are not the fills": "SELECT symbol FROM (SELECT symbol, sum(CASE side WHEN 'buy' THEN quantity"
    " ELSE -quantity END) q FROM fills GROUP BY 1) f FULL JOIN positions p USING (symbol)"
    " WHERE coalesce(f.q, 0) <> coalesce(p.quantity, 0)",
}


def _cash(desk: Desk) -> None:
    """O1b: cash is what the fills leave of the start; exact to the unit of money, as there are no other flows here."""
    spent = desk.scalar(
        "SELECT coalesce(sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END * price + fee), 0) FROM fills"
        " WHERE time <= (SELECT max(time) FROM decisions)"
    )
    cash = desk.scalar("SELECT cash FROM decisions ORDER BY time DESC LIMIT 1")
    assert abs(float(START_CASH - spent) - cash) < 1e-4, f"O1: fills leave {START_CASH - spent}, the desk says {cash}"


def _secrets(desk: Desk) -> None:
    """O7: the password of the database's address is nowhere in what the daemons wrote."""
    for file in desk.folder.rglob("*"):
        if file.is_file():
            assert CANARY not in file.read_text(errors="replace"), f"O7: the secret stands in {file.name}"


def _leftovers(desk: Desk) -> None:
    """O8, O10: no session of the desk is open and no process of it lives."""
    alive = []
    for process in psutil.process_iter(["cwd", "cmdline"]):
        if process.info["cwd"] == str(desk.folder) and process.status() != psutil.STATUS_ZOMBIE:
            alive.append(" ".join(process.info["cmdline"] or ())[:80])
    assert not alive, f"O10: still alive: {alive}"
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'quorum%'"
    )
    desk.wait_until(lambda: desk.scalar(query) == 0, "O8: the desk's sessions to end", within_s=10.0)


def record(desk: Desk, until: object = None) -> dict[str, list[tuple[object, ...]]]:
    """Everything on record that two runs of the same desk have in common; only up to the time `until` where given."""
    result = {}
    for table, left_out in TABLES.items():
        columns = desk.rows(
            f"SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}'"
            " ORDER BY ordinal_position"
        )
        names = [name for (name,) in columns if name not in left_out]
        times = {"orders": "decision_time", "trades": "closed_at", "trade_attribution": None}.get(table, "time")
        bound = f" WHERE {times} <= '{until}'" if until is not None and times else ""
        if until is not None and times is None:
            continue
        listed = ", ".join(f'"{name}"' for name in names)
        result[table] = sorted(desk.rows(f"SELECT {listed} FROM {table}{bound}"), key=repr)
    return result


def equals(desk: Desk, control: dict[str, list[tuple[object, ...]]]) -> None:
    """The desk's record is that of the control, row by row, to the last bit."""
    mine = record(desk)
    for table, rows in control.items():
        if mine[table] != rows:
            differing = [(a, b) for a, b in zip(mine[table], rows, strict=False) if a != b][:1]
            raise AssertionError(f"{table}: {len(mine[table])} rows, the control has {len(rows)}; first: {differing}")
