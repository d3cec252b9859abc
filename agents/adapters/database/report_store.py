"""Where reports, suggestions, alarms and metrics are kept; and the facts of which they are made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from agents.adapters.database.alarm_facts import read_alarm_facts
from agents.adapters.database.desk_facts import read_desk_facts
from agents.adapters.database.engine import row_dicts, transaction
from agents.adapters.database.system_state import read_system_state
from agents.core.alarm_types import AlarmFacts
from agents.core.clock import Clock
from agents.core.exposure import Exposure
from agents.core.facts import DeskFacts, Period
from agents.core.meta_types import Alarm, Recommendation, Report, ReportSummary, Suggestion
from agents.core.ports import WeightCache

_ADD_METRIC = """
    INSERT INTO system_metrics (time, name, value) VALUES (:time, :name, :value) ON CONFLICT DO NOTHING"""
_SUGGEST = """
    INSERT INTO improvement_suggestions AS s
        (fingerprint, kind, severity, title, action, evidence, state, created_at, updated_at)
    VALUES (:fingerprint, :kind, :severity, :title, :action, :evidence, 'open', :at, :at)
    ON CONFLICT (fingerprint) DO UPDATE SET severity = excluded.severity, title = excluded.title,
        action = excluded.action, evidence = excluded.evidence, updated_at = :at,
        state = CASE WHEN s.state = 'done' THEN 'open' ELSE s.state END"""
_SUGGESTIONS_DONE = """
    UPDATE improvement_suggestions SET state = 'done', updated_at = :at
    WHERE state IN ('open', 'accepted') AND fingerprint <> ALL(:known)"""
_SUGGESTIONS = """
    SELECT id, fingerprint, kind, severity, title, action, evidence, state, created_at
    FROM improvement_suggestions WHERE state IN ('open', 'accepted')
    ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low', 'info'], severity), id"""
_STORE_REPORT = """
    INSERT INTO project_reports (generated_at, period_start, period_end, summary, recommendations, html, text, subject)
    VALUES (:generated_at, :start, :end, :summary, :recommendations, :html, :text, :subject)
    ON CONFLICT (period_start, period_end) DO NOTHING RETURNING id"""
_OPEN_ALARM = """
    INSERT INTO alarms (kind, subject, severity, detail, opened_at)
    VALUES (:kind, :subject, :severity, :detail, :at) ON CONFLICT DO NOTHING"""
_REFRESH_ALARM = """
    UPDATE alarms SET severity = :severity, detail = :detail
    WHERE kind = :kind AND subject = :subject AND closed_at IS NULL"""
_NEW_VARIANT = """
    INSERT INTO strategy_variants (agent_name, variant_name, parameters, state, created_at)
    VALUES (:agent, :name, :parameters, 'champion', :at) ON CONFLICT (agent_name, variant_name) DO NOTHING"""
_DEMOTE_OTHERS = """
    UPDATE strategy_variants SET state = 'demoted'
    WHERE agent_name = :agent AND variant_name <> :name AND state = 'champion'"""
_NEW_MODEL = """
    INSERT INTO ml_models (name, version, sha256, format, parameters, created_at)
    SELECT :name, coalesce(max(version), 0) + 1, :sha256, :format, :parameters, :at FROM ml_models WHERE name = :name
    HAVING count(*) FILTER (WHERE sha256 = :sha256) = 0"""


