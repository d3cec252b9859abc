"""The demo and the command line as a new user meets them; and the demo killed with -9 at random moments."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from agents.adapters.database.engine import open_engine
from agents.core.books import CONTROLS
from agents.core.clock import SystemClock
from agents.core.settings import Settings
from agents.wiring.connections import embedded_name
from tests.conftest import SERVICES
from tests.program import WAIT_S, Outcome, call, run, start

pytestmark = pytest.mark.timeout(1200)  # a whole demo, half a minute of one processor, on a busy machine
ENVIRONMENT = {
    **os.environ,
    "QUORUM_STATE_DIR": str(SERVICES.root),
    "COLUMNS": "140",
    "QUORUM_META__DEMO_EVERY_DAYS": "28",
}
"""Jobs every four weeks of simulated time instead of weekly: the same code in a quarter of the time."""
DECISIONS = 3270
TABLES = {
    # Not whether the weights came from Redis: killed between the database and the copy, a demo goes on without the copy.
    "decisions": "time, weights_version, weights, risk_state, equity, cash, orders, reason",
    "signals": "time, agent_name, symbol, strength, confidence, abstained, forecast, reason",
    "decision_details": "*",
    "orders": "client_order_id, decision_time, symbol, side, quantity, state, reason",
    "fills": "fill_id, client_order_id, time, symbol, side, quantity, price, fee, spread_cost, impact_cost",
    "trades": "*",
    "trade_attribution": "*",
    "corporate_actions": "*",
    "equity": "*",
    "shadow_returns": "*",
    "bar_contributions": "*",
    "positions": "*",
    "weight_history": "version, timestamp, decided_for, agent_weights, status, reason, inputs_hash, sharpe_improvement, causes, evidence",
    "agent_days": "*",
    "agent_scorecards": "date, agent_name, window_days, sharpe_ratio, sharpe_low, win_rate, pnl, verdict",
    "job_runs": "job, due_at, status, missed",
    "project_reports": "period_start, period_end, generated_at",
    "improvement_suggestions WHERE kind = 'strategy'": "fingerprint, kind, severity, title, state, created_at",
    "strategy_variants": "agent_name, variant_name, state, created_at",
}


def quorum(*arguments: str, cwd: Path, code: int = 0) -> Outcome:
    """One command on the demo, inside this process."""
    return call(*arguments, cwd=cwd, environment=ENVIRONMENT, code=code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("user")


@pytest.fixture(scope="module")
def demo(folder, services) -> dict:
    """One undisturbed run from nothing, as JSON."""
    SERVICES.drop_database(embedded_name(Settings(), True))
    SERVICES.drop_database(embedded_name(Settings(), False))
    return json.loads(run("demo", "--json", cwd=folder, environment=ENVIRONMENT).stdout)


@pytest.fixture(scope="module")
def engine(demo) -> Engine:
    made = open_engine(SERVICES.database_url(embedded_name(Settings(), True), "quorum_owner"))
    yield made
    made.dispose()


def fingerprint(engine: Engine) -> dict[str, str]:
    """A digest of every journal table's content, in a fixed order."""
    found = {}
    with engine.connect() as connection:
        for table, columns in TABLES.items():
            rows = connection.execute(text(f"SELECT {columns} FROM {table} ORDER BY 1, 2, 3")).all()
            found[table] = hashlib.sha256(repr(sorted(map(repr, rows))).encode()).hexdigest()[:16] + f" {len(rows)}"
    return found


@pytest.fixture(scope="module")
def undisturbed(demo, engine) -> dict[str, str]:
    return fingerprint(engine)


