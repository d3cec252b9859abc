"""`quorum connect --trade`: the key of an account, asked for without showing it, checked, and kept for one user."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from getpass import getpass
from pathlib import Path
from typing import Any

from agents.adapters.exchanges.account_keys import AccountKey, is_sayable, ways_to_give, write_key
from agents.adapters.exchanges.history import patiently
from agents.adapters.exchanges.key_rights import KeyRights
from agents.adapters.exchanges.trading_account import TradingAccount
from agents.adapters.stocks.alpaca_account import ALPACA
from agents.cli.connecting_settings import ahead_s
from agents.cli.screen import Screen
from agents.core.clock import SystemClock
from agents.core.errors import SettingsError, UsageError
from agents.core.settings import Settings, with_changes
from agents.core.symbols import quote_of
from agents.wiring.account import account_key, account_of, broker_of, key_file, require_safe


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An account that a desk may trade on: `cash` of it in `quote`, of the `held`; `file` is where its key was written
    now, None where it was there or is given otherwise. `clock_ahead_s` is how far our clock is ahead of the venue's."""

    mode: str
    rights: KeyRights
    quote: str
    held: Decimal
    cash: float
    file: Path | None
    clock_ahead_s: float | None

    def changes(self, exchange: str) -> dict[str, Any]:
        """Of the settings' table [desk]."""
        return {"broker": broker_of(exchange), "broker_mode": self.mode, "initial_cash": self.cash}

    def document(self) -> dict[str, Any]:
        """For programs; nothing of the key."""
        rights = {"may_trade": self.rights.trade, "may_withdraw": self.rights.withdraw}
        kept = str(self.file) if self.file else None
        return {"mode": self.mode, **rights, "held": self.held, "cash": self.cash, "key_file": kept}


def check_account(options: Namespace, settings: Settings, symbols: Sequence[str], screen: Screen) -> Checked:
    """The account at `options.exchange` as `options.trade` wants it; where there is no key yet, or a new one is asked
    for, a person types it. Nothing is kept of a key that is refused."""
    changes = {"desk.broker": broker_of(options.exchange), "desk.broker_mode": options.trade}
    settings = with_changes(settings, changes)
    key, typed = _key_of(options, settings, symbols)
    with closing(account_of(settings, SystemClock(), key)) as account:
        screen.say(f"asking {account.name} about the account")
        rights, held = patiently(lambda: _asked(account, symbols), SystemClock(), screen.say)
        ahead = patiently(lambda: ahead_s(account), SystemClock(), screen.say)
    quote = quote_of(symbols[0])
    cash = _cash(options, settings, held.get(quote, Decimal(0)), quote)
    file = _kept(key_file(settings), key, screen) if typed else None
    return Checked(
        mode=options.trade,
        rights=rights,
        quote=quote,
        held=held.get(quote, Decimal(0)),
        cash=cash,
        file=file,
        clock_ahead_s=ahead,
    )


def words_on(checked: Checked, exchange: str) -> str:
    """What was found, for a person."""
    told = {None: "does not tell whether the key may withdraw: see to it there", False: "says the key may not withdraw"}
    what = "real money" if checked.mode == "live" else "its test net" if exchange != ALPACA else "its paper account"
    return (
        f"Account: {what}; {exchange} {told.get(checked.rights.withdraw, '')}. It holds {checked.held:f}"
        f" {checked.quote}, of which the desk may use {checked.cash:g}"
    )


def _key_of(options: Namespace, settings: Settings, symbols: Sequence[str]) -> tuple[AccountKey, bool]:
    """The key, and whether it was typed just now."""
    if len(set(map(quote_of, symbols))) > 1:
        raise UsageError("a desk at an exchange trades symbols of one quote, such as BTC/USDT ETH/USDT")
    if not options.new_key:
        try:
            return account_key(settings), False
        except SettingsError:
            if key_file(settings).exists() or not _person_there(options):
                raise
    if not _person_there(options):
        file = key_file(settings)
        raise UsageError(f"nobody is there to type a key; {ways_to_give(file.name, file)}")
    return _typed_key(options.exchange, settings), True


def _person_there(options: Namespace) -> bool:
    return not options.json and sys.stdin.isatty()


def _typed_key(exchange: str, settings: Settings) -> AccountKey:
    nothing = AccountKey("none", "none")
    with closing(
        account_of(settings, SystemClock(), nothing)
    ) as account:  # an exchange without a test net says so first
        wanted = ("key", "secret", "password") if account.asks_for_password else ("key", "secret")
    where = "real account"
    if settings.desk.broker_mode == "sandbox":
        where = "paper account" if exchange == ALPACA else "test net"
    sys.stderr.write(
        f"A key of {exchange}'s {where} that may read and trade, nothing else. What you type is not shown.\n"
    )
    typed = {name: getpass(f"  {name}: ", sys.stderr).strip() for name in wanted}
    wrong = next((name for name, value in typed.items() if not is_sayable(value)), None)
    if wrong is not None:
        raise UsageError(f"the {wrong} is empty, or has a blank or a letter that no key has; nothing was kept")
    return AccountKey(**typed)


def _asked(account: TradingAccount, symbols: Sequence[str]) -> tuple[KeyRights, dict[str, Decimal]]:
    """The key's rights, which are safe ones, and what the account holds. SettingsError, UsageError."""
    missing = next((symbol for symbol in symbols if not account.has_market(symbol)), None)
    if missing is not None:
        raise UsageError(f"{account.name} has no market {missing} there; choose --symbols that it has")
    held = account.totals()
    rights = account.rights()
    require_safe(rights, account.name)
    return rights, held


def _cash(options: Namespace, settings: Settings, held: Decimal, quote: str) -> float:
    """How much the desk may use: as it was said, else as a person says now, else as the settings do."""
    cash = options.cash
    if cash is None and "initial_cash" in settings.desk.model_fields_set:
        cash = settings.desk.initial_cash
    if cash is None and _person_there(options):
        sys.stderr.write(f"The account holds {held:f} {quote}. How much of it may the desk use? ")
        sys.stderr.flush()
        try:
            cash = float(sys.stdin.readline())
        except ValueError:
            raise UsageError("that is no amount; nothing was changed") from None
    if cash is None:
        raise UsageError(f"say how much of the account the desk may use: --cash AMOUNT (it holds {held:f} {quote})")
    if not 0 < cash <= held:
        raise UsageError(f"the account holds {held:f} {quote}; the desk cannot use {cash:g}: say less with --cash")
    return float(cash)


def _kept(file: Path, key: AccountKey, screen: Screen) -> Path | None:
    """Write the key where a person wants that; else say how to give it."""
    sys.stderr.write(f"Keep the key in {file}, which only you can read? Type yes, or no to give it otherwise: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() == "yes":
        write_key(file, key)
        return file
    screen.say(f"the key is not kept; {ways_to_give(file.name, file)}")
    return None
