"""The life of an agent on a desk: its states, and how it came from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from agents.core.clock import require_utc

LifeState = Literal["candidate", "shadow", "probation", "full", "decaying", "retired"]
LISTENED_TO: tuple[LifeState, ...] = ("probation", "full", "decaying")
"""States whose agents have a weight."""
Listing = Literal["enabled", "shadow", "none"]
"""Where the settings name an agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeChange:
    """An agent goes from one state to another at `at`. `actor` is "settings", "tuner" or a person's name; `evidence`
    holds plain numbers and texts, among them `listed`, where the settings named the agent."""

    at: datetime
    agent: str
    before: LifeState
    after: LifeState
    reason: str
    actor: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_utc(self.at, "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Where an agent stands: its state `since` a time, and where the settings named it then. `watched_since` is when
    its evidence began to count, None where none does; it then was one of `batch` agents that came into shadow
    together, and `earlier` had been there before them."""

    agent: str
    state: LifeState
    since: datetime
    listed: Listing
    actor: str
    watched_since: datetime | None = None
    earlier: int = 0
    batch: int = 1
