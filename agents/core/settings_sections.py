"""The sections of the settings file: every key with its default and its bounds; `quorum.toml.example` says what they
mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from agents.core.symbols import SYMBOL_PATTERN

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN)]
AgentName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

LOOPBACK = r"^$|^http://127\.0\.0\.1:\d{1,5}$"

INTERVALS_S = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400}
"""Bar intervals by name, in seconds."""
Interval = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d"]


class Section(BaseModel):
    """A table of the settings file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeskSettings(Section):
    """Who trades, with what."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,16}$")] = "desk"
    profile: Literal["stocks", "crypto-spot", "crypto-perp", "futures"] = "stocks"
    initial_cash: Positive = 1_000_000.0
    broker: Annotated[str, Field(pattern=r"^(paper|alpaca|ccxt:[a-z0-9_]{1,40})$")] = "paper"
    broker_mode: Literal["sandbox", "live"] = "sandbox"
    broker_url: Annotated[str, Field(pattern=LOOPBACK)] = ""
    """Loopback only, as for prices."""

    @property
    def venue(self) -> str:
        """The exchange, by ccxt's name, or the broker of stocks that orders go to; "" where they go nowhere."""
        return "" if self.broker == "paper" else self.broker.removeprefix("ccxt:")


class DataSettings(Section):
    """Where bars come from and what their times mean."""

    feed: Annotated[str, Field(pattern=r"^(folder|ccxt:[a-z0-9_]{1,40})$")] = "folder"
    exchange_url: Annotated[str, Field(pattern=LOOPBACK)] = ""
    """Loopback only: no desk is to trade on prices of whoever sits between."""
    stooq_key: SecretStr = SecretStr("")
    feed_folder: Path = Path("bars")
    symbols: Annotated[tuple[Symbol, ...], AfterValidator(lambda names: tuple(sorted(set(names))))] = ()
    """Sorted: the order in which they are written down changes no decision."""
    interval: Interval = "1d"
    time_means: Literal["open", "close", "session"] = "session"
    time_format: Annotated[str, Field(pattern=r"^$|%")] = ""
    calendar: Annotated[str, Field(pattern=r"^[A-Za-z0-9_/-]{0,32}$")] = ""
    timezone: str = "America/New_York"
    session_open: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "09:30"
    session_close: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$|^24:00$")] = "16:00"
    publication_delay_s: NonNegative = 0.0
    clock: Literal["system", "bars"] = "system"
    poll_s: Positive = 2.0
    stream_wait_s: NonNegative = 2.0
    """0: nobody listens, candles are asked for."""
    stale_after_intervals: Positive = 2.0
    complete_within_s: NonNegative = 60.0
    largest_move: Annotated[float, Field(gt=1, le=1000)] = 1.4
    suspect_bars: Annotated[int, Field(ge=1, le=1000)] = 3
    columns: dict[str, str] = Field(default_factory=dict)
    aliases: dict[Symbol, Symbol] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _aliases_lead_to_names(self) -> DataSettings:
        for alias, name in self.aliases.items():
            if name in self.aliases:
                raise ValueError(f"aliases: '{alias}' leads to '{name}', which is an alias itself; write its last name")
            if alias in self.symbols:
                raise ValueError(f"symbols: '{alias}' is an alias of '{name}' (data.aliases); write that")
        return self

    @model_validator(mode="after")
    def _an_exchange_never_closes(self) -> DataSettings:
        if self.feed == "folder":
            return self
        if not self.symbols:
            raise ValueError(f'feed = \'{self.feed}\' needs symbols, such as ["BTC/USDT", "ETH/USDT"]')
        if self.calendar != "24/7" or self.time_means != "open" or self.clock != "system":
            raise ValueError(
                f"feed = '{self.feed}' needs calendar = '24/7' (desk.profile = 'crypto-spot' sets it), time_means ="
                " 'open', and the system's clock"
            )
        return self

    @property
    def exchange(self) -> str:
        """The exchange whose prices the desk trades on, by ccxt's name; "" where it is files."""
        return self.feed.partition(":")[2]

    @model_validator(mode="after")
    def _session_has_a_length(self) -> DataSettings:
        if self.session_open == self.session_close:
            raise ValueError(
                f"session_open and session_close are both {self.session_open}; a 24/7 market is 00:00 to 24:00, and one"
                " that opens on the evening before has a session_open later than its session_close"
            )
        return self

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"'{value}' is not an IANA time zone such as UTC or America/New_York") from error
        return value


def _free_name(name: str) -> str:
    if name in ("postgres", "template0", "template1") or name.endswith("_demo"):
        raise ValueError("such a database is there for something else; choose another name")
    return name


