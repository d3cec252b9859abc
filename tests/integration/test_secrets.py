"""A canary in every password that Quorum is given: it must not turn up in a command line, an answer, a log, a report, a
mail, the database or an error, whatever the log level."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from agents.adapters.database.engine import normalise_url
from agents.wiring.connections import without_secrets
from tests.conftest import SERVICES
from tests.program import call, run

CANARY = "kanarienvogel-8153"
READING = (
    ("status", "--json"),
    ("status",),
    ("jobs", "--json"),
    ("doctor", "--json"),
    ("weights", "show", "--json"),
    ("psql", "--json"),
    ("services", "status", "--json"),
    ("report", "--json"),
    ("report", "--out", "r.html"),
    ("report", "--out", "r.eml"),
    ("meta", "--once", "--only", "project_manager", "--json"),
)


@pytest.fixture
def environment(database, redis_url, tmp_path, owner):
    """DATABASE_URL and REDIS_URL with the canary, which these servers, on sockets of their own, do not ask for."""
    known = {k: v for k, v in os.environ.items() if not k.startswith("QUORUM_")}
    plain = make_url(SERVICES.database_url(database, "quorum_owner"))
    url = plain.set(drivername="postgresql", password=CANARY).render_as_string(hide_password=False)
    secret = tmp_path / "password"
    secret.write_text(CANARY)
    secret.chmod(0o600)
    with owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO email_config (id, server, port, security, account, sender, secret_file, recipients, mode,"
                " frequency_s) VALUES (1, '127.0.0.1', 1, 'starttls', 'me', 'a@b.c', :f, '[\"x@y.z\"]',"
                " 'every_report', 60)"
            ),
            {"f": str(secret)},
        )
    return {
        **known,
        "DATABASE_URL": url,
        "REDIS_URL": redis_url.replace("unix://", f"unix://default:{CANARY}@"),
        "QUORUM_LOG_LEVEL": "debug",
    }


class CommandLines(threading.Thread):
    """Looks for secrets in the command line of every process of the machine, all the time."""

    def __init__(self, *secrets):
        super().__init__(daemon=True)
        self.secrets = [secret.encode() for secret in secrets or (CANARY,)]
        self.seen, self.found, self.ended = set(), set(), threading.Event()

    def run(self):
        while not self.ended.wait(0.002):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    line = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                except OSError:
                    continue
                self.seen.add(line)
                if any(secret in line for secret in self.secrets):
                    self.found.add(line)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


def files_with_the_canary(folder):
    return [f.name for f in folder.rglob("*") if f.is_file() and CANARY.encode() in f.read_bytes()]


def test_no_answer_file_or_row_has_a_password(environment, tmp_path, owner):
    for command in READING:
        outcome = call(*command, cwd=tmp_path, environment=environment, code=None)
        assert CANARY not in outcome.stdout + outcome.stderr, command
    assert files_with_the_canary(tmp_path) == ["password"], "its own file, which only its owner may read"
    assert (tmp_path / "r.html").exists() and (tmp_path / "r.eml").exists()
    with owner.connect() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
        for table in tables.all():
            rows = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars()
            assert not any(CANARY in row for row in rows), table


def test_no_command_line_has_a_password(environment, tmp_path):
    """Seen: `quorum psql` called psql with the whole URL, for every user of the machine to read."""
    with CommandLines() as lines:
        outcome = run(
            "psql", "--", "-tAc", "SELECT pg_sleep(1), 4711", cwd=tmp_path, environment=environment, code=None
        )
        run("meta", "--once", cwd=tmp_path, environment=environment, code=None)
    assert "4711" in outcome.stdout or "was not found" in outcome.stderr
    assert any(b"agents job" in line for line in lines.seen), "a job's process was looked at"
    assert lines.found == set()
    assert files_with_the_canary(tmp_path) == ["password"]


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{CANARY}@127.0.0.1:1/x",
        f"postgres://me:{CANARY}@no.such.host.invalid/x",
        f"postgresql://me@127.0.0.1:1/x?password={CANARY}",
        f"postgresql://me:{CANARY}@127.0.0.1:port/x",
        f"mysql://me:{CANARY}@127.0.0.1/x",
        f"me:{CANARY}@127.0.0.1",
    ],
)
@pytest.mark.parametrize("command", [("status", "--json"), ("psql", "--json"), ("meta", "--once"), ("trade",)])
def test_no_error_has_a_password(tmp_path, redis_url, url, command):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QUORUM_")}
    environment |= {"DATABASE_URL": url, "REDIS_URL": redis_url, "QUORUM_LOG_LEVEL": "debug"}
    outcome = call(*command, cwd=tmp_path, environment=environment, code=None)
    assert outcome.returncode != 0
    assert CANARY not in outcome.stdout + outcome.stderr
    assert files_with_the_canary(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql+psycopg://me:{CANARY}@h:5/x", "postgresql://me@h:5/x"),
        (f"postgresql+psycopg://me@h/x?password={CANARY}&sslmode=require", "postgresql://me@h/x?sslmode=require"),
        (f"postgresql+psycopg://me:{CANARY}@/x?host=/run/pg", "postgresql://me@/x?host=/run/pg"),
    ],
)
def test_psql_is_given_the_password_by_its_environment(url, shown):
    command, environment = without_secrets(make_url(normalise_url(url)))
    assert command.replace("%2F", "/") == shown
    assert environment == {"PGPASSWORD": CANARY}
