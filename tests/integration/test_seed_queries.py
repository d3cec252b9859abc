"""The queries of the first day, word for word, on a desk of 60 days up to yesterday of which one agent never speaks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import open_engine
from agents.adapters.database.reader import DeskReader
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.meta_types import ScheduledJob
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.quant.comparison import against_book
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import SimulatedTime
from agents.tuning.weight_decision import try_method
from agents.wiring import desk as app
from agents.wiring.connections import Connections
from agents.wiring.desk_record import desk_journal
from agents.wiring.jobs_between_bars import JobsBetweenBars
from agents.wiring.meta import MetaPlane
from agents.wiring.replay import silent
from agents.wiring.weights import desk_weights
from tests.conftest import SERVERS, SERVICES
from tests.integration.test_schema import README_QUERIES
from tests.market import make_bars

MEMORY, DAYS = 300, 60
MUTE, SPEAKER = "OnChainAnalyst", "SentimentAnalyst"
NEWEST_WEIGHTS, LAST_WEIGHTS, WEEK, TREND, REPORT = README_QUERIES
_NEWS = """
INSERT INTO exogenous (name, symbol, time, available_at, value)
SELECT n.name, 'S0', b.time - interval '1 hour', b.time - interval '1 hour', n.value
FROM bars b, (VALUES ('news_count', 4.0), ('news_score', -2.0)) n (name, value) WHERE b.symbol = 'S0'
"""


@pytest.fixture(scope="module")
def desk(services):
    """The desk's meta plane: it has decided on 60 daily bars, the last of yesterday, after 300 that it remembers;
    analyzer and optimizer ran after each."""
    with SERVERS.database() as name:
        SERVERS.empty_redis()
        owner, trader, meta = (
            open_engine(SERVICES.database_url(name, f"quorum_{role}")) for role in ("owner", "trader", "meta")
        )
        plane = MetaPlane(
            Settings(desk={"name": "t"}, data={"clock": "bars"}),
            Connections(owner, trader, meta, services.redis_url, (), {}),
            SimulatedClock(datetime(2020, 1, 1, tzinfo=UTC)),
            with_pictures=False,
        )
        try:
            trade(plane)
            plane.run_job("project_manager")
            yield plane
        finally:
            plane.cache.close()
            for engine in (owner, trader, meta):
                engine.dispose()


def trade(plane):
    store, bars = BarsStore(plane.connections.trader), up_to_yesterday(make_bars(MEMORY + DAYS, 3, 5))
    store.put(bars, "made")
    with plane.connections.owner.begin() as connection:
        connection.execute(text(_NEWS))
        connection.execute(text("INSERT INTO exogenous_keys SELECT DISTINCT name, symbol FROM exogenous"))
    clock, agents = plane.clock, app.agents_of(plane.settings, SystemClock())
    clock.advance_to(as_datetime(bars.time[0]))

    def run(at):
        plane.run_job("performance_analyzer", at)
        plane.run_job("weight_optimizer", at, at)

    jobs = JobsBetweenBars([ScheduledJob(name="all", every=timedelta(days=1), deadline_s=60.0)], run)
    with desk_journal(plane.connections) as journal:
        weights = desk_weights(plane.settings, plane.connections, agents)
        desk = RecordedDesk(app.plan_of(plane.settings, bars.symbols), agents, weights.current, journal)
        record_history(store.after(None, limit=len(bars.time)), desk, SimulatedTime(clock, jobs), silent, MEMORY)


@pytest.fixture
def owner(desk):
    return desk.connections.owner


def up_to_yesterday(bars):
    yesterday = np.datetime64(datetime.now(UTC).date() - timedelta(days=1), "us") + np.timedelta64(21, "h")
    moved = yesterday - bars.time[-1]
    return replace(bars, time=bars.time + moved, opened=bars.opened + moved)


def test_the_five_queries_answer_as_their_words_promise(desk, owner):
    """Seen: the trend query gave eight dates, the week's one a row for each of four windows with those first that have
    no Sharpe ratio, and after `weights propose` the newest weights were of a method that nobody uses."""
    try_method(desk.store, desk.tuning, "max_sharpe", desk.clock.now())
    reader = DeskReader(owner)

    newest = reader.rows(NEWEST_WEIGHTS)[0]
    in_force = {row["agent_name"]: float(row["weight"]) for row in reader.rows("SELECT * FROM v_weights_current")}
    assert newest["agent_weights"] == in_force
    assert sum(in_force.values()) == pytest.approx(1.0)
    assert len(reader.rows("SELECT method FROM weight_trials WHERE method = 'max_sharpe'")) == 1
    history = reader.rows(LAST_WEIGHTS)
    assert len(history) == 10 and all(row["reason"] and row["agent_weights"] for row in history)

    week = reader.rows(WEEK)
    keys = reader.rows("SELECT date, agent_name FROM agent_performance WHERE date >= CURRENT_DATE - INTERVAL '7 days'")
    assert len(week) == len({tuple(row.values()) for row in keys}) == len(keys)
    ratios = [row["sharpe_ratio"] for row in week]
    assert None not in ratios and ratios == sorted(ratios, reverse=True)
    assert SPEAKER in {row["agent_name"] for row in week}
    assert MUTE not in {row["agent_name"] for row in week}
    mute = reader.rows("SELECT * FROM agent_scorecards WHERE agent_name = :a AND window_days = 30", a=MUTE)
    assert mute and all(row["sharpe_ratio"] is None and row["undefined"]["sharpe_ratio"] for row in mute)

    trend = reader.rows(TREND)
    dates = [row["date"] for row in trend]
    assert dates == [dates[0] - timedelta(days=k) for k in range(30)]
    assert all(row["agent_name"] == SPEAKER and row["sharpe_ratio"] is not None for row in trend)
    assert len(reader.rows(REPORT)) == 1


def test_ranks_are_of_one_stated_window(desk, owner):
    rows = DeskReader(owner).rows("SELECT * FROM agent_performance ORDER BY date, rank")
    assert {row["window_days"] for row in rows} == {30}
    by_date: dict = {}
    for row in rows:
        by_date.setdefault(row["date"], []).append(row)
    for found in by_date.values():
        ratios = [row["sharpe_ratio"] for row in found]
        assert [row["rank"] for row in found] == list(range(1, len(found) + 1))
        assert ratios == sorted(ratios, reverse=True)
    windows = DeskReader(owner).rows("SELECT DISTINCT window_days AS w FROM agent_scorecards ORDER BY 1")
    assert [row["w"] for row in windows] == [0, 7, 30, 90]


def test_figures_of_trades_are_those_of_the_closed_trades(desk, owner):
    """An agent wins a trade that it gained with; the runs are of trades, in the order in which they closed."""
    desk.run_job("performance_analyzer")
    reader = DeskReader(owner)
    cards = {
        row["agent_name"]: row
        for row in reader.rows(
            "SELECT * FROM agent_scorecards WHERE window_days = 0 AND date = (SELECT max(date) FROM agent_scorecards)"
        )
    }
    compared = 0
    for name, card in cards.items():
        parts = [
            float(row["contribution"])
            for row in reader.rows(
                "SELECT contribution FROM trades JOIN trade_attribution USING (trade_id)"
                " WHERE agent_name = :a AND contribution <> 0 ORDER BY closed_at, symbol",
                a=name,
            )
        ]
        if not parts:
            assert card["trade_win_rate"] is None
            assert card["undefined"]["trade_win_rate"] == "no trade closed in this window that it had a part in"
            continue
        won, lost = [p for p in parts if p > 0], [p for p in parts if p < 0]
        signs = "".join("+" if p > 0 else "-" for p in parts)
        assert card["total_trades"] == len(parts)
        assert card["trade_win_rate"] == pytest.approx(len(won) / len(parts))
        assert card["longest_winning_trades"] == max(map(len, signs.split("-")))
        assert card["longest_losing_trades"] == max(map(len, signs.split("+")))
        if won and lost:
            assert card["trade_profit_factor"] == pytest.approx(sum(won) / -sum(lost))
            compared += 1
    assert compared >= 3


def test_from_a_trade_to_the_signals_behind_it(desk, owner):
    """Each part of a trade's P&L beside what its agent said at every entry and at the exit. Seen: of a position that was
    built up over many bars the first entry only."""
    reader = DeskReader(owner)
    trades = reader.rows("SELECT * FROM trades")
    assert len(trades) > 10
    entries = []
    for trade in trades:
        rows = reader.rows("SELECT * FROM v_trade_signals WHERE trade_id = :t ORDER BY decided_at", t=trade["trade_id"])
        steps = {row["decided_at"]: row for row in rows}
        leaving = [row for row in steps.values() if row["part"] == "exit"]
        coming = [row for row in steps.values() if row["part"] == "entry"]
        assert sum(row["contribution"] for row in rows) == trade["pnl"] * len(steps)
        assert len(leaving) == 1 and leaving[0]["filled_at"] == trade["closed_at"]
        assert leaving[0]["price"] == trade["exit_price"]
        assert coming and coming[0]["filled_at"] == trade["opened_at"]
        assert sum(row["quantity"] for row in coming) >= trade["quantity"]
        entries.append(len(coming))
        fills = reader.rows(
            "SELECT count(DISTINCT decision_time) AS n FROM fills f JOIN orders USING (client_order_id)"
            " WHERE f.symbol = :s AND f.side = :d AND f.time >= :o AND f.time < :c",
            s=trade["symbol"],
            d="buy" if trade["side"] == "long" else "sell",
            o=trade["opened_at"],
            c=trade["closed_at"],
        )
        assert len(coming) == fills[0]["n"]
        said = reader.rows("SELECT * FROM signals WHERE symbol = :s", s=trade["symbol"]) if len(entries) < 5 else []
        known = {(row["time"], row["agent_name"]): row for row in said}
        for row in rows if said else ():
            there = known.get((row["decided_at"], row["agent_name"]), {})
            assert [row[k] for k in ("strength", "confidence", "reason")] == [
                there.get(k) for k in ("strength", "confidence", "reason")
            ]
        side = 1 if trade["side"] == "long" else -1
        assert any((row["strength"] or 0.0) * side > 0 for row in rows if row["part"] == "entry"), "somebody wanted it"
    assert max(entries) > 1


def test_the_desk_against_holding_in_sql_is_what_the_report_says(desk, owner):
    reader = DeskReader(owner)
    rows = {row["benchmark"]: row for row in reader.rows("SELECT * FROM v_against_holding")}
    assert set(rows) == {"hold", "hold at volatility"}
    equity = {}
    for row in reader.rows("SELECT book, time, equity FROM equity WHERE book NOT LIKE 'shadow:%' ORDER BY time"):
        equity.setdefault(row["book"], {})[row["time"].date()] = row["equity"]
    live = next(days for book, days in equity.items() if ":" not in book)
    for name, row in rows.items():
        held = equity[f"control:{name.replace(' ', '_')}"]
        dates = [day for day in live if day in held]
        mine, other = (np.array([days[day] for day in dates]) for days in (live, held))
        pace = (len(live) - 1) * 365.25 / (max(live) - min(live)).days
        wanted = against_book(mine[1:] / mine[:-1] - 1, other[1:] / other[:-1] - 1, pace)
        for figure in ("excess_return", "beta", "information_ratio"):
            assert row[figure] == pytest.approx(getattr(wanted, figure), rel=1e-6, abs=1e-9), (name, figure)
