"""Errors are told once, counted, tried again with back-off and alarmed when they last; a signal ends a daemon in time."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.core.clock import SimulatedClock, SystemClock
from agents.core.endurance import DEFECT_PAUSE_S, OUTSIDE_PAUSE_S, Endurance, Outage, is_outside, reason_of
from agents.core.errors import DataError, JournalError, ServiceError
from agents.core.log import configure_logging, log_event
from tests.program import ROOT

START = datetime(2026, 1, 1, tzinfo=UTC)


class Told:
    """A daemon's endurance, with what it tells whom."""

    def __init__(self) -> None:
        self.clock = SimulatedClock(START)
        self.status, self.kept = list[str](), list[Outage]()
        self.endurance = Endurance("trading", self.clock, self.status.append, self.kept.append)

    def pass_s(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now() + timedelta(seconds=seconds))


def messages(caplog) -> list[str]:
    return [record.message for record in caplog.records]


def test_an_error_is_told_once_and_the_next_one_again(caplog):
    told = Told()
    for error in [ServiceError("away")] * 5 + [ServiceError("full")] * 2:
        told.endurance.failed(error, pause_s=1.0)
    assert messages(caplog) == ["cannot work now; trying again"] * 2
    assert [record.facts["error"] for record in caplog.records] == ["away", "full"]
    assert told.endurance.problem == "full"
    assert told.status[-1].endswith("full")


@pytest.mark.parametrize(
    ("error", "longest_s"),
    [
        (ServiceError("x"), OUTSIDE_PAUSE_S),
        (DataError("x"), OUTSIDE_PAUSE_S),
        (OSError("x"), OUTSIDE_PAUSE_S),
        (JournalError("x"), DEFECT_PAUSE_S),
        (ZeroDivisionError("x"), DEFECT_PAUSE_S),
        (MemoryError(), DEFECT_PAUSE_S),
    ],
)
def test_pauses_grow_up_to_a_limit_and_never_below_the_poll(error, longest_s):
    told = Told()
    pauses = [told.endurance.failed(error, pause_s=0.5) for _ in range(50)]
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[-1] == longest_s
    assert pauses == sorted(pauses)
    assert Told().endurance.failed(error, pause_s=300.0) == 300.0


def test_what_lasts_is_an_alarm_then_one_an_hour_and_kept_when_it_is_over(caplog):
    caplog.set_level(logging.INFO)
    told = Told()
    for _ in range(130):  # 65 minutes
        told.endurance.failed(ServiceError("away"), pause_s=1.0)
        told.pass_s(30.0)
    assert messages(caplog).count("ALARM") == 2
    assert {record.levelno for record in caplog.records if record.message == "ALARM"} == {logging.CRITICAL}
    assert told.kept == []
    told.endurance.worked()
    assert messages(caplog)[-1] == "works again"
    (outage,) = told.kept
    assert (outage.plane, outage.attempts, outage.reason) == ("trading", 130, "away")
    assert outage.ended_at - outage.began_at == timedelta(minutes=65)
    told.endurance.worked()
    assert len(told.kept) == 1
    assert told.endurance.problem == ""


def test_an_outage_that_cannot_be_kept_yet_is_kept_later():
    told = Told()
    answers = [ServiceError("away again")]

    def keep(outage: Outage) -> None:
        if answers:
            raise answers.pop()
        told.kept.append(outage)

    endurance = Endurance("meta", told.clock, told.status.append, keep)
    endurance.failed(ServiceError("away"), pause_s=1.0)
    told.pass_s(100.0)
    with pytest.raises(ServiceError):
        endurance.worked()
    endurance.worked()
    assert len(told.kept) == 1


def test_a_short_one_is_a_line_and_no_row(caplog):
    told = Told()
    told.endurance.failed(ServiceError("away"), pause_s=1.0)
    told.pass_s(10.0)
    told.endurance.worked()
    assert told.kept == []
    assert "ALARM" not in messages(caplog)


def test_a_defect_is_told_with_its_place_and_without_secrets():
    try:
        {}["postgresql://u:geheim@h/d"]
    except KeyError as error:
        reason = reason_of(error)
        assert not is_outside(error)
    assert "geheim" not in reason
    assert reason.startswith("KeyError: ")
    assert " at tests/unit/core/test_endurance.py:" in reason
    assert "\n" not in reason


STUCK = """
import ctypes, signal, sys, threading, time
from agents.core.stopping import stop_in_time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
stop_in_time({stop}, farewell={farewell}, grace_s=0.5)
print("ready", flush=True)
{hang}
"""
HANGS = {
    "a call that does not return": ("lambda: None", "time.sleep(60)"),
    "a thread at the process' end": ("lambda: None", "threading.Thread(target=time.sleep, args=(60,)).start()"),
    "native code with the interpreter's lock": ("lambda: ctypes.PyDLL(None).sleep(60)", "time.sleep(60)"),
}


def stuck(stop: str, hang: str, farewell: str = "lambda: None") -> subprocess.Popen[bytes]:
    """A process that took its handlers up and hangs."""
    code = STUCK.format(stop=stop, hang=hang, farewell=farewell)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    SystemClock().sleep_s(0.1)
    return process


@pytest.mark.parametrize(("stop", "hang"), HANGS.values(), ids=HANGS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_daemon_in_time_whatever_hangs(stop, hang, number):
    """A13, A14."""
    process, clock = stuck(stop, hang), SystemClock()
    started_s = clock.monotonic_s()
    process.send_signal(number)
    process.communicate(timeout=10.0)
    assert process.returncode == 1
    assert clock.monotonic_s() - started_s < 4.0


def test_a_second_signal_ends_it_at_once():
    process = stuck("lambda: None", "time.sleep(4)")
    process.terminate()
    SystemClock().sleep_s(0.1)
    started_s = SystemClock().monotonic_s()
    process.terminate()
    process.communicate(timeout=5.0)
    assert process.returncode == 1
    assert SystemClock().monotonic_s() - started_s < 0.4, "before its grace was over"


@pytest.mark.parametrize("farewell", ["print('gone', flush=True)", "time.sleep(60)", "1 / 0"])
def test_a_daemon_that_is_ended_by_force_says_so_where_that_takes_a_moment(farewell):
    """Else its last state on record would be that it runs."""
    process, clock = stuck("lambda: None", "time.sleep(60)", f"lambda: {farewell}"), SystemClock()
    started_s = clock.monotonic_s()
    process.terminate()
    said, _ = process.communicate(timeout=10.0)
    assert (process.returncode, said) == (1, b"gone\n" if "gone" in farewell else b"")
    assert clock.monotonic_s() - started_s < 4.0


def test_a_full_disk_below_the_log_ends_nothing_and_shows_no_traceback(capsys):
    """K03: /dev/full answers every write as a full disk does."""
    before = logging.raiseExceptions
    try:
        configure_logging(Path("/dev/full"), console=False)
        log_event(logging.getLogger("agents.test"), "said into the void")
    finally:
        configure_logging(None, console=False)
        logging.getLogger("agents").propagate = True
        logging.raiseExceptions = before
    assert capsys.readouterr().err == ""
