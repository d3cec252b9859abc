"""The meta plane's numbers in the database: agent days, scorecards, weight decisions and their scores."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, text

from agents.adapters.database.agent_days import AgentDaysTable
from agents.adapters.database.beliefs import read_beliefs, write_beliefs
from agents.adapters.database.engine import driver_connection, lock_versions, transaction, weights_json
from agents.adapters.database.journal_rows import TableRows
from agents.adapters.database.journal_writes import insert_all
from agents.adapters.database.life_store import add_changes, read_changes
from agents.adapters.database.weight_rows import DECISION_COLUMNS, decision_of, exact_weights
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.core.clock import Clock
from agents.core.killpoint import killpoint
from agents.core.life_types import LifeChange, LifeChanges, Listing
from agents.core.meta_ports import PastChange, TuningRecord
from agents.core.meta_types import AgentDays, BeliefsKind, KeptBeliefs, Scorecard, WeightDecision
from agents.core.ports import WeightCache
from agents.core.types import WeightSet
from agents.core.weight_sets import StandIn, in_force, largest_move
from agents.core.weights_over_time import WeightsOverTime

_SETTINGS_TRIED = """
SELECT count(DISTINCT settings_hash) FROM settings_tried WHERE last_bar >= (SELECT min(date) FROM agent_days)
"""
_METHODS_TRIED = """
SELECT count(DISTINCT method) FROM (
    SELECT method, sample_size FROM weight_history UNION ALL SELECT method, sample_size FROM weight_trials) tried
WHERE sample_size IS NOT NULL AND method <> :method
"""
_WEIGHTS_BEFORE = """
SELECT previous_weights FROM weight_history
WHERE status IN ('apply', 'revert') AND timestamp >= :since AND previous_weights IS NOT NULL ORDER BY version LIMIT 1
"""
_UNSCORED = """
SELECT version, timestamp, agent_weights, previous_weights FROM weight_history
WHERE status IN ('apply', 'revert') AND realised_at IS NULL AND previous_weights IS NOT NULL AND timestamp < :before
ORDER BY version
"""
_SCORE = """
UPDATE weight_history SET realised_improvement = :realised, realised_at = :at
WHERE version = :version AND realised_at IS NULL
"""
_DECISION = f"SELECT {DECISION_COLUMNS} FROM weight_history WHERE version = :version"  # noqa: S608 - our own names
_INSERT_DECISION = f"""
INSERT INTO weight_history ({DECISION_COLUMNS})
SELECT coalesce(max(version), 0) + 1, CAST(:at AS timestamptz), CAST(:decided_for AS timestamptz),
       CAST(:weights AS jsonb), CAST(:previous AS jsonb), :method, :status, :reason, CAST(:window_days AS int),
       CAST(:sample_size AS int), CAST(:trials AS int), :inputs_hash, CAST(:sharpe_improvement AS float8),
       CAST(:return_improvement AS float8), CAST(:causes AS jsonb), CAST(:evidence AS jsonb)
FROM weight_history
ON CONFLICT (decided_for) DO NOTHING RETURNING version
"""  # noqa: S608 - our own names
_TRIAL_COLUMNS = (
    "timestamp, agent_weights, previous_weights, method, reason, window_days, sample_size, trials, inputs_hash,"
    " sharpe_improvement, return_improvement, causes, evidence"
)
_INSERT_TRIAL = f"""
INSERT INTO weight_trials ({_TRIAL_COLUMNS})
VALUES (:at, CAST(:weights AS jsonb), CAST(:previous AS jsonb), :method, :reason, :window_days, :sample_size, :trials,
        :inputs_hash, :sharpe_improvement, :return_improvement, CAST(:causes AS jsonb), CAST(:evidence AS jsonb))
"""  # noqa: S608 - our own names
_TUNING_RECORD = """
SELECT max(timestamp) AS decided_at, max(timestamp) FILTER (WHERE method = 'resume') AS resumed_at,
       max(timestamp) FILTER (WHERE method = 'monitor' AND version > coalesce(
           (SELECT max(version) FROM weight_history WHERE method = 'resume'), 0)) AS paused_at
