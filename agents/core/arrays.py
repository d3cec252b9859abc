"""What arrays hold: the names of their types, and times as numpy and as Python keep them."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from agents.core.clock import require_utc

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]
Times = NDArray[np.datetime64]


def as_datetime(moment: np.datetime64) -> datetime:
    """A time of an array as an aware UTC datetime, to the microsecond."""
    return datetime.fromisoformat(f"{moment.astype('datetime64[us]')}+00:00")


def as_stamp(moment: datetime) -> np.datetime64:
    """An aware datetime as a time of an array; ValueError for a naive one."""
    return np.datetime64(require_utc(moment, "moment").replace(tzinfo=None), "us")
