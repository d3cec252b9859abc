"""Every command and query of the two set-up documents, run as it is written, on a desk of its own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from agents.core.clock import SystemClock
from tests.conftest import SERVICES
from tests.integration.test_daemon import csv_of
from tests.market import make_bars
from tests.program import ROOT, call

DOCUMENTS = ("PROJECT_MANAGER_SETUP.md", "AUTONOMOUS_SYSTEM_SUMMARY.md")
BARS = make_bars(60, 2, 3)
STARTS = {
    "start_trading.sh": "trading",
    "start_meta_agents.sh": "meta",
    "scripts/start_project_manager.sh": "project_manager",
}
"""Script -> the name under which its daemon writes heartbeats."""
SCRIPTS = ("scripts/configure_email.py", *STARTS)
UNTIL_TOLD = "./scripts/start_project_manager.sh"
WAIT_S = 240.0


def blocks(language: str) -> list[str]:
    found = []
    for name in DOCUMENTS:
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        found += re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return found


@pytest.fixture
def desk(database, owner, redis_url, tmp_path):
    """A checkout without its virtual environment, whose `quorum` is this one, and a desk with bars."""
    for script in SCRIPTS:
        (tmp_path / script).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / script, tmp_path / script)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    programs = {".venv/bin/quorum": f'exec {sys.executable} -m agents "$@"', "scripts/setup_venv.sh": "exit 0"}
    for name, line in programs.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "scripts" / "configure_email.py").chmod(0o755)
    (tmp_path / "bars.csv").write_text("symbol,time,open,high,low,close,volume\n" + csv_of(BARS, 0, len(BARS.time)))
    environment = {
        **os.environ,
        "DATABASE_URL": SERVICES.database_url(database, "quorum_owner"),
        "REDIS_URL": redis_url,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{tmp_path}/.venv/bin:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "APP_PASSWORD": "abcd efgh ijkl mnop",
        "QUORUM_META__OWN_PROCESS": "false",
        "QUORUM_META__TICK_S": "1",
    }
    run("quorum import-bars bars.csv", tmp_path, environment)
    return tmp_path, environment


def run(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, f"{command}\n{done.stderr}"
    return done.stdout


def run_until_a_job_is_done(command: str, folder: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    log, clock = folder / "logs" / "meta_project_manager.log", SystemClock()
    deadline = clock.monotonic_s() + WAIT_S
    while not log.exists() or "job done" not in log.read_text():
        assert process.poll() is None and clock.monotonic_s() < deadline, process.communicate()
        clock.sleep_s(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0 and "Traceback" not in said, said


@pytest.mark.slow
def test_every_command_of_the_documents_runs(desk, owner):
    folder, environment = desk
    commands = [line.partition("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    commands = [command for command in commands if command and not command.startswith("#")]
    assert len(commands) > 12
    told = {script for script in SCRIPTS if any(script in command for command in commands)}
    assert told == set(SCRIPTS) - {"start_trading.sh"}, "which the README tells"
    # The daemon first, to which its job is due on a new desk; then the jobs, then what asks for what they made.
    for command in sorted(commands, key=lambda c: (c != UNTIL_TOLD, "--once" not in c)):
        if command == UNTIL_TOLD:
            run_until_a_job_is_done(command, folder, environment)
        elif "configure_email.py" in command and "--show" not in command:
            run(f"{command} --no-check", folder, environment)  # nobody talks to Gmail from a test
        elif command.startswith("quorum "):
            call(*shlex.split(command)[1:], cwd=folder, environment=environment)
        else:
            run(command, folder, environment)
    for block in blocks("python"):
        (folder / "asked.py").write_text(block)
        assert "sharpe_improvement" in run(f"{sys.executable} asked.py", folder, environment)
    with owner.connect() as connection:
        for block in blocks("sql"):
            for query in filter(None, map(str.strip, block.split(";"))):
                connection.execute(text(query)).all()
        stored = connection.execute(text("SELECT server, port, mode, recipients FROM email_config")).one()
    assert tuple(stored) == ("smtp.gmail.com", 587, "only_if_changed", ["you@gmail.com", "partner@example.org"])


def test_the_documents_are_linked():
    known = (ROOT / "README.md").read_text() + (ROOT / "docs" / "tuning.md").read_text()
    for name in DOCUMENTS:
        assert name in known, name


def test_each_start_script_runs_a_daemon_of_its_own_until_it_is_told_to_stop(desk, owner):
    """All three beside each other: a heartbeat each; SIGTERM reaches the daemon through the script, which ends with 0
    and leaves "stopped" on record."""
    folder, environment = desk
    environment |= {"QUORUM_META__OWN_PROCESS": "true"}  # as users have it: a job that runs is ended, not waited for
    clock = SystemClock()

    def states():
        with owner.connect() as connection:
            return dict(connection.execute(text("SELECT daemon, state FROM v_daemons")).tuples().all())

    def wait_for(wanted):
        deadline = clock.monotonic_s() + WAIT_S
        while states() != wanted:
            assert clock.monotonic_s() < deadline, (states(), wanted)
            clock.sleep_s(0.3)

    processes = {
        script: subprocess.Popen([folder / script], cwd="/", env=environment, stderr=subprocess.PIPE, text=True)
        for script in STARTS
    }
    try:
        wait_for(dict.fromkeys(STARTS.values(), "running"))
        for script, process in processes.items():
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=WAIT_S)
            assert process.returncode == 0 and "Traceback" not in said, (script, said)
        assert states() == dict.fromkeys(STARTS.values(), "stopped")
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
