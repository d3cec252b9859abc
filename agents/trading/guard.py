"""Asking agents that may raise, hang or return rubbish: the others go on, failures are counted, a breaker opens.

Each agent works at a seat (`core/seats.py`), inside this process or in one of its own; here they are asked all at the
same time, for signals and reasons alike, and one deadline holds for all of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from agents.core.asking import LATE, Answer, Question, clean_text, silence
from agents.core.clock import Clock
from agents.core.ports import Agent
from agents.core.seats import Seat
from agents.core.types import Panel, Signals, WorkLogEntry
from agents.quant.opinions import raw_opinions
from agents.trading.inside import InsideSeat

REPLAY_PATIENCE, LONGEST_S = 20.0, 240.0
"""An agent may take so many timeouts for a whole history, but no longer than LONGEST_S: a daemon that waits for it must
still feed a watchdog of five minutes."""
Words = tuple[tuple[tuple[str, ...], ...], ...]
"""Reasons [A][n][S]."""


@dataclass
class _Breaker:
    """One agent's failures in a row, and since when it is not asked."""

    failures: int = 0
    open_since: datetime | None = None


class AgentPanel:
    """A set of agents with their breakers; `ask` never raises because of an agent, nor lasts much longer than
    `timeout_s`, however many of them hang."""

    def __init__(
        self,
        agents: Sequence[Agent | Seat],
        clock: Clock,
        *,
        timeout_s: float,
        breaker_failures: int,
        breaker_retry_s: float,
    ) -> None:
        self._seats = tuple(agent if isinstance(agent, Seat) else InsideSeat(agent, clock) for agent in agents)
        self._clock = clock
        self._timeout_s, self._patience_s = timeout_s, max(timeout_s, min(timeout_s * REPLAY_PATIENCE, LONGEST_S))
        self._limit = breaker_failures
        self._retry = timedelta(seconds=breaker_retry_s)
        self._breakers = {seat.name: _Breaker() for seat in self._seats}
        self._answers: list[Answer] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Agents' names in their order."""
        return tuple(seat.name for seat in self._seats)

    @property
    def bars_needed(self) -> int:
        """The longest memory of them all."""
        return max(seat.bars_needed for seat in self._seats)

    def bars_needed_without(self, names: Sequence[str]) -> int:
        """The longest memory of those that are not among `names`."""
        return max(seat.bars_needed for seat in self._seats if seat.name not in names)

    def ask(
        self, panel: Panel, at: datetime, *, action: str, worded: bool = True
    ) -> tuple[list[Signals], list[WorkLogEntry]]:
        """Every agent's signals: on all of `panel` when action is "replay", else one row, for its last bar, from the
        agent's own trailing window, with reasons. An agent that failed abstains. All are asked at the same time.

        Where they are not `worded`, `reasons` are not asked for, and what they would be made of is not kept."""
        question = Question(panel, whole=action == "replay", worded=worded)
        waiting = [self._not_asked(seat.name, at) for seat in self._seats]
        for seat, problem in zip(self._seats, waiting, strict=True):
            if not problem:
                seat.ask(question)
        allowed_s = self._patience_s if question.whole else self._timeout_s
        deadline_s = self._clock.monotonic_s() + allowed_s
        answers = []
        for seat, problem in zip(self._seats, waiting, strict=True):
            answer = Answer(None, problem=problem)
            if not problem:
                answer = seat.answer(max(0.0, deadline_s - self._clock.monotonic_s()))
                if answer.problem == LATE:
                    answer = replace(answer, problem=f"no answer within {allowed_s:g} s", spent_ms=allowed_s * 1e3)
                answer = self._judged(seat.name, answer, at)
            answers.append(answer)
        self._answers = answers if worded else []
        signals = [silence(question.answered_shape()) if a.signals is None else a.signals for a in answers]
        return signals, [
            WorkLogEntry(
                time=at,
                agent_name=seat.name,
                action=action,
                duration_ms=answer.spent_ms,
                opinions=int((~said.abstained).sum()),
                ok=not answer.problem,
                detail=answer.problem,
            )
            for seat, answer, said in zip(self._seats, answers, signals, strict=True)
        ]

    def reasons(self, first: int, stop: int, symbols: int) -> Words:
        """Why, [A][n][S], of rows `first` to `stop` (exclusive) of the last answers; what failed says so."""
        words: list[tuple[tuple[str, ...], ...]] = []
        for seat, answer in zip(self._seats, self._answers, strict=True):
            said: list[tuple[str, ...]] | str = answer.problem or [answer.reasons]
            if not answer.problem and not answer.reasons:
                said = seat.reasons(first, stop, self._patience_s)
            if isinstance(said, str):
                said = [(clean_text(f"failed: {said}"),) * symbols] * (stop - first)
            words.append(tuple(said))
        return tuple(words)

    def close(self) -> None:
        """No agent works any longer."""
        for seat in self._seats:
            seat.close()

    def _not_asked(self, name: str, at: datetime) -> str:
        """Why this agent is not asked; "" where it is."""
        since = self._breakers[name].open_since
        if since is not None and at - since < self._retry:
            return f"circuit breaker open since {since:%Y-%m-%d %H:%M:%S}"
        return ""

    def _judged(self, name: str, answer: Answer, at: datetime) -> Answer:
        """The answer; a failure is counted, too many in a row open the breaker."""
        breaker = self._breakers[name]
        if not answer.problem:
            breaker.failures, breaker.open_since = 0, None
            return answer
        breaker.failures += 1
        problem = f"{answer.problem}; failure {breaker.failures} in a row"
        if breaker.failures >= self._limit:
            breaker.open_since = at
            problem += ": circuit breaker opened"
        return replace(answer, signals=None, problem=problem)


def raw_forecasts(signals: Sequence[Signals]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """strength x confidence [T, A, S], NaN where abstained."""
    bars, symbols = signals[0].strength.shape
    raw = np.empty((bars, len(signals), symbols))
    for a, said in enumerate(signals):
        raw_opinions(said.strength, said.confidence, said.abstained, raw[:, a])
    return raw
