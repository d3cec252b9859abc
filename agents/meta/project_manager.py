"""The project manager as a user runs or imports it: facts of the desk -> a report on record and a mail on its way.

Run as a file it is `quorum meta --once --only project_manager --json`.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

from agents.core.meta_ports import Outbox, ReportDesk
from agents.meta import start_command
from agents.wiring.meta import meta_plane_of_settings
from agents.wiring.reporting import Reporting, write_report


class ProjectManagerAgent:
    """Writes one report for each due time and queues it for mail; doing it twice gives the same report once.

    Without a desk it is the one that settings file and environment describe.
    """

    def __init__(
        self, desk: ReportDesk | None = None, outbox: Outbox | None = None, reporting: Reporting | None = None
    ) -> None:
        self._desk = desk
        self._outbox = outbox
        self._reporting = reporting

    def execute(self, at: datetime | None = None) -> dict[str, Any]:
        """Report on the time since the last report, up to `at` (UTC, aware; default: now).

        Returns report_id, summary, recommendations, subject, and mail: "queued", or why there is none.
        """
        if self._desk is not None and self._outbox is not None:
            return write_report(self._desk, self._outbox, self._reporting or Reporting(), at or self._desk.now())
        with meta_plane_of_settings() as plane:
            reporting = self._reporting or plane.reporting
            return write_report(
                self._desk or plane.reports, self._outbox or plane.outbox, reporting, at or plane.clock.now()
            )


if __name__ == "__main__":
    start_command("meta", "--once", "--only", "project_manager", "--json", *sys.argv[1:])
