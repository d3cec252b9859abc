"""`quorum doctor`: is this machine fit to trade? Each line says ok, or what to do."""

from __future__ import annotations

import shutil
import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from agents.adapters.database.engine import normalise_url, open_engine, probe_timescaledb, transaction
from agents.adapters.database.stored_data import StoredData
from agents.adapters.services.programs import find_installed
from agents.cli.screen import Screen
from agents.cli.stored_data import too_old, without_bars
from agents.cli.typos import refuse_typos
from agents.core.agent_code import file_of
from agents.core.clock import SystemClock
from agents.core.errors import AgentsError
from agents.core.own_folder import folder_problems
from agents.core.settings import AgentsSettings, DataSettings, Settings, load_settings
from agents.core.symbols import UNSAID, currency_of
from agents.wiring.calendar import bars_per_year, calendar_of
from agents.wiring.connections import connect_to_read, services_of

DISK_MINIMUM_GB = 2.0
CLOCK_DRIFT_LIMIT_S = 2.0
OLDEST_PYTHON = (3, 11)
BAR_FILES = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to: a fact where it is ok, else what to do."""

    check: str
    ok: bool
    detail: str


def doctor(options: Namespace, screen: Screen) -> int:
    """The command; exit status 1 where anything needs mending."""
    findings = check_all(options.settings)
    width = max(len(finding.check) for finding in findings)
    lines = [
        Text.assemble(("ok   ", "green") if f.ok else ("FIX  ", "red"), f"{f.check:<{width}}  {f.detail}")
        for f in findings
    ]
    screen.result([asdict(finding) for finding in findings], *lines)
    return 0 if all(finding.ok for finding in findings) else 1


def check_all(settings_file: Path | None) -> list[Finding]:
    """Every check; one that fails by surprise is a finding, not a traceback. Starts nothing."""
    findings = [_python()]
    try:
        settings = load_settings(settings_file)
        refuse_typos(settings)
    except AgentsError as error:
        return [*findings, Finding("settings", False, str(error))]
    findings.append(Finding("settings", True, "all keys known and in range"))
    checks: tuple[tuple[str, Callable[[Settings], Finding]], ...] = (
        ("disk", _disk),
        ("clock", _clock),
        ("programs", _programs),
        ("database", _database),
        ("redis", _redis),
        ("calendar", _calendar),
        ("currency", _currency),
        ("own", _own),
        ("feed", _feed),
        ("files", _refused),
        ("series", _series),
    )
    for name, check in checks:
        try:
            findings.append(check(settings))
        except (AgentsError, OSError, SQLAlchemyError, redis.RedisError) as error:
            findings.append(Finding(name, False, str(error).split("\n")[0]))
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = sys.version_info >= OLDEST_PYTHON
    return Finding("python", ok, version if ok else f"{version} is too old; install Python 3.11 or newer")


def _own(settings: Settings) -> Finding:
    """Strategies of the user's own."""
    agents = settings.agents
    problems = (*folder_problems(agents), *_missing(agents))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return Finding("own", False, problems[0] + more)
    return Finding("own", True, f"{len(agents.own)} agents of your own, {len(agents.external)} that trade elsewhere")


def _missing(agents: AgentsSettings) -> list[str]:
    """Files that the settings name and that are not there: a daemon would not start, or nothing would be advised."""
    own = [(f"agents.own.{name}", file_of(place)) for name, place in agents.own.items()]
    external = [(f"agents.external.{name}", Path(place)) for name, place in agents.external.items()]
    named = [(key, file.expanduser()) for key, file in (*own, *external) if file is not None]
    return [f"{key}: {file}: no such file" for key, file in named if not file.is_file()]


def _disk(settings: Settings) -> Finding:
    root = services_of(settings).root
    folder = next(p for p in (root, *root.parents) if p.exists())
    free_gb = shutil.disk_usage(folder).free / 1e9
    ok = free_gb >= DISK_MINIMUM_GB
    advice = "" if ok else f"; free some, {DISK_MINIMUM_GB:g} GB are needed"
    return Finding("disk", ok, f"{free_gb:.1f} GB free at {folder}{advice}")


def _clock(settings: Settings) -> Finding:
    drift_s = _clock_step_s()
    ok = drift_s < CLOCK_DRIFT_LIMIT_S
    zone = settings.data.timezone
    detail = f"steady, sessions in {zone}" if ok else f"stepped by {drift_s:.1f} s while watched; run an NTP service"
    return Finding("clock", ok, detail)


def _clock_step_s() -> float:
    clock = SystemClock()
    wall, steady_s = clock.now(), clock.monotonic_s()
    clock.sleep_s(0.2)
    return abs((clock.now() - wall).total_seconds() - (clock.monotonic_s() - steady_s))


