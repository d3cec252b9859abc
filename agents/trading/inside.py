"""An agent that works in this process, on a thread of its own: for the agents that come with Quorum.

A hung call cannot be ended here: while it lasts the agent counts as failed without a new call, so nothing piles up and
at most one thread for each agent is lost. What ends a process, or holds its interpreter, ends or holds this one:
agents of unknown manners work in processes of their own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace

from agents.core.asking import LATE, Answer, Question, checked, newest_opinions, problem_of, reasons_of
from agents.core.clock import Clock
from agents.core.ports import Agent
from agents.core.types import Signals

Result = tuple[Signals, tuple[str, ...]] | list[tuple[str, ...]] | str
"""Of a call: signals with the newest bar's reasons, the reasons of some rows, or what went wrong."""


class InsideSeat:
    """An agent and its thread, which is started with the first question; a thread for each call would fault its
    memory in anew each time."""

    def __init__(self, agent: Agent, clock: Clock, name: str = "") -> None:
        self.name, self.bars_needed = name or agent.name, agent.bars_needed
        self._agent, self._clock = agent, clock
        self._work: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._call: _Call | None = None
        self._hung = False
        self._signals: Signals | None = None
        self._worded = True

    def ask(self, question: Question) -> None:
        """Put a question; while an earlier call hangs it is not even put."""
        self._worded = question.worded
        self._submit(lambda: self._opinion(question))

    def answer(self, timeout_s: float) -> Answer:
        """The checked answer to the last question; a call that is not over in time counts as hung."""
        problem = self._wait(timeout_s)
        call, self._signals = self._call, None
        if problem or call is None:
            return Answer(None, problem=problem or "was not asked")
        result, call.result = call.result, "was told before"  # the caller's now: a history is large
        if not isinstance(result, tuple):
            return Answer(None, problem=str(result), spent_ms=call.spent_ms)
        signals, reasons = result
        self._signals = signals if self._worded else None
        return Answer(signals, reasons, spent_ms=call.spent_ms)

    def reasons(self, first: int, stop: int, timeout_s: float) -> list[tuple[str, ...]] | str:
        """The words for rows of the last answer."""
        signals = self._signals
        if signals is None:
            return "has no answer to word"
        self._submit(lambda: [reasons_of(self._agent, signals, row) for row in range(first, stop)])
        problem = self._wait(timeout_s)
        if problem or self._call is None:
            return problem
        result = self._call.result
        return result if isinstance(result, list) else str(result)

    def close(self) -> None:
        """The thread ends after what it does now."""
        self._work.put(None)

    def _opinion(self, question: Question) -> tuple[Signals, tuple[str, ...]] | str:
        """On the agent's thread: ask it, check what it says, and let it word its reasons."""
        rows = question.sealed.rows(question.first_row(self.bars_needed), len(question.panel.time))
        if question.whole:
            signals = checked(self._agent.signals(rows), rows.close.shape)
            if isinstance(signals, str):
                return signals
            return (signals if question.worded else replace(signals, evidence={})), ()
        newest = newest_opinions(self._agent, rows)
        return newest if isinstance(newest, str) else (newest, reasons_of(self._agent, newest, 0))

    def _submit(self, work: Callable[[], Result]) -> None:
        self._hung = self._call is not None and not self._call.done.is_set()
        if self._hung:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"agent-{self.name}", daemon=True)
            self._thread.start()
        self._call = _Call(work, self._clock)
        self._work.put(self._call)

    def _wait(self, timeout_s: float) -> str:
        if self._hung:
            return "an earlier call still hangs"
        if self._call is not None and not self._call.done.wait(timeout_s):
            return LATE
        return ""

    def _run(self) -> None:
        while (call := self._work.get()) is not None:
            call.run()


class _Call:
    """One call of one agent; its result is a text where it failed."""

    def __init__(self, work: Callable[[], Result], clock: Clock) -> None:
        self.result: Result = "the call ended without an answer"
        self.spent_ms = 0.0
        self.done = threading.Event()
        self._work, self._clock = work, clock

    def run(self) -> None:
        """Do it, and say when it is over, whatever happened."""
        started_s = self._clock.monotonic_s()
        try:
            self.result = self._work()
        except BaseException as error:  # also SystemExit: it must not end the thread
            self.result = problem_of(error)
        self.spent_ms = (self._clock.monotonic_s() - started_s) * 1000.0
        self.done.set()
