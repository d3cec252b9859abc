"""A replay in a process of its own: what it decides about weights is heard while it still goes on.

So the demo writes its record while the weights of later years are computed, on a machine's other core. The process gets
bars and settings, knows no database, and ends with this one: it speaks often, and nobody hears it then.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, Self

from agents.core.errors import AgentsError
from agents.core.life_types import LifeChange
from agents.core.log import configure_logging
from agents.core.meta_types import WeightDecision
from agents.core.replay_types import Replayed
from agents.core.types import Bars
from agents.replay.timeline import Progress
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history


class ReplayProcessError(AgentsError):
    """What the replay raised, in its words; or that its process ended without one."""


class _Asked(NamedTuple):
    bars: Bars
    request: ReplayRequest
    log: Path


class _Shown(NamedTuple):
    done: int
    total: int
    at: datetime
    equity: float


class _Decided(NamedTuple):
    """All decisions of one time, with the changes of agents' states that they brought."""

    decisions: list[WeightDecision]
    lives: list[LifeChange]


class _Failed(NamedTuple):
    words: str
    exit_code: int


_Message = _Shown | _Decided | Replayed | _Failed | None
"""None: the process is gone."""


class ReplayBeside:
    """The process, which loads its code while this one does; `begin` gives it work, leaving the context ends it.

    `decisions` and `lives` are those heard of so far, of no time in part.
    """

    def __init__(self) -> None:
        self.decisions: Sequence[WeightDecision] = ()
        self.lives: Sequence[LifeChange] = ()
        self._heard: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._replayed: Replayed | None = None
        context = get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # `start` would start it, which unblocks the signal again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C is for this program alone
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def begin(self, bars: Bars, request: ReplayRequest, log: Path, progress: Progress) -> None:
        """Replay `bars`; it writes its log to `log` and shows its progress from a thread."""
        threading.Thread(
            target=self._listen, args=(_Asked(bars, request, log), progress), daemon=True, name="replay"
        ).start()

    def more(self) -> bool:
        """Wait until more is decided; False where the replay has ended. What it raised is raised here."""
        if self._replayed is not None:
            return False
        message = self._heard.get()
        if isinstance(message, _Decided):
            self.decisions = [*self.decisions, *message.decisions]
            self.lives = [*self.lives, *message.lives]
            return True
        if isinstance(message, Replayed):
            self._replayed = message
            self.decisions, self.lives = message.decisions, message.jobs.lives
            return False
        if isinstance(message, _Failed):
            error = ReplayProcessError(message.words)
            error.exit_code = message.exit_code
            raise error
        self._process.join()
        raise ReplayProcessError(f"the process that replays ended with status {self._process.exitcode}; start again")

    def result(self) -> Replayed:
        """All that the replay leaves; waits for its end."""
        while self.more():
            pass
        assert self._replayed is not None, "nothing more comes after it"
        return self._replayed

    def _listen(self, asked: _Asked, progress: Progress) -> None:
        """Hand over the work, and read all that is said at once: it must not wait for who records."""
        try:
            self._line.send(asked)
            while True:
                message: _Message = self._line.recv()
                if isinstance(message, _Shown):
                    progress(*message)
                else:
                    self._heard.put(message)
        except (EOFError, OSError):
            self._heard.put(None)


def _work(line: Connection) -> None:
    """What the process does: one replay, for as long as somebody listens."""
    try:
        asked: _Asked = line.recv()
        configure_logging(asked.log, level=asked.request.settings.log_level, console=False)
        _replay(asked, line.send)
    except (EOFError, OSError):
        return  # who asked is gone


def _replay(asked: _Asked, send: Callable[[_Message], None]) -> None:
    """Replay, and send decisions once a later one is known, so that those of one time come together."""
    together = _Decided([], [])

    def decided(decision: WeightDecision, changes: Sequence[LifeChange]) -> None:
        nonlocal together
        if together.decisions and together.decisions[0].at != decision.at:
            send(together)
            together = _Decided([], [])
        together.decisions.append(decision)
        together.lives.extend(changes)

    def shown(done: int, total: int, at: datetime, equity: float) -> None:
        send(_Shown(done, total, at, equity))

    request = replace(asked.request, on_decision=decided)
    try:
        send(replay_history(history_of(asked.bars), request, progress=shown))
    except AgentsError as error:
        send(_Failed(str(error), error.exit_code))
