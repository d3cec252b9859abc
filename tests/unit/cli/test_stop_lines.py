"""What `quorum status` says of the stops at an exchange."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from agents.cli.reconcile import stop_lines

ROW = {"symbol": "BTC/USDT", "quantity": D("0.5"), "stop_price": D("97000.50"), "reason": ""}
WORDS = {
    "resting": "BTC/USDT: a stop for 0.5 at 97000.5 rests at the exchange",
    "sending": "BTC/USDT: a stop for 0.5 at 97000.5 is being set",
    "reached": "BTC/USDT: a stop for 0.5 at 97000.5 was reached",
    "none": "BTC/USDT: no stop rests at the exchange for 0.5: why",
    "refused": "BTC/USDT: no stop rests at the exchange for 0.5: why",
    "unset": "BTC/USDT: its stop does not rest at the exchange yet",
}


@pytest.mark.parametrize("state", WORDS)
def test_a_line_for_each_position(state):
    row = ROW | {"state": state, "reason": "why" if state in ("none", "refused") else ""}
    row |= {"quantity": None, "stop_price": None} if state == "unset" else {}
    assert [line.plain for line in stop_lines([row], are_set=True)] == [WORDS[state]]


def test_nothing_is_said_where_no_stops_are_set():
    row = {**ROW, "state": "unset", "quantity": None, "stop_price": None}
    assert stop_lines([row], are_set=False) == []
