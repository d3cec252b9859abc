"""Why the desk listens to an agent less, or more, than was earned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.core.effective import EffectiveWeight, heard_now

FULL = EffectiveWeight("A", 0.2, 0.2, 5, 5, 0, "", "", 0)
WORDS = {
    "as earned": (FULL, ""),
    "more": (FULL._replace(effective=0.3), "others are silent: it has their part"),
    "silent somewhere": (
        FULL._replace(effective=0.1, spoke=3, silence="abstains: no bar"),
        "silent on 2 of 5 symbols (no bar)",
    ),
    "silent for long": (
        FULL._replace(effective=0.0, spoke=0, silence="abstains: no series", silent_decisions=12),
        "silent for 12 decisions (no series)",
    ),
    "silent for ever": (
        FULL._replace(effective=0.0, spoke=0, silent_decisions=500),
        "silent for 500 or more decisions",
    ),
    "silent once": (FULL._replace(effective=0.0, spoke=0, silent_decisions=1), "silent"),
    "failed": (FULL._replace(effective=0.0, spoke=0, failure="no answer in 5 s"), "failed: no answer in 5 s"),
    "stale": (
        FULL._replace(effective=0.0, stale=5),
        "the bars of all symbols are stale: positions may only shrink",
    ),
    "mixed": (FULL._replace(effective=0.19), "on some symbols others are silent too"),
}


def test_without_a_fresh_bar_nobody_is_heard_and_the_earned_weights_stay():
    at = datetime(2026, 3, 4, tzinfo=UTC)
    agents = [FULL, FULL._replace(agent_name="B", effective=0.0, symbols=0, spoke=0)]
    assert heard_now(agents, at, at) == agents == heard_now(agents, None, at)
    stale = heard_now(agents, at - timedelta(seconds=1), at)
    assert [(own.earned, own.effective) for own in stale] == [(0.2, 0.0)] * 2
    assert {own.why for own in stale} == {"the bars of all symbols are stale: positions may only shrink"}


@pytest.mark.parametrize("case", WORDS)
def test_the_difference_is_explained(case):
    own, words = WORDS[case]
    assert own.why == words
