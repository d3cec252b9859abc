"""What is composed around an account at an exchange: the broker, and the comparison of both sides' books."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from agents.adapters.brokers.account_broker import AccountBroker
from agents.adapters.database.broker_record import PostgresBrokerRecord
from agents.adapters.database.exit_record import PostgresExits
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.database.resting_stops import PostgresStopRecord
from agents.adapters.exchanges.futures_account import FuturesAccount
from agents.adapters.exchanges.futures_prices import PERPETUALS
from agents.adapters.exchanges.stop_support import StopKind
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.adapters.stocks.alpaca_account import ALPACA
from agents.core.books import LIVE
from agents.core.clock import Clock
from agents.core.errors import ServiceError, SettingsError
from agents.core.log import log_event
from agents.core.orders import EXITING, KILLED, Order
from agents.core.ports import Broker
from agents.core.settings import Settings
from agents.core.settings_sections import INTERVALS_S
from agents.core.symbols import currency_of, is_perpetual, quote_of
from agents.core.types import RiskState
from agents.orchestrator.daemon import Desk
from agents.orchestrator.exit_gate import ExitGate
from agents.orchestrator.exit_plan import Known, RememberedOrders
from agents.orchestrator.limit_edges import LimitEdges
from agents.orchestrator.offline_exits import ExitDesk, ExitFiles, ExitVenue, OfflineExits
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.price_distance import PriceDistance
from agents.orchestrator.reconciled_broker import ReconciledBroker
from agents.orchestrator.reconciliation import Reconciler
from agents.orchestrator.stop_plan import DeskStopPlan
from agents.pipeline.stopped import has_stops
from agents.wiring.account import account_of
from agents.wiring.connections import Connections
from agents.wiring.desk_record import exit_files, kill_file_of
from agents.wiring.margin import require_margin

logger = logging.getLogger(__name__)
WHERE_STOPS_REST: dict[StopKind, str] = {
    "market": "rest at the exchange",
    "limit": "rest at the exchange, which sells them at a limit 5 % behind",
    "watch": "the exchange takes none: watched while the desk runs",
    "bar": "none rest there: looked at when a bar is over",
}


class Guards(NamedTuple):
    """What stands before an account: `kill` makes a broker that the kill file stops of one; exits while the database is
    away close the ordinary way."""

    kill: Callable[[Broker], Broker]
    exits: OfflineExits


def desk_at_venue(
    settings: Settings,
    orchestrator: Orchestrator,
    journal: PostgresJournal,
    guards: Guards,
    clock: Clock,
) -> tuple[Desk, LimitEdges]:
    """A desk whose orders go to an exchange, with a limit of its own."""
    account, symbols, exits = account_of(settings, clock), orchestrator.plan.symbols, guards.exits
    record = PostgresBrokerRecord(journal, journal.writer.engine)
    last = journal.last()
    passive = timedelta(seconds=settings.execution.passive_share * INTERVALS_S[settings.data.interval])
    venue = AccountBroker(account, record, symbols, clock.now() if last is None else last.time, clock)
    reconciler = Reconciler(venue, record, symbols, clock)
    if isinstance(account, FuturesAccount):
        account.prepare(symbols, min(settings.execution.leverage, settings.risk.gross_cap))
        reconciler.settled = partial(_settled, account)
    switch = kill_file_of(settings)

    def why_not(order: Order) -> str:
        if switch.pulled() is not None:
            return KILLED
        return EXITING if exits.begun else reconciler.why_not(order)

    stops = venue.keep_stops(PostgresStopRecord(journal.writer, clock), DeskStopPlan(orchestrator), why_not)
    reconciled = ReconciledBroker(guards.kill(ExitGate(venue, exits)), reconciler, journal, clock)
    broker = PriceDistance(reconciled, settings.risk.limits.price_distance, account.last_price)

    def reconcile() -> None:
        reconciler.look(journal, orchestrator.ledger(), at_once=exits.news)
        exits.news = False
        stops.keep(broker.place)
        if orchestrator.account().risk_state[LIVE] == RiskState.ACTIVE:
            venue.chases.go_on(broker.place, passive)

    if has_stops(orchestrator.plan.parameters.stops):
        _tell_where_stops_rest(account, symbols)
    open_orders = [order for order, _ in journal.open_orders()]
    exits.attach(_exit_desk(settings, orchestrator, record, guards, clock), open_orders)
    return Desk(orchestrator, broker, broker.note, reconcile), broker.edges


def _settled(account: FuturesAccount, since: datetime) -> list[tuple[datetime, Decimal]]:
    """Funding that the exchange tells of."""
    told = account.funding(round(since.timestamp() * 1000))
    return [(datetime.fromtimestamp(at_ms / 1000, UTC), cash) for at_ms, cash in told]


def _exit_desk(
    settings: Settings, orchestrator: Orchestrator, record: PostgresBrokerRecord, guards: Guards, clock: Clock
) -> ExitDesk:
    """What is known without the database, and an account of its own."""

    def know() -> Known | None:
        decided_at, outside = orchestrator.decided_at, record.last_outside
        positions = {symbol: held.quantity for symbol, held in orchestrator.ledger().positions.items()}
        orders = guards.exits.sent_after(decided_at)
        still = decided_at == orchestrator.decided_at  # else a decision came in between
        return Known(decided_at, positions, orders, outside) if still and outside is not None else None

    def open_venue(remembered: RememberedOrders, since: datetime) -> ExitVenue:
        found = AccountBroker(account_of(settings, clock), remembered, orchestrator.plan.symbols, since, clock)
        return ExitVenue(guards.kill(found), found)

    return ExitDesk(know, open_venue)


def exits_of(settings: Settings, connections: Connections, journal: PostgresJournal, clock: Clock) -> OfflineExits:
    """What may leave while the database is away, of a desk at an exchange or a broker of stocks."""
    letter, spool = exit_files(settings, connections.database)
    record = PostgresExits(journal, connections.trader)
    return OfflineExits(settings.desk.name, ExitFiles(letter, spool), record, kill_file_of(settings), clock)


def _tell_where_stops_rest(account: TradingAccount, symbols: Sequence[str]) -> None:
    words: dict[str, list[str]] = {}
    for symbol in symbols:
        try:
            words.setdefault(WHERE_STOPS_REST[account.stop_kind(symbol)], []).append(symbol)
        except ServiceError:  # the exchange is away, and says so elsewhere
            return
    for where, names in words.items():
        log_event(logger, "stops", where=where, symbols=",".join(names))


def require_tradable(settings: Settings) -> None:
    """SettingsError where the settings name symbols of several currencies, or ask of an exchange what its spot market
    cannot do."""
    if not settings.desk.venue:
        require_one_currency(settings.data.symbols)
        return
    symbols, stocks = settings.data.symbols, settings.desk.broker == ALPACA
    perpetual = settings.desk.venue in PERPETUALS
    if perpetual != any(map(is_perpetual, symbols)) or (perpetual and not all(map(is_perpetual, symbols))):
        such = "BTC/USDT:USDT" if perpetual else "BTC/USDT"
        raise SettingsError(f"desk.broker = '{settings.desk.broker}' trades symbols such as {such}, and no others")
    if not symbols or any(("/" in symbol) == stocks for symbol in symbols) or len(set(map(quote_of, symbols))) > 1:
        needed = 'stocks, such as ["AAPL", "MSFT"]' if stocks else 'one quote, such as ["BTC/USDT", "ETH/USDT"]'
        raise SettingsError(f"desk.broker = '{settings.desk.broker}' needs data.symbols of {needed}")
    if stocks and settings.execution.order_type == "chase":  # it would be taken back before a session opens
        raise SettingsError(
            f"desk.broker = '{settings.desk.broker}' chases nothing: execution.order_type = 'market' or 'limit'"
        )
    if perpetual:
        require_margin(settings, symbols)
    elif settings.risk.allow_short or settings.execution.leverage != 1.0:
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
