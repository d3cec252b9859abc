"""Why the desk listens to an agent less, or more, than was earned."""

from __future__ import annotations

import pytest

from agents.core.effective import EffectiveWeight

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


@pytest.mark.parametrize("case", WORDS)
def test_the_difference_is_explained(case):
    own, words = WORDS[case]
    assert own.why == words
