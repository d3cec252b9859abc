"""The performance analyzer as a user runs or imports it: agent days -> scorecards.

Run as a file it is `quorum meta --once --only performance_analyzer --json`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agents.core.meta_ports import AnalyzerDesk
from agents.meta import start_command
from agents.tuning.scorecards import WINDOWS_DAYS, Thresholds, update_scorecards
from agents.wiring.meta import meta_plane_of_settings


class PerformanceAnalyzerAgent:
    """Measures every agent: skill from its shadow book, money from attribution, and whether that is shown or chance.

    Without a desk it is the one that settings file and environment describe.
    """

    def __init__(self, desk: AnalyzerDesk | None = None, thresholds: Thresholds | None = None) -> None:
        self._desk = desk
        self._thresholds = thresholds

    def execute(self, at: datetime | None = None, windows: Sequence[int] = WINDOWS_DAYS) -> dict[str, Any]:
        """Write the scorecards up to `at` (UTC, aware; default: now) over `windows` (days; 0 is all history).

        Returns agents_analyzed, top_performers and underperformers (names), date, days and scorecards. Twice changes
        nothing.
        """
        if self._desk is not None:
            return update_scorecards(self._desk, self._thresholds or Thresholds(), at or self._desk.now(), windows)
        with meta_plane_of_settings() as plane:
            return update_scorecards(
                plane.store, self._thresholds or plane.thresholds, at or plane.store.now(), windows
            )


if __name__ == "__main__":
    start_command("meta", "--once", "--only", "performance_analyzer", "--json", *sys.argv[1:])
