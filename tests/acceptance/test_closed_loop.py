"""The loop closed on the real stack: agent Right is right, agent Wrong is wrong; after simulated weeks Right's weight is up and the
mail says why; Redis is killed midway, the meta plane is killed midway; then a person reverts."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.engine import open_engine
from agents.adapters.database.reader import DeskReader
from agents.core.clock import SimulatedClock, SystemClock
from agents.core.meta_types import WeightDecision
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.replay.record import RecordedDesk, record_history
from agents.replay.timeline import SimulatedTime
from agents.reports.mail_message import message
from agents.trading.registry import AGENTS
from agents.wiring import desk as app
from agents.wiring import meta as meta_app
from agents.wiring.connections import Connections
from agents.wiring.desk_record import desk_journal
from agents.wiring.weights import desk_weights, weight_cache
from tests.conftest import SERVICES
from tests.market import ORACLES, batch_of, make_bars
from tests.servers import start_redis
from tests.simulated_jobs import jobs_on_tables

ROOT = Path(__file__).resolve().parents[2]
BARS = make_bars(420, 4, 11)
WEEK = timedelta(days=7)
NAMES = ("Right", "Wrong", "Noise", "Coin")


@dataclass
class Stack:
    """One desk over the tests' PostgreSQL and a Redis of its own."""

    settings: Settings
    connections: Connections
    redis: subprocess.Popen
    socket: Path

    def kill_redis(self):
        self.redis.kill()
        self.redis.wait()

    def start_redis(self):
        self.redis = start_redis(SERVICES.prefix, self.socket)

    def trade(self, first, last, *, jobs=True):
        """Bars `first` to `last` through both planes, as a replay on the simulated clock."""
        bars = BARS.rows(0, last)
        agents = app.agents_of(self.settings, SystemClock())
        plan = app.plan_of(self.settings, BARS.symbols)
        clock = SimulatedClock(as_datetime(BARS.time[max(0, first - 1)]))
        plane = meta_app.MetaPlane(self.settings, self.connections, clock, with_pictures=False, every=WEEK)
        weights = desk_weights(self.settings, self.connections, agents)
        try:
            with desk_journal(self.connections) as journal:
                time = SimulatedTime(clock, jobs_on_tables(plane, clock) if jobs else None)
                desk = RecordedDesk(plan, agents, weights.current, journal)
                record_history(bars, desk, time, lambda *_: None)
        finally:
            plane.jobs.release()
            plane.cache.close()

    def plane(self, at):
        return meta_app.MetaPlane(self.settings, self.connections, SimulatedClock(at), every=WEEK)

    def weights(self):
        return {row["agent_name"]: float(row["weight"]) for row in DeskReader(self.connections.meta).weights()}


@pytest.fixture
def oracles():
    """The registry holds the four; afterwards it is as it was, in its order too, which monkeypatch would reverse."""
    before = dict(AGENTS)
    AGENTS.clear()
    AGENTS.update(ORACLES)
    yield
    AGENTS.clear()
    AGENTS.update(before)


@pytest.fixture
def stack(oracles, database, owner, trader, tmp_path):
    BarsStore(trader).load(batch_of(BARS))
    meta = open_engine(SERVICES.database_url(database, "quorum_meta"))
    socket = tmp_path / "r.sock"
    url = f"unix://{socket}"
    settings = Settings(
        desk={"name": "loop"},
        data={"clock": "bars"},
        risk={"halt_drawdown": 1.0},
        tuning={"step": 0.05},
    )
    made = Stack(settings, Connections(owner, trader, meta, url, (), {}), start_redis(SERVICES.prefix, socket), socket)
    yield made
    made.kill_redis()
    meta.dispose()