class DatabaseSettings(Section):
    """The desk's database, and what the desk may be on a server of the user's."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_free_name)] = "quorum"
    """Each desk has one of its own. Where it is set, it takes the place of the one that a DATABASE_URL names."""
    allow_owner: bool = False


class LifeSettings(Section):
    """How agents come and go."""

    false_hires: Annotated[float, Field(gt=0, le=0.5)] = 0.10
    retire_after_days: Annotated[int, Field(ge=1, le=100_000)] = 90


class AgentsSettings(Section):
    """Which agents speak, how long they may think, and their weights while nobody has measured them."""

    enabled: tuple[AgentName, ...] = ()
    shadow: tuple[AgentName, ...] = ()
    folder: Path = Path("my_agents")
    own: dict[AgentName, str] = Field(default_factory=dict)
    external: dict[AgentName, str] = Field(default_factory=dict)
    isolation: Literal["foreign", "all", "none"] = "foreign"
    memory_mb: Annotated[int, Field(ge=64, le=1_000_000)] = 1024
    timeout_s: Annotated[float, Field(gt=0, le=240)] = 10.0
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 10
    breaker_retry_s: Positive = 3600.0
    static_weights: dict[AgentName, NonNegative] = Field(default_factory=dict)
    weights_refresh_s: Positive = 3600.0
    life: LifeSettings = LifeSettings()

    @field_validator("own")
    @classmethod
    def _places_of_strategies(cls, value: dict[str, str]) -> dict[str, str]:
        for place in value.values():
            if not re.fullmatch(r"[^:\x00-\x1f]{1,1000}(:[A-Za-z_][A-Za-z0-9_]*|\.(py|csv|parquet))", place):
                raise ValueError(f"{place!r:.100} is neither FILE.py:CLASS, module:CLASS nor FILE")
        return value

    @field_validator("external")
    @classmethod
    def _tables_of_returns(cls, value: dict[str, str]) -> dict[str, str]:
        for place in value.values():
            if not place.endswith((".csv", ".parquet")):
                raise ValueError(f"{place!r:.100} is no .csv or .parquet of daily returns")
        return value

    @model_validator(mode="after")
    def _shadows_do_not_trade(self) -> AgentsSettings:
        for name in self.shadow:
            if name in self.enabled:
                raise ValueError(f"'{name}' is in enabled and in shadow; take it out of one of them")
            if name in self.static_weights:
                raise ValueError(f"static_weights: '{name}' is in shadow, where its weight is 0; take it out of one")
        return self


class CombineSettings(Section):
    """From opinions to target weights."""

    forecast_cap: Positive = 2.0
    multiplier_cap: Annotated[float, Field(ge=1, le=10)] = 2.0
    instrument_multiplier_cap: Annotated[float, Field(ge=1, le=10)] = 2.0
    volatility_window_bars: Annotated[int, Field(ge=5, le=2000)] = 40
    scale_window_bars: Annotated[int, Field(ge=20, le=5000)] = 250
    volatility_target: Annotated[float, Field(gt=0, le=2)] = 0.15


class ExecutionSettings(Section):
    """Rounding and costs: one model for paper broker, replay, shadow and control books."""

    buffer: Annotated[float, Field(ge=0, le=1)] = 0.10
    buffer_by_cost: bool = True
    minimum_trade_fraction: Fraction = 0.001
    lot_size: Positive = 1.0
    lot_sizes: dict[Symbol, Positive] = Field(default_factory=dict)
    commission_bps: NonNegative = 1.0
    minimum_commission: NonNegative = 1.0
    half_spread_bps: NonNegative = 2.0
    impact: NonNegative = 0.1
    participation: Annotated[float, Field(gt=0, le=1)] = 0.10
    leverage: Positive = 1.0
    order_type: Literal["market", "limit", "chase"] = "market"
    passive_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    locked_move: NonNegative = 0.0


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
    history_trust: Fraction = 0.5
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
    ping_url: SecretStr = SecretStr("")
    demo_every_days: Positive = 7.0

    @field_validator("ping_url")
    @classmethod
    def _web_address(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if value.get_secret_value() and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("expected an address such as https://hc-ping.com/...")
        return value


class WebSettings(Section):
    """Where the dashboard listens, and by which names it is opened there."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8420
    names: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")], ...] = ()
    certificate: str = ""
    """A file, as `certificate_key` is; beyond loopback nobody listens without."""
    certificate_key: str = ""

    @model_validator(mode="after")
    def _a_certificate_has_a_key(self) -> WebSettings:
        if bool(self.certificate) != bool(self.certificate_key):
            raise ValueError("certificate and certificate_key are files that belong together; set both or none")
        return self
