"""What is composed around an account at an exchange: its key, the broker, and the comparison of both sides' books."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing

from agents.adapters.brokers.ccxt_broker import CcxtBroker
from agents.adapters.database.broker_accounts import KnownAccount, confirm_account, known_account
from agents.adapters.database.broker_record import PostgresBrokerRecord
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.exchanges.account_keys import AccountKey, key_of
from agents.adapters.exchanges.history import patiently
from agents.adapters.exchanges.private_account import PrivateAccount
from agents.adapters.exchanges.public_prices import ExchangeAwayError
from agents.core.clock import Clock
from agents.core.errors import SettingsError, UsageError
from agents.core.ports import Broker
from agents.core.settings import Settings, credentials_dir, exchange_key_environment, secrets_dir
from agents.orchestrator.daemon import Desk
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.reconciliation import ReconciledBroker, Reconciler
from agents.wiring.connections import Connections


def desk_at_venue(
    settings: Settings,
    orchestrator: Orchestrator,
    journal: PostgresJournal,
    guarded: Callable[[Broker], Broker],
    clock: Clock,
) -> Desk:
    """A desk whose orders go to an exchange; `guarded` is what stands right before it."""
    account, symbols = account_of(settings, clock), orchestrator.plan.symbols
    record = PostgresBrokerRecord(journal, journal.writer.engine)
    last = journal.last()
    venue = CcxtBroker(account, record, symbols, clock.now() if last is None else last.time, clock)
    reconciler = Reconciler(venue, record, symbols, clock)
    broker = ReconciledBroker(guarded(venue), reconciler, journal, clock)

    def reconcile() -> None:
        reconciler.look(journal, orchestrator.ledger())

    return Desk(orchestrator, broker, lambda _bars: None, reconcile)


def account_of(settings: Settings, clock: Clock) -> PrivateAccount:
    """The account that the settings name, with its key. SettingsError, UsageError."""
    desk = settings.desk
    sandbox = desk.broker_mode == "sandbox" and not desk.broker_url
    return PrivateAccount(desk.venue, account_key(settings), clock, sandbox=sandbox, url=desk.broker_url)


def account_key(settings: Settings) -> AccountKey:
    """Of the exchange that orders go to. SettingsError where there is none."""
    folder = secrets_dir(settings.state_dir)
    return key_of(settings.desk.venue, folder, credentials_dir(), exchange_key_environment())


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


def require_account(settings: Settings, connections: Connections, journal: PostgresJournal, clock: Clock) -> None:
    """The account is the one that this desk has traded on, its key cannot take money away, and real money was confirmed
    by a person: at a terminal, by typing so. SettingsError, UsageError."""
    desk = settings.desk
    before = known_account(connections.trader)
    if not desk.venue:
        if before is not None:
            raise SettingsError(f"this database's desk trades at {before.broker}; a paper desk needs one of its own")
        return
    require_tradable(settings)
    now = KnownAccount(broker=desk.broker, mode=desk.broker_mode, fingerprint=account_key(settings).fingerprint)
    if _may_withdraw(settings, clock, known=before == now):
        raise SettingsError(
            f"the key may withdraw money from {desk.venue}; make one that may only read and trade, and use that"
        )
    if before == now:
        return
    if before is not None and (before.broker, before.mode) != (now.broker, now.mode):
        raise SettingsError(
            f"this database's desk trades at {before.broker} ({before.mode}), the settings say {now.broker}"
            f" ({now.mode}); give the new one a database of its own"
        )
    if before is None and journal.last() is not None:
        raise SettingsError(
            "this database holds a desk that traded on paper, whose positions are not at the exchange; give the one at"
            f" {desk.venue} a database of its own"
        )
    real = desk.broker_mode == "live" and not desk.broker_url
    confirm_account(connections.trader, now, _typed(desk.venue, again=before is not None) if real else "")


def _may_withdraw(settings: Settings, clock: Clock, *, known: bool) -> bool:
    """An exchange that is away keeps no desk from starting whose key was looked at before: it waits by itself."""
    with closing(account_of(settings, clock)) as account:
        try:
            return bool(account.may_withdraw() if known else patiently(account.may_withdraw, clock, lambda _line: None))
        except ExchangeAwayError:
            if not known:
                raise
            return False


def _typed(venue: str, *, again: bool) -> str:
    words = f"real money at {venue}"
    why = "with another key than before" if again else "for the first time"
    if not sys.stdin.isatty():
        raise UsageError(f"this desk would trade {words} {why}; start it once at a terminal and confirm it")
    sys.stderr.write(f"This desk is about to trade {words}, {why}. Type exactly: {words}\n> ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != words:
        raise UsageError("not confirmed; nothing was started")
    return words
