"""What is composed around an account at an exchange: the broker, and the comparison of both sides' books."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from agents.adapters.brokers.account_broker import AccountBroker
from agents.adapters.database.broker_record import PostgresBrokerRecord
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.stocks.alpaca_account import ALPACA
from agents.core.books import LIVE
from agents.core.clock import Clock
from agents.core.errors import SettingsError
from agents.core.ports import Broker
from agents.core.settings import Settings
from agents.core.settings_sections import INTERVALS_S
from agents.core.symbols import currency_of, quote_of
from agents.core.types import RiskState
from agents.orchestrator.daemon import Desk
from agents.orchestrator.limit_edges import LimitEdges
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.price_distance import PriceDistance
from agents.orchestrator.reconciliation import ReconciledBroker, Reconciler
from agents.wiring.account import account_of


def desk_at_venue(
    settings: Settings,
    orchestrator: Orchestrator,
    journal: PostgresJournal,
    guarded: Callable[[Broker], Broker],
    clock: Clock,
) -> tuple[Desk, LimitEdges]:
    """A desk whose orders go to an exchange, with a limit of its own; `guarded` is what stands right before it."""
    account, symbols = account_of(settings, clock), orchestrator.plan.symbols
    record = PostgresBrokerRecord(journal, journal.writer.engine)
    last = journal.last()
    passive = timedelta(seconds=settings.execution.passive_share * INTERVALS_S[settings.data.interval])
    venue = AccountBroker(account, record, symbols, clock.now() if last is None else last.time, clock)
    reconciler = Reconciler(venue, record, symbols, clock)
    reconciled = ReconciledBroker(guarded(venue), reconciler, journal, clock)
    broker = PriceDistance(reconciled, settings.risk.limits.price_distance, account.last_price)

    def reconcile() -> None:
        reconciler.look(journal, orchestrator.ledger())
        if orchestrator.account().risk_state[LIVE] == RiskState.ACTIVE:
            venue.chases.go_on(broker.place, passive)

    return Desk(orchestrator, broker, broker.note, reconcile), broker.edges


def require_tradable(settings: Settings) -> None:
    """SettingsError where the settings name symbols of several currencies, or ask of an exchange what its spot market
    cannot do."""
    if not settings.desk.venue:
        require_one_currency(settings.data.symbols)
        return
    symbols, stocks = settings.data.symbols, settings.desk.broker == ALPACA
    if not symbols or any(("/" in symbol) == stocks for symbol in symbols) or len(set(map(quote_of, symbols))) > 1:
        needed = 'stocks, such as ["AAPL", "MSFT"]' if stocks else 'one quote, such as ["BTC/USDT", "ETH/USDT"]'
        raise SettingsError(f"desk.broker = '{settings.desk.broker}' needs data.symbols of {needed}")
    if stocks and settings.execution.order_type == "chase":  # it would be taken back before a session opens
        raise SettingsError(
            f"desk.broker = '{settings.desk.broker}' chases nothing: execution.order_type = 'market' or 'limit'"
        )
    if settings.risk.allow_short or settings.execution.leverage != 1.0:
        profile = "stocks" if stocks else "crypto-spot"
        raise SettingsError(
            f"desk.broker = '{settings.desk.broker}' trades what it can pay for: risk.allow_short = false and"
            f" execution.leverage = 1 (desk.profile = '{profile}' sets both)"
        )


def require_one_currency(symbols: Sequence[str]) -> str:
    """The currency of a desk with these symbols; SettingsError where there are several."""
    try:
        return currency_of(symbols)
    except ValueError as error:
        raise SettingsError(f"data.symbols: {error}") from None
