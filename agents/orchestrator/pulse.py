"""The heartbeat of a daemon: it writes its own, and says in its log when the other's falls silent and comes back."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

from agents.core.alarm_types import SILENT_AFTER
from agents.core.clock import Clock
from agents.core.log import log_event
from agents.core.meta_types import DaemonName, Heartbeat
from agents.core.ports import Heartbeats

logger = logging.getLogger(__name__)
BEAT_S = 20.0


class DaemonPulse:
    """One daemon's. A database that is away is no trouble of its own here: silence is what the other daemon sees."""

    def __init__(self, table: Heartbeats, daemon: DaemonName, clock: Clock) -> None:
        self._table = table
        self._daemon: DaemonName = daemon
        self._clock = clock
        self._started_at = clock.now()
        self._last_s = -BEAT_S
        self._silent: frozenset[str] = frozenset()
        self._stopped: frozenset[str] = frozenset()

    def beat(self, problem: str = "") -> None:
        """At most once in twenty seconds, however often it is called; `problem` is what the daemon cannot do now."""
        now_s = self._clock.monotonic_s()
        if now_s - self._last_s < BEAT_S:
            return
        self._last_s = now_s
        try:
            self._table.beat(self._heartbeat(problem))
            self._look_at_others()
        except Exception:  # whatever it is: no heartbeat is what the other daemon tells of
            return

    def end(self) -> None:
        """The daemon stops because it was told to. Another that runs in its place since keeps its own word."""
        try:
            self._table.beat(replace(self._heartbeat(""), state="stopped"))
        except Exception:  # whatever it is: no heartbeat is what the other daemon tells of
            return

    def _heartbeat(self, problem: str) -> Heartbeat:
        return Heartbeat(
            daemon=self._daemon,
            at=self._clock.now(),
            started_at=self._started_at,
            pid=os.getpid(),
            state="running",
            detail=problem,
        )

    def _look_at_others(self) -> None:
        others: dict[str, Heartbeat] = {b.daemon: b for b in self._table.all() if b.daemon != self._daemon}
        now = self._clock.now()
        silent = frozenset(name for name, beat in others.items() if beat.is_silent(now, SILENT_AFTER))
        for name in sorted(silent - self._silent):
            detail = others[name].silence()
            log_event(logger, "ALARM", level=logging.ERROR, kind="daemon_silent", subject=name, detail=detail)
        for name in sorted(self._silent - silent):
            log_event(logger, "alarm is over", kind="daemon_silent", subject=name)
        stopped = frozenset(name for name, beat in others.items() if beat.state == "stopped")
        for name in sorted(stopped - self._stopped):
            detail = others[name].silence()
            log_event(logger, "the other daemon does not run", level=logging.WARNING, detail=detail)
        self._silent, self._stopped = silent, stopped
