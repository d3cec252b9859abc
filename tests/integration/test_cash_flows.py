"""Money in and out of a desk that really trades: taken once whatever breaks, the same when it is decided again, and in
no return; and what `quorum cash` says and refuses."""

from __future__ import annotations

import json
import os
import shlex
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from agents.adapters.database.cash_flows import add_flows
from agents.adapters.database.engine import driver_connection
from agents.adapters.database.reader import DeskReader
from agents.cli.performance import summary
from agents.core.cash_flows import NewFlow
from agents.core.errors import ServiceError
from agents.core.facts import Period
from agents.core.types import as_datetime
from agents.reports.summary import curves_of, profit, summary_of
from tests.conftest import SERVICES
from tests.integration import test_commands, test_parity
from tests.integration.test_parity import BARS, FIRST, RESTART, parity
from tests.program import call

LAST = 300
MOVES = {
    150: ("250000.50", "deposit"),
    RESTART - 1: ("-100000", "withdrawal"),
    240: ("77.25", "interest"),
    270: ("400000", "deposit"),
    271: ("-99999999", "withdrawal"),
}
"""Bar -> what comes or goes after its decision; the last one cannot be paid. One comes right before a restart."""


def told(engine, at, amount, kind, **more):
    flow = NewFlow(
        time=at,
        kind=kind,
        amount=Decimal(amount),
        currency="cash",
        source="person",
        reason="test",
        actor="me",
        **more,
    )
    with engine.begin() as connection:
        return add_flows(driver_connection(connection), [flow])


class Desk(test_parity.LiveDesk):
    """Money comes and goes where the other one is commanded, too."""

    def command(self, at, state):
        if isinstance(state, tuple):
            told(self.connections.trader, at, *state)
        else:
            super().command(at, state)


@pytest.fixture
def desk(owner, trader, meta, redis_url, monkeypatch):
    monkeypatch.setattr(test_parity, "BETWEEN_BARS", {t: (move,) for t, move in MOVES.items()})
    made = Desk(owner, trader, meta, redis_url)
    yield made
    made.plane.cache.close()


def rows(engine, query):
    return DeskReader(engine).rows(query)


def test_a_desk_with_flows_is_computed_again_to_the_bit_and_no_return_knows_them(desk):
    desk.trade(FIRST, RESTART)
    desk.trade(RESTART, LAST)
    trader = desk.connections.trader
    report = parity(desk)
    assert report["decisions"] == LAST - FIRST and report["differences"] == 0, report["examples"]
    states = rows(trader, "SELECT kind, state, refused, source FROM v_cash_flows WHERE actor = 'me' ORDER BY time")
    assert [row["state"] for row in states] == ["taken"] * 4 + ["refused"]
    assert "there is cash of" in states[-1]["refused"]
    values = {
        (row["time"], row["book"]): row
        for row in rows(trader, "SELECT * FROM v_unit_values WHERE book NOT LIKE 'shadow:%'")
    }
    time = {t: as_datetime(BARS.time[t]) for t in range(FIRST, LAST)}
    units = 1.0
    for t in range(FIRST + 1, LAST):
        amount, kind = MOVES.get(t - 1, ("0", "deposit"))
        before, now = values[time[t - 1], "paper"], values[time[t], "paper"]
        if kind in ("deposit", "withdrawal") and amount != "-99999999":
            units *= 1.0 + float(amount) / before["equity"]
        assert now["units"] == pytest.approx(units, rel=1e-12)
        for book in ("paper", "control:hold", "control:equal"):  # nobody's unit jumps with the money
            moved = values[time[t], book]["unit_value"] / values[time[t - 1], book]["unit_value"] - 1.0
            assert abs(moved) < 0.1, (t, book, moved)
    live = np.array([values[time[t], "paper"]["unit_value"] for t in range(FIRST, LAST)])
    drawdown = rows(trader, "SELECT max(drawdown) AS most FROM v_equity WHERE book = 'paper'")[0]["most"]
    assert drawdown == pytest.approx(float(np.max(1 - live / np.maximum.accumulate(live))))
    figures = summary(DeskReader(trader))["live"]
    newest = values[time[LAST - 1], "paper"]
    assert figures["equity"] == pytest.approx(newest["equity"]) and newest["units"] > 1.3
    assert figures["total_return"] == pytest.approx(live[-1] / live[0] - 1.0)
    assert figures["max_drawdown"] == pytest.approx(drawdown)
    ledger_adds_up(trader, newest)
    report_knows_what_was_earned(desk, live, values, time)


def ledger_adds_up(trader, newest):
    """cash + cost - carried = start + flows + trades' P&L, and shares of bars' P&L with what no agent earned."""
    money = rows(
        trader,
        "SELECT (SELECT coalesce(sum(cost - carried), 0) FROM positions) AS held,"
        " (SELECT coalesce(sum(pnl), 0) FROM trades) AS won,"
        " (SELECT sum(amount) FROM cash_flows WHERE refused IS NULL) AS came",
    )[0]
    assert newest["cash"] + float(money["held"]) == pytest.approx(1_000_000 + float(money["won"] + money["came"]))
    earned = rows(trader, "SELECT sum(contribution) AS all FROM bar_contributions")[0]["all"]
    capital = sum(float(amount) for amount, kind in MOVES.values() if kind != "interest" and amount != "-99999999")
    assert earned == pytest.approx(newest["equity"] - 1_000_000 - capital, abs=0.01)


