"""The section `[risk]` of the settings file; `quorum.toml.example` and docs/risk.md say what its keys mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from agents.core.settings_sections import Fraction, NonNegative, Section, Symbol


class Limit(Section):
    """One limit: reached `at` this value, and then nothing happens, it is told, or it is told and kept."""

    at: NonNegative
    action: Literal["off", "warn", "enforce"]


def _limit(at: float, action: Literal["off", "warn", "enforce"]) -> Limit:
    return Limit(at=at, action=action)


class LimitSettings(Section):
    """Limits that can be off, warn or enforce; of one that is set in part, the rest stays as it is by default."""

    group: Limit = _limit(0.5, "enforce")
    order_size: Limit = _limit(0.5, "warn")
    daily_loss: Limit = _limit(0.05, "warn")
    consecutive_losses: Limit = _limit(10, "off")
    orders_per_minute: Limit = _limit(6000, "enforce")
    price_distance: Limit = _limit(0.1, "enforce")
    clock_drift: Limit = _limit(5.0, "warn")

    @model_validator(mode="before")
    @classmethod
    def _rest_by_default(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        usual = {name: field.default.model_dump() for name, field in cls.model_fields.items()}
        return {k: usual[k] | v if isinstance(v, dict) and k in usual else v for k, v in values.items()}


class RiskSettings(Section):
    """Limits; they only ever shrink a position."""

    symbol_cap: Annotated[float, Field(gt=0, le=10)] = 0.30
    gross_cap: Annotated[float, Field(gt=0, le=10)] = 1.0
    allow_short: bool = True
    reduce_drawdown: Fraction = 0.20
    reduce_months: Annotated[int, Field(ge=0, le=12)] = 12
    reducing_scale: Fraction = 0.5
    halt_drawdown: Fraction = 0.35
    stop_loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    trailing_stop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    stop_wait_bars: Annotated[int, Field(ge=1, le=10_000)] = 5
    kill_file: Path = Path("KILL")
    groups: dict[str, tuple[Symbol, ...]] = Field(default_factory=dict)
    limits: LimitSettings = LimitSettings()

    @model_validator(mode="after")
    def _halt_is_later(self) -> RiskSettings:
        if self.halt_drawdown <= self.reduce_drawdown:
            raise ValueError(
                f"halt_drawdown ({self.halt_drawdown}) must be above reduce_drawdown ({self.reduce_drawdown})"
            )
        return self

    @model_validator(mode="after")
    def _in_one_group(self) -> RiskSettings:
        seen: dict[str, str] = {}
        for group, symbols in self.groups.items():
            for symbol in symbols:
                if symbol in seen:
                    raise ValueError(f"groups: '{symbol}' is in {seen[symbol]} and in {group}; a symbol has one group")
                seen[symbol] = group
        return self
