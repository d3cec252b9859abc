"""One TOML file plus environment overrides -> frozen settings; the only file that reads the environment.

Order, later wins: defaults, `quorum.toml` (or the file that QUORUM_SETTINGS names), DATABASE_URL and REDIS_URL, and
the environment (`QUORUM_RISK__GROSS_CAP=0.8`; lists and tables as JSON). Unknown keys and wrong values are refused
with the key's name and what is allowed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import PrivateAttr, SecretStr, ValidationError

from agents.core.errors import SettingsError
from agents.core.own_folder import with_folder
from agents.core.profiles import PROFILES, changes_of_profile, nested
from agents.core.risk_settings import RiskSettings
from agents.core.settings_file import change_problem, explain, json_or_text, merged, read_toml
from agents.core.settings_sections import (
    INTERVALS_S,
    AgentsSettings,
    CombineSettings,
    DatabaseSettings,
    DataSettings,
    DeskSettings,
    ExecutionSettings,
    MetaSettings,
    Section,
    TuningSettings,
    WebSettings,
)

__all__ = [
    "INTERVALS_S",
    "AgentsSettings",
    "DataSettings",
    "Settings",
    "cache_dir",
    "child_environment",
    "credentials_dir",
    "exchange_key_environment",
    "home_state_dir",
    "isolated_environment",
    "kill_point",
    "load_settings",
    "notify_socket",
    "plain_settings",
    "secrets_dir",
    "settings_path",
    "with_changes",
    "worker_environment",
]

ENVIRONMENT_PREFIX = "QUORUM_"
DEFAULT_FILE = "quorum.toml"
EXCHANGE_KEY = "EXCHANGE_API_"


class Settings(Section):
    """All that can be set; `quorum.toml.example` documents every key."""

    desk: DeskSettings = DeskSettings()
    data: DataSettings = DataSettings()
    database: DatabaseSettings = DatabaseSettings()
    agents: AgentsSettings = AgentsSettings()
    combine: CombineSettings = CombineSettings()
    risk: RiskSettings = RiskSettings()
    execution: ExecutionSettings = ExecutionSettings()
    tuning: TuningSettings = TuningSettings()
    meta: MetaSettings = MetaSettings()
    web: WebSettings = WebSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    state_dir: Path | None = None
    log_folder: Path = Path("logs")
    keep_servers: bool = True
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    _from_profile: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def from_profile(self) -> dict[str, Any]:
        """What `desk.profile` has set, by `section.key`: all that the user has not."""
        return dict(self._from_profile)


def load_settings(file: Path | None = None) -> Settings:
    """The settings of this process, among `agents.own` also what `agents.folder` holds; SettingsError, naming the key,
    for anything unknown or out of range.

    `file` None means the file that QUORUM_SETTINGS names, else `quorum.toml` where it exists.
    """
    path = settings_path(file)
    values = read_toml(path, must_exist=path != Path(DEFAULT_FILE))
    _refuse_unknown_environment()
    for key, variable in (("database_url", "DATABASE_URL"), ("redis_url", "REDIS_URL")):
        if os.environ.get(variable):
            values[key] = os.environ[variable]
    try:
        wanted = merged(values, _from_environment())
        from_profile = changes_of_profile(wanted)
        settings = Settings(**merged(nested(from_profile), wanted))
    except ValidationError as error:
        raise SettingsError(explain(Settings, error, lambda key: _variable_of(key) or str(path))) from None
    settings = settings.model_copy(
        update={"agents": with_folder(settings.agents), "database_url": _own_database(settings)}
    )
    return _with_agents(settings, from_profile)


def _with_agents(settings: Settings, from_profile: dict[str, Any]) -> Settings:
    """With the profile's agents where the user has not chosen any, and with what the profile has set."""
    agents, chosen = settings.agents, PROFILES[settings.desk.profile].agents
    if chosen and not agents.enabled:
        names = [name for name in (*chosen, *sorted(agents.own)) if name not in agents.shadow]
        settings = settings.model_copy(update={"agents": agents.model_copy(update={"enabled": tuple(names)})})
        from_profile["agents.enabled"] = list(names)
    settings._from_profile = from_profile
    return settings


def _own_database(settings: Settings) -> SecretStr | None:
    """The URL of a server of the user's with the desk's database in it, where the settings name one: several desks may
    share a DATABASE_URL."""
    if settings.database_url is None or "name" not in settings.database.model_fields_set:
        return settings.database_url
    return SecretStr(
        urlsplit(settings.database_url.get_secret_value())._replace(path=f"/{settings.database.name}").geturl()
    )


def settings_path(file: Path | None) -> Path:
    """The settings file: `file`, else what QUORUM_SETTINGS names, else `quorum.toml`, which need not exist."""
    return file or Path(os.environ.get("QUORUM_SETTINGS") or DEFAULT_FILE)


def _from_environment() -> dict[str, Any]:
    """What QUORUM_... variables set; each part of a name, between double underscores, is a table deeper."""
    values: dict[str, Any] = {}
    for variable in sorted(os.environ):  # a whole section comes before its keys, which change it
        if not variable.upper().startswith(ENVIRONMENT_PREFIX) or variable.upper() == "QUORUM_SETTINGS":
            continue
        change: Any = json_or_text(os.environ[variable])
        for part in reversed(variable[len(ENVIRONMENT_PREFIX) :].lower().split("__")):
            change = {part: change}
        values = merged(values, change)
    return values


