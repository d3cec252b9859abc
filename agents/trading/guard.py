"""Calling agents that may raise, hang or return rubbish: the others go on, failures are counted, a breaker opens.

A hung call cannot be killed inside one process: its thread is left behind, and while it lives the agent counts as
failed without a new call, so at most one thread for each agent is ever lost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from agents.core.clock import Clock
from agents.core.ports import Agent
from agents.core.types import Panel, Signals, WorkLogEntry
from agents.trading.base import TradingAgent

DETAIL_LIMIT = 300
RANGE_TOLERANCE = 1e-12


@dataclass
class _Breaker:
    failures: int = 0
    open_since: datetime | None = None
    running: threading.Thread | None = None


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
        """Every agent's signals on its own trailing window of `panel` (the whole of it when action is "replay"); an
        agent that failed abstains everywhere. Rows older than its window abstain."""
        results, log = [], []
        for agent in self.agents:
            started_s = self._clock.monotonic_s()
            signals, problem = self._ask_one(agent, panel, at, whole=action == "replay")
            spent_ms = (self._clock.monotonic_s() - started_s) * 1000.0
            results.append(signals or silence(panel))
            opinions = (
                int((~results[-1].abstained).sum()) if action == "replay" else int((~results[-1].abstained[-1]).sum())
            )
            log.append(
                WorkLogEntry(
                    time=at,
                    agent_name=agent.name,
                    action=action,
                    duration_ms=spent_ms,
                    opinions=opinions,
                    ok=not problem,
                    detail=problem[:DETAIL_LIMIT],
                )
            )
        return results, log

    def _ask_one(self, agent: Agent, panel: Panel, at: datetime, *, whole: bool) -> tuple[Signals | None, str]:
        breaker = self._breakers[agent.name]
        if breaker.running is not None and breaker.running.is_alive():
            return None, self._count(breaker, at, "an earlier call still hangs")
        if breaker.open_since is not None and at - breaker.open_since < self._retry:
            return None, f"circuit breaker open since {breaker.open_since:%Y-%m-%d %H:%M:%S}"
        window = panel if whole else panel.rows(max(0, len(panel.time) - agent.bars_needed), len(panel.time))
        box: list[Signals | str] = []
        thread = threading.Thread(target=_call, args=(agent, window, box), name=f"agent-{agent.name}", daemon=True)
        thread.start()
        thread.join(self._timeout_s * (20.0 if whole else 1.0))
        if thread.is_alive():
            breaker.running = thread
            return None, self._count(breaker, at, f"no answer within {self._timeout_s} s")
        answer = box[0] if box else "the call ended without an answer"
        if isinstance(answer, str):
            return None, self._count(breaker, at, answer)
        breaker.failures, breaker.open_since, breaker.running = 0, None, None
        return _padded(answer, panel), ""

    def _count(self, breaker: _Breaker, at: datetime, problem: str) -> str:
        breaker.failures += 1
        if breaker.failures >= self._limit:
            breaker.open_since = at
            return f"{problem}; failure {breaker.failures} in a row: circuit breaker opened"
        return f"{problem}; failure {breaker.failures} in a row"


def _call(agent: Agent, panel: Panel, box: list[Signals | str]) -> None:
    try:
        signals = agent.signals(panel)
        box.append(fault_of(signals, panel) or signals)
    except BaseException as error:
        box.append(f"{type(error).__name__}: {error}")


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


def silence(panel: Panel) -> Signals:
    """Abstention everywhere."""
    shape = panel.close.shape
    return Signals(strength=np.zeros(shape), confidence=np.zeros(shape), abstained=np.ones(shape, dtype=bool))


def _padded(signals: Signals, panel: Panel) -> Signals:
    missing = len(panel.time) - len(signals.strength)
    if missing == 0:
        return signals
    rows = ((missing, 0), (0, 0))
    return Signals(
        strength=np.pad(signals.strength, rows),
        confidence=np.pad(signals.confidence, rows),
        abstained=np.pad(signals.abstained, rows, constant_values=True),
        evidence={name: np.pad(values, rows, constant_values=np.nan) for name, values in signals.evidence.items()},
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
