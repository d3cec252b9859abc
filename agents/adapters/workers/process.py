"""A worker process seen from the desk: started, spoken to with a deadline, its output counted, ended for certain."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path

from agents.adapters.workers.messages import MESSAGE_BYTES, Order, Reply, reply_of
from agents.core.asking import clean_text
from agents.core.clock import Clock
from agents.core.log import log_event
from agents.core.settings import cache_dir, isolated_environment

logger = logging.getLogger(__name__)
OUTPUT_LIMIT_BYTES = 16_000_000
"""An agent that prints more over one question is ended."""
SHOWN_BYTES, READ_BYTES = 1000, 65_536
END_S = 2.0
"""So long a killed process may take to be gone; the kernel needs that to free much memory."""


class WorkerLostError(Exception):
    """The process ended, or broke the rules and was ended; the text says which."""


class WorkerProcess:
    """One process, killed with its whole group by `end`, with this object, and with this program."""

    def __init__(self, name: str, arguments: Sequence[str], clock: Clock) -> None:
        self._name, self._clock = name, clock
        self.started_s = clock.monotonic_s()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as on_failure, theirs:
            on_failure.callback(self._control.close)
            self._process = _started(theirs.fileno(), arguments)
            on_failure.pop_all()
        assert self._process.stdout is not None, "it was asked for"
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._poll = select.poll()
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._output, select.POLLIN)
        self._prints = True
        self._printed, self._shown = 0, b""
        self._finalizer = weakref.finalize(self, _end, self._process, self._control)

    @property
    def id(self) -> int:
        """The process's number."""
        return self._process.pid

    def send(self, order: Order, descriptors: Sequence[int]) -> None:
        """Give an order, with the blocks that are new; WorkerLostError where it cannot be given."""
        try:
            self._signal(signal.SIGCONT)
            self._control.setblocking(False)
            socket.send_fds(self._control, [order.packed()], list(descriptors))
        except OSError:
            raise WorkerLostError(self._how_it_ended()) from None

    def rest(self) -> None:
        """Let it do nothing until the next order, whatever threads its agent has started."""
        self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def receive(self, deadline_s: float) -> Reply | None:
        """The next reply, None where there is none at `deadline_s`; WorkerLostError where there will be none."""
        while True:
            left_ms = max(0.0, deadline_s - self._clock.monotonic_s()) * 1000.0
            ready = {descriptor for descriptor, _ in self._poll.poll(left_ms)}
            if not ready:
                return None
            if self._output in ready:
                self._read_output()
            if self._control.fileno() in ready:
                return self._read_reply()
            if left_ms == 0.0:
                return None

    def _read_reply(self) -> Reply:
        try:
            message = self._control.recv(MESSAGE_BYTES)
        except OSError:
            message = b""
        if not message:
            raise WorkerLostError(self._how_it_ended())
        reply = reply_of(message)
        if reply is None:
            raise WorkerLostError("spoke out of turn")
        return reply

    def _read_output(self) -> None:
        """Count and throw away what is printed, but for its beginning."""
        try:
            piece = os.read(self._output, READ_BYTES)
        except BlockingIOError:
            return
        if not piece and self._prints:  # it closed its output, which is allowed
            self._poll.unregister(self._output)
            self._prints = False
        self._printed += len(piece)
        self._shown += piece[: SHOWN_BYTES - len(self._shown)]
        if self._printed > OUTPUT_LIMIT_BYTES:
            raise WorkerLostError(f"printed more than {OUTPUT_LIMIT_BYTES // 1_000_000} MB")

    def tell_output(self) -> None:
        """Put what was printed since the last time into the log, cut to one line; then count anew."""
        with contextlib.suppress(WorkerLostError, OSError):
            for _ in range(OUTPUT_LIMIT_BYTES // READ_BYTES):
                before = self._printed
                self._read_output()
                if self._printed == before:
                    break
        if self._printed:
            text = clean_text(self._shown.decode(errors="replace"))
            log_event(logger, "an agent printed", agent=self._name, bytes=self._printed, beginning=text)
        self._printed, self._shown = 0, b""

    def _how_it_ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(END_S)
            if code < 0:
                return f"its process was ended by {signal.Signals(-code).name}"
            return f"its process ended with status {code}"
        return "its process hung up"

    def end(self) -> None:
        """Kill it with all that it started; returns when it is gone."""
        if self._finalizer.alive:
            self.tell_output()
            self._finalizer()


def _started(control: int, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """The program of a worker that listens on the descriptor `control`; OSError where there is no room for it."""
    own_code = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    program = [sys.executable, "-u", "-P", "-m", f"{__package__}.main"]
    return subprocess.Popen(
        [*program, str(control), str(os.getpid()), str(folder), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(control,),
        # A session of its own: Ctrl-C at a terminal reaches the desk, which then ends its workers.
        start_new_session=True,
        cwd="/",
        env=isolated_environment(PYTHONPATH=own_code, TMPDIR=str(folder)),
    )


def _end(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    control.close()
    if process.stdout is not None:
        process.stdout.close()
