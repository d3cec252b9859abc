"""One TOML file plus environment overrides -> frozen settings; the only file that reads the environment.

Order, later wins: defaults here, `quorum.toml` (or the file that QUORUM_SETTINGS names), the environment
(`QUORUM_RISK__GROSS_CAP=0.8`), DATABASE_URL and REDIS_URL. Unknown keys and wrong values are refused with the
key's name and what is allowed.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from agents.core.errors import SettingsError

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9^][A-Za-z0-9_./^:-]{0,31}$")]
AgentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

INTERVALS_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400}
"""Bar intervals by name, in seconds."""
Interval = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"]

ENVIRONMENT_PREFIX = "QUORUM_"
DEFAULT_FILE = "quorum.toml"


class Section(BaseModel):
    """A table of the settings file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeskSettings(Section):
    """Who trades, with what."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,16}$")] = "desk"
    initial_cash: Positive = 1_000_000.0
    broker: Literal["paper"] = "paper"


class DataSettings(Section):
    """Where bars come from and what their times mean."""

    feed_folder: Path = Path("bars")
    symbols: tuple[Symbol, ...] = ()
    interval: Interval = "1d"
    time_means: Literal["open", "close", "session"] = "session"
    timezone: str = "America/New_York"
    session_open: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "09:30"
    session_close: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")] = "16:00"
    publication_delay_s: NonNegative = 0.0
    clock: Literal["system", "bars"] = "system"
    poll_s: Positive = 2.0
    stale_after_intervals: Positive = 2.0
    columns: dict[str, str] = Field(default_factory=dict)

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"'{value}' is not an IANA time zone such as UTC or America/New_York") from error
        return value


class AgentsSettings(Section):
    """Which agents speak, how long they may think, and their weights while nobody has measured them."""

    enabled: tuple[AgentName, ...] = ()
    timeout_s: Positive = 10.0
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 10
    breaker_retry_s: Positive = 3600.0
    static_weights: dict[AgentName, NonNegative] = Field(default_factory=dict)
    weights_refresh_s: Positive = 3600.0


class CombineSettings(Section):
    """From opinions to target weights."""

    forecast_cap: Positive = 2.0
    multiplier_cap: Annotated[float, Field(ge=1, le=10)] = 2.0
    instrument_multiplier_cap: Annotated[float, Field(ge=1, le=10)] = 2.0
    volatility_window_bars: Annotated[int, Field(ge=5, le=2000)] = 40
    scale_window_bars: Annotated[int, Field(ge=20, le=5000)] = 250
    volatility_target: Annotated[float, Field(gt=0, le=2)] = 0.15


class RiskSettings(Section):
    """Limits; they only ever shrink a position."""

    symbol_cap: Annotated[float, Field(gt=0, le=10)] = 0.30
    gross_cap: Annotated[float, Field(gt=0, le=10)] = 1.0
    allow_short: bool = True
    reduce_drawdown: Fraction = 0.20
    reducing_scale: Fraction = 0.5
    halt_drawdown: Fraction = 0.35

    @model_validator(mode="after")
    def _halt_is_later(self) -> RiskSettings:
        if self.halt_drawdown <= self.reduce_drawdown:
            raise ValueError(
                f"halt_drawdown ({self.halt_drawdown}) must be above reduce_drawdown ({self.reduce_drawdown})"
            )
        return self


class ExecutionSettings(Section):
    """Rounding and costs: one model for paper broker, replay, shadow and control books."""

    buffer: Annotated[float, Field(ge=0, le=1)] = 0.10
    minimum_trade_fraction: Fraction = 0.001
    lot_size: Positive = 1.0
    lot_sizes: dict[Symbol, Positive] = Field(default_factory=dict)
    commission_bps: NonNegative = 1.0
    minimum_commission: NonNegative = 1.0
    half_spread_bps: NonNegative = 2.0
    impact: NonNegative = 0.1
    participation: Annotated[float, Field(gt=0, le=1)] = 0.10
    leverage: Positive = 1.0


class TuningSettings(Section):
    """How the weights are tuned, and what counts as a good or a weak agent."""

    method: Literal["adaptive", "max_sharpe", "min_variance", "risk_parity", "inverse_volatility", "hrp", "equal"] = (
        "adaptive"
    )
    floor: Fraction = 0.05
    cap: Annotated[float, Field(gt=0, le=1)] = 0.40
    step: Annotated[float, Field(gt=0, le=1)] = 0.05
    minimum_sharpe: Annotated[float, Field(allow_inf_nan=False)] = 0.3
    minimum_signals: Annotated[int, Field(ge=1)] = 10
    false_changes_per_year: Annotated[float, Field(gt=0, lt=1)] = 0.10
    look_back_days: Annotated[int, Field(ge=5)] = 30
    history_days: Annotated[int, Field(ge=30)] = 2920
    turnover_cost_bps: NonNegative = 5.0
    score_after_days: Annotated[int, Field(ge=1)] = 30
    top_sharpe: Annotated[float, Field(allow_inf_nan=False)] = 1.5
    under_sharpe: Annotated[float, Field(allow_inf_nan=False)] = 0.5
    under_win_rate: Fraction = 0.45

    @model_validator(mode="after")
    def _cap_above_floor(self) -> TuningSettings:
        if self.cap < self.floor:
            raise ValueError(f"cap ({self.cap}) must not be below floor ({self.floor})")
        return self


class MetaSettings(Section):
    """When the scheduled jobs run, for how long at most, and how long the machine's numbers are kept."""

    analyzer_hours: Positive = 6.0
    optimizer_hours: Positive = 24.0
    report_hours: Positive = 2.0
    parity_hours: Positive = 24.0
    deadline_s: Positive = 600.0
    tick_s: Positive = 30.0
    own_process: bool = True
    keep_metrics_days: Annotated[int, Field(ge=1)] = 400
    demo_every_days: Positive = 7.0


