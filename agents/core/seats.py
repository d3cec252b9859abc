"""Where an agent works, as the desk sees it: in this process, or in one of its own."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from agents.core.asking import Answer, Question


@runtime_checkable
class Seat(Protocol):
    """One agent at work. Nothing that the agent does raises here, and nothing keeps a caller longer than it allows.

    Questions come one after the other: `ask`, then `answer`, so that all seats can be asked before the first answers.
    """

    @property
    def name(self) -> str: ...

    @property
    def bars_needed(self) -> int: ...

    def ask(self, question: Question) -> None:
        """Put a question; returns at once."""
        ...

    def answer(self, timeout_s: float) -> Answer:
        """The answer to the last question, waited for at most so long."""
        ...

    def reasons(self, first: int, stop: int, timeout_s: float) -> list[tuple[str, ...]] | str:
        """Why, for each symbol, of rows `first` to `stop` (exclusive) of the last answer; else what was wrong."""
        ...

    def close(self) -> None:
        """The agent works no longer."""
        ...
