"""A user's own strategies on a desk: the folder is watched at the start, broken files are a line, live equals replay;
the page of `quorum agent check`; and every command of docs/bring-your-own.md."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text as query

from agents.adapters.database.engine import open_engine
from agents.cli.agent_actions import KINDS
from agents.core.own_strategies import Kind, strategy_of
from agents.core.settings import Settings
from agents.core.types import as_datetime
from tests import own_strategies
from tests.conftest import SERVICES
from tests.integration import test_parity
from tests.integration.test_daemon import SETTINGS, Daemon, csv_of
from tests.market import make_bars
from tests.program import ROOT, call

BARS = make_bars(16, 2, 31)
HISTORY = make_bars(110, 2, 7)
AGENTS = "[agents]\nenabled = ['TrendFollower', 'cross', 'CrossFreqtrade', 'table', 'late']\ntimeout_s = 20.0\n"


@pytest.fixture
def daemon(tmp_path, database, redis_url, owner):
    made = Daemon(tmp_path, SERVICES.database_url(database, "quorum_owner"), redis_url, owner)
    folder = tmp_path / "my_agents"
    folder.mkdir()
    texts = {
        "cross.py": "def positions(bars):\n    return bars['close'] * 0 + 0.5\n",
        "CrossFreqtrade.py": own_strategies.FREQTRADE,
        "table.csv": "time,symbol,position\n2000-01-01,*,-0.25\n",
        "late.csv": "time,symbol,position\n2000-01-01,*,2\n",
        "broken.py": "def positions(bars:\n",
        "fund.returns.csv": "time,return\n2001-01-01,0.01\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (tmp_path / "quorum.toml").write_text(SETTINGS + AGENTS)
    yield made
    made.kill()


@pytest.mark.fault
def test_a_desk_asks_what_is_in_the_folder_also_after_a_restart(daemon):
    """Killed in the middle and started again: each bar is decided once, the strategies are heard at each, what is
    broken is a line that names file and cause, and the table of returns is no agent."""
    daemon.write(csv_of(BARS, 0, 6))
    daemon.start()
    daemon.wait_for(6)
    daemon.stop(signal.SIGKILL)
    daemon.write(csv_of(BARS, 6, 12))
    daemon.start()
    daemon.wait_for(12)
    code, log = daemon.stop()
    assert code == 0 and "Traceback" not in log
    assert daemon.scalar("SELECT count(*) FROM decisions") == 12
    heard = dict(daemon.rows("SELECT agent_name, count(*) FILTER (WHERE ok) FROM agent_work_log GROUP BY 1"))
    assert heard == {"TrendFollower": 12, "cross": 12, "CrossFreqtrade": 12, "table": 12, "late": 0}
    written = (daemon.folder / "logs" / "orchestrator.log").read_text() + log
    assert "my_agents/broken.py: line 1: is no Python" in written
    cause = daemon.scalar("SELECT detail FROM agent_work_log WHERE agent_name = 'late' ORDER BY time LIMIT 1")
    assert "late.csv: line 2: position '2' is no number from -1 to 1" in cause
    said = dict(daemon.rows("SELECT agent_name, max(strength) FROM signals WHERE NOT abstained GROUP BY 1"))
    assert (float(said["cross"]), float(said["table"])) == (0.5, -0.25)
    reasons = {reason for (reason,) in daemon.rows("SELECT reason FROM signals WHERE agent_name = 'cross'")}
    assert reasons == {"wants a position of +0.50 (-1 to 1)"}


def toml(table: dict[str, str]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())


def test_live_and_replay_are_the_same_and_what_trades_elsewhere_is_only_advised(
    database, owner, trader, redis_url, monkeypatch, tmp_path
):
    own = {"cross": tmp_path / "cross.py", "wide": tmp_path / "wide.py"}
    own["cross"].write_text(own_strategies.FUNCTION)
    own["wide"].write_text(own_strategies.ENTRIES)
    places = {name: str(file) for name, file in own.items()}
    returns = [f"{str(time)[:10]},{0.002 * (k % 3) - 0.001}" for k, time in enumerate(test_parity.BARS.time[110:160])]
    (tmp_path / "fund.returns.csv").write_text("time,return\n" + "\n".join(returns))
    external = {"fund": str(tmp_path / "fund.returns.csv"), "gone": str(tmp_path / "gone.csv")}
    agents = {"own": places, "enabled": ["Breakout", *own], "external": external}
    settings = Settings(desk={"name": "t"}, data={"clock": "bars"}, agents=agents)
    monkeypatch.setattr(test_parity, "SETTINGS", settings)
    monkeypatch.setattr(test_parity, "START", {})
    meta = open_engine(SERVICES.database_url(database, "quorum_meta"))
    desk = test_parity.LiveDesk(owner, trader, meta, redis_url)
    desk.trade(120, 160)
    found = test_parity.parity(desk, settings)
    at = as_datetime(test_parity.BARS.time[159]) + timedelta(hours=3)
    desk.plane.store.refresh_days()
    fund, gone = desk.plane.external_advice(at)
    assert (
        30 <= fund.days <= 40 and 0.0 < fund.weight < 1.0 and fund.anchor == 0.25 and "cannot be read" in gone.problem
    )
    report = desk.plane.report(at, at - timedelta(days=9), keep=False).report
    for page in (report.html, report.text):
        assert "fund (trades elsewhere): advised" in page and "gone (trades elsewhere): no advice" in page
    weights = desk.plane.store.weights_in_force(at).weights
    assert set(weights) == {"Breakout", *own} and sum(weights.values()) == 1
    desk.plane.run_job("weight_optimizer", at, at)
    (tmp_path / "quorum.toml").write_text(
        '[desk]\nname = "t"\n[data]\nclock = "bars"\n[agents]\n'
        f"enabled = {json.dumps(['Breakout', *own])}\n"
        f"[agents.own]\n{toml(places)}[agents.external]\n{toml(external)}"
    )
    environment = {
        **os.environ,
        "DATABASE_URL": SERVICES.database_url(database, "quorum_owner"),
        "REDIS_URL": redis_url,
    }
    for words in (("show",), ("why",), ("propose",)):
        said = call("weights", *words, cwd=tmp_path, environment=environment).stdout
        assert "fund (trades elsewhere): advised" in said and "gone (trades elsewhere): no advice" in said, words
    told = json.loads(call("weights", "propose", "--json", cwd=tmp_path, environment=environment).stdout)
    assert [one["name"] for one in told["external"]] == ["fund", "gone"] and told["external"][1]["weight"] is None
    assert set(told["weights"]) == {"Breakout", *own} and abs(sum(told["weights"].values()) - 1.0) < 1e-9
    desk.plane.cache.close()
    meta.dispose()
    assert found["decisions"] == 40 and found["differences"] == 0, found
    with owner.connect() as connection:
        said = connection.execute(
            query("SELECT count(DISTINCT strength) FROM signals WHERE agent_name = 'wide'")
        ).scalar()
    assert said == 2


# ---------------------------------------------------------------- the page


@pytest.fixture
def run(tmp_path, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """A command in a folder with bars, as (exit status, what it said, what it said beside)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bars.csv").write_text(
        "symbol,time,open,high,low,close,volume\n" + csv_of(HISTORY, 0, len(HISTORY.time))
    )
    (tmp_path / "quorum.toml").write_text("[data]\nlargest_move = 3.0\n[agents]\ntimeout_s = 5.0\n")

    def command(*words: str) -> tuple[int, str, str]:
        outcome = call(*words, cwd=tmp_path, environment=dict(os.environ), code=None)
        return outcome.returncode, outcome.stdout, outcome.stderr

    return command


