"""books beside the desk -> what each agent adds to it, over several windows. Pure.

The answer to "should I switch it off?": the desk as it is, less the desk without the agent, at the same costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np

from agents.core.value_added import AgentBooks, AgentValueAdded
from agents.quant.leave_one_out import value_added_by

WINDOWS_DAYS = (30, 90, 0)
"""0 is all history."""
WITHOUT, WITH = "the desk without it", "the desk with it at the floor"


def value_added(books: AgentBooks, windows: Sequence[int] = WINDOWS_DAYS) -> list[AgentValueAdded]:
    """One row for each agent and window, of the agents that have a book on the newest day."""
    rows = []
    for k, name in enumerate(books.agents):
        there = np.isfinite(books.books[:, k])
        if len(there) < 2 or not there[-1] or there.sum() < 2:
            continue
        first = int(np.flatnonzero(~there)[-1]) + 1 if not there.all() else 0  # what is without a hole
        if len(there) - first < 2:
            continue
        own = slice(first, None)
        compared = WITH if books.with_agent[-1, k] else WITHOUT
        for window in windows:
            added = value_added_by(
                books.date[own], books.desk[own], books.books[own, k], books.with_agent[own, k], window
            )
            figures: dict[str, Any] = {
                key: value if math.isfinite(value) else None for key, value in asdict(added).items()
            }
            rows.append(
                AgentValueAdded(
                    date=date.fromisoformat(str(books.date[-1])),
                    agent_name=name,
                    window_days=window,
                    compared=compared,
                    verdict=added.verdict,
                    **figures,
                )
            )
    return rows
