"""A search on the real database: workers started by hand, one of them killed, and the same answer as one process gives alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from agents.adapters.database.engine import open_engine
from agents.adapters.database.migrate import upgrade
from agents.adapters.database.trials_store import TrialOutcome, TrialsStore, TriedHistory
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError, SettingsError
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.replay.space import space_of
from agents.replay.walk_forward import WalkForward, out_of_sample, walk_forward
from agents.wiring.manifest import code_digest
from agents.wiring.search import Search
from agents.wiring.trial_runner import TrialRunner, count_candidates
from tests.conftest import SERVICES
from tests.integration.test_daemon import csv_of
from tests.market import make_bars

BARS = make_bars(420, 3, 7)
SPACE = """
[search]
method = "grid"
periods = 2
tuning = false
[space]
"combine.volatility_target" = [0.05, 0.1, 0.2]
"execution.buffer" = [0.05, 0.1, 0.2, 0.4]
"""
TOML = '[data]\nsession_open = "15:00"\nsession_close = "21:00"\ntimezone = "UTC"\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bars").mkdir()
    (tmp_path / "bars" / "all.csv").write_text(
        "symbol,time,open,high,low,close,volume\n" + csv_of(BARS, 0, len(BARS.time))
    )
    (tmp_path / "SPACE.toml").write_text(SPACE)
    (tmp_path / "quorum.toml").write_text(TOML)
    return tmp_path


def fresh(services, name: str) -> str:
    """A database that its owner may put a schema into."""
    services.ensure_database(name)
    engine = open_engine(SERVICES.database_url(name, "quorum_owner"))
    upgrade(engine, interval_s=86400)
    engine.dispose()
    return name


@pytest.fixture
def bench(services):
    engine = open_engine(SERVICES.database_url(fresh(services, "quorum_tests_bench"), "quorum_owner"))
    yield engine
    engine.dispose()


def quorum(folder: Path, database: str, redis_url: str, *arguments: str) -> subprocess.Popen[str]:
    urls = {"DATABASE_URL": SERVICES.database_url(database, "quorum_owner"), "REDIS_URL": redis_url}
    return subprocess.Popen(
        [sys.executable, "-m", "agents", *arguments],
        cwd=folder,
        env={**os.environ, **urls, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def searching(folder: Path, database: str, redis_url: str, *more: str) -> subprocess.Popen[str]:
    """The leader, or with --worker a helper, of the one search of these tests."""
    return quorum(folder, database, redis_url, "search", "SPACE.toml", "--bars", "bars", "--json", *more)


def answer(process: subprocess.Popen[str]) -> dict:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-2000:]
    assert "Traceback" not in err
    return json.loads(out)


@pytest.mark.slow
def test_two_workers_by_hand_give_what_one_process_gives(folder, redis_url, services):
    fresh(services, "quorum_tests_search")
    database = fresh(services, "quorum_tests_search2")
    alone = answer(searching(folder, "quorum_tests_search", redis_url, "--workers", "1"))
    assert alone["tried"] == 12
    assert alone["accepted"] is False, "settings on a random walk"
    again = answer(searching(folder, "quorum_tests_search", redis_url, "--workers", "1"))
    assert again == alone, "nothing is tried or counted twice"

    leader = searching(folder, database, redis_url, "--workers", "1")
    workers = [searching(folder, database, redis_url, "--worker") for _ in range(2)]
    clock = SystemClock()
    engine = open_engine(SERVICES.database_url(database, "quorum_owner"))
    store = TrialsStore(engine)
    span = BARS.symbols, as_datetime(BARS.time[0]), as_datetime(BARS.time[-1])
    deadline = clock.monotonic_s() + 120.0
    while store.tried_on(*span) < 2 and clock.monotonic_s() < deadline:
        clock.sleep_s(0.05)
    workers[0].send_signal(signal.SIGKILL)
    workers[0].communicate()
    together = answer(leader)
    helped = answer(workers[1])
    assert helped["search"] == together["search"]
    assert together == alone, "whoever tried what, and whoever died"
    counted = store.tried_on(*span)
    engine.dispose()
    assert counted == 13, "twelve settings and those in use"


@pytest.mark.slow
def test_a_search_on_the_demo_counts_on_the_demo(folder, redis_url, services):
    """Seen: its trials were counted on the desk, whose later claims had to be that much stronger."""
    (folder / "SPACE.toml").write_text(
        '[search]\nmethod = "grid"\ntuning = false\n[space]\n"execution.buffer" = [0.37]\n'
    )
    database = fresh(services, "quorum_tests_search3")
    fresh(services, f"{database}_demo")
    process = quorum(folder, database, redis_url, "search", "SPACE.toml", "--demo", "--workers", "1")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-2000:]
    assert "execution." in out and "\u200b" not in out
    counted = []
    for name in (database, f"{database}_demo"):
        engine = open_engine(SERVICES.database_url(name, "quorum_owner"))
        with engine.connect() as connection:
            counted.append(connection.execute(text("SELECT count(*) FROM settings_tried")).scalar())
        engine.dispose()
    assert counted == [0, 2], "one setting and the one in use"


def runner(settings: Settings | None = None) -> TrialRunner:
    return TrialRunner(BARS, settings or Settings(), tuning=False)


def test_an_optuna_search_learns_and_counts(bench):
    space = space_of(
        {
            "search": {"method": "tpe", "trials": 6, "seed": 1, "tuning": False},
            "space": {
                "execution.buffer": {"low": 0.0, "high": 0.5},
                "combine.scale_window_bars": {"low": 50, "high": 60},
                "risk.allow_short": [True, False],
            },
        },
        "S",
    )
    job = Search(space, runner(), bench, bench)
    job.enqueue()
    job.finish(lambda _done: None)
    found = job.conclude().as_plain()
    job.close()
    assert found["tried"] == 6
    assert len({json.dumps(t["changes"], sort_keys=True) for t in found["trials"]}) == 6
    assert all(
        set(t["changes"]) == {"execution.buffer", "combine.scale_window_bars", "risk.allow_short"}
        for t in found["trials"]
    )
    assert found["trials"][0]["objective"] == max(t["objective"] for t in found["trials"])


def test_who_may_not_create_a_schema_is_told_what_to_do(owner):
    space = space_of({"search": {"method": "grid", "tuning": False}, "space": {"execution.buffer": [0.1]}}, "S")
    with pytest.raises(ServiceError, match="GRANT CREATE ON DATABASE"):
        Search(space, runner(), owner, owner).enqueue()


def test_a_failing_setting_is_one_clear_line(owner):
    space = space_of({"search": {"method": "grid"}, "space": {"risk.gross_cap": [1.0, -1.0]}}, "S")
    with pytest.raises(SettingsError, match="risk.gross_cap"):
        Search(space, runner(), owner, owner)


def test_trials_on_other_histories_do_not_count(owner):
    store = TrialsStore(owner)
    first, last = as_datetime(BARS.time[0]), as_datetime(BARS.time[99])
    history = TriedHistory("d1", ("A", "B"), first, last)
    store.record(history, "s1", {}, TrialOutcome({"objective": 1.0}, np.array([0.01, -0.02])))
    store.record(history, "s1", {}, TrialOutcome({"objective": 9.0}, np.array([0.5])))
    assert store.known("d1", ["s1"])["s1"].returns.tolist() == [0.01, -0.02], "the first answer stays"
    assert store.tried_on(("B", "C"), last, as_datetime(BARS.time[200])) == 1
    assert store.tried_on(("C",), first, last) == 0
    assert store.tried_on(("A",), as_datetime(BARS.time[100]), as_datetime(BARS.time[200])) == 0


def test_walk_forward_judges_only_what_was_not_learnt_on():
    """The joined days are those of the test windows of a single replay of each fold, and nothing of a learning window."""
    walk = WalkForward(anchored=True, train_days=150, test_days=80, purge_days=2, embargo_days=3)
    lab = runner()
    points = [{}, {"combine.volatility_target": 0.3}]
    judged = walk_forward(lab.run, BARS.time, walk, points, lambda _d, _n: None)
    result = out_of_sample(judged, 1)
    folds, added, figures = result.folds, result.tuning_added, result.figures
    assert figures["days"] == sum(end - judge for _, _, judge, end in walk.folds(420))
    assert added.words == "changed nothing", "weights were not tuned"
    for fold in folds:
        assert fold.train[1] < fold.test[0]
    whole = lab.run(folds[0].chosen, 0, 235)
    assert folds[0].test_sharpe == pytest.approx(
        np.mean(whole.live[155:]) / np.std(whole.live[155:], ddof=1) * np.sqrt(whole.per_year), rel=1e-9
    )


def test_what_a_walk_forward_chose_among_is_counted(owner):
    store, lab = TrialsStore(owner), runner()
    span = BARS.symbols, as_datetime(BARS.time[0]), as_datetime(BARS.time[-1])
    for _ in range(2):
        count_candidates(owner, lab, [{"execution.buffer": 0.2}, {"execution.buffer": 0.3}])
    assert store.tried_on(*span) == 2


def test_changed_code_of_an_agent_is_another_search(tmp_path):
    """B22. Seen: results of an agent's old code were taken for those of its new one."""
    file = tmp_path / "mine.py"
    file.write_text("x = 1\n")
    before = code_digest({"Mine": f"{file}:Mine"})
    assert code_digest({"Mine": f"{file}:Mine"}) == before != code_digest()
    file.write_text("x = 2\n")
    assert code_digest({"Mine": f"{file}:Mine"}) != before
