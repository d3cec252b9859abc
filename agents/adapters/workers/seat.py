"""An agent's seat in a process of its own: asked with a deadline, killed when it is late, restarted with back-off.

The desk trusts nothing that comes back: arrays are copied out of the shared block and checked as if a stranger had
written them, words are cleaned, and whoever speaks out of turn is ended.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from agents.adapters.workers.blocks import Block, PanelBoard, read_opinions, words_place
from agents.adapters.workers.messages import REASON_BYTES, Kind, Order, Reply, Status
from agents.adapters.workers.process import WorkerLostError, WorkerProcess
from agents.core.asking import LATE, Answer, Question, checked, clean_text, problem_of
from agents.core.clock import Clock
from agents.core.log import log_event

logger = logging.getLogger(__name__)
START_S = 60.0
"""So long a worker may take to import its agent: a first compilation takes most of it."""
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 1.0, 300.0
STARTING = "is still starting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Which agent: its name at the desk, where its code is (`FILE.py:CLASS` or `module:CLASS`), its memory in bars
    where that is known before it is asked, and the memory in MB that its process may take."""

    name: str
    place: str
    memory_mb: int
    bars_needed: int | None = None


class WorkerSeat:
    """One agent in a process of its own, started when it is needed: at once where it must tell its memory, else with
    the first question. `board` shows the panel to all workers of a desk."""

    def __init__(self, work: Work, board: PanelBoard, clock: Clock) -> None:
        self.name = work.name
        self._work, self._board, self._clock = work, board, clock
        self._bars_needed = work.bars_needed
        self._process: WorkerProcess | None = None
        self._ready = self._sent = False
        self._losses, self._not_before_s = 0, 0.0
        self._number = 0
        self._question: Question | None = None
        self._problem = ""
        self._block: Block | None = None
        self._mapped: tuple[int, int] = (0, 0)
        self._answered: tuple[WorkerProcess, int] | None = None
        if work.bars_needed is None:
            self._start_or_lose()

    @property
    def bars_needed(self) -> int:
        """The agent's memory; 1 where it could not be made when it was first needed."""
        if self._bars_needed is None:
            try:
                if self._await_ready(self._clock.monotonic_s() + START_S) and self._process is not None:
                    self._process.rest()
                elif self._process is not None:
                    self._lose("could not be made in time")
            except WorkerLostError as lost:
                self._lose(str(lost))
            if self._bars_needed is None:
                self._bars_needed = 1
                log_event(logger, f"agent {self.name} {self._problem}", level=logging.ERROR)
        return self._bars_needed

    @property
    def process_id(self) -> int | None:
        """The present process, None while there is none."""
        return None if self._process is None else self._process.id

    def ask(self, question: Question) -> None:
        """Put a question; a worker that has ended is started again, unless it must wait for that."""
        self._question, self._sent, self._answered = question, False, None
        try:
            if self._ready:
                self._send_question(question)
        except WorkerLostError as lost:  # it ended since the last question, which need not cost this one
            self._lose(str(lost))
        if self._process is None and self._clock.monotonic_s() >= self._not_before_s:
            self._start_or_lose()

    def answer(self, timeout_s: float) -> Answer:
        """The checked answer to the last question. A worker that is not in time is killed."""
        question, deadline_s = self._question, self._clock.monotonic_s() + timeout_s
        assert question is not None, "asked first"
        if self._process is None:
            wait_s = max(0.0, self._not_before_s - self._clock.monotonic_s())
            return Answer(None, problem=f"{self._problem}; restarted in {wait_s:.0f} s")
        try:
            if not self._sent:
                if not self._await_ready(deadline_s):
                    return self._still_starting()
                self._send_question(question)
            reply = self._receive(deadline_s)
            if reply is None:
                return self._lose(LATE)
            return self._read(reply, question)
        except WorkerLostError as lost:
            return self._lose(str(lost))

    def reasons(self, first: int, stop: int, timeout_s: float) -> list[tuple[str, ...]] | str:
        """The words for rows of the last answer."""
        if self._answered is None or self._process is not self._answered[0]:
            return "its process has ended since it answered"
        symbols = self._answered[1]
        try:
            self._send(Order(Kind.REASONS, self._number, first, stop), (stop - first) * symbols * REASON_BYTES)
            reply = self._receive(self._clock.monotonic_s() + timeout_s)
            if reply is None:
                return self._lose(LATE).problem
            if reply.status == Status.FAILED:
                return clean_text(reply.text)
            words = self._words(0, reply.size, (stop - first) * symbols)
            return [words[row : row + symbols] for row in range(0, len(words), symbols)]
        except WorkerLostError as lost:
            return self._lose(str(lost)).problem

    def close(self) -> None:
        """End the process and give the memory back."""
        if self._process is not None:
            self._process.end()
        self._process, self._ready = None, False
        if self._block is not None:
            self._block.close()
        self._block = None

    # ------------------------------------------------------------ the process

    def _start_or_lose(self) -> None:
        self._ready, self._mapped = False, (0, 0)
        try:
            self._process = WorkerProcess(self.name, [str(self._work.memory_mb), self._work.place], self._clock)
        except OSError as error:  # the machine has no room for a process or a descriptor
            self._lose(f"cannot be started: {problem_of(error)}")

    def _await_ready(self, deadline_s: float) -> bool:
        """Whether the worker has made its agent by then."""
        if self._ready:
            return True
        if self._process is None:
            return False
        reply = self._process.receive(min(deadline_s, self._process.started_s + START_S))
        if reply is None:
            return False
        if reply.status == Status.FAILED:
            raise WorkerLostError(f"cannot be made: {clean_text(reply.text)}")
        if reply.status != Status.READY or reply.size < 1:
            raise WorkerLostError("spoke out of turn")
        if self._bars_needed not in (None, reply.size):
            raise WorkerLostError(
                f"needs {reply.size} bars, but {self._bars_needed} when the desk was opened; start the desk again"
            )
        self._bars_needed, self._ready = reply.size, True
        return True

    def _still_starting(self) -> Answer:
        assert self._process is not None, "it was started"
        if self._clock.monotonic_s() - self._process.started_s < START_S:
            return Answer(None, problem=STARTING)
        return self._lose("could not be made in time")

    def _lose(self, problem: str) -> Answer:
        """End the process. It may be started again at once the first time, then later and later."""
        if self._process is not None:
            self._process.end()
        self._process, self._ready, self._problem = None, False, problem
        wait_s = min(FIRST_BACK_OFF_S * 2.0 ** (self._losses - 1), LONGEST_BACK_OFF_S) if self._losses else 0.0
        self._losses = min(self._losses + 1, 20)
        self._not_before_s = self._clock.monotonic_s() + wait_s
        log_event(logger, "an agent's process was ended", agent=self.name, cause=problem)
        return Answer(None, problem=problem)

    # ------------------------------------------------------------ orders and replies

    def _send_question(self, question: Question) -> None:
        rows, symbols = question.answered_shape()
        order = Order(Kind.WHOLE if question.whole else Kind.NEWEST, 0, question.first_row(self.bars_needed), 0)
        room = words_place((rows, symbols)) + (0 if question.whole else symbols * REASON_BYTES)
        self._send(order, room, question)
        self._sent = True

    def _send(self, order: Order, room: int, question: Question | None = None) -> None:
        """Give an order, with those blocks that this worker has not mapped yet."""
        assert self._process is not None, "asked of a process"
        try:
            panel = None if question is None else self._board.show(question)
            self._block = self._roomy_block(room)
        except OSError as error:  # the machine has no memory or descriptor left
            raise WorkerLostError(f"cannot be asked: {problem_of(error)}") from None
        self._number += 1
        mapped, descriptors, sizes = self._mapped, [], [0, 0]
        blocks = (panel, self._block)
        for k, block in enumerate(blocks):
            if block is not None and block.number != mapped[k]:
                descriptors.append(block.fd)
                sizes[k] = block.size
        self._process.send(
            order._replace(number=self._number, panel_bytes=sizes[0], answer_bytes=sizes[1]), descriptors
        )
        self._mapped = (mapped[0] if panel is None else panel.number, self._block.number)

    def _roomy_block(self, room: int) -> Block:
        if self._block is not None and self._block.size >= room:
            return self._block
        larger = Block(room + room // 4, ours_alone=False)
        if self._block is not None:
            self._block.close()
        return larger

    def _receive(self, deadline_s: float) -> Reply | None:
        assert self._process is not None, "asked of a process"
        reply = self._process.receive(deadline_s)
        if reply is not None and (reply.number != self._number or reply.status == Status.READY):
            raise WorkerLostError("spoke out of turn")
        if reply is not None:
            self._process.rest()
            self._process.tell_output()
        return reply

    def _read(self, reply: Reply, question: Question) -> Answer:
        """What lies in the block, as if a stranger had written it."""
        assert self._process is not None and self._block is not None, "it replied"
        self._losses = 0
        spent_ms = reply.spent_ms if 0.0 <= reply.spent_ms < 1e9 else 0.0
        if reply.status == Status.FAILED:
            return Answer(None, problem=clean_text(reply.text), spent_ms=spent_ms)
        shape = question.answered_shape()
        signals = checked(read_opinions(self._block.memory, shape), shape)
        if isinstance(signals, str):
            return Answer(None, problem=signals, spent_ms=spent_ms)
        self._answered = (self._process, shape[1])
        words = () if question.whole else self._words(words_place(shape), reply.size, shape[1])
        return Answer(signals, words, spent_ms=spent_ms)

    def _words(self, place: int, size: int, expected: int) -> tuple[str, ...]:
        assert self._block is not None, "it replied"
        if not 0 <= size <= self._block.size - place:
            raise WorkerLostError("spoke out of turn")
        text = self._block.memory[place : place + size].decode(errors="replace")
        words = tuple(clean_text(word) for word in text.split("\n"))
        if len(words) != expected:
            raise WorkerLostError(f"gave {len(words)} reasons, expected {expected}")
        return words