def test_the_demo_trades_real_history_through_all_agents(demo):
    assert demo["counts"]["decisions"] == DECISIONS
    assert demo["counts"]["trades"] > 1000
    assert demo["period"][0].startswith("2000-03-01")
    assert set(demo["controls"]) == set(CONTROLS)
    agents = {row["agent_name"]: row for row in demo["agents"]}
    assert len(agents) == 11, "ten agents and the remainder"
    total = sum(row["contribution"] for row in agents.values())
    assert total == pytest.approx(demo["live"]["equity"] - 1_000_000, abs=0.01)
    assert agents["TrendFollower"]["shadow_sharpe"] is not None
    assert agents["OnChainAnalyst"]["shadow_sharpe"] is None, "it abstains: undefined, not 0"
    assert float(agents["OnChainAnalyst"]["weight"]) == 0.0, "it is mute"
    assert "no on-chain series" in demo["mute"]["OnChainAnalyst"]
    assert demo["psql"].endswith("-d quorum_demo")


def test_both_planes_were_driven_and_the_report_is_named(folder, demo, engine):
    """Jobs fell due on the simulated clock, each due time once; every weight decision is on record with its reason."""
    assert demo["tuning"]["decisions"] > 150
    assert (
        demo["tuning"]["decisions"] == demo["tuning"]["changes"] + demo["tuning"]["holds"] + demo["tuning"]["fallbacks"]
    )
    page = (folder / demo["report"]).read_text()
    assert page.count("data:image/png;base64,") >= 3
    for word in ("Weights, and why", "Does tuning pay?", "TrendFollower", "To do"):
        assert word in page
    with engine.connect() as connection:
        runs = connection.execute(
            text(
                "SELECT job, count(*), count(DISTINCT due_at), bool_and(status = 'succeeded') FROM job_runs GROUP BY 1"
            )
        ).all()
        silent = connection.execute(
            text("SELECT count(*) FROM weight_history WHERE reason = '' OR evidence IS NULL")
        ).scalar()
        cards = connection.execute(text("SELECT count(*) FROM agent_scorecards")).scalar()
        later = connection.execute(text("SELECT count(*) FROM weight_history WHERE timestamp > '2013-03-02'")).scalar()
    assert {job for job, *_ in runs} == {"performance_analyzer", "weight_optimizer", "project_manager"}
    assert all(rows == distinct and good for _, rows, distinct, good in runs)
    assert (silent, later) == (0, 0)
    assert cards > 150 * 10 * 2, "ten agents, over the two windows that are looked at on the way"


META_COMMANDS = [["weights", "why"], ["weights", "history"], ["agents"], ["agent", "regimes"], ["jobs"], ["report"]]


@pytest.mark.parametrize("command", META_COMMANDS)
def test_the_meta_commands_on_the_demo(folder, demo, command):
    assert quorum(*command, "--demo", cwd=folder).stdout.strip()
    assert json.loads(quorum(*command, "--demo", "--json", cwd=folder).stdout)


def test_the_money_in_the_database_adds_up(engine, demo):
    with engine.connect() as connection:
        wrong = connection.execute(
            text(
                "SELECT count(*) FROM trades t WHERE pnl IS DISTINCT FROM (SELECT sum(contribution) FROM"
                " trade_attribution a WHERE a.trade_id = t.trade_id)"
            )
        ).scalar()
        cash = connection.execute(
            text(
                "SELECT 1000000 - (SELECT sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END * price + fee) FROM"
                " fills) + (SELECT coalesce(sum(cash), 0) FROM corporate_actions)"
            )
        ).scalar()
        value, unrealised = connection.execute(text("SELECT sum(value), sum(unrealised_pnl) FROM v_positions")).one()
        realised = connection.execute(text("SELECT sum(pnl) FROM trades")).scalar()
        splits = connection.execute(text("SELECT count(*) FROM corporate_actions WHERE kind = 'split'")).scalar()
    assert wrong == 0
    assert float(cash) + value == pytest.approx(demo["live"]["equity"], rel=1e-6)
    assert float(realised) + unrealised == pytest.approx(demo["live"]["equity"] - 1_000_000, abs=0.01)
    assert splits >= 1, "Apple and Microsoft split in these years"


