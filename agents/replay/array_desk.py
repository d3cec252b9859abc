"""The meta jobs' desk on arrays: what they read and write of a replay, without tables.

It answers as `adapters/database/meta_store.py` does, so that the jobs are the same functions; a test runs both
on one history and compares days, scorecards and decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import takewhile

from agents.core.clock import Clock
from agents.core.facts import ScoredChanges, Trading
from agents.core.life_types import LifeChange, LifeChanges, Listing
from agents.core.meta_ports import PastChange, TuningRecord
from agents.core.meta_types import IN_FORCE, AgentDays, BeliefsKind, KeptBeliefs, Scorecard, WeightDecision
from agents.core.types import WeightSet
from agents.core.weight_sets import StandIn, in_force, largest_move, published_set
from agents.core.weights_over_time import WeightsOverTime, utc_day
from agents.replay.agent_days import AgentDayTable


class ArrayDesk:
    """AnalyzerDesk and OptimizerDesk of one replay. `trials` are settings that were tried on this history before."""

    def __init__(
        self,
        agents: tuple[str, ...],
        stand_in: StandIn,
        days: AgentDayTable,
        clock: Clock,
        *,
        trials: int = 0,
    ) -> None:
        self.days = days
        self.decisions: list[WeightDecision] = []
        """Version k is at place k - 1."""
        self.scorecards: tuple[Scorecard, ...] = ()
        self.realised: dict[int, float | None] = {}
        self.scored = ScoredChanges(count=0, gained=0)
        """Of those that could be measured."""
        self.lives = LifeChanges()
        """Every change of an agent's state, oldest first."""
        self.on_decision: Callable[[WeightDecision, Sequence[LifeChange]], None] | None = None
        """Hears of each decision when it is made."""
        self._agents = agents
        self._stand_in = stand_in
        self._clock = clock
        self._trials = trials
        self._newest: WeightSet | None = None
        self._cached: WeightSet | None = None
        self._beliefs: dict[BeliefsKind, KeptBeliefs] = {}
        self._methods: set[str] = set()
        self._unscored: list[PastChange] = []
        self._record = TuningRecord(None, None, None)
        self._in_force = WeightsOverTime.of([])

    @property
    def seen(self) -> int:
        return self.days.seen

    def trading(self, since: int) -> Trading:
        return self.days.trading(since)

    @property
    def agents(self) -> tuple[str, ...]:
        return self._agents

    def now(self) -> datetime:
        return self._clock.now()

    def refresh_days(self) -> int:
        return self.days.refresh()

    def agent_days(self, *, until: datetime, whole_days_only: bool = False) -> AgentDays:
        today = utc_day(until)
        return self.days.days(today - 1 if whole_days_only else today)

    def variants_tried(self, agents: Sequence[str]) -> int:
        return len(agents) + self._trials

    def record_scorecards(self, cards: Sequence[Scorecard]) -> None:
        if cards:
            self.scorecards = tuple(cards)

    def weights_in_force(self, at: datetime) -> WeightSet:
        known = self._cached
        if known is None or (known.version == 0 and self._newest is not None):
            known = self._cached = in_force(self._newest, self._agents, self._stand_in, at)
        return known

    def tuning_record(self) -> TuningRecord:
        return self._record

    def weights_over_time(self) -> WeightsOverTime:
        return self._in_force

    def moved_since(self, since: datetime) -> float:
        recent = list(takewhile(lambda d: d.at >= since, reversed(self.decisions)))
        moves = [d for d in reversed(recent) if d.status in ("apply", "revert")]
        return largest_move(moves[0].previous or {}, self._newest.weights) if moves and self._newest else 0.0

    @property
    def beliefs(self) -> Mapping[BeliefsKind, KeptBeliefs]:
        """All that are kept."""
        return self._beliefs

    def kept_beliefs(self, kind: BeliefsKind) -> KeptBeliefs | None:
        return self._beliefs.get(kind)

    def keep_beliefs(self, kind: BeliefsKind, beliefs: KeptBeliefs, at: datetime) -> None:
        self._beliefs[kind] = beliefs

    def methods_tried(self, method: str) -> int:
        return len(self._methods | {method})

    @property
    def listed(self) -> dict[str, Listing]:
        return self._stand_in.listed(self._agents)

    def life_changes(self) -> LifeChanges:
        return self.lives

    def publish(self, decision: WeightDecision, changes: Sequence[LifeChange] = ()) -> int | None:
        self.decisions.append(decision)
        if changes:
            self.lives = LifeChanges((*self.lives, *changes))
        if self.on_decision is not None:
            self.on_decision(decision, changes)
        version = len(self.decisions)
        if decision.sample_size is not None:
            self._methods.add(decision.method)
        paused, resumed = self._record.paused_at, self._record.resumed_at
        if decision.method in ("monitor", "resume"):
            stops = decision.method == "monitor"
            paused, resumed = (decision.at, resumed) if stops else (None, decision.at)
        self._record = TuningRecord(decision.at, paused, resumed)
        if decision.status in IN_FORCE:
            self._in_force = self._in_force.then(decision.at, decision.weights)
            self._newest = self._cached = published_set(decision, version)
        if decision.status in ("apply", "revert"):
            self._unscored.append(
                PastChange(version, decision.at, _floats(decision.weights), _floats(decision.previous or {}))
            )
        return version

    def unscored_changes(self, *, before: datetime) -> list[PastChange]:
        return [change for change in self._unscored if change.at < before]

    def score_change(self, version: int, realised: float | None, at: datetime) -> None:
        if version not in self.realised and realised is not None:
            self.scored = ScoredChanges(count=self.scored.count + 1, gained=self.scored.gained + (realised > 0))
        self.realised.setdefault(version, realised)
        self._unscored = [change for change in self._unscored if change.version != version]


def _floats(weights: Mapping[str, object]) -> dict[str, float]:
    return {name: float(str(weight)) for name, weight in weights.items()}
