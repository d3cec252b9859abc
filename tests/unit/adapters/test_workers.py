"""Agents in processes of their own: whatever one does, it abstains with the cause, the others' answers stay the same to
the bit, and nothing of it is left."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agents.adapters.workers import seat as seats
from agents.adapters.workers.blocks import PanelBoard
from agents.adapters.workers.process import WorkerProcess
from agents.adapters.workers.seat import Work, WorkerSeat
from agents.core.clock import SystemClock
from agents.core.types import as_datetime
from agents.trading.breakout import Breakout
from agents.trading.guard import AgentPanel
from tests.hostile_agents import Decent
from tests.market import make_panel

PANEL = make_panel(200, 2, 0)
AT = as_datetime(PANEL.time[-1])
CLOCK = SystemClock()
ALONE = AgentPanel([Breakout()], CLOCK, timeout_s=60.0, breaker_failures=10, breaker_retry_s=3600.0)


def worker(name, board=None, **more):
    return WorkerSeat(
        Work(name=name, place=f"tests.hostile_agents:{name}", memory_mb=512, **more), board or PanelBoard(), CLOCK
    )


@pytest.fixture
def panel_of():
    """Panels of workers beside one agent inside; ready to be asked, closed at the end."""
    made = []

    def make(*agents, timeout_s=20.0):
        made.append(AgentPanel([*agents], CLOCK, timeout_s=timeout_s, breaker_failures=50, breaker_retry_s=3600.0))
        assert made[-1].bars_needed >= 1  # known once the workers have made their agents
        ALONE.ask(PANEL, AT, action="signals")  # its compiled code is loaded
        return made[-1]

    yield make
    for panel in made:
        panel.close()


def gone(process_id):
    deadline_s = CLOCK.monotonic_s() + 5.0
    while CLOCK.monotonic_s() < deadline_s:
        try:
            if psutil.Process(process_id).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        CLOCK.sleep_s(0.02)
    return False


LIVES, ENDS = True, False
DEEDS = [
    ("raises", "ValueError: no such column", LIVES),
    ("sleeps", "no answer within 1 s", ENDS),
    ("HangsInReasons", "no answer within 1 s", ENDS),
    ("ignores_signals_and_holds_the_lock", "no answer within 1 s", ENDS),
    ("exits", "its process ended with status 0", ENDS),
    ("asks_to_exit", "SystemExit: 3", LIVES),
    ("aborts", "its process was ended by SIGABRT", ENDS),
    ("crashes", "its process was ended by SIGSEGV", ENDS),
    ("allocates_at_once", "Unable to allocate 20.0 GiB", LIVES),
    ("allocates_bit_by_bit", "MemoryError", LIVES),
    ("Large", "strength has shape (131072, 512)", LIVES),
    ("prints_160_mb", "printed more than 16 MB", ENDS),
    ("opens_files", "Too many open files", LIVES),
    ("fills_the_disk", "File too large", LIVES),
    ("writes_elsewhere", "PermissionError", LIVES),
    ("links_elsewhere", "PermissionError", LIVES),
    ("forks", "PermissionError", LIVES),
    ("starts_programs", "PermissionError", LIVES),
    ("opens_sockets", "PermissionError", LIVES),
    ("kills_the_desk", "PermissionError", LIVES),
    ("unseals_the_panel", "ValueError: cannot set WRITEABLE flag", LIVES),
    ("writes_through_a_pointer", "its process was ended by SIGSEGV", ENDS),
    ("floods_the_desk", "spoke out of turn", ENDS),
]


@pytest.mark.parametrize(("name", "cause", "lives"), DEEDS)
def test_whatever_an_agent_does_it_abstains_and_the_others_say_the_same(name, cause, lives, panel_of):
    seat = worker(name)
    panel = panel_of(seat, Breakout(), timeout_s=1.0 if "within 1 s" in cause else 20.0)
    first, before_mb = seat.process_id, psutil.Process().memory_info().rss / 2**20
    signals, log = panel.ask(PANEL, AT, action="signals")
    assert signals[0].abstained.all()
    assert not log[0].ok and cause in log[0].detail
    assert cause in panel.reasons(0, 1, 2)[0][0][0]
    alone, _ = ALONE.ask(PANEL, AT, action="signals")
    assert signals[1].strength.tobytes() == alone[0].strength.tobytes() and log[1].ok
    assert panel.reasons(0, 1, 2)[1] == ALONE.reasons(0, 1, 2)[0]
    assert (seat.process_id == first) is lives
    assert lives or gone(first)
    assert psutil.Process().memory_info().rss / 2**20 < before_mb + 50.0
    assert [child for child in psutil.Process().children(recursive=True) if "sleep" in child.name()] == []


def test_a_worker_answers_as_the_agent_would_inside(panel_of):
    board = PanelBoard()
    inside, outside = panel_of(Decent()), panel_of(worker("Decent", board), worker("NulInReasons", board))
    for rows, action in ((200, "signals"), (200, "replay"), (120, "replay"), (150, "signals")):
        panel = PANEL.rows(0, rows)
        (ours,), _ = inside.ask(panel, AT, action=action)
        (theirs, _), log = outside.ask(panel, AT, action=action)
        assert [entry.ok for entry in log] == [True, True], log
        for name in ("strength", "confidence", "abstained"):
            assert getattr(theirs, name).tobytes() == getattr(ours, name).tobytes()
        assert outside.reasons(0, 1, 2)[0] == inside.reasons(0, 1, 2)[0]
        reason = outside.reasons(0, 1, 2)[1][0][1]
        assert reason.startswith("up [31m xxx") and len(reason) == 300
    assert outside.ask(PANEL, AT, action="replay") and len(outside.reasons(40, 168, 2)[0]) == 128


def test_a_larger_panel_gets_a_larger_block(panel_of):
    panel, large = panel_of(worker("Decent")), make_panel(2000, 6, 1)
    for one in (PANEL, large, PANEL):
        (signals,), log = panel.ask(one, AT, action="replay")
        assert log[0].ok and signals.strength.shape == one.close.shape
        last = f"close {one.close[-1, 1]:.2f}"
        assert panel.reasons(len(one.time) - 1, len(one.time), len(one.symbols))[0][0][1] == last


def test_an_ended_worker_is_started_again_at_once_and_then_later_and_later(panel_of, monkeypatch):
    seat = worker("exits")
    panel = panel_of(seat)
    details = [panel.ask(PANEL, AT, action="signals")[1][0].detail for _ in range(4)]
    assert [("status 0; failure" in detail) for detail in details] == [True, True, False, False], details
    assert "its process ended with status 0; restarted in 1 s" in details[2]
    monkeypatch.setattr(CLOCK, "monotonic_s", lambda real=CLOCK.monotonic_s: real() + 1.5)
    assert "status 0; failure" in panel.ask(PANEL, AT, action="signals")[1][0].detail


def test_a_worker_that_died_between_two_questions_costs_none(panel_of):
    seat = worker("Decent")
    panel = panel_of(seat)
    for _ in range(2):
        assert panel.ask(PANEL, AT, action="signals")[1][0].ok
        os.kill(seat.process_id, signal.SIGKILL)
        assert gone(seat.process_id)


def test_between_two_questions_a_worker_does_nothing(panel_of):
    """F21: its threads too, however busy."""
    seat = worker("works_on_in_the_background")
    panel = panel_of(seat)
    for _ in range(3):
        assert panel.ask(PANEL, AT, action="signals")[1][0].ok
        CLOCK.sleep_s(0.05)
        spent = [sum(psutil.Process(seat.process_id).cpu_times()[:2]), CLOCK.sleep_s(0.3)]
        assert sum(psutil.Process(seat.process_id).cpu_times()[:2]) == spent[0]


def test_without_descriptors_for_a_worker_it_abstains_until_there_are_some(panel_of, monkeypatch):
    seat = worker("exits", bars_needed=50)
    panel = panel_of(seat, Breakout())
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    ALONE.ask(PANEL, AT, action="signals")
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, limits[1]))
    try:
        _, log = panel.ask(PANEL, AT, action="signals")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert "cannot be started: OSError" in log[0].detail and log[1].ok
    assert "status 0" in panel.ask(PANEL, AT, action="signals")[1][0].detail


def test_a_worker_that_could_not_be_started_leaves_nothing_open(monkeypatch):
    def no_room(*_, **__):
        raise OSError("no room")

    monkeypatch.setattr(subprocess, "Popen", no_room)
    before = len(os.listdir("/proc/self/fd"))
    failures = []
    for _ in range(3):
        with pytest.raises(OSError, match="no room") as failure:
            WorkerProcess("X", [], CLOCK)
        failures.append(failure)  # its traceback keeps what the object held
    assert len(os.listdir("/proc/self/fd")) == before


def test_hanging_agents_cost_one_timeout_together(panel_of):
    board = PanelBoard()
    panel = panel_of(*(worker("sleeps", board) for _ in range(4)), timeout_s=1.0)
    start_s = CLOCK.monotonic_s()
    _, log = panel.ask(PANEL, AT, action="signals")
    assert CLOCK.monotonic_s() - start_s < 2.5
    assert ["no answer within 1 s" in entry.detail for entry in log] == [True] * 4


def test_a_worker_sees_no_secret_and_no_descriptor_of_the_desk(panel_of, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:canary@h/d")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    with Path("/dev/null").open():
        _, log = panel_of(worker("Tells")).ask(PANEL, AT, action="signals")
    assert log[0].ok, log[0].detail


def test_what_an_agent_prints_is_one_short_line_of_the_log(panel_of, caplog):
    panel = panel_of(worker("Talks"))
    with caplog.at_level("INFO", logger="agents.adapters.workers"):
        _, log = panel.ask(PANEL, AT, action="signals")
        panel.close()
    assert log[0].ok
    facts = next(record.facts for record in caplog.records if "printed" in record.getMessage())
    assert facts["beginning"] == "computing [2J 50" and facts["agent"] == "Talks"


UNMAKEABLE = [
    ("CannotBeMade", "cannot be made: RuntimeError: model file missing"),
    ("LongMemory", "bars_needed is 0, expected a whole number"),
    ("Missing", "AttributeError"),
]


@pytest.mark.parametrize(("name", "cause"), UNMAKEABLE)
def test_an_agent_that_cannot_be_made_abstains(name, cause, panel_of):
    _, log = panel_of(worker(name), Breakout()).ask(PANEL, AT, action="signals")
    assert cause in log[0].detail and log[1].ok


def test_an_import_that_never_ends_is_given_up(tmp_path, monkeypatch, panel_of):
    monkeypatch.setattr(seats, "START_S", 1.0)
    (tmp_path / "slow.py").write_text("while True: pass\n")
    seat = WorkerSeat(Work(name="S", place=f"{tmp_path}/slow.py:S", memory_mb=256), PanelBoard(), CLOCK)
    process_id = seat.process_id
    _, log = panel_of(seat).ask(PANEL, AT, action="signals")
    assert gone(process_id) and not log[0].ok


DESK = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignoring it is inherited, as by a job in the background
from tests.unit.adapters.test_workers import worker, PANEL, AT, CLOCK, AgentPanel
seats = [worker(name) for name in sys.argv[1:]]
panel = AgentPanel(seats, CLOCK, timeout_s=600.0, breaker_failures=9, breaker_retry_s=60.0)
panel.bars_needed
print(*(seat.process_id for seat in seats), flush=True)
panel.ask(PANEL, AT, action="signals")
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_the_desk(how):
    """Idle, at work in C with the interpreter's lock, and with a thread of its own; the desk ends without a word."""
    names = ["Decent", "ignores_signals_and_holds_the_lock", "works_on_in_the_background"]
    desk = subprocess.Popen(
        [sys.executable, "-c", DESK, *names],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).resolve().parents[3],
        text=True,
    )
    with desk:
        assert desk.stdout is not None
        workers = [int(word) for word in desk.stdout.readline().split()]
        CLOCK.sleep_s(0.3)
        assert len(workers) == 3 and all(psutil.pid_exists(process_id) for process_id in workers)
        os.kill(desk.pid, how)
        desk.wait(10)
    assert all(gone(process_id) for process_id in workers)