def test_the_loop(stack, database, tmp_path):
    # a quarter of a year: a first, small move in the right direction
    stack.trade(0, 70)
    early = stack.weights()
    assert 0.25 < early["Right"] < 0.40
    assert early["Right"] > max(early[name] for name in NAMES if name != "Right")

    # Redis dies; months go by; it comes back
    stack.kill_redis()
    stack.trade(70, 240)
    while_down = stack.weights()
    stack.start_redis()
    stack.trade(240, 420)
    after = stack.weights()
    assert while_down["Right"] > 0.30, "the evidence moved the weights although Redis was away"
    assert 0.60 < after["Right"] <= 0.75 + 1e-6, "two of four are left: one and a half equal weights at most"
    assert (after["Wrong"], after["Coin"]) == (0.0, 0.0), "they were retired, which a page says"
    assert after["Right"] > after["Noise"] > 0.05 - 1e-9

    reader = DeskReader(stack.connections.meta)
    changes = reader.rows("SELECT * FROM weight_history WHERE status = 'apply' ORDER BY version")
    assert changes, "weights moved"
    for row in changes:
        assert sum(row["agent_weights"].values()) == pytest.approx(1.0)
        largest = max(abs(float(row["agent_weights"][n]) - float(row["previous_weights"][n])) for n in NAMES)
        assert largest <= 0.05 + 1e-6 or "retired" in row["reason"], "whose weight goes to the others at once"
        assert (
            row["sharpe_improvement"] is not None
            and row["inputs_hash"]
            and row["trials"] >= 1
            and row["sample_size"] >= 30
        )
        for name in NAMES:
            moved = float(row["agent_weights"][name]) - float(row["previous_weights"][name])
            assert sum(row["causes"][name].values()) == pytest.approx(moved, abs=1e-6)
    assert (
        reader.rows("SELECT count(*) AS n FROM weight_history WHERE status = 'apply' AND realised_at IS NOT NULL")[0][
            "n"
        ]
        >= 1
    )

    # the trading plane used them, from the version that was published
    used = reader.rows("SELECT weights_version, weights_level, weights FROM decisions ORDER BY time DESC LIMIT 1")[0]
    assert used["weights_version"] == max(row["version"] for row in changes)
    assert float(used["weights"]["Right"]) == pytest.approx(after["Right"])

    # live beats equal weights, and the mail says so and why
    at = as_datetime(BARS.time[-1])
    plane = stack.plane(at)
    plane.run_job("performance_analyzer", at)
    made, summary, _ = plane.report(at, at - timedelta(days=30), keep=True)
    content = message(made, desk="loop", sender="a@b.example", recipients=("c@d.example",)).as_string()
    added = {row.control: row for row in summary.tuning_value_added}["equal"]
    assert added.difference > 0
    assert "Right" in made.text and "the largest wish is" in made.text
    assert "cid:weights" in made.html and "Content-ID: <weights>" in content
    newest = "date = (SELECT max(date) FROM agent_scorecards)"
    cards = {
        r["agent_name"]: r for r in reader.rows(f"SELECT * FROM agent_scorecards WHERE window_days = 0 AND {newest}")
    }
    assert cards["Right"]["sharpe_ratio"] > 0 > cards["Wrong"]["sharpe_ratio"]
    assert cards["Right"]["information_coefficient"] > 0 > cards["Wrong"]["information_coefficient"]
    assert cards["Right"]["win_rate"] > 0.5 > cards["Wrong"]["win_rate"]

    # every due time ran once
    doubled = reader.rows("SELECT job, due_at FROM job_runs GROUP BY 1, 2 HAVING count(*) > 1")
    assert doubled == []
    bad = reader.rows("SELECT job, detail FROM job_runs WHERE status <> 'succeeded'")
    assert bad == []
    plane.cache.close()


@pytest.mark.parametrize("point", ["weights.before_commit", "weights.before_redis"])
def test_the_meta_plane_killed_between_database_and_redis(stack, database, tmp_path, point):
    """A08, A09: the next run repairs Redis; one row for the due time; never a mix of versions."""
    stack.trade(0, 300, jobs=False)
    at = as_datetime(BARS.time[299])
    program = tmp_path / "run.py"
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from datetime import datetime\n"
        "from agents.trading.registry import AGENTS; from tests.market import ORACLES\n"
        "AGENTS.clear(); AGENTS.update(ORACLES)\n"
        "from agents.core.settings import load_settings; from agents.wiring.meta import meta_plane\n"
        "at = datetime.fromisoformat(sys.argv[1])\n"
        "with meta_plane(load_settings(), demo=False, say=print) as plane:\n"
        "    print(plane.run_job('weight_optimizer', at, at)['decision'])\n"
    )
    url = SERVICES.database_url(database, "quorum_owner")
    command = [sys.executable, str(program), at.isoformat(), str(ROOT)]
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "REDIS_URL": f"unix://{stack.socket}",
        "QUORUM_DESK__NAME": "loop",
    }
    killed = subprocess.run(
        command,
        env={**environment, "KILLPOINT": f"{point}:1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    reader = DeskReader(stack.connections.meta)
    rows = reader.rows("SELECT count(*) AS n FROM weight_history WHERE decided_for = :at", at=at)[0]["n"]
    assert rows == (0 if point == "weights.before_commit" else 1)
    # Once the decision is on record, it has used up the day's step: a repeated run holds, and publishes nothing.
    for expected in ("apply", "hold") if point == "weights.before_commit" else ("hold", "hold"):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith(expected)
    assert reader.rows("SELECT count(*) AS n FROM weight_history WHERE decided_for = :at", at=at)[0]["n"] == 1
    cache = weight_cache(stack.settings, stack.connections)
    newest = reader.rows("SELECT max(version) AS v FROM weight_history")[0]["v"]
    assert cache.read().version == newest
    cache.close()


def test_a_person_reverts(stack):
    """`revert` is itself a row, announced like any other; the trading plane takes it up."""
    stack.trade(0, 300)
    before = stack.weights()
    assert before["Right"] > 0.3
    at = as_datetime(BARS.time[299])
    plane = stack.plane(at)
    first = DeskReader(stack.connections.meta).rows(
        "SELECT min(version) AS v FROM weight_history WHERE status = 'initial'"
    )[0]["v"]
    wanted = plane.store.decision(first).weights
    version = plane.store.publish(
        WeightDecision(
            at=at,
            decided_for=None,
            weights=wanted,
            previous=plane.store.weights_in_force(at).weights,
            method="revert",
            status="revert",
            reason="test",
        )
    )
    assert stack.weights() == pytest.approx(dict.fromkeys(NAMES, 0.25))
    assert plane.cache.read().version == version
    stack.trade(300, 302, jobs=False)
    used = DeskReader(stack.connections.meta).rows("SELECT weights_version FROM decisions ORDER BY time DESC LIMIT 1")[
        0
    ]
    assert used["weights_version"] == version
    plane.cache.close()
