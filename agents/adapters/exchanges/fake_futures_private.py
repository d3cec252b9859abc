"""The private part of the made-up exchange's futures API, in the shapes of Binance: signed requests about one's own
margin account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agents.adapters.exchanges.fake_futures_account import MAINTENANCE, FakeFuturesAccount, Income
from agents.adapters.exchanges.fake_orders import FakeOrder, FakeTrade, RefusedError
from agents.adapters.exchanges.recorded_market import Answer, name_of

ORDER = "/fapi/v1/order"
PATHS = frozenset(
    {
        ORDER,
        "/fapi/v3/account",
        "/fapi/v3/positionRisk",
        "/fapi/v1/openOrders",
        "/fapi/v1/allOrders",
        "/fapi/v1/userTrades",
        "/fapi/v1/income",
        "/fapi/v1/leverage",
        "/fapi/v1/positionSide/dual",
        "/fapi/v1/leverageBracket",
    }
)
USUAL_ROWS, MOST_ROWS = 500, 1000


def answer_futures_account(
    account: FakeFuturesAccount, method: str, path: str, query: Mapping[str, str], at_ms: int
) -> Answer:
    """The document of a request that is signed as it should be; RefusedError."""
    account.advance(at_ms)
    if path == ORDER:
        return _order_request(account, method, query, at_ms)
    if path == "/fapi/v3/account":
        return _account(account, at_ms)
    if path == "/fapi/v3/positionRisk":
        return [_risk(account, symbol, at_ms) for symbol, held in account.positions.items() if held]
    if path == "/fapi/v1/positionSide/dual":
        return {"dualSidePosition": account.hedged}
    if path == "/fapi/v1/leverageBracket":
        bracket = {"bracket": 1, "notionalFloor": 0, "notionalCap": 1e9, "maintMarginRatio": float(MAINTENANCE)}
        return [{"symbol": name_of(symbol), "brackets": [bracket]} for symbol in account.market.known()]
    if path == "/fapi/v1/income":
        rows = [row for row in account.incomes if row.kind == query.get("incomeType", row.kind)]
        rows = [row for row in rows if int(query.get("startTime", 0)) <= row.time_ms <= at_ms]
        return [_income(row) for row in rows[: int(query.get("limit", 100))]]
    symbol = account.market.symbol_of(query.get("symbol", ""))
    if symbol is None:
        raise RefusedError(-1121, "Invalid symbol.")
    if path == "/fapi/v1/leverage":
        account.leverage[symbol] = int(query["leverage"])
        return {"symbol": query["symbol"], "leverage": int(query["leverage"]), "maxNotionalValue": "1000000000"}
    return _listed(account, path, symbol, query, at_ms)


def _listed(account: FakeFuturesAccount, path: str, symbol: str, query: Mapping[str, str], at_ms: int) -> Answer:
    start, limit = int(query.get("startTime", 0)), min(int(query.get("limit", USUAL_ROWS)), MOST_ROWS)
    if path == "/fapi/v1/userTrades":
        return [_trade(t) for t in account.trades_of(symbol, at_ms) if t.time_ms >= start][:limit]
    kept = account.orders_of(symbol, at_ms)
    if path == "/fapi/v1/openOrders":
        return [_order(account, order) for order in kept if order.works]
    return [_order(account, order) for order in kept if order.created_ms >= start][:limit]


def _order_request(account: FakeFuturesAccount, method: str, query: Mapping[str, str], at_ms: int) -> Answer:
    if method == "POST":
        return _order(account, account.place(query, at_ms))
    client_id = query.get("origClientOrderId", "")
    order_id = int(query["orderId"]) if query.get("orderId") else None
    if method == "DELETE":
        return _order(account, account.cancel(client_id, order_id, at_ms))
    return _order(account, account.find(client_id, order_id, at_ms))


def _account(account: FakeFuturesAccount, at_ms: int) -> Answer:
    assets = [
        {
            "asset": name,
            "walletBalance": f"{amount:.8f}",
            "unrealizedProfit": "0.00000000",
            "marginBalance": f"{amount:.8f}",
            "availableBalance": f"{amount:.8f}",
            "initialMargin": "0.00000000",
            "updateTime": at_ms,
        }
        for name, amount in account.balances.items()
    ]
    positions = [
        {key: risk[key] for key in ("symbol", "positionSide", "positionAmt", "notional", "updateTime")}
        | {"unrealizedProfit": risk["unRealizedProfit"], "initialMargin": "0", "maintMargin": "0"}
        for risk in (_risk(account, symbol, at_ms) for symbol, held in account.positions.items() if held)
    ]
    return {"assets": assets, "positions": positions}


def _risk(account: FakeFuturesAccount, symbol: str, at_ms: int) -> dict[str, Any]:
    held, notional = account.positions[symbol], account.notionals(at_ms)[symbol]
    # Closed where equity is the maintenance margin, were this the only position to move.
    needed = sum(abs(n) for n in account.notionals(at_ms).values()) * MAINTENANCE
    price = notional / held
    liquidation = price - (account.equity(at_ms) - needed) / held
    return {
        "symbol": name_of(symbol),
        "positionSide": "LONG" if account.hedged else "BOTH",
        "positionAmt": f"{held:f}",
        "entryPrice": f"{account.entry[symbol]:.8f}",
        "markPrice": f"{price:.8f}",
        "unRealizedProfit": f"{account.unrealised(symbol, at_ms):.8f}",
        "liquidationPrice": f"{max(0, liquidation):.8f}",
        "notional": f"{notional:.8f}",
        "marginAsset": "USDT",
        "isolatedMargin": "0",
        "updateTime": at_ms,
    }


def _income(row: Income) -> Answer:
    return {
        "symbol": name_of(row.symbol),
        "incomeType": row.kind,
        "income": f"{row.amount:.8f}",
        "asset": "USDT",
        "time": row.time_ms + 4 if row.kind == "FUNDING_FEE" else row.time_ms,
        "info": row.kind,
        "tranId": row.income_id,
        "tradeId": "",
    }


def _order(account: FakeFuturesAccount, order: FakeOrder) -> Answer:
    return {
        "symbol": name_of(order.symbol),
        "orderId": order.order_id,
        "clientOrderId": order.client_id,
        "price": f"{order.price or 0:.8f}",
        "origQty": f"{order.quantity:.8f}",
        "executedQty": f"{order.executed:.8f}",
        "cumQuote": f"{order.paid:.8f}",
        "avgPrice": f"{order.paid / order.executed if order.executed else 0:.8f}",
        "status": order.status,
        "timeInForce": "GTC",
        "type": "MARKET" if order.price is None else "LIMIT",
        "origType": "MARKET" if order.price is None else "LIMIT",
        "side": order.side,
        "positionSide": "BOTH",
        "reduceOnly": order.order_id in account.reducing,
        "closePosition": False,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def _trade(trade: FakeTrade) -> Answer:
    return {
        "symbol": name_of(trade.symbol),
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "side": trade.side,
        "price": f"{trade.price:.8f}",
        "qty": f"{trade.quantity:.8f}",
        "quoteQty": f"{trade.price * trade.quantity:.8f}",
        "realizedPnl": "0",
        "commission": f"{trade.fee:.8f}",
        "commissionAsset": trade.fee_currency,
        "time": trade.time_ms,
        "positionSide": "BOTH",
        "buyer": trade.side == "BUY",
        "maker": False,
    }
