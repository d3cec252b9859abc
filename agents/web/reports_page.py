"""The archive of reports, each as it was mailed."""

from __future__ import annotations

import re
from typing import Any

from agents.core.errors import UsageError
from agents.web.site import Query, Site, whole_number

ROWS = 30
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
"""Of a report alone: it brings its styles with it, and nothing in it may run, be sent or be loaded."""
_PICTURE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)


def reports_page(site: Site, query: Query) -> dict[str, Any]:
    """The list from ?before= on, and the report of ?id=, else the newest one."""
    before = whole_number(query["before"], "before") if "before" in query else None
    rows = site.view.dashboard.reports(before, ROWS + 1)
    chosen = whole_number(query["id"], "id") if "id" in query else rows[0]["id"] if rows else None
    return {
        "rows": rows[:ROWS],
        "older": rows[ROWS - 1]["id"] if len(rows) > ROWS else None,
        "before": before,
        "chosen": None if chosen is None else _report(site, chosen),
    }


def report_html(site: Site, query: Query) -> str:
    """A stored report alone. Its pictures went with the mail and are not on record."""
    html: str = _report(site, whole_number(query.get("id", ""), "id"))["html"]
    return _PICTURE.sub("", html)


def _report(site: Site, number: int) -> dict[str, Any]:
    report = site.view.dashboard.report(number)
    if report is None:
        raise UsageError(f"there is no report {number}")
    return report
