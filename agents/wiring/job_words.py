"""What a job did, in a line; it knows no database, as a replay's jobs say it too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def headline(job: str, outcome: dict[str, Any]) -> str:
    """One line on what a job did."""
    if job == "performance_analyzer":
        return (
            f"{len(outcome['agents_analyzed'])} agents over {outcome['days']} days;"
            f" top: {', '.join(outcome['top_performers']) or 'none'};"
            f" under: {', '.join(outcome['underperformers']) or 'none'}"
        )
    if job == "weight_optimizer":
        return f"{outcome['decision']}: {outcome['reason']}"
    if job == "parity_check":
        kinds = kinds_of(outcome)
        return f"{outcome['decisions']:,} decisions replayed; {kinds} differ{'s' if kinds == 'nothing' else ''}"
    return f"report {outcome['report_id']}, mail: {outcome['mail']}"


def kinds_of(report: dict[str, Any]) -> str:
    """ "2 orders, 1 fill", or "nothing"."""
    parts: Sequence[str] = [
        f"{n:,} {kind}{'s' if n > 1 and kind != 'equity' else ''}" for kind, n in report["counts"].items() if n
    ]
    return ", ".join(parts) or "nothing"
