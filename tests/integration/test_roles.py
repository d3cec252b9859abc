"""Who may do what: every role by a connection of its own, and a database on a server of the user's."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from agents.adapters.database.engine import open_engine, transaction
from agents.adapters.database.roles import RIGHTS, ROLES, SECRET
from agents.adapters.database.tables import HYPERTABLES, metadata
from agents.core.errors import ServiceError
from agents.core.settings import Settings
from agents.wiring.connections import connect
from tests.conftest import SERVERS, SERVICES

DENIED = "42501"
WHERE_NOTHING_IS = "WHERE false"


@pytest.fixture
def acting(database):
    """An engine for each role."""
    engines = {role: open_engine(SERVICES.database_url(database, role)) for role in ROLES}
    yield engines
    for engine in engines.values():
        engine.dispose()


def refused(engine: Engine, statement: str) -> bool:
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    except ProgrammingError as error:
        assert error.orig.sqlstate == DENIED, error
        return True
    return False


def updates(rights: str, column: str) -> bool:
    """Whether `rights` let a column be changed: all of them, or those in brackets."""
    _, _, columns = rights.partition("UPDATE")
    return "UPDATE" in rights and (not columns.strip() or column in columns)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_changes_only_the_columns_that_are_named_for_it(acting, role):
    for table in RIGHTS["quorum_trader"].keys() | RIGHTS["quorum_meta"].keys():
        rights = RIGHTS[role].get(table, "")
        for column in [c.name for c in metadata.tables[table].columns]:
            change = f'UPDATE "{table}" SET "{column}" = "{column}" {WHERE_NOTHING_IS}'
            readable = table not in SECRET or role == "quorum_meta"
            assert refused(acting[role], change) == (not (updates(rights, column) and readable)), (role, table, column)
        assert refused(acting[role], f'DELETE FROM "{table}" {WHERE_NOTHING_IS}') == ("DELETE" not in rights), table
        assert refused(acting[role], f'TRUNCATE "{table}"'), table
        assert refused(acting[role], f'ALTER TABLE "{table}" DISABLE TRIGGER ALL'), table
        assert refused(acting[role], f'DROP TABLE "{table}"'), table


@pytest.mark.parametrize("role", ROLES)
def test_the_pieces_of_a_series_are_as_closed_as_the_series(owner, acting, role):
    """TimescaleDB makes chunks with the owner's rights; a role must not reach past the table through them."""
    with owner.begin() as connection:
        connection.execute(text("INSERT INTO signals VALUES (now(), 'A', 'S', 0, 0, true, NULL, '')"))
        connection.execute(text("INSERT INTO equity VALUES (now(), 'paper', 1, 1, 0)"))
        chunks = connection.execute(
            text("SELECT c FROM unnest(CAST(:t AS text[])) AS t, show_chunks(t::regclass) AS c"),
            {"t": ["signals", "equity"]},
        )
        names = [str(c) for c in chunks.scalars()]
    assert len(names) == 2
    for chunk in names:
        assert refused(acting[role], f"DELETE FROM {chunk}"), chunk
        assert refused(acting[role], f"TRUNCATE {chunk}"), chunk
        assert refused(acting[role], f"DROP TABLE {chunk}"), chunk
    for statement in ("UPDATE signals SET strength = 1", "DELETE FROM equity", "SELECT drop_chunks('signals', now())"):
        assert refused(acting[role], statement), statement
    with owner.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM signals")).scalar() == 1


def test_secrets_and_mail_are_the_meta_planes_alone(acting):
    for table in SECRET:
        assert refused(acting["quorum_trader"], f"SELECT * FROM {table}")
        assert refused(acting["quorum_reader"], f"SELECT * FROM {table}")
        assert not refused(acting["quorum_meta"], f"SELECT * FROM {table}")


def test_every_series_and_journal_table_is_named():
    named = RIGHTS["quorum_trader"].keys() | RIGHTS["quorum_meta"].keys()
    assert set(HYPERTABLES) <= named
    assert set(metadata.tables) - named == set(), "a new table needs its line in adapters/database/roles.py"


@pytest.fixture
def own_server(fresh):
    """A server of the user's: its login `someone` owns a database and has no other right; Quorum was never here."""
    fresh.up(print)
    with fresh.postgres.connect("postgres") as admin:
        admin.execute("CREATE ROLE someone LOGIN")
        admin.execute("CREATE DATABASE theirs OWNER someone TEMPLATE template0")
        ident = fresh.data / "pg_ident.conf"
        ident.write_text(
            "".join(
                line + "\n" + line.replace("postgres", "someone") + "\n"
                for line in ident.read_text().splitlines()
                if line.endswith(" postgres")
            )
        )
        admin.execute("SELECT pg_reload_conf()")
    with fresh.postgres.connect("theirs") as admin:
        admin.execute("CREATE EXTENSION timescaledb")
    return fresh


def settings_of(server, **more) -> Settings:
    url = SecretStr(server.database_url("theirs", "someone"))
    return Settings(database_url=url, redis_url=SecretStr(server.redis_url), state_dir=server.root, **more)


def users(connections) -> tuple[str, str]:
    answers = []
    for engine in (connections.trader, connections.meta):
        with transaction(engine) as connection:
            answers.append(str(connection.execute(text("SELECT current_user")).scalar()))
    return tuple(answers)


def test_on_a_server_of_the_users_nobody_trades_as_owner_unasked(own_server):
    """Refused with what to run; allowed when the settings say so; with the roles once they are there."""
    with pytest.raises(ServiceError) as caught:
        connect(settings_of(own_server), demo=False, say=print)
    for part in (
        "someone may not act as quorum_trader",
        "CREATE ROLE quorum_trader NOLOGIN",
        'GRANT quorum_trader, quorum_meta, quorum_reader TO "someone"',
        "database.allow_owner = true",
    ):
        assert part in str(caught.value)

    connections = connect(settings_of(own_server, database={"allow_owner": True}), demo=False, say=print)
    assert users(connections) == ("someone", "someone")
    connections.close()

    with own_server.postgres.connect("postgres") as admin:  # what the message says
        for role in ROLES:
            admin.execute(f"CREATE ROLE {role} NOLOGIN")
        admin.execute(f"GRANT {', '.join(ROLES)} TO someone")
    connections = connect(settings_of(own_server), demo=False, say=print)
    assert users(connections) == ("quorum_trader", "quorum_meta"), "a database that was migrated without them, too"
    assert refused(connections.trader, "DELETE FROM orders")
    assert connections.psql_environment["PGOPTIONS"] == "-c role=quorum_reader"
    with own_server.postgres.connect("theirs") as admin:
        kept = admin.execute("SELECT application_name FROM pg_stat_activity WHERE usename = 'someone'").fetchall()
    assert {name for (name,) in kept} == {"quorum-trader", "quorum-meta"}, "no session of the owner stays open"
    connections.close()


def test_roles_are_made_where_the_user_may(own_server):
    with own_server.postgres.connect("postgres") as admin:
        admin.execute("ALTER ROLE someone CREATEROLE")
    connections = connect(settings_of(own_server), demo=False, say=print)
    assert users(connections) == ("quorum_trader", "quorum_meta")
    assert refused(connections.trader, "TRUNCATE orders")
    connections.close()


def test_the_suites_own_server_lets_its_owner_act_as_the_roles(database):
    settings = Settings(
        database_url=SecretStr(SERVERS.services.database_url(database, "quorum_owner")),
        redis_url=SecretStr(SERVICES.redis_url),
    )
    connections = connect(settings, demo=False, say=print)
    assert users(connections) == ("quorum_trader", "quorum_meta")
    connections.close()
