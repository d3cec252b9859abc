"""The newest facts of the desk, read in a thread of their own whenever there is something new: pages only show them."""

from __future__ import annotations

import logging
import threading
from typing import Any

from agents.core.errors import AgentsError, ServiceError
from agents.core.log import log_event
from agents.wiring.dashboard import DeskView, Snapshot

logger = logging.getLogger(__name__)
POLL_S = 1.0
REST = 9.0
"""After a reading the database rests for so many times as long as that took, so that looking slows nobody down."""
OLD_S = 60.0
"""Later than that the facts are read again though nothing is new: ages and the machine's figures move by themselves."""
FIRST_S = 120.0


class Snapshots:
    """Keeps the newest `Snapshot` of a desk. `number` rises with each; `problem` says why there is no newer one."""

    def __init__(self, view: DeskView) -> None:
        self._view = view
        self._stop = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="snapshots", daemon=True)
        self._newest: Snapshot | None = None
        self.number = 0
        self.problem = ""

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no more; a reading that runs is not waited for."""
        self._stop.set()
        self._first.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def newest(self) -> Snapshot:
        """The newest one; the first one is waited for. ServiceError where the database did not give any."""
        self._first.wait(FIRST_S)
        if self._newest is None:
            raise ServiceError(
                self.problem or "the desk's record is being read for the first time; try again in a minute"
            )
        return self._newest

    def _keep(self) -> None:
        clock, seen = self._view.clock, None
        read_at_s, took_s = -OLD_S, 0.0
        while not self._stop.is_set():
            try:
                pulse: tuple[Any, ...] = self._view.dashboard.pulse()
                begin_s = clock.monotonic_s()
                waited_s = begin_s - read_at_s
                if (pulse != seen and waited_s >= REST * took_s) or waited_s >= max(OLD_S, REST * took_s):
                    self._newest, self.problem = self._view.snapshot(), ""
                    seen, read_at_s = pulse, clock.monotonic_s()
                    took_s = read_at_s - begin_s
                    self.number += 1
                    self._first.set()
            except AgentsError as error:
                self._tell(str(error))
            except Exception as error:  # a page that is older is better than none
                self._tell(f"unexpected {type(error).__name__}; the dashboard's log has it", error)
            self._stop.wait(POLL_S)

    def _tell(self, problem: str, error: Exception | None = None) -> None:
        if problem != self.problem:
            log_event(logger, "the desk cannot be read", level=logging.WARNING, problem=problem)
            if error is not None:
                logger.error("unexpected error", exc_info=error)
            self.problem = problem
            self.number += 1
        self._first.set()
