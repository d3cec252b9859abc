"""A bar that is published after its close: no order is filled before the data of its decision were there."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from agents.core.settings import Settings
from agents.core.types import Bars
from agents.pipeline.market import opened_before, tradable
from tests.market import make_bars
from tests.unit.pipeline.test_step import joined, run_live, run_replay

HOUR = np.timedelta64(3600, "s")
DELAY_S = 900.0


def hourly(bars: Bars) -> Bars:
    """Six hours a day, one bar after the other, from 15:00 on."""
    row = np.arange(len(bars.time))
    opened = np.datetime64("2001-01-01T15:00", "us") + (row // 6) * np.timedelta64(1, "D") + (row % 6) * HOUR
    return replace(bars, opened=opened, time=opened + HOUR)


@pytest.mark.parametrize("gaps", [0.0, 0.05])
def test_no_fill_precedes_the_data_of_its_decision_and_live_equals_replay(gaps):
    """Seen: 15 of 15 hourly fills at the open of the next bar, 15 minutes before the decision could be made."""
    bars = hourly(make_bars(360, 3, 17, gaps=gaps))
    settings = Settings(data={"publication_delay_s": DELAY_S, "interval": "1h", "time_means": "open"})
    whole, live = run_replay(bars, settings), run_live(bars, 0, settings)
    assert live.fills == whole.fills
    assert len(live.fills) > 100
    np.testing.assert_allclose(joined(live, "equity"), joined(whole, "equity"), rtol=1e-9)
    decided = {key: order.decision_time for key, (order, _, _) in whole.orders.items()}
    early = [f for f in whole.fills.values() if f.time < decided[f.client_order_id] + timedelta(seconds=DELAY_S)]
    assert not early
    at_open = [f for f in whole.fills.values() if f.time.hour == 15]
    assert at_open, "the first bar of a day opens long after the decision: orders meet its open"
    before = run_replay(bars).fills.values()
    assert sum(f.time < decided.get(f.client_order_id, f.time) + timedelta(seconds=DELAY_S) for f in before) > 50


def test_prices_that_an_order_meets():
    bars = hourly(make_bars(8, 1, 1))
    met = tradable(bars, DELAY_S)
    late = np.array([False, True, True, True, True, True, False, True])
    assert np.array_equal(met.open[:, 0], np.where(late, bars.close[:, 0], bars.open[:, 0]))
    assert np.array_equal(opened_before(bars, DELAY_S)[:, 0], late)
    assert tradable(bars, 0.0) is bars
