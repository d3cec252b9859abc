"""The edges of limits that are not the step's: told in the log at once, and put on record as those of the step are."""

from __future__ import annotations

import logging
from datetime import datetime

from agents.core.alarm_types import LIMIT_OVER, LIMIT_REACHED
from agents.core.log import log_event
from agents.core.ports import Journal, RiskEvent
from agents.core.types import RiskState

logger = logging.getLogger(__name__)


class LimitEdges:
    """Of the limit `name`, a word for the log and the record. What was told while nobody could put it on record is
    owed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._reached = False
        self._owed: list[str] = []

    def tell(self, *, reached: bool, why: str = "") -> None:
        """Once when it is reached, once when it is over."""
        if reached and not self._reached:
            log_event(logger, "ALARM", level=logging.ERROR, kind="risk_limit", subject=self._name, why=why)
        elif self._reached and not reached:
            log_event(logger, "alarm is over", kind="risk_limit", subject=self._name)
        if reached != self._reached:
            self._owed.append(f"{LIMIT_REACHED if reached else LIMIT_OVER}{self._name}")
        self._reached = reached

    def settle(self, journal: Journal, state: RiskState, at: datetime) -> None:
        """Put on record what is owed; the desk, in `state`, stays in it."""
        while self._owed:
            reason = self._owed[0]
            event = RiskEvent(at=at, before=state, after=state, reason=reason, actor="desk", applied=True)
            journal.record_risk_event(event)
            self._owed.pop(0)
