"""What a broker needs of an account with a key, wherever it is: at an exchange, or at a broker of stocks."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from agents.adapters.exchanges.account_rows import VenueMove, VenueOrder, VenueTrade
from agents.adapters.exchanges.key_rights import KeyRights
from agents.adapters.exchanges.public_prices import Terms
from agents.adapters.exchanges.stop_support import StopKind
from agents.core.orders import Order


class TradingAccount(Protocol):
    """One account. Questions: ExchangeAwayError where nothing answers, SettingsError where the key is refused. Orders:
    OrderRefusedError and what it is made of, OrderUnknownError; nothing is sent twice."""

    name: str

    @property
    def asks_for_password(self) -> bool:
        """Whether a key has a third part."""
        ...

    def close(self) -> None:
        """Let the connections go."""
        ...

    def totals(self) -> dict[str, Decimal]:
        """What the account holds by currency and stock, what waits in orders included."""
        ...

    def moves(self, currency: str, since_ms: int, /) -> Sequence[VenueMove]:
        """Deposits and withdrawals since then that are done, oldest first, as far as the venue tells of them."""
        ...

    def dividends(self, since_ms: int, /) -> dict[str, Decimal]:
        """What was paid since then, by stock; empty where the venue tells of none."""
        ...

    def orders(self, symbol: str, since_ms: int) -> Sequence[VenueOrder]:
        """Orders placed since then, each once, and all that still work. DataError where the symbol is gone."""
        ...

    def trades(self, symbol: str, since_ms: int) -> Sequence[VenueTrade]:
        """Executions since then, each once, oldest first. DataError where the symbol is gone."""
        ...

    def order(self, symbol: str, client_id: str, /) -> VenueOrder | None:
        """The order of this id; None where the venue says that there is none."""
        ...

    def has_market(self, symbol: str) -> bool:
        """Whether the venue knows it."""
        ...

    def is_traded(self, symbol: str) -> bool:
        """Whether the venue takes orders in it, as it said last."""
        ...

    def terms(self, symbol: str) -> Terms:
        """What orders in it must keep to, and cost."""
        ...

    def terms_anew(self) -> None:
        """Ask again what orders must keep to: a venue changes that, and closes markets."""
        ...

    def stop_kind(self, symbol: str) -> StopKind:
        """What becomes of a stop in it."""
        ...

    def last_price(self, symbol: str) -> Decimal | None:
        """What was paid last; None where nothing was."""
        ...

    def rights(self) -> KeyRights:
        """What this key may do, as far as the venue tells."""
        ...

    def time_ms(self) -> int | None:
        """The venue's clock; None where it does not tell."""
        ...

    def place(self, order: Order, quantity: Decimal) -> VenueOrder:
        """Send it, once."""
        ...

    def cancel(self, symbol: str, client_id: str) -> None:
        """Take it back. OrderRefusedError where it does not work any more."""
        ...
