"""Trials on one history in memory: their replays, and their count on record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Engine

from agents.adapters.database.trials_store import TrialOutcome, TrialsStore, TriedHistory
from agents.core.books import FIRST, LIVE
from agents.core.clock import SystemClock
from agents.core.settings import Settings, plain_settings, with_changes
from agents.core.types import Bars, Signals, as_datetime
from agents.quant.measures import daily_of
from agents.replay.simulate import SignalSource
from agents.replay.trials import TrialReturns
from agents.trading.registry import agent_names
from agents.wiring.desk import agents_of
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.manifest import DataDigest, versions
from agents.wiring.replay import asking, replay_history


@dataclass
class TrialRunner:
    """Replays parts of one history under changed settings; what the agents say of it is asked once."""

    bars: Bars
    settings: Settings
    tuning: bool = True
    _signals: dict[str, Signals] = field(default_factory=dict)
    _digest: str = ""

    @property
    def data_hash(self) -> str:
        """Of all bars."""
        if not self._digest:
            digest = DataDigest()
            digest.add(self.bars, 0)
            self._digest = digest.hexdigest()
        return self._digest

    def signal_source(self, names: Sequence[str]) -> SignalSource:
        """What agents of these names say, asked once for the whole history: they are causal, and no setting reaches
        them."""
        missing = [name for name in names if name not in self._signals]
        if missing:
            alone = {"agents.enabled": missing, "agents.shadow": [], "agents.static_weights": {}}
            panel = agents_of(with_changes(self.settings, alone), SystemClock())
            self._signals |= dict(zip(panel.names, asking(panel, self.settings.agents.shadow)(self.bars), strict=True))
            panel.close()

        def recorded(chunk: Bars) -> list[Signals]:
            first = int(np.searchsorted(self.bars.time, chunk.time[0]))
            rows = slice(first, first + len(chunk.time))
            return [
                Signals(strength=s.strength[rows], confidence=s.confidence[rows], abstained=s.abstained[rows])
                for s in (self._signals[name] for name in names)
            ]

        return recorded

    def run(self, changes: Mapping[str, Any], first: int, stop: int) -> TrialReturns:
        """A replay of rows `first` to `stop` (exclusive) under changed settings; what is before is memory."""
        settings = with_changes(self.settings, dict(changes))
        chosen = settings.agents
        names = agent_names(chosen.enabled, chosen.own, chosen.shadow)
        history = history_of(self.bars, as_datetime(self.bars.time[first]), as_datetime(self.bars.time[stop - 1]))
        request = ReplayRequest(settings=settings, tuning=self.tuning, optimizer_only=True)
        daily = daily_of(replay_history(history, request, signal_source=self.signal_source(names)).run)
        return TrialReturns(daily.date, daily.returns(LIVE), daily.returns(FIRST), daily.per_year)


def count_candidates(engine: Engine, runner: TrialRunner, points: Sequence[Mapping[str, Any]]) -> None:
    """Put settings that a walk-forward chose among on record as tried on its history."""
    bars, store = runner.bars, TrialsStore(engine)
    first, last = as_datetime(bars.time[0]), as_datetime(bars.time[-1])
    for point in points:
        settings = {
            "changes": dict(point),
            **versions(),
            **plain_settings(with_changes(runner.settings, dict(point))),
        }
        digest = hashlib.sha256(
            json.dumps(["walk-forward", settings], sort_keys=True, default=str).encode()
        ).hexdigest()[:32]
        history = TriedHistory(runner.data_hash, bars.symbols, first, last)
        store.record(history, digest, settings, TrialOutcome({"by": "walk-forward"}, np.empty(0)))


def trials_before(engine: Engine, bars: Bars) -> int:
    """Settings on record for histories that overlap this one."""
    return TrialsStore(engine).tried_on(bars.symbols, as_datetime(bars.time[0]), as_datetime(bars.time[-1]))