@pytest.mark.fault
def test_a_demo_that_is_killed_again_and_again_ends_with_the_same_bytes(folder, undisturbed, engine):
    """One run, on top of a finished one, begun anew once more on the way, killed with -9 at two named points and at two
    random moments, and interrupted with Ctrl-C: nothing doubled, nothing missing, nothing left of other runs."""
    attempts = [
        ("the last run is complete: starting anew", [], "decision.before_commit:9"),
        ("starting anew", ["--restart"], "decision.after_commit:4"),  # half a year each
        ("continuing after", [], signal.SIGKILL),
        ("continuing after", [], signal.SIGKILL),
        ("continuing after", [], signal.SIGINT),
    ]
    for words, options, end in attempts:
        before = 0 if "anew" in words else decided(engine)
        named = {"KILLPOINT": end} if isinstance(end, str) else {}
        process = start("demo", *options, cwd=folder, environment={**ENVIRONMENT, **named})
        if not named:
            wait_for_decisions(engine, before, process)
            SystemClock().sleep_s(random.SystemRandom().uniform(0.0, 0.5))  # three of them must not be enough to finish
            process.send_signal(end)
        _, said = process.communicate(timeout=WAIT_S)
        assert words in said
        if "anew" in words:
            assert said.index(words) < said.index("every agent reads"), "seen: what is wiped was told after it all"
        assert "Traceback" not in said
        assert process.returncode == (130 if end == signal.SIGINT else -signal.SIGKILL), said
        wait_until_nobody_is_connected(engine)
        assert before < decided(engine) < DECISIONS
    done = run("demo", cwd=folder, environment=ENVIRONMENT)
    assert "continuing after" in done.stderr
    assert fingerprint(engine) == undisturbed


def decided(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM decisions")).scalar_one()


def wait_for_decisions(engine: Engine, before: int, process: subprocess.Popen) -> None:
    """Until the run has made decisions of its own."""
    clock = SystemClock()
    deadline = clock.monotonic_s() + WAIT_S
    while decided(engine) <= before and process.poll() is None:
        assert clock.monotonic_s() < deadline
        clock.sleep_s(0.02)


def wait_until_nobody_is_connected(engine: Engine) -> None:
    """A server process notices that its client was killed when it next reads or writes; until then it holds the desk."""
    clock = SystemClock()
    deadline = clock.monotonic_s() + WAIT_S
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    while True:
        with engine.connect() as connection:
            if connection.execute(text(others)).scalar_one() == 0:
                return
        assert clock.monotonic_s() < deadline
        clock.sleep_s(0.02)


def test_why_explains_one_decision(folder, demo):
    shown = quorum("why", "AAPL", "--at", "2008-10-10", "--demo", cwd=folder).stdout
    for word in ("TrendFollower", "MeanReversion", "abstains", "combined forecast", "2008-10-10 20:00"):
        assert word in shown
    document = json.loads(quorum("why", "AAPL", "--at", "2008-10-10", "--demo", "--json", cwd=folder).stdout)
    assert len(document["votes"]) == 10
    assert document["weights_level"] in ("equal", "redis", "database", "static")


@pytest.mark.parametrize("command", ["status", "why AAPL", "weights show", "weights history", "agents", "todo", "jobs"])
def test_commands_that_read_import_no_compiler_and_no_solver(folder, demo, command):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "agents", *command.split(), "--demo"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "sqlalchemy" in imported
    assert not imported & {"numba", "scipy", "cvxpy", "matplotlib", "pandas", "pyarrow", "alembic", "redis"}


ERRORS = [
    (["why", "NOPE", "--demo"], 2, "no decision about 'NOPE'; decided upon were: AAPL, FB"),
    (["why", "AAPL", "--at", "1999-01-01", "--demo"], 2, "no decision about AAPL at or before 1999-01-01"),
    (["why", "AAPL", "--at", "yesterday"], 2, "'yesterday' is no ISO 8601 time"),
    (["import-bars", "nowhere.csv"], 1, "nowhere.csv: cannot be read"),
    (["import-bars", "nowhere.csv", "--map", "close"], 2, "expected OURS=THEIRS"),
    (["status", "--settings", "none.toml"], 2, "none.toml: no such settings file"),
    (["statsu"], 2, "there is no command 'statsu'; did you mean status?"),
]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DATABASE_URL", "mysql://u:geheim@h/d", "DATABASE_URL is not of the form postgresql://"),
        ("DATABASE_URL", "postgresql://u:geheim@127.0.0.1:1/d", "127.0.0.1"),
        ("DATABASE_URL", "postgresql://u:geheim@h:port/d", "DATABASE_URL cannot be read"),
    ],
)
def test_a_wrong_url_is_one_line_without_the_password(folder, variable, value, message):
    environment = {**ENVIRONMENT, variable: value, "REDIS_URL": "redis://x"}
    done = call("status", cwd=folder, environment=environment, code=None)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "geheim" not in done.stdout + done.stderr