def _variable_of(key: list[str]) -> str | None:
    """The environment variable that sets this key or a part of it, where there is one."""
    name = ENVIRONMENT_PREFIX + "__".join(key).upper()
    variables = (variable for variable in sorted(os.environ) if f"{variable.upper()}__".startswith(f"{name}__"))
    return next((f"environment variable {variable}" for variable in variables), None)


def _refuse_unknown_environment() -> None:
    known = {f"{ENVIRONMENT_PREFIX}{name}".upper() for name in Settings.model_fields} | {"QUORUM_SETTINGS"}
    for variable in os.environ:
        if variable.startswith(ENVIRONMENT_PREFIX) and variable.split("__")[0].upper() not in known:
            raise SettingsError(
                f"environment variable {variable} names no setting; known are {', '.join(sorted(known))}"
                " with __ and the key of a section behind"
            )


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings with some keys (`section.key`) changed; SettingsError, naming the key, for an unknown one or a bad
    value. Another `desk.profile` sets what it sets in a file: all that neither the user nor `changes` do."""
    values: dict[str, Any] = {name: getattr(settings, name) for name in Settings.model_fields}
    # Only what somebody set: "unset" means something for some keys (tuning.cap), and stays so.
    sections = {
        name: value.model_dump(exclude_unset=True) for name, value in values.items() if isinstance(value, Section)
    }
    for key, value in changes.items():
        section, _, name = key.partition(".")
        if section not in sections or not name:
            raise SettingsError(
                f"'{key}' names no setting; write section.key with a section of {', '.join(sorted(sections))}"
            )
        sections[section][name] = value
    from_profile = settings.from_profile
    if "desk.profile" in changes:
        for section, name in (key.split(".") for key in from_profile if key not in changes):
            del sections[section][name]
        from_profile = changes_of_profile(sections)
        sections = merged(nested(from_profile), sections)
    try:
        built = {name: type(values[name]).model_validate(fields) for name, fields in sections.items()}
    except ValidationError as error:
        title = error.title.removesuffix("Settings").lower()
        raise SettingsError("\n".join(change_problem(Settings, title, item) for item in error.errors())) from None
    changed = settings.model_copy(update=built)
    if "desk.profile" in changes:
        return _with_agents(changed, from_profile)
    return changed


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Everything that shapes decisions, as plain values: no paths, URLs or secrets."""
    kept = ("desk", "data", "agents", "combine", "risk", "execution", "tuning", "meta")
    # where work is done, and strategies that trade elsewhere: no decision depends on them
    elsewhere = {"feed", "exchange_url", "broker_mode", "broker_url", "stooq_key", "feed_folder"}
    elsewhere |= {"isolation", "memory_mb", "folder", "external"}
    values = {name: getattr(settings, name).model_dump(mode="json", exclude=elsewhere) for name in kept}
    values["agents"]["enabled"].sort()  # their order means nothing
    return values


# ---------------------------------------------------------------- the environment


def home_state_dir() -> Path:
    """Where an unprivileged user's services and logs live: XDG_STATE_HOME or ~/.local/state."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "quorum"


def cache_dir() -> Path:
    """Where what can be made again is kept: XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "quorum"


def notify_socket() -> str | None:
    """Where a supervisor such as systemd listens for "ready" and "alive"; None where there is none."""
    return os.environ.get("NOTIFY_SOCKET") or None


def secrets_dir(state_dir: Path | None) -> Path:
    """The folder of this user's secret files: beside the services' state, or in the configuration folder."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return state_dir / "secrets" if state_dir else (Path(base) if base else Path.home() / ".config") / "quorum"


def credentials_dir() -> Path | None:
    """Where systemd puts the credentials of a unit; None where there is no such folder."""
    base = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(base) if base else None


def exchange_key_environment() -> dict[str, str]:
    """The key of an account at an exchange, where the environment has it: key, secret, password."""
    return {name: os.environ.get(f"{EXCHANGE_KEY}{name.upper()}", "") for name in ("key", "secret", "password")}


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a child process: ours without secrets and without foreign libpq settings."""
    hidden = ("DATABASE_URL", "REDIS_URL", "QUORUM_DATABASE_URL", "QUORUM_REDIS_URL")
    kept = {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith(("PG", EXCHANGE_KEY))}
    return {**kept, **changes}


def worker_environment() -> dict[str, str]:
    """The environment for a process of ours that does the same work: with the services' URLs, which
    `child_environment` leaves out."""
    urls = {name: value for name, value in os.environ.items() if name.endswith(("DATABASE_URL", "REDIS_URL"))}
    return child_environment(**urls)


def isolated_environment(**changes: str) -> dict[str, str]:
    """The environment for code that is not ours: where things are and how words are written, and nothing else that
    anybody put there. One thread for linear algebra and one order of sets, so that the same question has one answer."""
    kept = (
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "XDG_CACHE_HOME",
        "LD_LIBRARY_PATH",
        "NUMBA_DISABLE_JIT",
    )
    fixed = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return {name: os.environ[name] for name in kept if name in os.environ} | fixed | changes


def kill_point() -> tuple[str, int] | None:
    """The named crash point a fault test asked for (`KILLPOINT=name:count`), None in normal life."""
    value = os.environ.get("KILLPOINT", "")
    if not value:
        return None
    name, _, count = value.partition(":")
    return name, int(count or 1)
