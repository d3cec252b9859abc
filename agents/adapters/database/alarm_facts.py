"""The database -> the few facts that alarms look at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from agents.adapters.database.chain_store import open_check
from agents.adapters.database.desk_facts import freshness, newest_decision, parity, reader
from agents.adapters.database.engine import row_dicts
from agents.adapters.database.heartbeats import read_heartbeats
from agents.adapters.database.outages import recent_outages
from agents.adapters.database.suspect_bars import suspect_symbols
from agents.core.alarm_types import (
    LIMIT_OVER,
    LIMIT_REACHED,
    REFUSED_IN_A_ROW,
    SENT_WITHIN,
    AlarmFacts,
    FutureRuns,
    LateBars,
    OpenBreak,
    OpenCorrections,
    PausedTuning,
    UndecidedBars,
    WaitingMail,
    heard_by_others,
)
from agents.core.facts import Period, SystemState

_PUBLISHED = """
    SELECT EXISTS (SELECT 1 FROM weight_history
                   WHERE status IN ('apply', 'revert', 'initial') AND timestamp <= :at) AS published"""
_UNKNOWN_ORDERS = "SELECT client_order_id FROM orders WHERE state = 'unknown' ORDER BY decision_time, client_order_id"
_WAITING_MAIL = """
    SELECT count(*) AS mails, min(coalesce(waiting_since, created_at)) AS oldest
    FROM outbox WHERE state = 'pending' AND left_at IS NULL HAVING count(*) > 0"""
_UNDECIDED = """
    SELECT count(DISTINCT time) AS bars, min(greatest(time, available_at, recorded_at)) AS since, max(time) AS newest
    FROM bars WHERE time > :after AND time <= :at
        AND (CAST(:symbols AS text[]) IS NULL OR symbol = ANY(CAST(:symbols AS text[]))) HAVING count(*) > 0"""
_FUTURE_RUNS = """
    SELECT count(*) AS runs, max(due_at) AS latest FROM job_runs
    WHERE status = 'skipped' AND finished_at > CAST(:at AS timestamptz) - interval '1 day' HAVING count(*) > 0"""
_REFUSED = """
    SELECT r.key AS address, r.value AS why FROM outbox, jsonb_each_text(recipients) r
    WHERE r.value NOT IN ('', 'sent')
        AND (state = 'pending' OR id = (SELECT max(id) FROM outbox WHERE attempts > 0)) ORDER BY id"""

_CORRECTIONS = """
    SELECT count(*) AS bars, array_agg(DISTINCT symbol ORDER BY symbol) AS symbols,
           min(time) AS first, max(time) AS last
    FROM bar_corrections WHERE NOT taken AND seen_at IS NULL HAVING count(*) > 0"""
_LATE_BARS = """
    SELECT count(*) AS bars, array_agg(DISTINCT symbol ORDER BY symbol) AS symbols, max(time) AS newest,
           count(DISTINCT time) FILTER (WHERE NOT decided) AS undecided
    FROM late_bars WHERE arrived_at > now() - interval '1 day' HAVING count(*) > 0"""
_BREAKS = """
    SELECT name, kind, ours, theirs, opened_at AS since FROM reconciliation_breaks
    WHERE closed_at IS NULL ORDER BY opened_at, name"""
_LONG_SENDING = """
    SELECT client_order_id FROM orders WHERE state = 'sending' AND updated_at < CAST(:at AS timestamptz) - :within
    ORDER BY decision_time, client_order_id"""
_REFUSED_ORDERS = """
    SELECT symbol, (array_agg(reason ORDER BY decision_time DESC))[1] AS reason FROM (
        SELECT symbol, state, reason, decision_time,
               row_number() OVER (PARTITION BY symbol ORDER BY decision_time DESC) AS place
        FROM orders
        WHERE state <> 'not_placed' AND decision_time > CAST(:at AS timestamptz) - interval '30 days') newest
    WHERE place <= :most GROUP BY symbol
    HAVING count(*) = :most AND bool_and(state = 'rejected') ORDER BY symbol"""
_LIMITS = """
    SELECT name, since FROM (
        SELECT DISTINCT ON (split_part(reason, ': ', 2)) split_part(reason, ': ', 2) AS name, time AS since, reason
        FROM risk_events
        WHERE actor = 'desk' AND time <= :at AND (starts_with(reason, :reached) OR starts_with(reason, :over))
        ORDER BY split_part(reason, ': ', 2), id DESC) newest
    WHERE starts_with(reason, :reached) ORDER BY name"""
"""The newest edge of each limit, where it is not that it is over."""
_PAUSED = """
    SELECT timestamp AS since, reason FROM weight_history
    WHERE method = 'monitor'
        AND version > coalesce((SELECT max(version) FROM weight_history WHERE method = 'resume'), 0)
    ORDER BY version DESC LIMIT 1"""


def read_alarm_facts(connection: Connection, at: datetime, fresh_after: datetime, system: SystemState) -> AlarmFacts:
    """The desk as it is at `at`. Before its first decision, bars later than `fresh_after` should be decided on."""
    read = reader(connection, Period(at, at))
    newest, fresh = newest_decision(read), freshness(read)
    wanted = {"after": newest.time if newest else fresh_after, "symbols": list(fresh) or None, "at": at}
    undecided, waiting = row_dicts(connection, _UNDECIDED, **wanted), row_dicts(connection, _WAITING_MAIL)
    runs = row_dicts(connection, _FUTURE_RUNS, at=at)
    corrections, late = row_dicts(connection, _CORRECTIONS), row_dicts(connection, _LATE_BARS)
    paused = row_dicts(connection, _PAUSED)
    limits = row_dicts(connection, _LIMITS, at=at, reached=LIMIT_REACHED, over=LIMIT_OVER)
    sending = row_dicts(connection, _LONG_SENDING, at=at, within=SENT_WITHIN)
    return AlarmFacts(
        at=at,
        newest=newest,
        freshness=fresh,
        weights_published=row_dicts(connection, _PUBLISHED, at=at)[0]["published"],
        unknown_orders=[row["client_order_id"] for row in row_dicts(connection, _UNKNOWN_ORDERS)],
        waiting_mail=WaitingMail(**waiting[0]) if waiting else None,
        parity=parity(read),
        system=system,
        undecided=UndecidedBars(**undecided[0]) if undecided else None,
        heartbeats=heard_by_others(read_heartbeats(connection), at),
        future_runs=FutureRuns(**runs[0]) if runs else None,
        refused={row["address"]: row["why"] for row in row_dicts(connection, _REFUSED)},
        chain=open_check(connection),
        outages=recent_outages(connection, at),
        acts_as_owner=any(row["owns"] for row in read("owner")),
        suspects=suspect_symbols(connection, list(fresh)),
        corrections=OpenCorrections(**corrections[0]) if corrections else None,
        late_bars=LateBars(**late[0]) if late else None,
        tuning_paused=PausedTuning(**paused[0]) if paused else None,
        breaks=[OpenBreak(**row) for row in row_dicts(connection, _BREAKS)],
        long_sending=[row["client_order_id"] for row in sending],
        refused_orders={
            row["symbol"]: row["reason"] for row in row_dicts(connection, _REFUSED_ORDERS, at=at, most=REFUSED_IN_A_ROW)
        },
        limits_reached={row["name"]: row["since"] for row in limits},
    )
