"""The private part of the made-up exchange's API, in the shapes of Binance: signed requests about one's own account."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.fake_futures_account import FakeFuturesAccount
from agents.adapters.exchanges.fake_futures_private import ORDER as FUTURES_ORDER
from agents.adapters.exchanges.fake_futures_private import PATHS, answer_futures_account
from agents.adapters.exchanges.fake_orders import FakeMove, FakeOrder, FakeTrade, RefusedError
from agents.adapters.exchanges.recorded_market import Answer

USUAL_WINDOW_MS, AHEAD_MS = 5_000, 1_000
"""A request is as old as this at most, where it does not say otherwise, and so far ahead of the exchange's clock."""
USUAL_ROWS, MOST_ROWS = 500, 1000
ORDER = "/api/v3/order"
DEPOSITS, WITHDRAWALS = "/sapi/v1/capital/deposit/hisrec", "/sapi/v1/capital/withdraw/history"
EMPTY_PATHS = frozenset(
    {"/sapi/v1/capital/config/getall", "/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs"}
)
"""Lists that are asked for with a key, and that no order needs."""
PRIVATE_PATHS = (
    EMPTY_PATHS
    | PATHS
    | frozenset(
        {
            ORDER,
            "/api/v3/account",
            "/api/v3/openOrders",
            "/api/v3/allOrders",
            "/api/v3/myTrades",
            "/sapi/v1/account/apiRestrictions",
            DEPOSITS,
            WITHDRAWALS,
        }
    )
)


class PrivateRequest(NamedTuple):
    """A request as it came: `signed` is the text that the signature is of, with it at its end; `key` the header's."""

    method: str
    path: str
    signed: str
    key: str


def answer_private(accounts: Sequence[FakeAccount], request: PrivateRequest, at_ms: int) -> tuple[int, Answer]:
    """(status, document) of a signed request at the exchange's time."""
    try:
        account, query = _signed_by(accounts, request, at_ms)
        return 200, _answer(account, request, query, at_ms)
    except RefusedError as refused:
        return 401 if refused.code in (-2014, -2015) else 400, {"code": refused.code, "msg": refused.words}


def obey_later(accounts: Sequence[FakeAccount], request: PrivateRequest, at_ms: int, later_ms: int) -> None:
    """An order that is on its way for a while; anything else is forgotten."""
    account, query = _signed_by(accounts, request, at_ms)
    if request.method == "POST" and request.path in (ORDER, FUTURES_ORDER):
        account.place_later(query, later_ms)


