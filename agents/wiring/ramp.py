"""A desk that begins with a share of its capital: what it will get and when is on record before its first decision."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from sqlalchemy import Engine, text

from agents.adapters.database.cash_flows import add_flows
from agents.adapters.database.engine import driver_connection, transaction
from agents.adapters.database.journal import PostgresJournal
from agents.core.cash_flows import NewFlow
from agents.core.errors import UsageError
from agents.core.orders import MONEY_STEP
from agents.core.settings import Settings
from agents.core.symbols import currency_of
from agents.core.types import to_decimal
from agents.wiring.account import person

STEPS = 10
_PLANNED = "SELECT amount FROM cash_flows WHERE source = 'rule' AND key = 'ramp-0'"


def plan_ramp(settings: Settings, engine: Engine, at: datetime, share: Decimal, days: float) -> int:
    """Put a ramp on record: the desk begins with `share` of desk.initial_cash, and gets the rest in ten equal steps
    within so many `days` after its first decision, by its bars' time. How many rows that were; 0 where this very ramp
    was planned before. UsageError where the desk has decided already, or another ramp is planned."""
    capital = to_decimal(settings.desk.initial_cash)
    reserve = (capital * (1 - share)).quantize(MONEY_STEP)
    with transaction(engine) as connection:
        planned = connection.execute(text(_PLANNED)).scalar()
    if planned == -reserve:
        return 0
    if planned is not None:
        raise UsageError(f"another ramp is planned for this desk, which begins with {capital + planned:f}: quorum cash")
    if PostgresJournal(engine).last() is not None:
        raise UsageError("this desk has decided already; --ramp is for a desk's beginning (take capital: quorum cash)")
    step = (reserve / STEPS).quantize(MONEY_STEP, rounding=ROUND_DOWN)
    amounts = [-reserve, *[step] * (STEPS - 1), reserve - step * (STEPS - 1)]
    words = f"--ramp {share:f}: all of it after {days:g} days"
    flows = [
        NewFlow(
            time=at,
            kind="ramp",
            amount=amount,
            currency=currency_of(settings.data.symbols),
            source="rule",
            reason=words,
            actor=person(),
            key=f"ramp-{k}",
            after_days=k * days / STEPS,
        )
        for k, amount in enumerate(amounts)
    ]
    with transaction(engine) as connection:
        return add_flows(driver_connection(connection), flows)