def report_knows_what_was_earned(desk, live, values, time):
    at = time[LAST - 1]
    facts = desk.plane.reports.facts(Period(at - timedelta(days=30), at))
    curves = curves_of(facts)
    start = at - timedelta(days=30)
    last_before = max(t for t in time.values() if t.date() <= start.date())
    came = sum(
        float(amount)
        for t, (amount, kind) in MOVES.items()
        if time[t + 1] > last_before and kind in ("deposit", "withdrawal") and amount != "-99999999"
    )
    money = values[at, "paper"]["equity"] - values[last_before, "paper"]["equity"] - came
    assert came != 0.0 and profit(curves, at, 30) == pytest.approx(money)
    figures = summary_of(facts, open_suggestions=0)
    assert figures.max_drawdown == pytest.approx(float(np.max(1 - live / np.maximum.accumulate(live))), rel=0.2)
    assert figures.equity == pytest.approx(values[at, "paper"]["equity"])


def test_what_was_taken_is_taken_once_wherever_the_desk_dies(trader):
    """Before it is on record it is taken by the next start, after it never again."""
    desk = test_commands.Desk(trader)
    desk.store.put(test_commands.BARS, "test")
    for _ in range(30):
        desk.decide()
    for breaks in ("before", "after"):
        cash, equity = desk.desk.ledger().cash, desk.desk.account().equity.copy()
        assert told(trader, desk.clock.now(), "5000.25", "deposit", key=breaks) == 1
        assert told(trader, desk.clock.now(), "5000.25", "deposit", key=breaks) == 0, "the same is one"
        real = desk.journal.take_flows

        def dies(*given, real=real, breaks=breaks, **more):
            if breaks == "after":
                real(*given, **more)
            raise ServiceError("the server went away")

        desk.journal.take_flows = dies
        with pytest.raises(ServiceError):
            desk.between()
        assert desk.desk.ledger().cash == cash, "nothing is half done"
        desk.journal.take_flows = real
        for _ in range(2):
            desk.open()
            desk.between()
            assert desk.desk.ledger().cash == cash + Decimal("5000.25")
            assert desk.desk.account().equity[0] == equity[0] + 5000.25
        desk.decide()
        desk.between()
    desk.journal.release()


REFUSED = [
    ("deposit 0 --reason x", "'0' is no amount"),
    ("deposit NaN --reason x", "'NaN' is no amount"),
    ("deposit -5 --reason x", "'-5' is no amount"),
    ("withdraw ten --reason x", "'ten' is no amount"),
    ("deposit 1e-9 --reason x", "is no amount"),
    ("deposit 10", "--reason"),
    ("deposit 10 --reason ''", "--reason is empty"),
    ("earned luck 10 --reason x", "invalid choice: 'luck'"),
    ("withdraw 999999999 --reason x", "there is cash of"),
]


def test_the_command_tells_refuses_and_lists(trader, tmp_path):
    desk = test_commands.Desk(trader)
    url = SERVICES.database_url(trader.url.database, "quorum_owner")
    environment = {**os.environ, "DATABASE_URL": url, "REDIS_URL": SERVICES.redis_url}

    def say(*words):
        return call(*words, cwd=tmp_path, environment=environment, code=None)

    def cash(words):
        return say("cash", *shlex.split(words))

    early = cash("deposit 10 --reason x")
    assert early.returncode != 0 and "decided nothing yet" in early.stderr
    desk.store.put(test_commands.BARS, "test")
    desk.decide()
    for words, message in REFUSED:
        said = cash(words)
        assert said.returncode != 0 and message in said.stderr and "Traceback" not in said.stderr, (words, said)
        assert len(said.stderr.strip().splitlines()) <= 3, said.stderr
    assert rows(trader, "SELECT * FROM cash_flows") == [], "what is refused leaves nothing"
    assert json.loads(cash("deposit 2500.50 --reason savings --id a1 --json").stdout)["added"] is True
    again = cash("deposit 2500.50 --reason savings --id a1")
    assert again.returncode == 0 and "on record already" in again.stdout
    assert cash("earned interest 1.25 --reason March").returncode == 0
    assert "waits for the next bar" in say("status").stdout
    before = desk.desk.ledger().cash
    desk.between()
    assert desk.desk.ledger().cash == before + Decimal("2501.75")
    assert cash("withdraw 1000 --reason rent").returncode == 0
    listed = json.loads(cash("list --json").stdout)
    assert [(row["kind"], row["state"]) for row in listed] == [
        ("deposit", "taken"),
        ("interest", "taken"),
        ("withdrawal", "waiting"),
    ]
    assert all(row["actor"] and row["reason"] and row["source"] == "person" for row in listed)
    assert "rent" in cash("list").stdout
    desk.journal.release()
