"""What is drawn beside prices, held to plain loops; and how wide candles are."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from agents.web.chart_page import MOST_CANDLES, width_of
from agents.web.studies import studies

RNG = np.random.default_rng(3)
CLOSE = 100.0 * np.exp(np.cumsum(RNG.normal(0.0, 0.02, 120)))
HIGH, LOW = CLOSE * 1.01, CLOSE * 0.985


def test_bands_and_middles_are_those_of_a_loop():
    drawn = studies(HIGH, LOW, CLOSE)
    for t in (19, 60, 119):
        window = CLOSE[t - 19 : t + 1]
        assert drawn["band_middle"][t] == pytest.approx(window.mean())
        assert drawn["band_upper"][t] == pytest.approx(
            window.mean() + 2.0 * np.sqrt(((window - window.mean()) ** 2).mean())
        )
    assert np.isnan(drawn["band_middle"][18]) and np.isnan(drawn["conversion"][7])
    assert drawn["base"][60] == pytest.approx((HIGH[35:61].max() + LOW[35:61].min()) / 2)
    conversion = (HIGH[52:61].max() + LOW[52:61].min()) / 2
    assert drawn["span_a"][86] == pytest.approx((conversion + drawn["base"][60]) / 2), (
        "what was known 26 candles before"
    )
    assert drawn["span_b"][100] == pytest.approx((HIGH[23:75].max() + LOW[23:75].min()) / 2)


def test_the_strength_index_and_macd_are_those_of_a_loop():
    drawn = studies(HIGH, LOW, CLOSE)
    gain = loss = 0.0
    for before, after in pairwise(CLOSE):
        gain += (max(after - before, 0.0) - gain) / 14
        loss += (max(before - after, 0.0) - loss) / 14
    assert drawn["rsi"][-1] == pytest.approx(100.0 - 100.0 / (1.0 + gain / loss))
    fast = slow = CLOSE[0]
    signal = 0.0
    for price in CLOSE:
        fast += (price - fast) * 2 / 13
        slow += (price - slow) * 2 / 27
        signal += (fast - slow - signal) * 2 / 10
    assert drawn["macd"][-1] == pytest.approx(fast - slow) and drawn["macd_signal"][-1] == pytest.approx(signal)
    assert studies(*(np.full(30, 5.0),) * 3)["rsi"][-1] == 50.0
    assert all(
        len(values) == 3 and not np.isinf(values).any() for values in studies(HIGH[:3], LOW[:3], CLOSE[:3]).values()
    )


@pytest.mark.parametrize("bars", [1, 400, 1500, 1501, 20_000, 100_000, 525_600, 5_000_000])
@pytest.mark.parametrize("interval_s", [60, 3600, 86400])
def test_no_window_has_too_many_candles_and_a_small_one_has_every_bar(bars, interval_s):
    span = bars * interval_s
    width = width_of(bars, span, interval_s)
    assert span / width <= MOST_CANDLES + 1
    assert (width == interval_s) == (bars <= MOST_CANDLES)


def test_a_market_that_closes_makes_at_least_a_candle_a_session():
    """5,000 sessions of 390 minutes fill 1,354 days without a pause, and are 5,000 candles of a day."""
    assert width_of(5000 * 390, 7000 * 86400, 60) == 7 * 86400
