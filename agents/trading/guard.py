"""Calling agents that may raise, hang or return rubbish: the others go on, failures are counted, a breaker opens.

Each agent has a thread of its own. A hung call cannot be killed inside one process: while it lasts the agent counts as
failed without a new call, so nothing piles up and at most one thread for each agent is ever lost.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from agents.core.clock import Clock
from agents.core.ports import Agent
from agents.core.types import Floats, Panel, Signals, WorkLogEntry
from agents.trading.base import TradingAgent

DETAIL_LIMIT = 300
RANGE_TOLERANCE = 1e-12
REPLAY_PATIENCE = 20.0
"""How many timeouts an agent may take for a whole history."""


@dataclass
class _Breaker:
    """One agent's failures in a row, since when it is not asked, the call that hangs, the thread for its calls."""

    failures: int = 0
    open_since: datetime | None = None
    hung: _Call | None = None
    worker: _Worker | None = None


class AgentPanel:
    """A set of agents with their breakers; `ask` never raises because of an agent."""

    def __init__(
        self,
        agents: Sequence[Agent],
        clock: Clock,
        *,
        timeout_s: float,
        breaker_failures: int,
        breaker_retry_s: float,
    ) -> None:
        self.agents = tuple(agents)
        self._clock = clock
        self._timeout_s = timeout_s
        self._limit = breaker_failures
        self._retry = timedelta(seconds=breaker_retry_s)
        self._breakers = {agent.name: _Breaker() for agent in agents}

    @property
    def names(self) -> tuple[str, ...]:
        """Agents' names in their order."""
        return tuple(agent.name for agent in self.agents)

    @property
    def bars_needed(self) -> int:
        """The longest memory of them all."""
        return max(agent.bars_needed for agent in self.agents)

    def ask(self, panel: Panel, at: datetime, *, action: str) -> tuple[list[Signals], list[WorkLogEntry]]:
        """Every agent's signals: on all of `panel` when action is "replay", else one row, for its last bar, from the
        agent's own trailing window. An agent that failed abstains. All are asked at the same time."""
        whole = action == "replay"
        calls = [self._start(agent, panel, at, whole=whole) for agent in self.agents]
        deadline_s = self._clock.monotonic_s() + self._timeout_s * (REPLAY_PATIENCE if whole else 1.0)
        results, log = [], []
        for agent, call in zip(self.agents, calls, strict=True):
            signals, problem = self._finish(agent, call, at, deadline_s)
            if signals is None:
                signals = silence(panel.close.shape if whole else (1, len(panel.symbols)))
            elif not whole:
                signals = last_row(signals)
            results.append(signals)
            log.append(
                WorkLogEntry(
                    time=at,
                    agent_name=agent.name,
                    action=action,
                    duration_ms=call.spent_ms if isinstance(call, _Call) else 0.0,
                    opinions=int((~signals.abstained).sum()),
                    ok=not problem,
                    detail=problem[:DETAIL_LIMIT],
                )
            )
        return results, log

    def _start(self, agent: Agent, panel: Panel, at: datetime, *, whole: bool) -> _Call | str:
        """A call on its way, or why this agent is not asked."""
        breaker = self._breakers[agent.name]
        if breaker.hung is not None and not breaker.hung.done.is_set():
            return self._count_failure(breaker, at, "an earlier call still hangs")
        if breaker.open_since is not None and at - breaker.open_since < self._retry:
            return f"circuit breaker open since {breaker.open_since:%Y-%m-%d %H:%M:%S}"
        first = 0 if whole else max(0, len(panel.time) - agent.bars_needed)
        call = _Call(agent, read_only(panel.rows(first, len(panel.time))), self._clock)
        breaker.worker = breaker.worker or _Worker(agent.name)
        breaker.worker.submit(call)
        return call

    def _finish(self, agent: Agent, call: _Call | str, at: datetime, deadline_s: float) -> tuple[Signals | None, str]:
        """(The call's sound answer, ""), or (None, what was wrong), which counts as a failure."""
        if isinstance(call, str):
            return None, call
        breaker = self._breakers[agent.name]
        if not call.done.wait(max(0.0, deadline_s - self._clock.monotonic_s())):
            breaker.hung = call
            return None, self._count_failure(breaker, at, f"no answer within {self._timeout_s} s")
        if isinstance(call.answer, str):
            return None, self._count_failure(breaker, at, call.answer)
        breaker.failures, breaker.open_since, breaker.hung = 0, None, None
        return call.answer, ""

    def _count_failure(self, breaker: _Breaker, at: datetime, problem: str) -> str:
        """The problem, with how many there were in a row; too many open the breaker."""
        breaker.failures += 1
        if breaker.failures >= self._limit:
            breaker.open_since = at
            return f"{problem}; failure {breaker.failures} in a row: circuit breaker opened"
        return f"{problem}; failure {breaker.failures} in a row"


