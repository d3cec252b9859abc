"""Ids of orders: derived from the decision, so that the same decision always gives the same."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime

DIGITS = 22
"""An id's characters behind the desk's name."""


def client_order_id(desk: str, decision_time: datetime, symbol: str) -> str:
    """At most 32 characters of [A-Za-z0-9-]; the same decision always gives the same id."""
    digest = hashlib.sha256(f"{desk}|{decision_time.isoformat()}|{symbol}".encode()).digest()
    return f"{desk[:8]}-" + base64.b32encode(digest[:15])[:DIGITS].decode()


def of_desk(order_id: str, desk: str) -> bool:
    """Whether an id has the form of a desk's own."""
    name, _, digest = order_id.rpartition("-")
    return name == desk[:8] and len(digest) >= DIGITS
