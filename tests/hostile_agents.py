"""Agents that misbehave in every way that is known, for workers to survive; none of them may be asked inside a test."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

from agents.core.types import Signals

FOREVER_S = 3600.0


class Decent:
    """Half long of everything, for a stated reason."""

    name, bars_needed = "Decent", 50

    def signals(self, panel):
        self.misbehave(panel)
        return Signals(
            strength=np.full(panel.close.shape, 0.5),
            confidence=np.full(panel.close.shape, 0.5),
            abstained=np.zeros(panel.close.shape, dtype=bool),
            evidence={"close": panel.close},
        )

    def reason_of(self, signals, time_index, symbol_index):
        return f"close {signals.evidence['close'][time_index, symbol_index]:.2f}"

    def misbehave(self, panel):
        """Before each answer."""


def hostile(work):
    """An agent that does this before it answers."""
    return type(work.__name__.title().replace("_", ""), (Decent,), {"misbehave": lambda self, panel: work(panel)})


@hostile
def raises(_panel):
    raise ValueError("no such column")


@hostile
def sleeps(_panel):
    time.sleep(FOREVER_S)


@hostile
def exits(_panel):
    os._exit(0)


@hostile
def asks_to_exit(_panel):
    sys.exit(3)


@hostile
def aborts(_panel):
    os.abort()


@hostile
def crashes(_panel):
    ctypes.string_at(0)


@hostile
def ignores_signals_and_holds_the_lock(_panel):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    re.match(r"(a+)+$", "a" * 60 + "b")


@hostile
def allocates_at_once(_panel):
    np.ones(20 * 2**30 // 8)


@hostile
def allocates_bit_by_bit(_panel):
    kept = []
    while True:
        kept.append(bytearray(10_000_000))


@hostile
def prints_160_mb(_panel):
    for _ in range(160):
        print("x" * 1_000_000)


@hostile
def opens_files(_panel):
    kept = []
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))


@hostile
def fills_the_disk(_panel):
    with tempfile.TemporaryFile() as file:
        for _ in range(200):
            file.write(b"x" * 1_000_000)


@hostile
def writes_elsewhere(_panel):
    open("/tmp/quorum-hostile-agent", "w").close()


@hostile
def links_elsewhere(_panel):
    os.symlink("/etc/passwd", "/tmp/quorum-hostile-agent")


@hostile
def forks(_panel):
    while True:
        os.fork()


@hostile
def starts_programs(_panel):
    subprocess.Popen(["sleep", str(FOREVER_S)], start_new_session=True)


@hostile
def opens_sockets(_panel):
    socket.socket(socket.AF_UNIX)


@hostile
def kills_the_desk(_panel):
    os.kill(os.getppid(), signal.SIGKILL)


@hostile
def unseals_the_panel(panel):
    panel.close.flags.writeable = True


@hostile
def writes_through_a_pointer(panel):
    ctypes.memset(panel.close.ctypes.data, 0, 8)


@hostile
def floods_the_desk(_panel):
    for descriptor in range(3, 64):
        for _ in range(10_000):
            try:
                os.write(descriptor, b"answer" * 10)
            except OSError:
                break


@hostile
def works_on_in_the_background(_panel):
    threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()


class Large(Decent):
    """A gigabyte of opinions."""

    def signals(self, panel):
        some = np.zeros((2**17, 512), dtype=np.float32)
        return Signals(strength=some, confidence=some, abstained=some > 1)


class HangsInReasons(Decent):
    def reason_of(self, signals, time_index, symbol_index):
        time.sleep(FOREVER_S)


class NulInReasons(Decent):
    def reason_of(self, signals, time_index, symbol_index):
        return "up\x00\x1b[31m\n" + "x" * 10**5


class Talks(Decent):
    def misbehave(self, panel):
        print("computing\x1b[2J", len(panel.close))


class Tells(Decent):
    """Fails where it sees more than it should."""

    def misbehave(self, panel):
        with open("/proc/self/oom_score_adj") as file:
            assert file.read().strip() == "1000"  # it goes first where the machine runs out of memory
        assert "canary" not in " ".join(os.environ.values())
        assert len(os.listdir("/proc/self/fd")) <= 7  # 0 1 2, the socket, two blocks, this listing


class LongMemory(Decent):
    bars_needed = 0


class CannotBeMade(Decent):
    def __init__(self):
        raise RuntimeError("model file missing")


class Dice(Decent):
    """Says something else each time."""

    def signals(self, panel):
        answer = super().signals(panel)
        answer.strength[:] = np.random.default_rng().uniform(-1, 1, panel.close.shape)
        return answer


class Turncoat(Decent):
    """Misbehaves in another way at each bar."""

    ways = (crashes, exits, raises, sleeps, prints_160_mb, allocates_at_once, floods_the_desk)

    def misbehave(self, panel):
        day = int(panel.time[-1].astype("datetime64[D]").astype(int))
        self.ways[day % len(self.ways)]().misbehave(panel)
