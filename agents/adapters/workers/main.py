"""The process in which one agent works: `python -m agents.adapters.workers.main SOCKET PARENT FOLDER MEMORY_MB PLACE`.

It imports little: what is here is in the memory of every worker. The order matters: first it is bound to its parent's
life, then limited and confined, and only then a user's code is imported.
"""

from __future__ import annotations

import mmap
import os
import socket
import sys

from agents.adapters.own.making import make_own
from agents.adapters.workers.blocks import read_panel, words_place, write_opinions
from agents.adapters.workers.confinement import (
    die_with,
    limit_resources,
    more_address_space,
    refuse_calls,
    write_only_below,
)
from agents.adapters.workers.messages import MESSAGE_BYTES, Kind, Order, Reply, Status, order_of
from agents.core.asking import checked, newest_opinions, problem_of, reasons_of
from agents.core.clock import SystemClock
from agents.core.ports import Agent
from agents.core.types import Signals

BLOCKS = 2


class Worker:
    """One agent and the blocks that it reads from and answers into."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._panel: mmap.mmap | None = None
        self._answer: mmap.mmap | None = None
        self._signals: Signals | None = None

    def map_blocks(self, order: Order, descriptors: list[int]) -> None:
        """Take new blocks in place of the old ones."""
        if order.panel_bytes:
            more_address_space(order.panel_bytes)
            self._panel = mmap.mmap(descriptors.pop(0), order.panel_bytes, prot=mmap.PROT_READ)
        if order.answer_bytes:
            more_address_space(order.answer_bytes)
            self._answer = mmap.mmap(descriptors.pop(0), order.answer_bytes)

    def work(self, order: Order) -> int | str:
        """Do what is ordered; the number of bytes of words, or what is wrong with the agent's answer."""
        assert self._panel is not None and self._answer is not None, "the first order brings both blocks"
        if order.kind == Kind.REASONS:
            return self._put_reasons(range(order.first, order.stop), 0)
        panel = read_panel(self._panel, order.first)
        whole = order.kind == Kind.WHOLE
        answer = (
            checked(self._agent.signals(panel), panel.close.shape) if whole else newest_opinions(self._agent, panel)
        )
        if isinstance(answer, str):
            return answer
        self._signals = answer
        write_opinions(self._answer, answer)
        rows, columns = answer.strength.shape
        return 0 if whole else self._put_reasons(range(1), words_place((rows, columns)))

    def _put_reasons(self, rows: range, place: int) -> int:
        assert self._signals is not None and self._answer is not None, "reasons are asked for after an answer"
        signals = self._signals
        words = "\n".join(reason for row in rows for reason in reasons_of(self._agent, signals, row)).encode()
        self._answer[place : place + len(words)] = words
        return len(words)


def serve(control: socket.socket, worker: Worker) -> None:
    """Work until the desk hangs up."""
    clock = SystemClock()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES, BLOCKS)
        if not message:
            return
        order, started_s = order_of(message), clock.monotonic_s()
        worker.map_blocks(order, list(descriptors))  # without room for that it ends here, and is started again
        for descriptor in descriptors:
            os.close(descriptor)
        try:
            outcome = worker.work(order)
        except BaseException as error:  # a user's code may raise anything, SystemExit too
            outcome = problem_of(error)
        spent_ms = (clock.monotonic_s() - started_s) * 1000.0
        if isinstance(outcome, str):
            control.send(Reply(Status.FAILED, order.number, 0, spent_ms, outcome).packed())
        else:
            control.send(Reply(Status.ANSWERED, order.number, outcome, spent_ms).packed())


def main(descriptor: int, parent: int, folder: str, memory_mb: int, place: str) -> None:
    """Make the agent, say so, serve. Files may be written in `folder`, where compiled code is kept."""
    die_with(parent)
    control = socket.socket(fileno=descriptor)
    limit_resources(memory_mb)
    write_only_below(folder)
    refuse_calls()
    try:
        agent = make_own(place)
        ready = Reply(Status.READY, 0, agent.bars_needed, 0.0)
    except BaseException as error:  # as above: importing runs a user's code
        control.send(Reply(Status.FAILED, 0, 0, 0.0, problem_of(error)).packed())
        return
    control.send(ready.packed())
    serve(control, Worker(agent))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5])