def _signed_by(
    accounts: Sequence[FakeAccount], request: PrivateRequest, at_ms: int
) -> tuple[FakeAccount, dict[str, str]]:
    account = next((a for a in accounts if a.key == request.key), None)
    if account is None:
        raise RefusedError(-2015, "Invalid API-key, IP, or permissions for action.")
    signed, _, signature = request.signed.rpartition("&signature=")
    true = hmac.new(account.secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(true, signature):
        raise RefusedError(-1022, "Signature for this request is not valid.")
    query = dict(parse_qsl(signed))
    age_ms = at_ms - int(float(query["timestamp"]))
    if age_ms < -AHEAD_MS or age_ms > int(query.get("recvWindow", USUAL_WINDOW_MS)):
        raise RefusedError(-1021, "Timestamp for this request is outside of the recvWindow.")
    return account, query


def _answer(account: FakeAccount, request: PrivateRequest, query: Mapping[str, str], at_ms: int) -> Answer:
    path, method = request.path, request.method
    if path in PATHS:
        if not isinstance(account, FakeFuturesAccount):
            raise RefusedError(-2015, "Invalid API-key, IP, or permissions for action.")
        return answer_futures_account(account, method, path, query, at_ms)
    if path == ORDER:
        return _order_request(account, method, query, at_ms)
    if path == "/api/v3/account":
        return _account(account, at_ms)
    if path == "/sapi/v1/account/apiRestrictions":
        return _restrictions(account)
    if path in (DEPOSITS, WITHDRAWALS):
        moves = [m for m in account.moves if m.withdrawn is (path == WITHDRAWALS) and m.currency == query.get("coin")]
        return [_move(move) for move in moves if int(query.get("startTime", 0)) <= move.time_ms <= at_ms]
    if path in EMPTY_PATHS:
        return []
    symbols = [account.market.symbol_of(query["symbol"])] if "symbol" in query else list(account.market.candles)
    if symbols == [None]:
        raise RefusedError(-1121, "Invalid symbol.")
    start = int(query.get("startTime", 0))
    rows: list[Any] = []
    for symbol in filter(None, symbols):
        if path == "/api/v3/myTrades":
            shown = [t for t in account.trades_of(symbol, at_ms) if t.time_ms >= start]
            rows += [_trade(trade) for trade in shown if trade.trade_id >= int(query.get("fromId", 0))]
        else:
            kept = account.orders_of(symbol, at_ms)
            if path == "/api/v3/openOrders":
                kept = [order for order in kept if order.works]
            rows += [_order(order) for order in kept if order.created_ms >= start]
    return rows[: min(int(query.get("limit", USUAL_ROWS)), MOST_ROWS)]


def _order_request(account: FakeAccount, method: str, query: Mapping[str, str], at_ms: int) -> Answer:
    if method == "POST":
        return _order(account.place(query, at_ms))
    client_id = query.get("origClientOrderId", "")
    order_id = int(query["orderId"]) if query.get("orderId") else None
    if method == "DELETE":
        return _order(account.cancel(client_id, order_id, at_ms))
    return _order(account.find(client_id, order_id, at_ms))


def _account(account: FakeAccount, at_ms: int) -> Answer:
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "canTrade": "trade" in account.rights,
        "canWithdraw": "withdraw" in account.rights,
        "canDeposit": True,
        "updateTime": at_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": name, "free": f"{free:f}", "locked": f"{locked:f}"}
            for name, (free, locked) in account.held(at_ms).items()
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def _restrictions(account: FakeAccount) -> Answer:
    return {
        "ipRestrict": "any address" not in account.rights,
        "createTime": 0,
        "enableReading": "read" in account.rights,
        "enableSpotAndMarginTrading": "trade" in account.rights,
        "enableWithdrawals": "withdraw" in account.rights,
        "enableInternalTransfer": "withdraw" in account.rights,
        "enableMargin": False,
        "enableFutures": False,
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
    }


def _order(order: FakeOrder) -> Answer:
    return {
        "symbol": order.symbol.replace("/", ""),
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": f"{order.price or 0:.8f}",
        "origQty": f"{order.quantity:.8f}",
        "executedQty": f"{order.executed:.8f}",
        "cummulativeQuoteQty": f"{order.paid:.8f}",
        "status": order.status,
        "timeInForce": "GTC",
        "type": _type_of(order),
        "stopPrice": f"{order.stop or 0:.8f}",
        "side": order.side,
        "time": order.created_ms,
        "transactTime": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.works and (order.stop is None or order.woken_ms is not None),
        "fills": [],
    }


def _type_of(order: FakeOrder) -> str:
    if order.stop is not None:
        return "STOP_LOSS" if order.price is None else "STOP_LOSS_LIMIT"
    return "MARKET" if order.price is None else "LIMIT"


def _move(move: FakeMove) -> Answer:
    shared = {"id": move.move_id, "amount": f"{move.amount:f}", "coin": move.currency, "network": "ETH"}
    if not move.withdrawn:
        return {**shared, "status": 1 if move.done else 0, "insertTime": move.time_ms, "txId": f"0x{move.move_id}"}
    day = f"{datetime.fromtimestamp(move.time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    fee = {"transactionFee": f"{move.fee:f}", "status": 6 if move.done else 4, "applyTime": day, "transferType": 0}
    return {**shared, **fee, "txId": f"0x{move.move_id}"}


def _trade(trade: FakeTrade) -> Answer:
    return {
        "symbol": trade.symbol.replace("/", ""),
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": f"{trade.price:.8f}",
        "qty": f"{trade.quantity:.8f}",
        "quoteQty": f"{trade.price * trade.quantity:.8f}",
        "commission": f"{trade.fee:.8f}",
        "commissionAsset": trade.fee_currency,
        "time": trade.time_ms,
        "isBuyer": trade.side == "BUY",
        "isMaker": False,
        "isBestMatch": True,
    }
