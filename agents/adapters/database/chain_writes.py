"""The links of the chain for what is about to be recorded, on the connection that holds the desk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from agents.adapters.database.array_text import array_text
from agents.adapters.database.chained_tables import BY_NAME, CHAINED, key_of, lines_by_time, lines_of
from agents.adapters.database.journal_chain import (
    GENESIS,
    LINK_COLUMNS,
    Covered,
    Head,
    Lines,
    Link,
    make_link,
    state_digests,
)
from agents.adapters.database.journal_rows import Row, TableRows
from agents.adapters.database.locked_session import Driver
from agents.core.types import FINAL_ORDER_STATES, CycleRecord, OrderOutcome

_ON_RECORD = """
SELECT (SELECT max(time) FROM decisions), c.seq, c.digest,
       ARRAY(SELECT fill_id FROM fills WHERE fill_id = ANY(%s::text[])),
       ARRAY(SELECT client_order_id FROM orders WHERE client_order_id = ANY(%s::text[]) AND state <> ALL(%s::text[]))
FROM (SELECT 1) AS one LEFT JOIN LATERAL (SELECT seq, digest FROM journal_chain ORDER BY seq DESC LIMIT 1) c ON true
"""
_FINAL = array_text(FINAL_ORDER_STATES)
_PARTS = {
    chained.name for chained in CHAINED if chained.table == chained.name and chained.name not in ("fills", "fill_fees")
}
_FILL = attrgetter(*BY_NAME["fills"].columns)


class OnRecord(NamedTuple):
    """What is there before a write: the newest decision, the chain's end, which of the fills, and which of the orders
    are still open."""

    newest: datetime | None
    head: Head
    fills: frozenset[str]
    open_orders: frozenset[str]


def read_on_record(connection: Driver, outcomes: Sequence[OrderOutcome]) -> OnRecord:
    """In one question; the desk's lock keeps it true until the transaction ends."""
    fills = [fill.fill_id for outcome in outcomes for fill in outcome.fills]
    orders = [outcome.client_order_id for outcome in outcomes]
    row = connection.execute(_ON_RECORD, (array_text(fills), array_text(orders), _FINAL)).fetchone()
    assert row is not None
    newest, seq, digest, known, working = row
    head = GENESIS if seq is None else Head(seq, bytes(digest))
    return OnRecord(newest, head, frozenset(known), frozenset(working))


def cycle_links(cycle: CycleRecord, parts: Sequence[TableRows], on_record: OnRecord) -> TableRows:
    """A link for each decision; the last one covers what came of the cycle as a whole: fills, trades, outcomes."""
    by_name = {part.table: part for part in parts}
    timed = {name: lines_by_time(by_name[name]) for name in _PARTS if BY_NAME[name].time is not None}
    times = [row[0] for row in by_name["decisions"].rows]
    own = frozenset(order.client_order_id for order in cycle.orders)
    head, links = on_record.head, []
    for time in times:
        assert isinstance(time, datetime)
        lines = {name: rows.get(time, []) for name, rows in timed.items()}
        keys: dict[str, list[str]] = {}
        state = None
        if time == times[-1]:
            listed = {name: by_name[name].rows for name in _PARTS if BY_NAME[name].time is None}
            listed.update(_answers(cycle.outcomes, on_record, own))
            keys = _list(lines, listed)
            state = state_digests(cycle.state, by_name["positions"].rows)
        link = make_link(head, "decision", time, Covered(lines, keys, state))
        head = Head(link.seq, link.digest)
        links.append(link)
    return _rows(links)


def outcome_links(at: datetime, outcomes: Sequence[OrderOutcome], on_record: OnRecord) -> TableRows:
    """A link for new fills and final states; none where there are none."""
    lines: Lines = {}
    keys = _list(lines, _answers(outcomes, on_record, frozenset()))
    return _rows([make_link(on_record.head, "outcomes", at, Covered(lines, keys))] if any(keys.values()) else [])


def _answers(outcomes: Iterable[OrderOutcome], on_record: OnRecord, own: frozenset[str]) -> Mapping[str, Sequence[Row]]:
    """The fills that are new, and the final states that orders take now; a repeated answer changes neither."""
    outcomes = list(outcomes)
    fills = {fill.fill_id: fill for o in reversed(outcomes) for fill in reversed(o.fills)}
    newest = {outcome.client_order_id: outcome for outcome in outcomes}
    new = [fill for fill in fills.values() if fill.fill_id not in on_record.fills]
    return {
        "fills": [_FILL(fill) for fill in new],
        "fill_fees": [(fill.fill_id, fill.fee_currency, fill.fee_paid) for fill in new if fill.fee_currency],
        "outcomes": [
            (o.client_order_id, o.state, o.reason)
            for o in newest.values()
            if o.state in FINAL_ORDER_STATES
            and (o.client_order_id in on_record.open_orders or o.client_order_id in own)
        ],
    }


def _list(lines: Lines, listed: Mapping[str, Sequence[Row]]) -> dict[str, list[str]]:
    """Add rows that no time finds to `lines`; returns their keys."""
    keys = {}
    for name, rows in listed.items():
        lines[name] = lines_of(name, rows)
        keys[name] = sorted({key_of(name, row) for row in rows})
    return keys


def _rows(links: Sequence[Link]) -> TableRows:
    return TableRows("journal_chain", LINK_COLUMNS, [link.row() for link in links])