@pytest.mark.parametrize(("arguments", "code", "message"), ERRORS)
def test_mistakes_are_one_clear_line(folder, demo, arguments, code, message):
    done = quorum(*arguments, cwd=folder, code=code)
    assert message in done.stderr


def test_import_status_and_weights(folder, demo):
    head = "symbol,time,open,high,low,close,volume\n"
    (folder / "few.csv").write_text(head + "A,2024-01-02,10,11,9,10,100\nA,2024-01-03,0,11,9,10,100\n")
    (report,) = json.loads(quorum("import-bars", "few.csv", "--json", cwd=folder).stdout)
    assert (report["loaded"], report["quarantined"][0]["row"], report["quarantined"][0]["reason"]) == (
        1,
        2,
        "open is not positive",
    )
    assert report["rows_per_second"] > 0
    assert "no decisions yet" in quorum("status", cwd=folder).stdout
    assert "no weights yet" in quorum("weights", "show", cwd=folder).stdout
    shown = json.loads(quorum("weights", "show", "--demo", "--json", cwd=folder).stdout)
    assert sum(float(row["weight"]) for row in shown) == pytest.approx(1.0)
    status = json.loads(quorum("status", "--demo", "--json", cwd=folder).stdout)
    assert status["health"]["risk_state"] in ("active", "reducing")
    assert {row["symbol"] for row in status["positions"]} <= {"AAPL", "FB", "GOOG", "IBM", "MSFT"}


def test_psql_runs_on_the_demo(folder, demo):
    done = run(
        "psql",
        "--demo",
        "--",
        "-tAc",
        "SELECT count(*) FROM v_equity WHERE book = 'paper'",
        cwd=folder,
        environment=ENVIRONMENT,
    )
    assert done.stdout.strip() == str(DECISIONS)


def test_services_and_doctor(folder, demo):
    document = json.loads(quorum("services", "status", "--json", cwd=folder).stdout)
    assert [service["running"] for service in document] == [True, True]
    (folder / "bars").mkdir(exist_ok=True)
    (folder / "bars" / "x.csv").write_text("time\n")
    checks = json.loads(quorum("doctor", "--json", cwd=folder).stdout)
    assert {check["check"] for check in checks} == {
        "python",
        "settings",
        "currency",
        "disk",
        "clock",
        "programs",
        "database",
        "redis",
        "feed",
        "calendar",
        "files",
        "series",
        "own",
    }
    assert all(check["ok"] for check in checks), checks
    assert "apache edition" in str(checks) or "timescale edition" in str(checks)
    (folder / "bad.toml").write_text("[risk]\nfoo = 1\n")
    bad = quorum("doctor", "--settings", "bad.toml", cwd=folder, code=1)
    assert "unknown key 'risk.foo'" in bad.stdout


@pytest.mark.parametrize(
    "command",
    [
        "",
        "trade",
        "demo",
        "import-bars",
        "import-series",
        "status",
        "psql",
        "why",
        "weights",
        "halt",
        "resume",
        "doctor",
        "services",
        "meta",
        "job",
        "jobs",
        "agents",
        "report",
        "todo",
    ],
)
def test_every_command_has_help(folder, command):
    done = quorum(*([command] if command else []), "--help", cwd=folder)
    assert "example" in done.stdout or command in ("doctor",)
    if command:
        assert "--json" in done.stdout
