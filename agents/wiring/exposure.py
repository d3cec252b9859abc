"""How a desk is exposed, gathered for the report's rules of security."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from agents.adapters.database.engine import transaction
from agents.adapters.services.exposure import is_local, listening_beyond_loopback, newest_file, open_files
from agents.core.agent_code import file_of
from agents.core.exposure import Exposure
from agents.core.settings import Settings, secrets_dir
from agents.wiring.connections import services_of

LOCK = Path(__file__).resolve().parents[2] / "requirements.lock"
_SESSION = """
SELECT r.rolsuper AS superuser, coalesce(s.ssl, false) AS encrypted
FROM pg_roles r LEFT JOIN pg_stat_ssl s ON s.pid = pg_backend_pid() WHERE r.rolname = session_user
"""
POSTGRES_PORT, REDIS_PORT = 5432, 6379


def exposure_of(settings: Settings, engine: Engine, redis_url: str) -> Exposure:
    """As this machine and the session of `engine` show it now."""
    with transaction(engine) as connection:
        session = connection.execute(text(_SESSION)).one()
    database, cache = engine.url, urlsplit(redis_url)
    host = _host_of(database)
    plain = [f"the database at {host}"] if not (is_local(host) or session.encrypted) else []
    if not (cache.scheme in ("rediss", "unix") or is_local(cache.hostname)):
        plain.append(f"Redis at {cache.hostname}")
    ports = [database.port or POSTGRES_PORT] if is_local(host) and not _is_socket(host) else []
    if cache.scheme.startswith("redis") and is_local(cache.hostname):
        ports.append(cache.port or REDIS_PORT)
    backup = newest_file(services_of(settings).root / "backups", "*.dump")
    lock = newest_file(LOCK.parent, LOCK.name)
    return Exposure(
        open_files=open_files(_secrets(settings), _code(settings)),
        plain_servers=plain,
        listening=listening_beyond_loopback(ports),
        newest_backup=None if backup is None else datetime.fromtimestamp(backup, UTC),
        packages_locked=None if lock is None else datetime.fromtimestamp(lock, UTC),
        superuser=bool(session.superuser),
    )


def _host_of(url: URL) -> str:
    """The host of a database's URL, or the folder of its socket."""
    named = url.host or url.query.get("host") or ""
    return named if isinstance(named, str) else named[0]


def _is_socket(host: str) -> bool:
    return host == "" or host.startswith("/")


def _secrets(settings: Settings) -> list[Path]:
    """What holds passwords or the desk's whole record."""
    dumps = (services_of(settings).root / "backups").glob("*.dump")
    kept = secrets_dir(settings.state_dir)
    return [Path(".env"), kept / "smtp_password", *sorted(kept.glob("*_key.toml")), *sorted(dumps)]


def _code(settings: Settings) -> list[Path]:
    """What the desk obeys: its settings, and the user's own agents."""
    files = [file_of(place) for place in settings.agents.own.values()]
    return [Path("quorum.toml"), *(file for file in files if file is not None)]
