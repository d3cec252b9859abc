"""The embedded PostgreSQL and Redis of one user: UNIX sockets only, in one state directory, never run as root.

`up` is idempotent and guarded by a lock, so two commands may call it at once; it recovers from killed servers and
stale pid files. `down` stops only these servers, found by their own data directory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from agents.adapters.services.debian import WAYS_OUT, Say, fetch_prefix
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError
from agents.core.settings import child_environment, home_state_dir

ROLES = ("quorum_owner", "quorum_trader", "quorum_meta", "quorum_reader")
SUPERUSER = "postgres"
SERVICE_USERS = ("quorum", "postgres", "nobody")
ROOT_STATE_DIR = Path("/var/lib/quorum")
CLOCK = SystemClock()
SOCKET_PATH_LIMIT = 100
START_TIMEOUT_S = 60
POSTGRES_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{run}'
unix_socket_permissions = 0700
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.max_background_workers = 0
max_connections = 60
shared_buffers = 128MB
max_wal_size = 1GB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = off
max_locks_per_transaction = 256
"""
REDIS_SETTINGS = """
port 0
unixsocket {run}/redis.sock
unixsocketperm 700
daemonize yes
pidfile {run}/redis.pid
logfile {logs}/redis.log
dir {run}
save ""
appendonly no
maxmemory 64mb
maxmemory-policy noeviction
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One server: is it running, where, which version."""

    name: str
    running: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Programs:
    """Folders of the server programs and where they came from."""

    postgres: Path
    redis: Path
    origin: str