class Settings(BaseSettings):
    """All that can be set; `quorum.toml.example` documents every key."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__"
    )

    desk: DeskSettings = DeskSettings()
    data: DataSettings = DataSettings()
    agents: AgentsSettings = AgentsSettings()
    combine: CombineSettings = CombineSettings()
    risk: RiskSettings = RiskSettings()
    execution: ExecutionSettings = ExecutionSettings()
    tuning: TuningSettings = TuningSettings()
    meta: MetaSettings = MetaSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    state_dir: Path | None = None
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings)


def load_settings(file: Path | None = None) -> Settings:
    """The settings of this process; SettingsError, naming the key, for anything unknown or out of range.

    `file` None means the file that QUORUM_SETTINGS names, else `quorum.toml` where it exists.
    """
    named = file or (Path(named_file) if (named_file := os.environ.get("QUORUM_SETTINGS")) else None)
    path = named or Path(DEFAULT_FILE)
    values = _read_toml(path, must_exist=named is not None)
    _refuse_unknown_environment()
    for key, variable in (("database_url", "DATABASE_URL"), ("redis_url", "REDIS_URL")):
        if os.environ.get(variable):
            values[key] = os.environ[variable]
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(_explain(error, str(path))) from None


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings with some keys (`section.key`) changed; SettingsError, naming the key, for an unknown one or a bad value."""
    values: dict[str, Any] = {name: getattr(settings, name) for name in Settings.model_fields}
    sections = {name: value.model_dump() for name, value in values.items() if isinstance(value, Section)}
    for key, value in changes.items():
        section, _, name = key.partition(".")
        if section not in sections or not name:
            raise SettingsError(
                f"'{key}' names no setting; write section.key with a section of {', '.join(sorted(sections))}"
            )
        sections[section][name] = value
    try:
        built = {name: type(values[name]).model_validate(fields) for name, fields in sections.items()}
    except ValidationError as error:
        title = error.title.removesuffix("Settings").lower()
        raise SettingsError("\n".join(_change_problem(title, item) for item in error.errors())) from None
    return settings.model_copy(update=built)


def _change_problem(section: str, item: Any) -> str:
    path = [section, *(str(part) for part in item["loc"])]
    if item["type"] == "extra_forbidden":
        allowed = _keys_beside(path)
        near = difflib.get_close_matches(path[-1], allowed, n=1)
        return f"unknown key '{'.'.join(path)}'" + (
            f" (did you mean {near[0]}?)" if near else f"; allowed: {', '.join(allowed)}"
        )
    return f"key '{'.'.join(path)}': {item['msg']}, got {item.get('input')!r}"


def plain_settings(settings: Settings) -> dict[str, Any]:
    """Everything that shapes decisions, as plain values: no paths, URLs or secrets."""
    kept = ("desk", "data", "agents", "combine", "risk", "execution", "tuning", "meta")
    found = {name: getattr(settings, name).model_dump(mode="json", exclude={"feed_folder"}) for name in kept}
    found["agents"]["enabled"].sort()  # their order means nothing
    return found


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


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a child process: ours without secrets and without foreign libpq settings."""
    hidden = ("DATABASE_URL", "REDIS_URL", "QUORUM_DATABASE_URL", "QUORUM_REDIS_URL")
    kept = {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith("PG")}
    return {**kept, **changes}


def worker_environment() -> dict[str, str]:
    """The environment for a process of ours that does the same work: with the services' URLs, which `child_environment` leaves out."""
    urls = {name: value for name, value in os.environ.items() if name.endswith(("DATABASE_URL", "REDIS_URL"))}
    return child_environment(**urls)


def kill_point() -> tuple[str, int] | None:
    """The named crash point a fault test asked for (`KILLPOINT=name:count`), None in normal life."""
    value = os.environ.get("KILLPOINT", "")
    if not value:
        return None
    name, _, count = value.partition(":")
    return name, int(count or 1)


def _read_toml(path: Path, *, must_exist: bool) -> dict[str, Any]:
    if not path.exists():
        if must_exist:
            raise SettingsError(f"{path}: no such settings file; copy quorum.toml.example and edit it")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def _refuse_unknown_environment() -> None:
    known = {f"{ENVIRONMENT_PREFIX}{name}".upper() for name in Settings.model_fields} | {"QUORUM_SETTINGS"}
    for variable in os.environ:
        if variable.startswith(ENVIRONMENT_PREFIX) and variable.split("__")[0].upper() not in known:
            raise SettingsError(
                f"environment variable {variable} names no setting; known are {', '.join(sorted(known))}"
                " with __ and the key of a section behind"
            )


def _explain(error: ValidationError, source: str) -> str:
    lines = []
    for item in error.errors():
        path = [str(part) for part in item["loc"]]
        key = ".".join(path) or "settings"
        allowed = _keys_beside(path)
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(path[-1], allowed, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            lines.append(f"{source}: unknown key '{key}'{hint}; allowed here: {', '.join(allowed)}")
        else:
            shown = "" if "url" in key else f", got {item.get('input')!r}"
            lines.append(f"{source}: key '{key}': {item['msg']}{shown}")
    return "\n".join(lines)


def _keys_beside(path: list[str]) -> list[str]:
    model: Any = Settings
    for part in path[:-1]:
        field = model.model_fields.get(part)
        annotation = field.annotation if field else None
        model = next((a for a in (annotation, *get_args(annotation)) if hasattr(a, "model_fields")), None)
        if model is None:
            return []
    return sorted(model.model_fields)
