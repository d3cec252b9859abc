"""Ids of orders: derived from the decision, so that the same decision always gives the same."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime


def client_order_id(desk: str, decision_time: datetime, symbol: str) -> str:
    """At most 32 characters of [A-Za-z0-9-]; the same decision always gives the same id."""
    digest = hashlib.sha256(f"{desk}|{decision_time.isoformat()}|{symbol}".encode()).digest()
    return f"{desk[:8]}-" + base64.b32encode(digest[:15])[:22].decode()
