"""What the desk in effect listens to, and skill by regime, as the record tells them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database.agent_days import AgentDaysTable
from agents.adapters.database.reader import DeskReader
from agents.adapters.database.regime_days import regime_days
from agents.core.regimes import REGIMES
from agents.wiring.regimes import by_regime_of

AGENTS = {"Loud": 0.5, "Quiet": 0.3, "Half": 0.2, "Retired": 0.0}
SYMBOLS = ("S0", "S1")
FIRST, DAYS = datetime(2020, 1, 1, 21, tzinfo=UTC), 700
SAYS = {
    "decisions": "INSERT INTO decisions (time, weights_version, weights_level, weights, risk_state, equity, cash,"
    " orders, reason, regime) VALUES (:time, 1, 'database', CAST(:weights AS jsonb), 'active', 1, 1, 0, 'r', :regime)",
    "signals": "INSERT INTO signals (time, agent_name, symbol, strength, confidence, abstained, forecast, reason)"
    " VALUES (:time, :agent, :symbol, 0, 0, :silent, NULL, :reason)",
    "details": "INSERT INTO decision_details (time, symbol, target_weight, clamps, no_trade, order_quantity, position)"
    " VALUES (:time, :symbol, 0, :clamps, '', 0, 0)",
    "days": 'INSERT INTO agent_days (date, agent_name, "return", signals) VALUES (:date, :agent, :gain, 1)',
    "log": "INSERT INTO agent_work_log (time, agent_name, action, duration_ms, opinions, ok, detail)"
    " VALUES (:time, :agent, 'signals', 1, 0, :ok, :detail)",
}


def write(engine, what: str, rows: list[dict[str, object]]) -> None:
    with engine.begin() as connection:
        connection.execute(text(SAYS[what]), rows)


def decide(engine, at: datetime, silent: dict[tuple[str, str], str], *, stale: tuple[str, ...] = (), failed="") -> None:
    """One decision, with who was silent where and why; `failed` is an agent that did not answer."""
    write(engine, "decisions", [{"time": at, "weights": json.dumps(AGENTS), "regime": None}])
    votes = [(name, symbol, silent.get((name, symbol))) for name in AGENTS for symbol in SYMBOLS]
    write(
        engine,
        "signals",
        [
            {"time": at, "agent": name, "symbol": symbol, "silent": why is not None, "reason": why or "long"}
            for name, symbol, why in votes
        ],
    )
    clamps = [{"time": at, "symbol": s, "clamps": "symbol cap, stale data" if s in stale else ""} for s in SYMBOLS]
    write(engine, "details", clamps)
    write(engine, "log", [{"time": at, "agent": n, "ok": n != failed, "detail": "no answer"} for n in AGENTS])


def test_who_is_silent_leaves_the_mix_and_the_others_have_its_part(owner):
    reader = DeskReader(owner)
    assert reader.effective_weights() == {}
    decide(owner, FIRST, {})
    equal = reader.effective_weights()
    assert {name: own.effective for name, own in equal.items()} == AGENTS
    assert not any(own.why for own in equal.values())

    quiet = {("Quiet", symbol): "abstains: no series" for symbol in SYMBOLS}
    for k in range(1, 5):
        decide(owner, FIRST + timedelta(days=k), quiet | {("Half", "S1"): "abstains: no bar"})
    told = reader.effective_weights()
    # S0: Loud .5 and Half .2 of .7; S1: Loud alone.
    assert told["Loud"].effective == pytest.approx((0.5 / 0.7 + 1.0) / 2)
    assert told["Half"].effective == pytest.approx((0.2 / 0.7 + 0.0) / 2)
    assert sum(own.effective for own in told.values()) == pytest.approx(1.0)
    assert told["Loud"].why == "others are silent: it has their part"
    assert told["Quiet"].why == "silent for 4 decisions (no series)"
    assert told["Half"].why == "silent on 1 of 2 symbols (no bar)"
    assert told["Retired"].why == ""

    assert reader.effective_weights(FIRST + timedelta(days=4)) == told
    late = reader.effective_weights(FIRST + timedelta(days=5))  # no bar since: nothing was decided that could say so
    assert {own.effective for own in late.values()} == {0.0} and late["Loud"].earned == 0.5
    assert late["Loud"].why == "the bars of all symbols are stale: positions may only shrink"

    decide(owner, FIRST + timedelta(days=9), quiet, stale=("S1",), failed="Quiet")
    stale = reader.effective_weights()
    assert stale["Loud"].effective == pytest.approx(0.5 / 0.7)  # what is said of S1 can only shrink a position
    assert stale["Quiet"].why == "failed: no answer"
    decide(owner, FIRST + timedelta(days=10), {}, stale=SYMBOLS)
    assert {own.effective for own in reader.effective_weights().values()} == {0.0}
    assert reader.effective_weights()["Loud"].why == "the bars of all symbols are stale: positions may only shrink"


def test_a_day_began_in_the_regime_of_the_last_decision_before_it(owner):
    rng = np.random.default_rng(1)
    regime = [None] * 50 + [REGIMES[k] for k in np.cumsum(rng.random(DAYS - 50) < 1 / 30) % len(REGIMES)]
    times = [FIRST + timedelta(days=k) for k in range(DAYS)]
    weights = json.dumps(AGENTS)
    write(
        owner,
        "decisions",
        [{"time": t, "weights": weights, "regime": r} for t, r in zip(times, regime, strict=True)],
    )
    write(
        owner,
        "days",
        [
            {"date": time.date(), "agent": name, "gain": 0.01 * rng.standard_normal()}
            for time in times
            for name in ("Half", "Loud")
        ],
    )
    days, now = regime_days(owner, times[-1])
    assert now == regime[-1]
    expected = {f"{after:%Y-%m-%d}": r for after, r in zip(times[1:], regime[:-1], strict=True) if r is not None}
    assert days == expected
    early, then = regime_days(owner, times[200])
    assert then == regime[200]
    assert early == {day: r for day, r in expected.items() if day <= f"{times[200]:%Y-%m-%d}"}

    found = by_regime_of(owner, AgentDaysTable(owner, ("Half", "Loud")).read(times[-1].date()), times[-1])
    assert sum(found.days[state] for state in ("calm", "turbulent")) == len(expected)
    assert [one.agent for one in found.agents] == ["Half", "Loud"]
    rows = DeskReader(owner).rows("SELECT * FROM v_agent_regimes WHERE agent_name = 'Loud' ORDER BY regime")
    assert sum(row["days"] for row in rows) == len(expected)
    assert all(row["deviation"] > 0.0 for row in rows)


@pytest.mark.parametrize("regime", ["sunny", "calm", ""])
def test_a_regime_of_no_such_name_is_refused(owner, regime):
    with pytest.raises(Exception, match="regime_known"):
        write(owner, "decisions", [{"time": FIRST, "weights": "{}", "regime": regime}])
