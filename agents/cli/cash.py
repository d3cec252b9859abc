"""`quorum cash`: money that comes to a desk's account or leaves it, told by a person; and all that did."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC
from decimal import Decimal

from rich.text import Text
from sqlalchemy.exc import ProgrammingError

from agents.adapters.database.cash_flows import add_flows
from agents.adapters.database.engine import Row, driver_connection, transaction
from agents.adapters.database.reader import DeskReader
from agents.cli.screen import Screen, rows_table
from agents.core.cash_flows import FlowKind, NewFlow
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError, UsageError
from agents.core.settings import Settings, load_settings
from agents.core.symbols import currency_of
from agents.reports.formatting import money
from agents.wiring.account import person
from agents.wiring.connections import Connections, connect_to_read

COLUMNS = ("time", "kind", "amount", "symbol", "source", "state", "reason")
_LIST = "SELECT * FROM v_cash_flows ORDER BY time, kind"
_NOW = """
SELECT d.cash::float8 + coalesce((
    SELECT sum(amount) FROM cash_flows
    WHERE refused IS NULL AND after_days = 0 AND (taken_at IS NULL OR obeyed_after >= d.time)), 0)::float8 AS cash
FROM decisions d ORDER BY d.time DESC LIMIT 1
"""
"""The cash of the newest decision with what was told of since."""


def cash(options: Namespace, screen: Screen) -> int:
    """All actions."""
    settings = load_settings(options.settings)
    connections = connect_to_read(settings, demo=options.demo, say=screen.say)
    try:
        if options.action == "list":
            return _list(screen, DeskReader(connections.trader))
        return _tell(options, screen, settings, connections)
    finally:
        connections.close()


def waiting_lines(flows: list[Row]) -> list[Text]:
    """What has been told and no desk has taken, and what a ramp will add; nothing where there is neither."""
    lines = [f"{row['kind']} {row['amount']:+,.2f} waits for the next bar" for row in _in(flows, "waiting")]
    planned = _in(flows, "planned")
    if planned:
        held = money(sum((row["amount"] for row in planned), start=Decimal(0)))
        first = planned[0]
        steps = (
            f"{len(planned)} steps, the next of {money(first['amount'])} {first['after_days']:g} days after the start"
        )
        lines.append(f"ramp: {held} of the capital is not used yet ({steps})")
    return [Text(f"Cash: {line}") for line in lines]


def _in(flows: list[Row], state: str) -> list[Row]:
    return sorted((row for row in flows if row["state"] == state), key=lambda row: row["after_days"])


def _list(screen: Screen, reader: DeskReader) -> int:
    rows = reader.rows(_LIST)
    shown = [
        {
            **row,
            "time": f"{row['time'].astimezone(UTC):%Y-%m-%d %H:%M}",
            "amount": f"{row['amount']:+,.2f}",
            "symbol": row["symbol"] or "",
            "state": f"refused: {row['refused']}" if row["refused"] else row["state"],
        }
        for row in rows
    ]
    words = "no money has come or gone" if not rows else "Capital that comes or goes is no part of any return."
    screen.result(rows, *([rows_table("Money in and out", shown, COLUMNS)] if rows else []), words)
    return 0


def _tell(options: Namespace, screen: Screen, settings: Settings, connections: Connections) -> int:
    flow = _flow_of(options, settings)
    with transaction(connections.trader) as connection:
        try:
            newest = connection.exec_driver_sql(_NOW).first()
        except ProgrammingError:
            raise ServiceError("this database holds no desk yet; run: quorum trade") from None
        if newest is None:
            raise UsageError("this desk has decided nothing yet; its capital is desk.initial_cash in its settings")
        added = add_flows(driver_connection(connection), [flow])
        if added and flow.amount < 0 and float(flow.amount) + newest.cash < 0.0:  # after a repeated one was known
            raise UsageError(
                f"there is cash of {money(newest.cash)} only, less than {money(-flow.amount)}: the rest is in"
                " positions; withdraw less, or: quorum halt --flatten, and withdraw when they are closed"
            )
    document = {
        "kind": flow.kind,
        "amount": flow.amount,
        "currency": flow.currency,
        "id": flow.key,
        "added": bool(added),
    }
    if not added:
        screen.result(document, f"--id {flow.key} is on record already; nothing is booked twice")
        return 0
    when = "a running desk takes it before its next bar, else the next one that starts"
    screen.result(document, f"{flow.kind} of {flow.amount:+,f} is told: {when}")
    return 0


def _flow_of(options: Namespace, settings: Settings) -> NewFlow:
    """UsageError where the desk's money is at an exchange, which tells by itself what comes and goes."""
    if not options.reason.strip():
        raise UsageError("--reason is empty; say in a few words why, it is kept on record")
    kinds: dict[str, FlowKind] = {"deposit": "deposit", "withdraw": "withdrawal"}
    kind = kinds.get(options.action) or options.kind
    if settings.desk.venue and options.action in kinds and not options.demo:
        raise UsageError(
            f"this desk's money is at {settings.desk.venue}: {options.action} it there, and the desk books what the"
            " exchange tells; what it does not tell: quorum reconcile --adopt"
        )
    return NewFlow(
        time=SystemClock().now(),
        kind=kind,
        amount=-options.amount if options.action == "withdraw" else options.amount,
        currency=currency_of(settings.data.symbols),
        source="person",
        reason=options.reason.strip(),
        actor=person(),
        key=options.id,
        symbol=getattr(options, "symbol", None),
    )
