"""The life of an agent on a desk: its states, and how it came from one to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import groupby
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


class LifeChanges(tuple[LifeChange, ...]):
    """Every change of an agent's state, oldest first."""

    @cached_property
    def lives(self) -> Mapping[str, Life]:
        """Where every agent stands after them."""
        return lives_of(self)


def lives_of(changes: Iterable[LifeChange]) -> dict[str, Life]:
    """Where every agent stands, from all changes, oldest first."""
    lives: dict[str, Life] = {}
    earlier = 0
    for at, group in groupby(changes, key=lambda change: change.at):
        together = list(group)
        batch = sum(change.after == "shadow" for change in together)
        for change in together:
            known = lives.get(change.agent)
            watched: tuple[datetime | None, int, int] = (None, 0, 1)
            if change.after == "shadow":
                watched = (at, earlier, batch)
            elif change.after == "probation":
                watched = (at, 0, 1)
                if known is not None and known.watched_since is not None:
                    watched = (known.watched_since, known.earlier, known.batch)
            lives[change.agent] = Life(
                agent=change.agent,
                state=change.after,
                since=at,
                listed=change.evidence.get("listed", "enabled"),
                actor=change.actor,
                watched_since=watched[0],
                earlier=watched[1],
                batch=watched[2],
            )
        earlier += batch
    return lives
