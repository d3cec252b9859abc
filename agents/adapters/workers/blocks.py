"""Memory that the desk and its workers share, and how a panel and an answer lie in it.

A block is a sealed memfd: its size never changes, so that nobody can pull it away under a reader. The panel's block can
be written through the mapping that the desk made before sealing and through no other, not by a worker that tries.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import mmap
import os
import weakref
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from agents.core.asking import Question
from agents.core.types import Floats, Panel, Signals

ALIGNMENT = 64
F_SEAL_FUTURE_WRITE = 0x10
"""Of linux/fcntl.h; Python has no name for it."""
FIXED_SIZE = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
PRICES = ("open", "high", "low", "close", "volume")
_numbers = itertools.count(1)
"""Of blocks: a descriptor's number is used again, these are not."""


class Block:
    """Shared memory of a fixed size, mapped here for writing and reading."""

    def __init__(self, size: int, *, ours_alone: bool) -> None:
        self.size, self.number = size, next(_numbers)
        self.fd = os.memfd_create("quorum-agents", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        self.memory = mmap.mmap(self.fd, size)
        self._finalizer = weakref.finalize(self, os.close, self.fd)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, FIXED_SIZE | (F_SEAL_FUTURE_WRITE if ours_alone else 0))

    def close(self) -> None:
        """Give it back; workers that map it keep theirs."""
        self._finalizer()
        self.memory.close()


def aligned(position: int) -> int:
    """The next place where an array may begin."""
    return -(-position // ALIGNMENT) * ALIGNMENT


# ---------------------------------------------------------------- the panel


class PanelBoard:
    """The panel of the present question, written once and read by all workers."""

    def __init__(self) -> None:
        self._block: Block | None = None
        self._shown: Question | None = None

    def show(self, question: Question) -> Block:
        """The block that holds the question's panel; a larger panel gets a larger block, which is another one."""
        if self._block is None or self._shown is not question:
            head = _head(question.panel)
            size = 8 + len(head) + sum(array.nbytes + ALIGNMENT for array in _arrays(question.panel)) + ALIGNMENT
            if self._block is None or self._block.size < size:
                self.close()  # before the new one: no panel is better than an old one
                self._block = Block(aligned(size + size // 4), ours_alone=True)
            _write_panel(self._block.memory, head, question.panel)
            self._shown = question
        return self._block

    def close(self) -> None:
        """Give the memory back."""
        if self._block is not None:
            self._block.close()
        self._block = self._shown = None


def _head(panel: Panel) -> bytes:
    head = {
        "bars": len(panel.time),
        "time": str(panel.time.dtype),
        "symbols": panel.symbols,
        "exogenous": [*panel.exogenous],
    }
    return json.dumps(head).encode()


def _arrays(panel: Panel) -> Iterator[NDArray[np.generic]]:
    yield panel.time
    yield from (getattr(panel, name) for name in PRICES)
    yield from panel.exogenous.values()


def _write_panel(memory: mmap.mmap, head: bytes, panel: Panel) -> None:
    memory[:8] = len(head).to_bytes(8, "little")
    memory[8 : 8 + len(head)] = head
    place = aligned(8 + len(head))
    for array in _arrays(panel):
        np.frombuffer(memory, array.dtype, array.size, place).reshape(array.shape)[...] = array
        place = aligned(place + array.nbytes)


def read_panel(memory: mmap.mmap, first: int) -> Panel:
    """The rows of a written panel from `first` on, as views that cannot be made writable."""
    length = int.from_bytes(memory[:8], "little")
    head = json.loads(memory[8 : 8 + length])
    bars, symbols = head["bars"], tuple(head["symbols"])
    place = aligned(8 + length)

    def next_array(dtype: str, shape: tuple[int, ...]) -> NDArray[np.generic]:
        nonlocal place
        array = np.frombuffer(memory, dtype, int(np.prod(shape)), place).reshape(shape)
        place = aligned(place + array.nbytes)
        return array

    time = next_array(head["time"], (bars,))
    series: dict[str, Floats] = {
        name: next_array("float64", (bars, len(symbols))).astype(np.float64, copy=False)
        for name in (*PRICES, *head["exogenous"])
    }
    prices = {name: series.pop(name) for name in PRICES}
    return Panel(time=time.astype(head["time"], copy=False), symbols=symbols, **prices, exogenous=series).rows(
        first, bars
    )


# ---------------------------------------------------------------- an answer

CELL_BYTES = 8 + 8 + 1
"""Strength, confidence, and whether the agent abstained."""


def words_place(shape: tuple[int, int]) -> int:
    """Where the words begin, behind the arrays of this shape."""
    return aligned(CELL_BYTES * shape[0] * shape[1])


def write_opinions(memory: mmap.mmap, signals: Signals) -> None:
    """Put an answer's arrays into a block."""
    cells = signals.strength.size
    np.frombuffer(memory, np.float64, cells, 0)[:] = signals.strength.ravel()
    np.frombuffer(memory, np.float64, cells, 8 * cells)[:] = signals.confidence.ravel()
    np.frombuffer(memory, np.bool_, cells, 16 * cells)[:] = signals.abstained.ravel()


def read_opinions(memory: mmap.mmap, shape: tuple[int, int]) -> Signals:
    """Copies of an answer's arrays, which whoever wrote them can change no more; not checked yet."""
    cells = shape[0] * shape[1]
    return Signals(
        strength=np.frombuffer(memory[: 8 * cells], np.float64).reshape(shape),
        confidence=np.frombuffer(memory[8 * cells : 16 * cells], np.float64).reshape(shape),
        abstained=np.frombuffer(memory[16 * cells : 17 * cells], np.uint8).reshape(shape) != 0,
    )
