"""The weight optimizer as a user runs or imports it: agent days -> a decision about the weights.

Run as a file it is `quorum meta --once --only weight_optimizer --json`.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from agents.core.meta_ports import OptimizerDesk
from agents.meta import start_command
from agents.tuning.tuning_settings import Tuning
from agents.tuning.weight_decision import decide_weights
from agents.wiring.meta import meta_plane_of_settings


class WeightOptimizerAgent:
    """Proposes weights, lets the guard judge, and publishes. One decision for each due time, however often it is run.

    Without a desk it is the one that settings file and environment describe.
    """

    def __init__(self, desk: OptimizerDesk | None = None, tuning: Tuning | None = None) -> None:
        self._desk = desk
        self._tuning = tuning

    def execute(self, at: datetime | None = None, decided_for: datetime | None = None) -> dict[str, Any]:
        """Decide at `at` (UTC, aware; default: now) for the due time `decided_for` (None: a person asked).

        Returns weights_updated, old_weights, new_weights, improvement (expected and net of turnover: sharpe_improvement
        is annual, return_improvement a fraction of capital a year; `units` says so), decision, reason, version and
        method.
        """
        if self._desk is not None:
            return decide_weights(self._desk, self._tuning or Tuning(), at or self._desk.now(), decided_for)
        with meta_plane_of_settings() as plane:
            return decide_weights(plane.store, self._tuning or plane.tuning, at or plane.store.now(), decided_for)


if __name__ == "__main__":
    start_command("meta", "--once", "--only", "weight_optimizer", "--json", *sys.argv[1:])
