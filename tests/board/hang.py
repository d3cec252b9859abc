"""B: frozen processes, double life, lost locks, agents and jobs that hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil

from tests.board.cases import NotSurvivedError, Run, case
from tests.board.oracles import equals, sound
from tests.board.scenes import BARS_IN_ALL, control, finish, same_but_for_unsent

LAST = BARS_IN_ALL


@case("B01", 1, "the trading daemon frozen for a while, then woken", "goes on where it was; nothing decided twice")
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 60)
    supervisor = desk.start()
    desk.wait(20 + run.seed % 20)
    assert supervisor.process is not None
    os.kill(supervisor.process.pid, signal.SIGSTOP)
    before = desk.decisions()
    desk.feed(60, LAST)
    time.sleep(3.0)
    assert desk.decisions() == before, "a stopped process decided"
    run.proof(f"SIGSTOP for 3 s at {before} decisions")
    os.kill(supervisor.process.pid, signal.SIGCONT)
    finish(run)
    equals(desk, control(run.world))


@case("B02", 1, "a second trading daemon started by hand", "it refuses with one line; no second order", quick=True)
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 60)
    desk.start()
    desk.wait(5)
    second = desk.command("trade", code=None, within_s=60)
    run.proof(f"second daemon: exit {second.returncode}: {second.stderr.strip().splitlines()[-1][:80]}")
    assert second.returncode not in (0, -9), "the second daemon traded"
    desk.feed(60, LAST)
    finish(run)
    equals(desk, control(run.world))


@case(
    "B03",
    1,
    "the session that holds the desk's lock is ended while another daemon waits for it",
    "one of them trades on, never both",
)
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 60)
    desk.start()
    desk.wait(20 + run.seed % 20)
    ended = desk.rows(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE l.locktype = 'advisory' AND d.datname = current_database() AND l.granted"
    )
    assert ended, "nobody held a lock"
    run.proof(f"{len(ended)} lock sessions ended")
    rival = subprocess.Popen(
        [sys.executable, "-m", "agents", "trade"],
        cwd=desk.folder,
        env=desk.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        desk.feed(60, LAST)
        desk.wait(LAST)
    finally:
        rival.terminate()
        rival.wait(20)
    finish(run, wait_only=True)
    same_but_for_unsent(run)


@case("B06", 2, "the meta daemon frozen and woken", "due jobs are made up for, each once")
def _(run: Run) -> None:
    desk = run.desk
    desk.set(meta__tick_s="0.5", meta__analyzer_hours="0.0005")
    desk.feed(0, LAST)
    desk.start()
    desk.wait(LAST)
    meta = desk.start_meta()
    done = "SELECT count(*) FROM job_runs WHERE status = 'succeeded'"
    desk.wait_until(lambda: (desk.scalar(done) or 0) >= 1, "a job to be done")
    assert meta.process is not None
    os.kill(meta.process.pid, signal.SIGSTOP)
    before = desk.scalar(done)
    time.sleep(4.0)
    run.proof(f"SIGSTOP for 4 s after {before} jobs")
    os.kill(meta.process.pid, signal.SIGCONT)
    try:
        desk.wait_until(lambda: desk.scalar(done) > before, "a job after waking", within_s=90)
    except AssertionError as error:
        raise NotSurvivedError(str(error)) from None
    twice = desk.rows("SELECT job, due_at FROM job_runs WHERE status = 'succeeded' GROUP BY 1, 2 HAVING count(*) > 1")
    assert not twice, f"O9: done twice: {twice}"
    assert meta.stop(within_s=15.0) == 0
    finish(run, wait_only=True)


@case("B09", 3, "hardly any file descriptors left", "one clear line or work as ever; no half state")
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, LAST)
    supervisor = desk.start()
    desk.wait(10)
    assert supervisor.process is not None
    process = psutil.Process(supervisor.process.pid)
    now = process.num_fds()
    process.rlimit(psutil.RLIMIT_NOFILE, (now, process.rlimit(psutil.RLIMIT_NOFILE)[1]))
    run.proof(f"limit of descriptors set to the {now} that are open")
    desk.command("status", "--json")
    time.sleep(2.0)
    if supervisor.process.poll() is None and psutil.pid_exists(process.pid):
        process.rlimit(psutil.RLIMIT_NOFILE, (1024, process.rlimit(psutil.RLIMIT_NOFILE)[1]))
    finish(run)
    equals(desk, control(run.world))


@case("B10", 3, "the memory of a job's process runs out (killed by the kernel)", "only the job dies; it is tried again")
def _(run: Run) -> None:
    desk = run.desk
    desk.set(meta__tick_s="0.3", meta__deadline_s="60.0")
    desk.feed(0, LAST)
    desk.start()
    desk.wait(LAST)
    meta = desk.start_meta()
    killed = 0
    begun = time.monotonic()
    while not killed and time.monotonic() - begun < 60:
        assert meta.process is not None
        for child in psutil.Process(meta.process.pid).children(recursive=True):
            if "job_process" in " ".join(child.cmdline()) or "agents" in " ".join(child.cmdline()):
                child.kill()
                killed += 1
        time.sleep(0.01)
    assert killed, "no job's process was seen"
    run.proof(f"{killed} job processes killed")
    assert meta.starts == 1, "the meta daemon died with its job"
    desk.wait_until(
        lambda: (desk.scalar("SELECT count(DISTINCT job) FROM job_runs WHERE status = 'succeeded'") or 0) >= 2,
        "jobs after it",
        90,
    )
    assert meta.stop(within_s=15.0) == 0
    finish(run, wait_only=True)


@case(
    "F22",
    1,
    "the kill switch between a decision and its sending",
    "the decision's orders do not leave or are taken back",
)
def _(run: Run) -> None:
    desk = run.desk
    desk.feed(0, 70)
    desk.start()
    desk.wait(70)
    desk.command("halt", "--reason", "board")
    run.proof("halted at 70 decisions, between bars")
    desk.wait_until(
        lambda: (
            desk.scalar("SELECT count(*) FROM orders WHERE state IN ('intent', 'acked', 'unknown', 'partial')") == 0
        ),
        "what works to be cancelled",
        within_s=10.0,
    )
    desk.feed(70, 90)
    desk.wait(90)
    grown = desk.rows(
        "SELECT b.time, b.symbol FROM decision_details a JOIN decision_details b ON a.symbol = b.symbol"
        " JOIN decisions d ON d.time = b.time WHERE d.risk_state = 'halted' AND a.time ="
        " (SELECT max(time) FROM decisions e WHERE e.time < b.time) AND abs(b.position) > abs(a.position) + 1e-9"
    )
    assert not grown, f"O4: positions grew while halted: {grown[:3]}"
    desk.command("resume", "--reason", "board")
    desk.feed(90, LAST)
    finish(run, wait_only=True)
    sound(desk)