FROM weight_history
"""
_WEIGHTS_OVER_TIME = """
SELECT timestamp, agent_weights FROM weight_history WHERE status IN ('apply', 'revert', 'initial') ORDER BY version
"""
_CARD_KEYS = ("date", "agent_name", "window_days")


class MetaStore:
    """AnalyzerDesk and OptimizerDesk over one desk's database and cache.

    `stand_in` is in force where no published weights cover the agents.
    """

    def __init__(
        self, engine: Engine, cache: WeightCache, agents: Sequence[str], stand_in: StandIn, clock: Clock
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._weights = PostgresWeightStore(engine)
        self._agents = tuple(agents)
        self._stand_in = stand_in
        self._clock = clock
        self._days = AgentDaysTable(engine, agents)

    @property
    def agents(self) -> tuple[str, ...]:
        return self._agents

    def now(self) -> datetime:
        return self._clock.now()

    # ------------------------------------------------------------ days and scorecards

    def refresh_days(self) -> int:
        return self._days.refresh()

    def agent_days(self, *, until: datetime, whole_days_only: bool = False) -> AgentDays:
        return self._days.read(until.astimezone(UTC).date() - timedelta(days=1 if whole_days_only else 0))

    def variants_tried(self, agents: Sequence[str]) -> int:
        with transaction(self._engine) as connection:
            known = connection.execute(text("SELECT count(*) FROM strategy_variants")).scalar_one()
            # A search's best settings on days of this desk's record look better than they are: each of them counts.
            tried = connection.execute(text(_SETTINGS_TRIED)).scalar_one()
        return max(int(known), len(agents)) + int(tried)

    def record_scorecards(self, cards: Sequence[Scorecard]) -> None:
        if not cards:
            return
        newest = {(card.date, card.agent_name, card.window_days): _scorecard_row(card) for card in cards}
        rows = list(newest.values())
        part = TableRows("agent_scorecards", tuple(rows[0]), [tuple(row.values()) for row in rows])
        with transaction(self._engine) as connection:
            insert_all(driver_connection(connection), part, _newest_card(part.columns))

    # ------------------------------------------------------------ weights

    def weights_in_force(self, at: datetime) -> WeightSet:
        return in_force(self._weights.newest(), self._agents, self._stand_in, at)

    def tuning_record(self) -> TuningRecord:
        with transaction(self._engine) as connection:
            row = connection.execute(text(_TUNING_RECORD)).one()
        return TuningRecord(row.decided_at, row.paused_at, row.resumed_at)

    def weights_over_time(self) -> WeightsOverTime:
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_WEIGHTS_OVER_TIME)).all()
        return WeightsOverTime.of((row.timestamp, exact_weights(row.agent_weights)) for row in rows)

    def moved_since(self, since: datetime) -> float:
        with transaction(self._engine) as connection:
            before = connection.execute(text(_WEIGHTS_BEFORE), {"since": since}).scalar()
        newest = self._weights.newest()
        return 0.0 if before is None or newest is None else largest_move(before, newest.weights)

    def kept_beliefs(self, kind: BeliefsKind) -> KeptBeliefs | None:
        return read_beliefs(self._engine, kind)

    def keep_beliefs(self, kind: BeliefsKind, beliefs: KeptBeliefs, at: datetime) -> None:
        write_beliefs(self._engine, kind, beliefs, at)

    def methods_tried(self, method: str) -> int:
        with transaction(self._engine) as connection:
            return int(connection.execute(text(_METHODS_TRIED), {"method": method}).scalar_one()) + 1

    @property
    def listed(self) -> dict[str, Listing]:
        return self._stand_in.listed(self._agents)

    def life_changes(self) -> LifeChanges:
        return LifeChanges(read_changes(self._engine))

    def publish(self, decision: WeightDecision, changes: Sequence[LifeChange] = ()) -> int | None:
        killpoint("weights.before_commit")
        with transaction(self._engine) as connection:
            if decision.status == "trial":
                connection.execute(text(_INSERT_TRIAL), _values(decision))
                return None
            version = _insert_decision(connection, decision)
            if version is not None:
                add_changes(connection, changes)
        killpoint("weights.before_redis")
        self._copy_newest()
        return version

    def publish_all(self, decisions: Iterable[tuple[WeightDecision, Sequence[LifeChange]]]) -> None:
        """Several decisions that were made one after the other, in one transaction; those that are on record already
        stay as they are."""
        with transaction(self._engine) as connection:
            for decision, changes in decisions:
                if _insert_decision(connection, decision) is not None:
                    add_changes(connection, changes)
        self._copy_newest()

    def decisions_on_record(self) -> int:
        """How many decisions about weights were published so far."""
        with transaction(self._engine) as connection:
            return int(connection.execute(text("SELECT count(*) FROM weight_history")).scalar_one())

    def _copy_newest(self) -> None:
        newest = self._weights.newest()
        if newest is not None:
            self._cache.write(newest)  # also where this run holds: whoever died before this line is repaired here

    def unscored_changes(self, *, before: datetime) -> list[PastChange]:
        with transaction(self._engine) as connection:
            rows = connection.execute(text(_UNSCORED), {"before": before}).all()
        return [PastChange(r.version, r.timestamp, _floats(r.agent_weights), _floats(r.previous_weights)) for r in rows]

    def score_change(self, version: int, realised: float | None, at: datetime) -> None:
        with transaction(self._engine) as connection:
            connection.execute(text(_SCORE), {"realised": realised, "at": at, "version": version})

    def score_changes(self, realised: Mapping[int, float | None], at: datetime) -> None:
        """As `score_change`, of many versions in one transaction."""
        rows = [{"realised": value, "at": at, "version": version} for version, value in realised.items()]
        if rows:
            with transaction(self._engine) as connection:
                connection.execute(text(_SCORE), rows)

    def decision(self, version: int) -> WeightDecision | None:
        """The decision of this version; None where there is none."""
        with transaction(self._engine) as connection:
            row = connection.execute(text(_DECISION), {"version": version}).first()
        return None if row is None else decision_of(row)


def _scorecard_row(card: Scorecard) -> dict[str, Any]:
    return {
        "date": card.date,
        "agent_name": card.agent_name,
        "window_days": card.window_days,
        **card.figures,
        "undefined": json.dumps(card.undefined),
        "pnl": card.pnl,
        "verdict": card.verdict,
        "measured": card.measured,
    }


def _newest_card(columns: Sequence[str]) -> str:
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in _CARD_KEYS)
    return f"({', '.join(_CARD_KEYS)}) DO UPDATE SET {changes}, recorded_at = now()"


def _insert_decision(connection: Connection, decision: WeightDecision) -> int | None:
    """The new version; None where the run `decided_for` has made one before."""
    lock_versions(connection)
    version = connection.execute(text(_INSERT_DECISION), _values(decision)).scalar()
    return None if version is None else int(version)


def _values(decision: WeightDecision) -> dict[str, Any]:
    return {
        "at": decision.at,
        "decided_for": decision.decided_for,
        "weights": weights_json(decision.weights),
        "previous": weights_json(decision.previous) if decision.previous is not None else None,
        "method": decision.method,
        "status": decision.status,
        "reason": decision.reason,
        "window_days": decision.window_days,
        "sample_size": decision.sample_size,
        "trials": decision.trials,
        "inputs_hash": decision.inputs_hash,
        "sharpe_improvement": decision.sharpe_improvement,
        "return_improvement": decision.return_improvement,
        "causes": json.dumps(decision.causes),
        "evidence": json.dumps(dict(decision.evidence)),
    }


def _floats(weights: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(weight) for name, weight in weights.items()}