class _Call:
    """One call of one agent; `answer` is a problem until there is a sound one."""

    def __init__(self, agent: Agent, panel: Panel, clock: Clock) -> None:
        self.answer: Signals | str = "the call ended without an answer"
        self.spent_ms = 0.0
        self.done = threading.Event()
        self._agent, self._panel, self._clock = agent, panel, clock

    def run(self) -> None:
        """Ask, and say when it is over, whatever happened."""
        started_s = self._clock.monotonic_s()
        try:
            signals = self._agent.signals(self._panel)
            self.answer = fault_of(signals, self._panel) or signals
        except BaseException as error:
            self.answer = f"{type(error).__name__}: {error}"
        self.spent_ms = (self._clock.monotonic_s() - started_s) * 1000.0
        self.done.set()


class _Worker:
    """A thread that makes one agent's calls; a thread for each call would fault its memory in anew each time."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[_Call] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"agent-{name}", daemon=True).start()

    def submit(self, call: _Call) -> None:
        self._calls.put(call)

    def _run(self) -> None:
        while True:
            self._calls.get().run()


def read_only(panel: Panel) -> Panel:
    """The same panel on arrays that cannot be written: an agent must not change what the next one sees."""

    def locked(array: Floats) -> Floats:
        view = array.view()
        view.flags.writeable = False
        return view

    return replace(
        panel,
        open=locked(panel.open),
        high=locked(panel.high),
        low=locked(panel.low),
        close=locked(panel.close),
        volume=locked(panel.volume),
        exogenous={name: locked(series) for name, series in panel.exogenous.items()},
    )


def fault_of(signals: object, panel: Panel) -> str:
    """What is wrong with an agent's answer, "" for nothing: type, shape, dtype, range, finiteness."""
    if not isinstance(signals, Signals):
        return f"returned {type(signals).__name__} instead of Signals"
    shape = panel.close.shape
    for name in ("strength", "confidence", "abstained"):
        array = getattr(signals, name)
        if not isinstance(array, np.ndarray) or array.shape != shape:
            return f"{name} has shape {getattr(array, 'shape', None)}, expected {shape}"
        if (name == "abstained") != (array.dtype == np.bool_):
            return f"{name} has dtype {array.dtype}"
    spoken = ~signals.abstained
    for name, low in (("strength", -1.0), ("confidence", 0.0)):
        values = getattr(signals, name)[spoken]
        if not bool(np.isfinite(values).all()):
            return f"{name} is not finite where the agent did not abstain"
        if len(values) and (values.min() < low - RANGE_TOLERANCE or values.max() > 1.0 + RANGE_TOLERANCE):
            return f"{name} leaves [{low:g}, 1]: {values.min():g} to {values.max():g}"
    return ""


def silence(shape: tuple[int, ...]) -> Signals:
    """Abstention everywhere."""
    return Signals(strength=np.zeros(shape), confidence=np.zeros(shape), abstained=np.ones(shape, dtype=bool))


def last_row(signals: Signals) -> Signals:
    """The opinions on the newest bar alone, [1, S]."""
    return Signals(
        strength=signals.strength[-1:],
        confidence=signals.confidence[-1:],
        abstained=signals.abstained[-1:],
        evidence={name: values[-1:] for name, values in signals.evidence.items()},
    )


def word_reason(agent: Agent, signals: Signals, time_index: int, symbol_index: int, failure: str) -> str:
    """The reason stored with one signal; a user's agent without wording gets its numbers."""
    if failure:
        return "failed: " + failure
    if isinstance(agent, TradingAgent):
        return agent.reason_of(signals, time_index, symbol_index)
    if signals.abstained[time_index, symbol_index]:
        return "abstains"
    strength, confidence = (
        signals.strength[time_index, symbol_index],
        signals.confidence[time_index, symbol_index],
    )
    return f"strength {strength:+.2f}, confidence {confidence:.2f}"


def raw_forecasts(signals: Sequence[Signals]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """strength x confidence [T, A, S], NaN where abstained."""
    return np.stack([np.where(s.abstained, np.nan, s.strength * s.confidence) for s in signals], axis=1)