def test_the_kinds_that_can_be_made_are_those_of_the_templates():
    assert set(KINDS) == {str(kind) for kind in Kind} - {"agent"}


@pytest.mark.slow
def test_every_command_of_the_document_runs(run):
    """As they stand there, on a small history in place of the demo's."""
    page = (ROOT / "docs" / "bring-your-own.md").read_text(encoding="utf-8")
    commands = [
        line.partition("  #")[0].split()
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(commands) == 11
    for words in commands:
        assert words[0] == "quorum", words
        code, said, wrong = run(*words[1:], *(["--bars", "bars.csv"] if "check" in words else []))
        assert code == 0 and "Traceback" not in wrong, (words, said, wrong)
        if "--json" in words:
            told = json.loads(said)
            assert told["ok"] and told["lookahead"] == [] and told["speed"]["ns_a_bar"] > 0
            assert set(told["worth"]) == {"alone", "hold", "turnover_a_year", "costs_a_year", "added"}
    kinds = {strategy_of(file).kind for file in Path("my_agents").iterdir() if file.suffix != ".pyc" and file.is_file()}
    assert kinds == set(Kind) - {Kind.AGENT}
    for wrong_name in ("my_fund", "TrendFollower", "bad name"):
        code, _, said = run("agent", "new", wrong_name)
        assert code != 0 and said.count("\n") == 1, said


HOSTILE = [
    ("def positions(bars):\n    return (bars['close'].shift(-1) > bars['close']) * 1.0", "it looks ahead"),
    ("def positions(bars):\n    while True:\n        pass", "no answer in time (within 5 s)"),
    ("def positions(bars):\n    raise ValueError('no such column')", "ValueError: no such column"),
    ("import os\nos._exit(3)\ndef positions(bars):\n    pass", "its process"),
    (
        "import random\ndef positions(bars):\n    return bars['close'] * 0 + random.random()",
        "asked twice, it answers differently",
    ),
]


@pytest.mark.parametrize(("text", "cause"), HOSTILE)
def test_the_page_says_what_is_wrong_in_a_line(run, tmp_path, text, cause):
    (tmp_path / "hostile.py").write_text(text)
    code, said, wrong = run("agent", "check", "hostile.py", "--bars", "bars.csv", "--json")
    told = json.loads(said)
    assert code == 1 and not told["ok"] and "Traceback" not in wrong
    words = " ".join([told["problem"], *told["differs"], *(o["check"] for o in told["lookahead"])])
    assert cause in words.replace("prefix", "it looks ahead"), words


def test_what_is_no_strategy_is_refused_in_a_line(run, tmp_path):
    (tmp_path / "empty.py").write_text("")
    for file, cause in (("nowhere.py", "no such file"), ("empty.py", "defines no strategy"), ("bars.csv", "")):
        code, said, wrong = run("agent", "check", file, "--bars", "bars.csv")
        assert code != 0 and cause in wrong + said and "Traceback" not in wrong + said
