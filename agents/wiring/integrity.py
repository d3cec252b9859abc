"""Whether a desk's record is what was recorded: checked at each start, every night, and when a person asks."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Engine

from agents.adapters.database.chain_store import ChainStore
from agents.core.errors import JournalError
from agents.core.integrity import ChainReport
from agents.core.log import log_event

logger = logging.getLogger(__name__)
NAMED = 3


def check_record(engine: Engine, at: datetime, *, whole: bool, accepted: str | None = None) -> ChainReport:
    """Check the chain, keep the outcome and log what differs; `accepted` is why a person goes on with that."""
    store = ChainStore(engine)
    report = store.check(whole=whole)
    if report.differences and accepted is not None:
        report = replace(report, accepted=accepted)
    store.record(at, report)
    if report.differences and accepted is None:
        first = "; ".join(map(str, report.differences[:NAMED]))
        differences = len(report.differences)
        log_event(logger, "the journal was changed", level=logging.ERROR, differences=differences, first=first)
    return report


def require_intact(engine: Engine, at: datetime) -> None:
    """JournalError, naming rows, where what was recorded since the last good check was changed."""
    report = check_record(engine, at, whole=False)
    if report.differences:
        more = len(report.differences) - NAMED
        named = "; ".join(map(str, report.differences[:NAMED])) + (f"; and {more} more" if more > 0 else "")
        raise JournalError(
            f"the journal was changed by hand or damaged ({named}), so this desk does not trade;"
            " look with `quorum verify`, and go on with `quorum verify --accept REASON`"
        )
