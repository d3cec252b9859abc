"""An account of perpetual futures at an exchange, told as an account of spot is: so the broker, its recovery and the
comparison of both sides' books are those of spot.

A futures wallet knows no cost of what is held. What it holds together with what positions have earned, less what they
are worth, is the cash that would be left had each unit been paid for; and that is the cash in the desk's books.
Positions are signed, under the name of their base.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agents.adapters.exchanges.account_keys import AccountKey
from agents.adapters.exchanges.account_rows import VenueMove
from agents.adapters.exchanges.order_errors import OrderRefusedError
from agents.adapters.exchanges.private_account import PrivateAccount
from agents.adapters.exchanges.public_prices import ExchangeAwayError
from agents.adapters.exchanges.stop_support import StopKind
from agents.core.clock import Clock
from agents.core.errors import SettingsError
from agents.core.orders import Order
from agents.core.symbols import base_of

PAGE = 1000
ZERO = Decimal(0)


class FuturesAccount(PrivateAccount):
    """One account, in one-way mode and with cross margin."""

    kind = "perpetual"

    def __init__(self, name: str, key: AccountKey, clock: Clock, *, sandbox: bool, url: str = "") -> None:
        super().__init__(name, key, clock, sandbox=sandbox, url=url)
        self._exchange.options["defaultType"] = "swap"

    def _is_ours(self, market: Mapping[str, Any]) -> bool:
        return bool(market.get("swap") and market.get("linear"))

    def prepare(self, symbols: Sequence[str], leverage: float) -> None:
        """Once at a start: SettingsError in hedge mode, where an order would open a second position beside the first;
        then the leverage of each symbol, in whole numbers: what it may borrow, not what it does."""
        if self._ask(self._exchange.fetch_position_mode).get("hedged"):
            raise SettingsError(
                f"{self.name}'s account is in hedge mode; a desk needs one-way mode: set it there, with no position"
                " open, under Preferences, Position Mode, One-way Mode"
            )
        for symbol in symbols:
            self._ask(self._exchange.set_leverage, max(1, math.ceil(leverage)), symbol)

    def totals(self) -> dict[str, Decimal]:
        """Cash by currency as if positions had been paid for, and each position, signed, by its base; one question."""
        answer = self._ask(self._exchange.fapiPrivateV3GetAccount)
        names = {market["id"]: (symbol, market["settle"]) for symbol, market in self.markets().items()}
        totals = {row["asset"]: Decimal(str(row["walletBalance"])) for row in answer["assets"]}
        for row in answer["positions"]:
            held = Decimal(str(row["positionAmt"]))
            if held and row["symbol"] in names:
                symbol, settle = names[row["symbol"]]
                worth = Decimal(str(row["notional"])) - Decimal(str(row["unrealizedProfit"]))
                totals[settle] = totals.get(settle, ZERO) - worth
                totals[base_of(symbol)] = totals.get(base_of(symbol), ZERO) + held
        return totals

    def moves(self, currency: str, since_ms: int) -> list[VenueMove]:
        """Transfers from and to the owner's other wallets."""
        rows = [row for row in self._incomes("TRANSFER", since_ms) if row["asset"] == currency]
        found = [VenueMove(str(r["tranId"]), currency, Decimal(str(r["income"])), int(r["time"])) for r in rows]
        return [move for move in found if move.time_ms > since_ms]

    def funding(self, since_ms: int) -> list[tuple[int, Decimal]]:
        """What was settled since then: moments in ms since 1970, to their minute, and the cash of each."""
        rows = self._incomes("FUNDING_FEE", since_ms)
        return [(int(row["time"]) // 60_000 * 60_000, Decimal(str(row["income"]))) for row in rows]

    def stop_kind(self, _symbol: str) -> StopKind:
        """None rest here yet."""
        return "bar"

    def liquidations(self) -> dict[str, tuple[Decimal, Decimal]]:
        """(mark price, price at which it is liquidated) of each position for which there is one, by symbol."""
        found = {}
        for row in self._ask(self._exchange.fetch_positions):
            if row.get("liquidationPrice") and row.get("markPrice"):
                found[row["symbol"]] = Decimal(str(row["markPrice"])), Decimal(str(row["liquidationPrice"]))
        return found

    def _incomes(self, kind: str, since_ms: int) -> Iterator[Mapping[str, Any]]:
        """Each once, oldest first."""
        seen: set[str] = set()
        while True:
            asked = {"incomeType": kind, "startTime": since_ms, "limit": PAGE}
            page = self._ask(self._exchange.fapiPrivateGetIncome, asked)
            fresh = [row for row in page if str(row["tranId"]) not in seen]
            yield from fresh
            seen |= {str(row["tranId"]) for row in fresh}
            if len(page) < PAGE or not fresh:
                return
            since_ms = int(page[-1]["time"])

    def _particulars(self, order: Order, quantity: Decimal) -> dict[str, Any]:
        """An order that shrinks a position says so to the exchange: whatever happened meanwhile, it never turns it."""
        try:
            held = self.totals().get(base_of(order.symbol), ZERO)
        except ExchangeAwayError as error:
            raise OrderRefusedError(f"{error}; the order was not sent") from None
        shrinks = held != 0 and (held > 0) == (order.side == "sell") and quantity <= abs(held)
        return {"reduceOnly": True} if shrinks else {}
