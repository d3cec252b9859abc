"""From paper to live: a new desk begins with what the other has learnt, and without its money."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from agents.adapters.database.carrying import LEARNT, copy_learnt
from agents.adapters.database.engine import open_engine
from agents.adapters.database.weight_store import PostgresWeightStore
from agents.core.errors import UsageError
from agents.core.settings import Settings
from agents.core.types import as_datetime
from agents.wiring import carrying
from agents.wiring.carrying import carry_over
from agents.wiring.connections import Connections
from tests.conftest import SERVERS, SERVICES
from tests.integration.test_parity import BARS, FIRST, LiveDesk


@pytest.fixture
def desks(owner, trader, meta, redis_url):
    """One that has traded and tuned, and a new one."""
    old = LiveDesk(owner, trader, meta, redis_url)
    old.trade(FIRST, 260)
    at = as_datetime(BARS.time[260]) + timedelta(hours=1)
    old.plane.run_job("performance_analyzer", at, at)
    with SERVERS.database() as name:
        engines = [open_engine(SERVICES.database_url(name, f"quorum_{role}")) for role in ("owner", "trader", "meta")]
        yield old, Connections(*engines, redis_url, (), {})
        for engine in engines:
            engine.dispose()
    old.plane.cache.close()


def rows(engine, table):
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT t::text FROM {table} t ORDER BY 1")).scalars().all()


def a_copy_that_breaks_leaves_nothing(old, new):
    with new.owner.begin() as connection:
        connection.execute(text("ALTER TABLE agent_scorecards ADD CONSTRAINT broken CHECK (false)"))
    with pytest.raises(Exception, match="agent_scorecards"):
        copy_learnt(old.connections.meta, new.owner)
    assert all(rows(new.meta, table) == [] for table in LEARNT)
    with new.owner.begin() as connection:
        connection.execute(text("ALTER TABLE agent_scorecards DROP CONSTRAINT broken"))


def test_what_was_learnt_goes_along_and_money_does_not(desks, monkeypatch, tmp_path):
    old, new = desks
    a_copy_that_breaks_leaves_nothing(old, new)
    monkeypatch.setattr(carrying, "connect_as_it_is", lambda _settings: old.connections)
    monkeypatch.setattr(type(old.connections), "close", lambda _self: None)
    file = tmp_path / "paper.toml"
    file.write_text('[desk]\nname = "paper1"\n')
    told = carry_over(Settings(desk={"name": "live1"}), new, file)
    for table in LEARNT:
        assert rows(new.meta, table) == rows(old.connections.meta, table), table
    assert len(rows(new.meta, "weight_history")) > 3 and len(rows(new.meta, "agent_days")) > 100
    assert rows(new.meta, "agent_scorecards")
    for table in ("decisions", "positions", "fills", "trades", "equity", "desk_state", "cash_flows"):
        assert rows(new.owner, table) == [], table
    before = PostgresWeightStore(old.connections.trader).newest()
    store = PostgresWeightStore(new.trader)
    assert store.newest() == before, "a desk reads them at its first decision"
    published = PostgresWeightStore(new.meta).publish(before.weights, at=before.created_at, method="m", reason="r")
    assert published.version > max(
        int(row.split(",")[0].strip("(")) for row in rows(old.connections.meta, "weight_history")
    )
    words = "\n".join(told["taken"]), "\n".join(told["left"])
    assert f"version {before.version}" in words[0] and "6 agents" in words[0] and "scorecards" in words[0]
    assert "positions: " in words[1] and "equity: " in words[1] and "paper1" in words[1]
    with pytest.raises(UsageError, match="begun already"):
        carry_over(Settings(desk={"name": "live1"}), new, file)
