"""The composition root of a desk: settings -> the numbers of the step, and agents. It needs no server."""

from __future__ import annotations

import logging
import math

import numpy as np

from agents.core.clock import Clock
from agents.core.risk_settings import Limit, RiskSettings
from agents.core.settings import Settings
from agents.core.types import Integers
from agents.core.weight_sets import StandIn
from agents.pipeline.parameters import (
    DeskPlan,
    FillModel,
    OrderRules,
    Parameters,
    RiskLimits,
    Sizing,
    StopRules,
    Threshold,
)
from agents.trading.guard import AgentPanel
from agents.trading.names import refuse_weights_of_nobody
from agents.trading.registry import agent_names
from agents.wiring.calendar import bars_per_year
from agents.wiring.margin import require_margin
from agents.wiring.seats import seats_of

logger = logging.getLogger(__name__)


# ---------------------------------------------------------------- numbers from settings


def parameters_of(settings: Settings, symbols: tuple[str, ...]) -> Parameters:
    """The step's numbers: rates as fractions, volatility for one bar, lots for each symbol. SettingsError where what
    they allow could be liquidated (`margin.py`)."""
    combine, risk, execution = settings.combine, settings.risk, settings.execution
    require_margin(settings, symbols)
    return Parameters(
        sizing=Sizing(
            forecast_cap=combine.forecast_cap,
            multiplier_cap=combine.multiplier_cap,
            instrument_multiplier_cap=combine.instrument_multiplier_cap,
            target_volatility=combine.volatility_target / bars_per_year(settings.data) ** 0.5,
            buffer=execution.buffer,
            minimum_trade=execution.minimum_trade_fraction,
            trade_cost=(execution.commission_bps + execution.half_spread_bps) / 1e4 * execution.buffer_by_cost,
            bars_per_year=bars_per_year(settings.data),
        ),
        limits=RiskLimits(
            symbol_cap=risk.symbol_cap,
            gross_cap=risk.gross_cap,
            allow_short=risk.allow_short,
            reduce_drawdown=risk.reduce_drawdown,
            reducing_scale=risk.reducing_scale,
            halt_drawdown=risk.halt_drawdown,
            reduce_months=risk.reduce_months,
            groups=_groups_of(risk, symbols),
            group=_threshold(risk.limits.group),
            order_size=_threshold(risk.limits.order_size),
            daily_loss=_threshold(risk.limits.daily_loss),
            losses=_threshold(risk.limits.consecutive_losses),
        ),
        fill_model=FillModel(
            commission=execution.commission_bps / 1e4,
            minimum_commission=execution.minimum_commission,
            half_spread=execution.half_spread_bps / 1e4,
            impact=execution.impact,
            participation=execution.participation,
            leverage=execution.leverage,
        ),
        lots=np.array([execution.lot_sizes.get(symbol, execution.lot_size) for symbol in symbols]),
        initial_cash=settings.desk.initial_cash,
        stops=StopRules(risk.stop_loss, risk.trailing_stop, float(risk.stop_wait_bars)),
        orders=_order_rules(settings),
    )


def _order_rules(settings: Settings) -> OrderRules:
    execution = settings.execution
    passive = {"market": 0.0, "limit": 1.0, "chase": execution.passive_share}
    return OrderRules(
        passive=passive[execution.order_type],
        crosses=execution.order_type == "chase",
        delayed=settings.data.publication_delay_s > 0.0,
        locked_move=execution.locked_move or math.inf,
    )


def _threshold(limit: Limit) -> Threshold:
    return Threshold() if limit.action == "off" else Threshold(limit.at, limit.action == "enforce")


def _groups_of(risk: RiskSettings, symbols: tuple[str, ...]) -> Integers:
    """[S] the number of each symbol's group, -1 for none; empty where there are no groups."""
    numbers = {symbol: k for k, names in enumerate(risk.groups.values()) for symbol in names}
    return np.array([numbers.get(symbol, -1) for symbol in symbols] if numbers else [], dtype=np.int64)


def plan_of(settings: Settings, symbols: tuple[str, ...], leaving: tuple[str, ...] = ()) -> DeskPlan:
    """The fixed part of a desk, of whose symbols some may be `leaving`."""
    return DeskPlan(
        desk=settings.desk.name,
        book="live" if settings.desk.venue else "paper",
        symbols=symbols,
        parameters=parameters_of(settings, symbols),
        volatility_window_bars=settings.combine.volatility_window_bars,
        scale_window_bars=settings.combine.scale_window_bars,
        publication_delay_s=settings.data.publication_delay_s,
        leaving=leaving,
        shadow=settings.agents.shadow,
    )


def agents_of(settings: Settings, clock: Clock) -> AgentPanel:
    """The enabled agents and those in shadow, behind their guard."""
    chosen = settings.agents
    names = agent_names(chosen.enabled, chosen.own, chosen.shadow)
    refuse_weights_of_nobody(chosen.static_weights, names)
    return AgentPanel(
        seats_of(chosen, names, clock, round(bars_per_year(settings.data))),
        clock,
        timeout_s=chosen.timeout_s,
        breaker_failures=chosen.breaker_failures,
        breaker_retry_s=chosen.breaker_retry_s,
    )


def stand_in_of(settings: Settings) -> StandIn:
    """The weights where no published ones cover the agents."""
    return StandIn(settings.agents.static_weights, settings.tuning.floor, settings.agents.shadow)
