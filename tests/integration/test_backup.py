"""The restore drill: a desk's database as a file, while it trades, and back into its place."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from agents.adapters.database.chain_store import ChainStore
from agents.adapters.database.engine import open_engine
from agents.adapters.services import dumps
from agents.adapters.services.dumps import DatabaseServer
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError, UsageError
from agents.core.settings import Settings
from agents.wiring import backup as wiring
from agents.wiring.backup import Occasion, backup, restore
from tests.conftest import SERVERS, SERVICES
from tests.integration.test_parity import LiveDesk
from tests.program import call

FIRST, HALF, LAST = 120, 130, 140
NAME = "quorum_backup_drill"


@pytest.fixture
def drilled(services):
    """A database of its own with a desk that has traded a little."""
    SERVICES.drop_database(NAME)
    with SERVERS.superuser() as session:
        session.execute(f'CREATE DATABASE "{NAME}" OWNER quorum_owner TEMPLATE quorum_template')
    trade(FIRST, HALF, put=True)
    yield NAME
    SERVICES.drop_database(NAME)


def trade(first: int, last: int, *, put: bool = False) -> None:
    engines = [open_engine(SERVICES.database_url(NAME, f"quorum_{role}")) for role in ("owner", "trader", "meta")]
    try:
        desk = LiveDesk(*engines, SERVICES.redis_url, put=put)
        desk.trade(first, last)
        desk.plane.cache.close()
    finally:
        for engine in engines:
            engine.dispose()


def occasion(database: str = NAME) -> Occasion:
    url = SecretStr(SERVICES.database_url(database, "postgres"))
    settings = Settings(database_url=url, redis_url=SecretStr(SERVICES.redis_url), state_dir=SERVICES.root)
    return Occasion(settings, False, SystemClock().now(), print)


def decisions() -> tuple[int, list]:
    engine = open_engine(SERVICES.database_url(NAME, "quorum_trader"))
    try:
        with engine.connect() as connection:
            count = connection.execute(text("SELECT count(*) FROM decisions")).scalar_one()
        return count, ChainStore(engine).check(whole=True).differences
    finally:
        engine.dispose()


def test_a_backup_of_a_trading_desk_takes_its_place_again(drilled, tmp_path):
    """C21, O3: one moment while the desk goes on; then everything is lost, and comes back; then it trades on."""
    file = tmp_path / "desk of mine.dump"
    made = {}
    worker = threading.Thread(target=lambda: made.update(backup(occasion(), file, verify=True)))
    worker.start()
    trade(HALF, LAST)
    worker.join()
    assert made["verified"]
    assert HALF - FIRST <= made["rows"]["decisions"] <= LAST - FIRST
    assert file.stat().st_mode & 0o077 == 0, "nobody else may read it"

    with pytest.raises(UsageError, match="holds a desk already; `quorum restore --replace`"):
        restore(occasion(), file, replace=False)
    user = open_engine(SERVICES.database_url(NAME, "quorum_trader"), application="quorum-trader")
    with user.connect(), pytest.raises(UsageError, match="is in use by quorum-trader; stop the daemons first"):
        restore(occasion(), file, replace=True)
    user.dispose()
    assert decisions() == (LAST - FIRST, [])

    done = restore(occasion(), file, replace=True)
    assert decisions() == (made["rows"]["decisions"], [])
    assert done["chain_digest"] == made["chain_digest"] != ""
    later = FIRST + made["rows"]["decisions"]
    trade(later, LAST + 2)
    assert decisions() == (LAST + 2 - FIRST, []), "the restored desk goes on from its last decision"

    kept = Path(done["kept"])
    told = kept.with_name(kept.name + ".json")
    assert json.loads(told.read_text())["rows"]["decisions"] == LAST - FIRST
    kept.unlink()
    told.unlink()
    with SERVERS.superuser() as session:
        left = session.execute("SELECT datname FROM pg_database WHERE datname ~ '_(verify|restore)_'").fetchall()
    assert left == [], "no database is left beside"


def test_what_is_no_whole_backup_is_refused_in_one_line(drilled, tmp_path):
    file = tmp_path / "desk.dump"
    with pytest.raises(UsageError, match="is not there; a backup is a dump and its .json"):
        restore(occasion(), file, replace=True)
    environment = {
        "DATABASE_URL": SERVICES.database_url(NAME, "postgres"),
        "REDIS_URL": SERVICES.redis_url,
        "QUORUM_STATE_DIR": str(SERVICES.root),
        "PATH": "/usr/bin:/bin",
    }
    said = json.loads(call("backup", str(file), "--no-verify", "--json", cwd=tmp_path, environment=environment).stdout)
    assert said["rows"]["decisions"] == HALF - FIRST
    assert "is there already" in call("backup", str(file), cwd=tmp_path, environment=environment, code=2).stderr
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="is not the file that was written"):
        restore(occasion(), file, replace=True)
    (tmp_path / "desk.dump.json").write_text("{}")
    with pytest.raises(UsageError, match="is no manifest of a backup"):
        restore(occasion(), file, replace=True)
    assert decisions()[0] == HALF - FIRST


def test_a_program_of_an_older_version_is_named_with_the_remedy(drilled, tmp_path, monkeypatch):
    """As on a Debian whose own client is older than the server."""
    file = tmp_path / "desk.dump"
    monkeypatch.setattr(dumps, "_major", lambda _program: 15)
    with pytest.raises(
        ServiceError, match=r"needs its pg_dump \(.* is of version 15.*\); install postgresql-client-\d+"
    ):
        backup(occasion(), file, verify=True)
    assert not file.exists()


def test_no_command_line_shows_the_password(monkeypatch, tmp_path):
    """Every process of a machine sees the command lines of the others."""
    url = SecretStr("postgresql://u:canary@127.0.0.1:1/d?sslmode=disable")
    server, opened = wiring._server(
        Settings(database_url=url, redis_url=SecretStr("redis://h"), state_dir=tmp_path), False
    )
    assert "canary" not in server.conninfo
    assert server.password == "canary"
    assert opened.database == "d"
    seen = {}
    monkeypatch.setattr(DatabaseServer, "_program", lambda _self, name: Path(name))
    monkeypatch.setattr(
        dumps.subprocess, "run", lambda command, env, **_: seen.update(command=command, env=env) or Done
    )
    server._run("pg_dump", "d", [])
    assert "canary" not in " ".join(seen["command"])
    assert seen["env"]["PGPASSWORD"] == "canary"


class Done:
    """A program that ended well."""

    returncode, stderr = 0, ""
