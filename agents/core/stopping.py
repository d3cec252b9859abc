"""A daemon that is told to stop ends in time, whatever hangs: gracefully, else by force.

Force is allowed at any moment, since any moment may be that of a power cut: what is on record is consistent, and the
next start goes on from there.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from agents.core.log import log_event

logger = logging.getLogger(__name__)
GRACE_S = 8.0
"""So long a daemon may take to stop by itself; supervisors and people are promised ten seconds."""
FAREWELL_S = 0.7
"""So long the last word on record may take."""
LAST_RESORT_S = 1.0
"""Later than that the C library ends the process, also where native code keeps the interpreter's lock."""
FORCED = 1
"""The exit status of a daemon that had to be ended."""


def stop_in_time(
    stop: Callable[[], None], *, farewell: Callable[[], None] = lambda: None, grace_s: float = GRACE_S
) -> None:
    """SIGTERM, SIGINT and SIGHUP call `stop`; where the process still runs `grace_s` later, or is told again, one line
    says what hangs and it ends, after `farewell` where that takes a moment only (it puts on record that the daemon does
    not run). A SIGHUP that is ignored (nohup) stays so. To be called by the main thread."""
    told = threading.Event()

    def handle(_number: int, _frame: object) -> None:
        if told.is_set():
            _end("told to stop again", farewell)
        told.set()
        _arm(grace_s, farewell)
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handle)


def end_now() -> None:
    """End this process with 0 and take nothing down: for one that has closed what it had, when to clear its memory
    would only take seconds."""
    for handler in logging.getLogger("agents").handlers:
        handler.flush()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _arm(grace_s: float, farewell: Callable[[], None]) -> None:
    """Both clocks run until the process has really ended, also while its threads and connections are taken down."""
    nowhere = Path(os.devnull).open("w")  # noqa: SIM115 - it must stay open until the end
    faulthandler.dump_traceback_later(grace_s + LAST_RESORT_S, exit=True, file=nowhere)
    timer = threading.Timer(grace_s, _end, (f"did not stop within {grace_s:g} s", farewell))
    timer.daemon = True
    timer.start()


def _end(why: str, farewell: Callable[[], None]) -> None:
    log_event(logger, f"{why}; ended by force", level=logging.ERROR, hanging_in=_place_of_main_thread())
    for handler in logging.getLogger("agents").handlers:
        handler.flush()
    last = threading.Thread(target=farewell, daemon=True)  # what hangs may hang here too
    with contextlib.suppress(RuntimeError):  # no thread can be started any more
        last.start()
        last.join(FAREWELL_S)
    os._exit(FORCED)


def _place_of_main_thread() -> str:
    """File, line and function in which the main thread is, without a path of this machine."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    if frame is None:
        return "?"
    last = traceback.extract_stack(frame)[-1]
    return f"{Path(last.filename).name}:{last.lineno} {last.name}"