class EmbeddedServices:
    """The servers of one state directory (None: the user's own)."""

    def __init__(self, state_dir: Path | None = None) -> None:
        self.root = (state_dir or default_state_dir()).absolute()
        self.data = self.root / "postgres"
        self.logs = self.root / "logs"
        self.prefix = self.root / "prefix"
        self.run = _socket_folder(self.root)

    def database_url(self, database: str, role: str) -> str:
        """SQLAlchemy URL of a database of the embedded server, by peer authentication."""
        return f"postgresql+psycopg://{role}@/{database}?host={self.run}"

    @property
    def redis_url(self) -> str:
        """URL of the embedded Redis."""
        return f"unix://{self.run}/redis.sock"

    def up(self, say: Say) -> None:
        """Make both servers run; ServiceError with the way out where that is impossible."""
        with self._lock(say):
            self._make_folders()
            programs = self._programs(say)
            self._start_postgres(programs, say)
            self._start_redis(programs, say)

    def down(self) -> list[str]:
        """Stop what runs; returns the names of the servers that were stopped."""
        stopped = []
        with self._lock(lambda _line: None):
            if (pid := self._postgres_pid()) is not None:
                os.kill(pid, signal.SIGINT)  # fast shutdown
                self._wait_gone(pid, "PostgreSQL")
                stopped.append("postgresql")
            if (pid := self._redis_pid()) is not None:
                os.kill(pid, signal.SIGTERM)
                self._wait_gone(pid, "Redis")
                stopped.append("redis")
        return stopped

    def status(self) -> list[ServiceStatus]:
        """What runs now, without starting anything."""
        pid = self._postgres_pid()
        postgres = ServiceStatus(name="postgresql", running=False, detail="not running")
        if pid is not None:
            try:
                with psycopg.connect(host=str(self.run), user=SUPERUSER, dbname="postgres", connect_timeout=5) as c:
                    row = c.execute("SHOW server_version").fetchone()
                detail = f"version {row[0] if row else '?'}, pid {pid}, socket {self.run}"
                postgres = ServiceStatus(name="postgresql", running=True, detail=detail)
            except psycopg.Error as error:
                postgres = ServiceStatus(name="postgresql", running=False, detail=f"pid {pid} does not answer: {error}")
        try:
            version = self._ping_redis()
            cache = ServiceStatus(name="redis", running=True, detail=f"version {version}, socket {self.run}/redis.sock")
        except ServiceError:
            cache = ServiceStatus(name="redis", running=False, detail="not running")
        return [postgres, cache]

    def ensure_database(self, name: str) -> None:
        """Create the roles, the database `name` (owned by quorum_owner) and its extension where they are missing."""
        with psycopg.connect(host=str(self.run), user=SUPERUSER, dbname="postgres", autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(7710001)")
            for role in ROLES:
                if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                    connection.execute(f'CREATE ROLE "{role}" LOGIN')
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                connection.execute(f'CREATE DATABASE "{name}" OWNER quorum_owner TEMPLATE template0 ENCODING UTF8')
        with psycopg.connect(host=str(self.run), user=SUPERUSER, dbname=name, autocommit=True) as connection:
            connection.execute("SET client_min_messages = error")
            connection.execute("SELECT pg_advisory_lock(7710001)")
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")

    def drop_database(self, name: str) -> None:
        """Remove a database with all that is in it, ending sessions on it."""
        with psycopg.connect(host=str(self.run), user=SUPERUSER, dbname="postgres", autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def psql(self) -> Path:
        """The psql program that fits the server."""
        return self._programs(lambda _line: None).postgres / "psql"

    # ------------------------------------------------------------ folders, users, locks

    @contextmanager
    def _lock(self, say: Say) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = (self.root / "lock").open("w")
        except OSError as error:
            raise ServiceError(
                f"state directory {self.root} cannot be written ({error}); set QUORUM_STATE_DIR"
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("waiting for another quorum command that is preparing the services")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _make_folders(self) -> None:
        owner = service_user()
        if owner is not None:
            self.root.chmod(0o755)
            _require_reachable(self.root, owner)
        for folder in (self.data.parent, self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.logs, self.run):
            folder.chmod(0o700)
            if owner is not None:
                os.chown(folder, owner.pw_uid, owner.pw_gid)
        if self.run.stat().st_uid != (owner.pw_uid if owner else os.geteuid()):
            raise ServiceError(f"socket directory {self.run} belongs to somebody else; remove it")

    def _programs(self, say: Say) -> Programs:
        installed = find_installed()
        if installed is not None:
            return installed
        fetch_prefix(self.prefix, self.root / "download", say)
        postgres = next(iter(sorted(self.prefix.glob("usr/lib/postgresql/*/bin"), reverse=True)), None)
        if postgres is None:
            raise ServiceError(f"{self.prefix} holds no PostgreSQL; remove that folder and try again")
        return Programs(postgres, self.prefix / "usr" / "bin", "Debian packages in a private prefix")

    def _as_service(self, command: list[str], failed: str) -> None:
        owner = service_user()
        identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        with tempfile.TemporaryFile() as output:
            result = subprocess.run(
                command,
                env=child_environment(LC_ALL="C.UTF-8"),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                timeout=START_TIMEOUT_S * 2,
                start_new_session=True,
                umask=0o077,
                **identity,  # type: ignore[call-overload]  # the three identity arguments have different types
            )
            if result.returncode != 0:
                output.seek(0)
                said = output.read().decode(errors="replace").strip().splitlines()
                raise ServiceError(f"{failed}: {' '.join(said[-3:])}; see {self.logs}")

    # ------------------------------------------------------------ PostgreSQL

    def _start_postgres(self, programs: Programs, say: Say) -> None:
        if self._postgres_answers():
            return
        if not (self.data / "PG_VERSION").exists():
            say("creating the database cluster")
            self._init_cluster(programs)
        self._write_cluster_settings()
        self._clear_stale_pid_file()
        log = self.logs / "postgresql.log"
        say("starting PostgreSQL")
        command = [
            str(programs.postgres / "pg_ctl"),
            "start",
            "-w",
            "-t",
            str(START_TIMEOUT_S),
            "-D",
            str(self.data),
        ]
        self._as_service([*command, "-l", str(log), "-s"], "PostgreSQL did not start")

    def _postgres_answers(self) -> bool:
        """True once the running server answers; False when there is none, also when it dies while we wait."""
        deadline = CLOCK.monotonic_s() + START_TIMEOUT_S
        while self._postgres_pid() is not None:
            try:
                psycopg.connect(host=str(self.run), user=SUPERUSER, dbname="postgres", connect_timeout=5).close()
                return True
            except psycopg.Error as error:
                if CLOCK.monotonic_s() > deadline:
                    raise ServiceError(f"PostgreSQL runs but does not answer: {error}; see {self.logs}") from None
                CLOCK.sleep_s(0.1)
        return False

    def _clear_stale_pid_file(self) -> None:
        """Remove the lock files of a dead server, once the last of its backends is gone: they share its memory."""
        deadline = CLOCK.monotonic_s() + START_TIMEOUT_S
        while any(_working_folder(process) == str(self.data) for process in Path("/proc").glob("[0-9]*")):
            if CLOCK.monotonic_s() > deadline:
                raise ServiceError(f"processes of a dead PostgreSQL still use {self.data}; end them and try again")
            CLOCK.sleep_s(0.05)
        for stale in (self.data / "postmaster.pid", self.run / ".s.PGSQL.5432.lock", self.run / ".s.PGSQL.5432"):
            stale.unlink(missing_ok=True)

    def _init_cluster(self, programs: Programs) -> None:
        fresh = self.root / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if (owner := service_user()) is not None:
            os.chown(fresh, owner.pw_uid, owner.pw_gid)
        command = [str(programs.postgres / "initdb"), "-D", str(fresh), "-U", SUPERUSER, "-E", "UTF8"]
        self._as_service(
            [*command, "--locale=C.UTF-8", "--auth=peer", "--no-instructions", "--data-checksums"],
            "initdb failed",
        )
        shutil.rmtree(self.data, ignore_errors=True)
        fresh.rename(self.data)

    def _write_cluster_settings(self) -> None:
        names = {pwd.getpwuid(os.geteuid()).pw_name}
        if (owner := service_user()) is not None:
            names.add(owner.pw_name)
        ident = "".join(f"quorum {name} {role}\n" for name in sorted(names) for role in (SUPERUSER, *ROLES))
        self._write(self.data / "pg_ident.conf", ident)
        self._write(self.data / "pg_hba.conf", "local all all peer map=quorum\n")
        self._write(self.data / "quorum.conf", POSTGRES_SETTINGS.format(run=self.run))
        main = self.data / "postgresql.conf"
        text = main.read_text()
        if "include 'quorum.conf'" not in text:
            self._write(main, text + "\ninclude 'quorum.conf'\n")

    def _write(self, file: Path, text: str) -> None:
        fresh = file.with_name(file.name + ".new")
        fresh.write_text(text)
        fresh.chmod(0o600)
        if (owner := service_user()) is not None:
            os.chown(fresh, owner.pw_uid, owner.pw_gid)
        fresh.replace(file)

    def _postgres_pid(self) -> int | None:
        """The postmaster of our data directory; None for no, a dead or somebody else's process."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if str(self.data).encode() in command else None

    # ------------------------------------------------------------ Redis

    def _start_redis(self, programs: Programs, say: Say) -> None:
        try:
            self._ping_redis()
            return
        except ServiceError:
            pass
        say("starting Redis")
        configuration = self.run / "redis.conf"
        self._write(configuration, REDIS_SETTINGS.format(run=self.run, logs=self.logs))
        (self.run / "redis.sock").unlink(missing_ok=True)
        self._as_service([str(programs.redis / "redis-server"), str(configuration)], "Redis did not start")
        deadline = CLOCK.monotonic_s() + START_TIMEOUT_S
        while True:
            try:
                self._ping_redis()
                return
            except ServiceError as error:
                if CLOCK.monotonic_s() > deadline:
                    raise ServiceError(f"Redis did not answer ({error}); see {self.logs}/redis.log") from None
                CLOCK.sleep_s(0.05)

    def _ping_redis(self) -> str:
        """The version of the server that answers; ServiceError where none does."""
        import redis  # here: a command that only reads the database starts sooner without it

        client = redis.Redis(unix_socket_path=f"{self.run}/redis.sock", socket_timeout=2.0)
        try:
            information = client.info("server")
            return str(information["redis_version"])
        except (redis.RedisError, OSError) as error:
            raise ServiceError(str(error)) from None
        finally:
            client.close()

    def _redis_pid(self) -> int | None:
        try:
            pid = int((self.run / "redis.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if b"redis-server" in command and _working_folder(Path(f"/proc/{pid}")) == str(self.run) else None

    def _wait_gone(self, pid: int, name: str) -> None:
        deadline = CLOCK.monotonic_s() + START_TIMEOUT_S
        while Path(f"/proc/{pid}").exists() and _process_state(pid) != "Z":
            if CLOCK.monotonic_s() > deadline:
                raise ServiceError(f"{name} (pid {pid}) did not stop within {START_TIMEOUT_S} s; see {self.logs}")
            CLOCK.sleep_s(0.05)


def default_state_dir() -> Path:
    """XDG state directory of this user; for root a place that the unprivileged service user can reach."""
    return ROOT_STATE_DIR if os.geteuid() == 0 else home_state_dir()


def service_user() -> pwd.struct_passwd | None:
    """Whom the servers run as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in SERVICE_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServiceError(f"servers must not run as root and none of the users {', '.join(SERVICE_USERS)} exists; add one")


def find_installed() -> Programs | None:
    """A PostgreSQL of this machine that has timescaledb, with a redis-server or valkey-server; None where either is missing."""
    server = shutil.which("redis-server")
    candidates = [Path(p) for p in ("/usr/lib/postgresql", "/usr/pgsql") if Path(p).is_dir()]
    for binaries in sorted((b for c in candidates for b in c.glob("*/bin")), key=_major, reverse=True):
        control = Path("/usr/share/postgresql") / binaries.parent.name / "extension" / "timescaledb.control"
        if control.exists() and (binaries / "initdb").exists() and server is not None:
            return Programs(binaries, Path(server).parent, "installed on this machine")
    return None


def _major(binaries: Path) -> int:
    name = binaries.parent.name
    return int(name) if name.isdigit() else 0


def _socket_folder(root: Path) -> Path:
    """A folder whose socket paths fit into the 107 bytes that the kernel allows."""
    if len(str(root / "run" / ".s.PGSQL.5432.lock")) <= SOCKET_PATH_LIMIT:
        return root / "run"
    digest = hashlib.sha256(str(root).encode()).hexdigest()[:10]
    return Path(tempfile.gettempdir()) / f"quorum-{os.geteuid()}-{digest}"


def _require_reachable(folder: Path, owner: pwd.struct_passwd) -> None:
    for parent in (folder, *folder.parents):
        status = parent.stat()
        if not (status.st_mode & 0o001 or (status.st_uid == owner.pw_uid and status.st_mode & 0o100)):
            raise ServiceError(
                f"the servers run as user '{owner.pw_name}', who may not enter {parent};"
                f" set QUORUM_STATE_DIR to a folder that it can reach, such as {ROOT_STATE_DIR}"
            )


def _working_folder(process: Path) -> str:
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return ""


def _process_state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return "Z"


__all__ = ["WAYS_OUT", "EmbeddedServices", "Programs", "ServiceStatus", "default_state_dir", "find_installed"]
