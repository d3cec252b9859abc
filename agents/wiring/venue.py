"""What is composed around an account at an exchange: the broker, and the comparison of both sides' books."""

from __future__ import annotations

from collections.abc import Callable

from agents.adapters.brokers.ccxt_broker import CcxtBroker
from agents.adapters.database.broker_record import PostgresBrokerRecord
from agents.adapters.database.journal import PostgresJournal
from agents.core.clock import Clock
from agents.core.errors import SettingsError
from agents.core.ports import Broker
from agents.core.settings import Settings
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
    venue = CcxtBroker(account, record, symbols, clock.now() if last is None else last.time, clock)
    reconciler = Reconciler(venue, record, symbols, clock)
    reconciled = ReconciledBroker(guarded(venue), reconciler, journal, clock)
    broker = PriceDistance(reconciled, settings.risk.limits.price_distance, account.last_price)

    def reconcile() -> None:
        reconciler.look(journal, orchestrator.ledger())

    return Desk(orchestrator, broker, broker.note, reconcile), broker.edges


def require_tradable(settings: Settings) -> None:
    """SettingsError where the settings ask of an exchange what its spot market cannot do."""
    if not settings.desk.venue:
        return
    quotes = {symbol.partition("/")[2] for symbol in settings.data.symbols}
    if not quotes or "" in quotes or len(quotes) > 1:
        raise SettingsError(
            f"desk.broker = '{settings.desk.broker}' needs data.symbols that all have one quote, such as"
            ' ["BTC/USDT", "ETH/USDT"]'
        )
    if settings.risk.allow_short or settings.execution.leverage != 1.0:
        raise SettingsError(
            f"desk.broker = '{settings.desk.broker}' trades spot: risk.allow_short = false and execution.leverage = 1"
            " (desk.profile = 'crypto-spot' sets both)"
        )
