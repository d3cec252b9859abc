"""A market of which only the bar interval is known: its bars are due an interval apart, around the clock."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from agents.core.types import Booleans, Times


class UnknownHours:
    """No bar time is certain; a bar is too old after `stale_after` intervals of the clock, nights and weekends too."""

    def __init__(self, interval: timedelta, stale_after: float) -> None:
        self._stale_after = interval * stale_after

    def expects(self, time: Times) -> Booleans:
        return np.zeros(len(time), dtype=bool)

    def closes(self, _first: np.datetime64, _last: np.datetime64, /) -> Times | None:
        return None

    def stale_before(self, at: datetime) -> datetime:
        return at - self._stale_after
