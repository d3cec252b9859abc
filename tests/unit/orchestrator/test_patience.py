"""The daemon looks at the feed in steady steps, and right after a bar's end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.orchestrator.patience import JUST_AFTER_S, pause_until_bar_s

HOUR = timedelta(hours=1)
AT = datetime(2026, 3, 4, 10, 59, 58, tzinfo=UTC)


@pytest.mark.parametrize(
    ("into_s", "poll_s", "pause"),
    [
        (0.0, 2.0, 2.0),
        (0.5, 2.0, 1.5 + JUST_AFTER_S),
        (1.999, 2.0, 0.001 + JUST_AFTER_S),
        (2.0, 2.0, 2.0),
        (0.0, 60.0, 2.0 + JUST_AFTER_S),
    ],
)
def test_a_poll_comes_right_after_a_bars_end(into_s, poll_s, pause):
    """Seen: half of a poll's two seconds was lost at each bar."""
    assert pause_until_bar_s(AT + timedelta(seconds=into_s), HOUR, poll_s) == pytest.approx(pause)
