"""What ran, what failed, who is alive, what is wrong, what is to be done."""

from __future__ import annotations

from typing import Any

from agents.reports.machine_room import (
    freshness_sentence,
    job_line,
    parity_lines,
    system_lines,
    task_sentence,
    work_line,
)
from agents.reports.report import alarm_lines
from agents.web.site import Query, Site

RUNS, ALARMS, SYMBOLS = 20, 20, 30


def jobs_page(site: Site, _query: Query) -> dict[str, Any]:
    """Machine room of the newest facts, with the newest runs and alarms that ended."""
    facts, dashboard = site.snapshots.newest().facts, site.view.dashboard
    return {
        "alarms": alarm_lines(facts),
        "jobs": [job_line(run) for run in facts.jobs],
        "runs": dashboard.job_runs(RUNS),
        "ended": dashboard.ended_alarms(ALARMS),
        "system": system_lines(facts),
        "work": [work_line(work) for work in facts.work],
        "freshness": freshness_sentence(facts, SYMBOLS),
        "parity": parity_lines(facts.parity),
        "suggestions": dashboard.suggestions(),
        "tasks": facts.tasks,
        "task_counts": task_sentence(facts.task_counts),
    }
