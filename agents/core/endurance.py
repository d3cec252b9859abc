"""What keeps a daemon going: errors are told once, counted, tried again with back-off, and alarmed when they last."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agents.core.clock import Clock
from agents.core.errors import AgentsError, JournalError
from agents.core.log import log_event, mask_secrets

logger = logging.getLogger(__name__)
LASTING_S = 60.0
"""An outage that lasts so long is an alarm; a shorter one is a line in the log."""
REMINDER_S = 3600.0
OUTSIDE_PAUSE_S, DEFECT_PAUSE_S = 5.0, 60.0
"""The longest pause between attempts: soon after the world is well again, seldom where the program itself is wrong."""
ROOT = Path(__file__).resolve().parents[2]
PLACES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time in which a daemon could not work: `attempts` failed, the last of them for `reason`."""

    plane: str
    began_at: datetime
    ended_at: datetime
    attempts: int
    reason: str


class Endurance:
    """The state of one daemon's loop: `failed` after a turn that failed, `worked` after one that did not.

    `plane` is "trading" or "meta"; `notify` tells the service manager in words how the daemon is; `keep` puts a lasting
    outage on record when it is over, since the record may be what was away.
    """

    def __init__(
        self,
        plane: str,
        clock: Clock,
        notify: Callable[[str], None],
        keep: Callable[[Outage], None] = lambda _outage: None,
    ) -> None:
        self._plane = plane
        self._clock = clock
        self._notify = notify
        self._keep = keep
        self._attempts = 0
        self._told = ""
        self._began_at: datetime | None = None
        self._began_s = self._reminded_s = 0.0

    @property
    def problem(self) -> str:
        """Why nothing works at the moment; "" where all is well."""
        return self._told

    def failed(self, error: Exception, *, pause_s: float) -> float:
        """Tell of `error` where it is another one than before; how many seconds to wait: `pause_s` at first, twice as
        long after each failure, up to a limit."""
        now_s = self._clock.monotonic_s()
        if self._began_at is None:
            self._began_at, self._began_s, self._reminded_s, self._attempts = self._clock.now(), now_s, now_s, 0
        self._attempts += 1
        reason = reason_of(error)
        if reason != self._told:
            log_event(
                logger,
                "cannot work now; trying again" if is_outside(error) else "unexpected error; trying again",
                level=logging.ERROR,
                plane=self._plane,
                error=reason,
            )
            self._notify(f"STATUS=cannot work since {self._began_at:%Y-%m-%d %H:%M:%S} UTC: {reason[:200]}")
            self._told = reason
        self._remind(reason, now_s)
        limit_s = OUTSIDE_PAUSE_S if is_outside(error) else DEFECT_PAUSE_S
        return max(pause_s, min(limit_s, pause_s * 2.0 ** min(self._attempts - 1, 20)))

    def worked(self) -> None:
        """Where there was an outage: it is over with this turn."""
        if self._began_at is None:
            return
        lasted_s = self._clock.monotonic_s() - self._began_s
        if lasted_s >= LASTING_S:
            self._keep(
                Outage(
                    plane=self._plane,
                    began_at=self._began_at,
                    ended_at=self._clock.now(),
                    attempts=self._attempts,
                    reason=self._told,
                )
            )
        log_event(logger, "works again", plane=self._plane, after_s=f"{lasted_s:.1f}", attempts=self._attempts)
        self._notify("STATUS=working")
        self._began_at, self._told = None, ""

    def _remind(self, reason: str, now_s: float) -> None:
        """An alarm when the outage begins to last, and again every hour."""
        lasting_s, due_s = now_s - self._began_s, LASTING_S if self._reminded_s == self._began_s else REMINDER_S
        if now_s - self._reminded_s < due_s:
            return
        self._reminded_s = now_s
        log_event(
            logger,
            "ALARM",
            level=logging.CRITICAL,
            kind="outage",
            subject=self._plane,
            detail=f"for {lasting_s:.0f} s, {self._attempts} attempts: {reason}",
        )


def is_outside(error: Exception) -> bool:
    """Whether the world around is at fault, not the program or its own record."""
    return isinstance(error, (AgentsError, OSError)) and not isinstance(error, JournalError)


def reason_of(error: Exception) -> str:
    """One line without secrets; for a defect of the program with the places it came from, the nearest first."""
    words = mask_secrets(str(error).strip().split("\n")[0])
    if isinstance(error, AgentsError):
        return words
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).is_relative_to(ROOT)]
    places = " < ".join(f"{Path(f.filename).relative_to(ROOT)}:{f.lineno} {f.name}" for f in reversed(frames[-PLACES:]))
    return f"{type(error).__name__}: {words}" + (f" at {places}" if places else "")
