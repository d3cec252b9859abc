"""What arrays hold: the names of their types, times as numpy and as Python keep them, and arrays as bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
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


def packed(arrays: Mapping[str, Floats]) -> bytes:
    """Arrays by name as bytes: numpy's npz, without pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpacked(stored: bytes) -> dict[str, Floats]:
    """What `packed` wrote, to the bit; ValueError for anything else."""
    try:
        with np.load(io.BytesIO(stored), allow_pickle=False) as saved:
            return {name: np.asarray(saved[name], dtype=np.float64) for name in saved.files}
    except (AttributeError, KeyError, OSError, EOFError, IndexError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(f"these bytes are no arrays: {error}") from None
