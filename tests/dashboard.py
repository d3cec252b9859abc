"""A desk to look at, and a browser's way into its pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from alembic import command
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from agents.adapters.database.engine import open_engine
from agents.adapters.database.migrate import upgrade
from agents.adapters.database.reading_role import open_to_read
from agents.core.clock import SystemClock
from agents.core.settings import Settings
from agents.web.access import Access
from agents.web.application import make_application
from agents.web.site import Site
from agents.web.snapshots import Snapshots
from agents.wiring.dashboard import DeskView
from tests.conftest import SERVICES
from tests.integration.test_old_databases import FILES, load
from tests.integration.test_schema import run_alembic

NAME, TOKEN = "quorum_tests_dashboard", "k" * 43
SETTINGS = Settings(desk={"name": "t"}, data={"clock": "bars"})
EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>"
"""As an agent, a file or a person might word a reason."""
_HTML = (
    "INSERT INTO risk_events (time, from_state, to_state, reason, actor, applied_at)"
    " SELECT max(time), 'active', 'active', :evil, 'desk', max(time) FROM decisions",
    "INSERT INTO alarms (kind, subject, severity, detail, opened_at)"
    " SELECT 'data_stale', :evil, 'high', :evil, max(time) FROM decisions",
    "INSERT INTO signals (time, agent_name, symbol, strength, confidence, abstained, reason)"
    " SELECT max(time), :evil, max(symbol), 0.5, 0.5, false, :evil FROM decision_details",
    "INSERT INTO project_reports (generated_at, period_start, period_end, summary, recommendations, html, text, subject)"
    " SELECT max(time), max(time), max(time) + interval '1 hour', '{}', '[]', '<img src=\"cid:equity\">' || :evil, '', :evil"
    " FROM decisions",
    "INSERT INTO job_runs (job, due_at, started_at, status, detail)"
    " SELECT 'weight_optimizer', max(time), max(time), 'failed', :evil FROM decisions",
)


@dataclass(frozen=True)
class Looked:
    """A desk on record, its owner's engine, its view, and a client that is logged in."""

    owner: Engine
    view: DeskView
    client: TestClient


@contextmanager
def recorded_desk() -> Iterator[Engine]:
    """The owner of a database with a recorded history of 150 days, with jobs, weights, scorecards and reports, kept by an
    older version and migrated; HTML was written wherever words are kept."""
    SERVICES.drop_database(NAME)
    SERVICES.ensure_database(NAME)
    owner = open_engine(SERVICES.database_url(NAME, "quorum_owner"))
    run_alembic(owner, command.upgrade, "0005")
    load(owner, FILES / "demo.copy.xz")
    upgrade(owner, interval_s=86400)
    try:
        with owner.begin() as connection:
            for statement in _HTML:
                connection.execute(text(statement), {"evil": EVIL})
        yield owner
    finally:
        owner.dispose()
        SERVICES.drop_database(NAME)


def open_view(database: str, settings: Settings = SETTINGS) -> DeskView:
    """A desk to look at, as quorum_reader."""
    reader = open_to_read(SERVICES.database_url(database, "quorum_reader"), application="quorum-web")
    return DeskView(settings, reader, SERVICES.redis_url)


@contextmanager
def looked_at(owner: Engine, database: str, *, settings: Settings = SETTINGS) -> Iterator[Looked]:
    """The dashboard of a database, as quorum_reader, logged in."""
    view = open_view(database, settings)
    site = Site(view, Snapshots(view), Access(TOKEN, SystemClock()))
    with TestClient(make_application(site), base_url="http://localhost:8420") as client:
        answer = client.post("/login", data={"token": TOKEN}, follow_redirects=False)
        assert answer.status_code == 303
        yield Looked(owner, view, client)
    view.close()
