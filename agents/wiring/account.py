"""An account at an exchange, with its key; that the key is safe to use, and that a person meant real money."""

from __future__ import annotations

import os
import pwd
import sys
from contextlib import closing
from pathlib import Path

from agents.adapters.database.broker_accounts import KnownAccount, confirm_account, known_account
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.exchanges.account_keys import AccountKey, file_name, key_of
from agents.adapters.exchanges.futures_account import FuturesAccount
from agents.adapters.exchanges.futures_prices import PERPETUALS
from agents.adapters.exchanges.history import patiently
from agents.adapters.exchanges.key_rights import KeyRights
from agents.adapters.exchanges.private_account import PrivateAccount
from agents.adapters.exchanges.public_prices import ExchangeAwayError
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.adapters.stocks.alpaca_account import ALPACA, AlpacaAccount
from agents.core.clock import Clock
from agents.core.errors import SettingsError, UsageError
from agents.core.settings import Settings, credentials_dir, exchange_key_environment, secrets_dir
from agents.wiring.connections import Connections


def broker_of(name: str) -> str:
    """`desk.broker` of an exchange that ccxt knows, or of a broker of stocks."""
    return name if name == ALPACA else f"ccxt:{name}"


def key_file(settings: Settings) -> Path:
    """Where this user's key of the account lies, if it is in a file."""
    return secrets_dir(settings.state_dir) / file_name(settings.desk.venue, settings.desk.broker_mode)


def account_key(settings: Settings) -> AccountKey:
    """Of the account that orders go to. SettingsError where there is none."""
    file = key_file(settings)
    return key_of(file.name, file.parent, credentials_dir(), exchange_key_environment())


def account_of(settings: Settings, clock: Clock, key: AccountKey | None = None) -> TradingAccount:
    """The account that the settings name, with this key or its own. SettingsError, UsageError."""
    desk = settings.desk
    sandbox = desk.broker_mode == "sandbox" and not desk.broker_url
    key = key or account_key(settings)
    if desk.broker == ALPACA:
        return AlpacaAccount(key, clock, sandbox=sandbox, url=desk.broker_url)
    kind = FuturesAccount if desk.venue in PERPETUALS else PrivateAccount
    return kind(desk.venue, key, clock, sandbox=sandbox, url=desk.broker_url)


def require_safe(rights: KeyRights, venue: str) -> None:
    """SettingsError where a key may take money away, or may not trade."""
    if rights.withdraw:
        raise SettingsError(
            f"the key may withdraw money from {venue}; make one there that may only read and trade, take this one back,"
            f" and run: quorum connect {venue} --trade --new-key"
        )
    if rights.trade is False:
        raise SettingsError(f"the key may not trade at {venue}; give it the right to trade spot there, and no other")


def require_account(
    settings: Settings, connections: Connections, journal: PostgresJournal, clock: Clock, confirm_by: str
) -> None:
    """The account is the one that this desk has traded on, its key is safe, and real money was confirmed by a person,
    at a terminal, by typing so; `confirm_by` is the command that asks for it. SettingsError, UsageError."""
    desk = settings.desk
    before = known_account(connections.trader)
    if not desk.venue:
        if before is not None:
            raise SettingsError(f"this database's desk trades at {before.broker}; a paper desk needs one of its own")
        return
    now = KnownAccount(broker=desk.broker, mode=desk.broker_mode, fingerprint=account_key(settings).fingerprint)
    _require_rights(settings, clock, known=before == now)
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
            f" {desk.venue} a database of its own (quorum desk new NAME), and begin it with: quorum trade --desk NAME"
            " --carry-from THIS.toml, which takes beliefs, weights and scorecards along, positions and equity not"
        )
    live = desk.broker_mode == "live"
    words = _typed(desk.venue, again=before is not None, confirm_by=confirm_by) if live else ""
    confirm_account(connections.trader, now, words, person())


def _require_rights(settings: Settings, clock: Clock, *, known: bool) -> None:
    """An exchange that is away keeps no desk from starting whose key was looked at before: it waits by itself."""
    with closing(account_of(settings, clock)) as account:
        try:
            rights = account.rights() if known else patiently(account.rights, clock, lambda _line: None)
        except ExchangeAwayError:
            if not known:
                raise
            return
    require_safe(rights, settings.desk.venue)


def _typed(venue: str, *, again: bool, confirm_by: str) -> str:
    words = f"real money at {venue}"
    why = "with another key than before" if again else "for the first time"
    if not sys.stdin.isatty():
        raise UsageError(
            f"this desk would trade {words} {why}, which a person has to confirm; at a terminal, as {person()}:"
            f" {confirm_by}"
        )
    sys.stderr.write(f"This desk is about to trade {words}, {why}. Type exactly: {words}\n> ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != words:
        raise UsageError("not confirmed; nothing was started")
    return words


def person() -> str:
    """The user of this machine that this process is of."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