class ReportStore:
    """ReportDesk over one desk's database, and where alarms keep their edges.

    `folder` is on the disk that is watched; `look` tells how the desk is exposed, where somebody is to look at that.
    """

    def __init__(
        self,
        engine: Engine,
        cache: WeightCache,
        clock: Clock,
        folder: Path,
        look: Callable[[], Exposure] | None = None,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._clock = clock
        self._folder = folder
        self._look = look

    def now(self) -> datetime:
        return self._clock.now()

    def last_report_end(self, before: datetime) -> datetime | None:
        query = "SELECT max(period_end) FROM project_reports WHERE period_end < :before"
        with transaction(self._engine) as connection:
            newest = connection.execute(text(query), {"before": before}).scalar()
        return newest if isinstance(newest, datetime) else None

    def facts(self, period: Period) -> DeskFacts:
        """Everything that a report tells, as one moment of the database shows it."""
        with transaction(self._engine) as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            facts = read_desk_facts(connection, period, read_system_state(connection, self._cache, self._folder))
        return facts if self._look is None else replace(facts, exposure=self._look())

    def alarm_facts(self, at: datetime, fresh_after: datetime) -> AlarmFacts:
        """The few facts that alarms look at; without a decision, bars later than `fresh_after` should have one."""
        with transaction(self._engine) as connection:
            return read_alarm_facts(
                connection, at, fresh_after, read_system_state(connection, self._cache, self._folder)
            )

    def record_metrics(self, at: datetime, metrics: Mapping[str, float]) -> None:
        rows = [{"time": at, "name": name, "value": float(value)} for name, value in metrics.items()]
        with transaction(self._engine) as connection:
            connection.execute(text(_ADD_METRIC), rows)

    def sync_suggestions(self, at: datetime, recommendations: Sequence[Recommendation]) -> list[Suggestion]:
        rows = [asdict(r) | {"evidence": json.dumps(r.evidence, default=str), "at": at} for r in recommendations]
        with transaction(self._engine) as connection:
            if rows:
                connection.execute(text(_SUGGEST), rows)
            connection.execute(text(_SUGGESTIONS_DONE), {"at": at, "known": [r.fingerprint for r in recommendations]})
            return [_suggestion(row) for row in row_dicts(connection, _SUGGESTIONS)]

    def store_report(self, report: Report, summary: ReportSummary, suggestions: Sequence[Suggestion]) -> int:
        values = {
            "generated_at": report.generated_at,
            "start": report.period_start,
            "end": report.period_end,
            "html": report.html,
            "text": report.text,
            "subject": report.subject,
            "summary": json.dumps(summary.as_plain(), default=str),
            "recommendations": json.dumps([s.as_plain() for s in suggestions], default=str),
        }
        with transaction(self._engine) as connection:
            stored = connection.execute(text(_STORE_REPORT), values).scalar()
            if stored is None:
                known = "SELECT id FROM project_reports WHERE period_start = :start AND period_end = :end"
                stored = connection.execute(text(known), values).scalar_one()
        return int(stored)

    def sync_alarms(self, at: datetime, wrong: Sequence[Alarm]) -> tuple[list[Alarm], list[Alarm]]:
        """Open what is new, close what has ended, keep what is said of the others true; returns (opened, closed)."""
        wanted = {(alarm.kind, alarm.subject): alarm for alarm in wrong}
        with transaction(self._engine) as connection:
            rows = row_dicts(
                connection, "SELECT id, kind, subject, severity, detail FROM alarms WHERE closed_at IS NULL FOR UPDATE"
            )
            known = {(row["kind"], row["subject"]): (row.pop("id"), Alarm(**row)) for row in rows}
            opened = [alarm for key, alarm in wanted.items() if key not in known]
            ended = [known[key] for key in known if key not in wanted]
            if opened:
                connection.execute(text(_OPEN_ALARM), [asdict(alarm) | {"at": at} for alarm in opened])
            still = [asdict(alarm) for key, alarm in wanted.items() if key in known and known[key][1] != alarm]
            if still:
                connection.execute(text(_REFRESH_ALARM), still)
            if ended:
                close = text("UPDATE alarms SET closed_at = :at WHERE id = :id")
                connection.execute(close, [{"at": at, "id": alarm_id} for alarm_id, _ in ended])
        return opened, [alarm for _, alarm in ended]

    def register_variants(
        self, at: datetime, variants: Mapping[str, Mapping[str, Any]], models: Sequence[Mapping[str, Any]]
    ) -> None:
        """Today's agents as champions with their parameters, and model versions; new parameters are a new variant."""
        with transaction(self._engine) as connection:
            for agent, variant in variants.items():
                named = {"agent": agent, "name": variant["variant"]}
                new = named | {"parameters": json.dumps(variant["parameters"]), "at": at}
                connection.execute(text(_NEW_VARIANT), new)
                connection.execute(text(_DEMOTE_OTHERS), named)
            for model in models:
                new = {**model, "parameters": json.dumps(model["parameters"]), "at": at}
                connection.execute(text(_NEW_MODEL), new)


def _suggestion(row: dict[str, Any]) -> Suggestion:
    on_record = {name: row.pop(name) for name in ("id", "state", "created_at")}
    return Suggestion(recommendation=Recommendation(**row), **on_record)


def forget_old_metrics(meta: Engine, at: datetime, *, metrics_days: int) -> int:
    """Drop chunks of system_metrics that are older; returns how many.

    Drops nothing where more than half of all chunks would go: then the clock is wrong rather than the metrics old.
    """
    before = at - timedelta(days=metrics_days)
    with transaction(meta) as connection:
        return int(connection.execute(text("SELECT forget_metrics(:before)"), {"before": before}).scalar_one())