def _programs(settings: Settings) -> Finding:
    if settings.database_url is not None and settings.redis_url is not None:
        return Finding("programs", True, "not needed: DATABASE_URL and REDIS_URL are set")
    installed = find_installed()
    if installed is not None:
        return Finding("programs", True, f"PostgreSQL with timescaledb at {installed.postgres}")
    prefix = services_of(settings).prefix
    if prefix.is_dir():
        return Finding("programs", True, f"Debian packages at {prefix}")
    return Finding("programs", False, "not fetched yet; run: quorum services up")


def _database(settings: Settings) -> Finding:
    if settings.database_url is not None:
        engine = open_engine(normalise_url(settings.database_url.get_secret_value()))
    else:
        services = services_of(settings)
        if not services.status()[0].running:
            return Finding("database", False, "the embedded PostgreSQL does not run; run: quorum services up")
        services.ensure_database(settings.database.name)
        engine = open_engine(services.database_url(settings.database.name, "quorum_owner"))
    try:
        with transaction(engine) as connection:
            version, edition = probe_timescaledb(connection)
    finally:
        engine.dispose()
    return Finding("database", True, f"{engine.url.database}: timescaledb {version}, {edition} edition")


def _redis(settings: Settings) -> Finding:
    if settings.redis_url is None:
        status = services_of(settings).status()[1]
        return Finding(
            "redis",
            status.running,
            status.detail if status.running else "does not run; run: quorum services up",
        )
    url, once = settings.redis_url.get_secret_value(), Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=once)
    try:
        client.ping()
    finally:
        client.close()
    return Finding("redis", True, "answers at REDIS_URL")


def _feed(settings: Settings) -> Finding:
    folder = settings.data.feed_folder
    if not folder.is_dir():
        chosen = folder != DataSettings().feed_folder  # a desk of one's own is being set up; a demo needs no folder
        advice = (
            "create it and put bar files there (data.feed_folder)" if chosen else "a desk of yours needs it, a demo not"
        )
        return Finding("feed", not chosen, f"folder {folder} does not exist; {advice}")
    files = sum(path.name.endswith(BAR_FILES) for path in folder.iterdir())
    advice = "" if files else "; put CSV or Parquet bars there"
    return Finding("feed", files > 0, f"{files} bar files in {folder}{advice}")


def _refused(settings: Settings) -> Finding:
    """Files that a daemon could not read. Asks only a database that runs and is up to date."""
    if settings.database_url is None and not services_of(settings).status()[0].running:
        return Finding("files", True, "not looked at: the database does not run")
    connections = connect_to_read(settings, demo=False, say=lambda _line: None)
    try:
        names = [row["file"] for row in StoredData(connections.trader).refused_files()]
    finally:
        connections.close()
    detail = f"cannot be read: {', '.join(names)}; see: quorum data quarantine" if names else "none is refused"
    return Finding("files", not names, detail)


def _calendar(settings: Settings) -> Finding:
    """A name that nobody knows would end the daemon at its start."""
    calendar_of(settings.data)
    if not settings.data.calendar:
        hours = f"{settings.data.session_open} to {settings.data.session_close} {settings.data.timezone}"
        return Finding("calendar", True, f"none (data.calendar); sessions are {hours}")
    return Finding("calendar", True, f"{settings.data.calendar}, {bars_per_year(settings.data):,.0f} bars a year")


def _currency(settings: Settings) -> Finding:
    """A desk's money is in one currency; symbols of two would end the daemon at its start."""
    try:
        currency = currency_of(settings.data.symbols)
        unsaid = "no symbol names a currency; all prices are taken to be in the same one"
        return Finding("currency", True, unsaid if currency == UNSAID else f"all prices are in {currency}")
    except ValueError as error:
        return Finding("currency", False, f"data.symbols: {error}")


def _series(settings: Settings) -> Finding:
    """Series and texts that no bar meets are read for nothing, and old values do not count. Asks only a database that
    runs and is up to date."""
    services = services_of(settings)
    if settings.database_url is None and not services.status()[0].running:
        return Finding("series", True, "not looked at: the database does not run")
    connections = connect_to_read(settings, demo=False, say=lambda _line: None)
    try:
        stored = StoredData(connections.trader)
        lonely, stale = stored.series_without_bars(), stored.stale_series()
    finally:
        connections.close()
    wrong = [*([without_bars(lonely)] if lonely else []), *([too_old(stale)] if stale else [])]
    return Finding(
        "series", not wrong, "; ".join(wrong) or "all symbols of series and texts have bars, none is too old"
    )
