"""A broker of stocks on loopback in the shapes of Alpaca's API, for the account of a made-up market: AAPL there is
AAPL/USD here."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.fake_orders import RefusedError
from agents.adapters.exchanges.fault_script import FaultScript
from agents.adapters.exchanges.recorded_market import CLOSE

STATUSES = {
    "NEW": "accepted",
    "PARTIALLY_FILLED": "partially_filled",
    "FILLED": "filled",
    "CANCELED": "canceled",
}
PAGE = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
WORDS = {-2010: (403, 40310000, "insufficient buying power"), -1013: (422, 42210000, "invalid qty")}
NAMESPACE = uuid.UUID(int=7)


class AlpacaServer:
    """A context: inside, it answers at `url`. `asked` are the requests that came; what `whole` names is traded in whole
    shares only."""

    def __init__(self, account: FakeAccount, clock, script: FaultScript | None = None):
        self.account, self.clock, self.script = account, clock, script or FaultScript()
        self.asked, self.whole, self.blocked, self.currency = [], set(), False, "USD"
        self.by_worth = set()
        """Client ids of orders of so much money, which name no quantity."""
        self.thaw = threading.Event()
        self.others = []
        """Rows of its activities that are no executions: (day, activity, amount, symbol)."""

    def __enter__(self):
        server = self

        class Handler(_Handler):
            fake = server

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.thaw.set()
        self._server.shutdown()
        self._server.server_close()

    def at_ms(self):
        return round(self.clock.now().timestamp() * 1000)

    def answer(self, method, path, query):
        """(status, document)."""
        account, at_ms = self.account, self.at_ms()
        try:
            if path == "/v2/account":
                cash = self._totals(at_ms).get("USD", Decimal(0))
                state = {"trading_blocked": self.blocked, "account_blocked": False, "trade_suspended_by_user": False}
                return 200, {"id": str(NAMESPACE), "status": "ACTIVE", "currency": self.currency, **state} | {
                    "cash": f"{cash:f}"
                }
            if path == "/v2/positions":
                held = {name: amount for name, amount in self._totals(at_ms).items() if name != "USD" and amount}
                return 200, [{"symbol": name, "qty": f"{amount:f}", "side": "long"} for name, amount in held.items()]
            if path == "/v2/clock":
                return 200, {"timestamp": _moment(at_ms), "is_open": True}
            if path == "/v2/account/activities/FILL":
                return 200, self._fills(query, at_ms)
            if path == "/v2/account/activities":
                return 200, self._others(query)
            if path == "/v2/orders" and method == "GET":
                return 200, self._orders(query, at_ms)
            if path == "/v2/orders":
                return 200, self._shown(self._place(query, at_ms))
            if path == "/v2/orders:by_client_order_id":
                return 200, self._shown(account.find(query["client_order_id"], None, at_ms))
            if path.startswith("/v2/orders/") and method == "DELETE":
                number = next(k for k in account.orders if str(uuid.uuid5(NAMESPACE, str(k))) == path[11:])
                account.cancel("", number, at_ms)
                return 204, None
            return self._market(path, at_ms)
        except RefusedError as refused:
            if refused.code in (-2013, -1121):
                return 404 if method == "GET" else 422, {"code": 40410000, "message": "order not found"}
            if refused.code == -2011:
                return 422, {"code": 42210000, "message": "order is not cancelable"}
            status, code, words = WORDS[refused.code]
            return status, {"code": code, "message": words}

    def _market(self, path, at_ms):
        name = path.split("/")[3] if path.count("/") >= 3 else ""
        symbol = f"{name}/USD"
        if symbol not in self.account.market.known():
            return 404, {"code": 40410000, "message": f"asset not found for {name}"}
        if path.startswith("/v2/assets/"):
            tradable = symbol not in self.account.market.closed
            return 200, {
                "symbol": name,
                "status": "active",
                "tradable": tradable,
                "fractionable": name not in self.whole,
            }
        last = float(self.account.market.seen(symbol, at_ms)[-1, CLOSE])
        return 200, {"symbol": name, "trade": {"p": last, "s": 100, "t": _moment(at_ms)}}

    def _totals(self, at_ms):
        return {name: free + locked for name, (free, locked) in self.account.held(at_ms).items()}

    def _place(self, wanted, at_ms):
        if any(order.client_id == wanted["client_order_id"] for order in self.account.orders.values()):
            raise _Unique
        asked = {
            "symbol": f"{wanted['symbol']}USD",
            "side": wanted["side"].upper(),
            "quantity": wanted["qty"],
            "newClientOrderId": wanted["client_order_id"],
        }
        assert (wanted["type"] == "limit") == ("limit_price" in wanted)
        if "limit_price" in wanted:
            asked["price"] = wanted["limit_price"]
        return self.account.place(asked, at_ms)

    def _orders(self, query, at_ms):
        after = datetime.fromisoformat(query["after"]).timestamp() * 1000 if "after" in query else 0
        names = query["symbols"].split(",")
        found = [order for name in names for order in self.account.orders_of(f"{name}/USD", at_ms)]
        found = [order for order in found if order.created_ms > after]
        if query["status"] == "open":
            found = [order for order in found if order.works]
        found.sort(key=lambda order: order.created_ms, reverse=query.get("direction") != "asc")
        return [self._shown(order) for order in found[: int(query.get("limit", 50))]]

    def _fills(self, query, at_ms):
        after = datetime.fromisoformat(query["after"]).timestamp() * 1000
        names = list(self.account.market.candles)
        found = [t for name in names for t in self.account.trades_of(name, at_ms) if t.time_ms > after]
        found.sort(key=_fill_id)
        if "page_token" in query:
            found = [trade for trade in found if _fill_id(trade) > query["page_token"]]
        return [
            {
                "id": _fill_id(trade),
                "activity_type": "FILL",
                "transaction_time": _moment(trade.time_ms),
                "price": f"{trade.price:f}",
                "qty": f"{trade.quantity:f}",
                "side": trade.side.lower(),
                "symbol": trade.symbol.partition("/")[0],
                "order_id": str(uuid.uuid5(NAMESPACE, str(trade.order_id))),
            }
            for trade in found[: int(query.get("page_size", 100))]
        ]

    def pay(self, activity, amount, symbol=""):
        """Money comes, or goes where it is negative, today."""
        self.account.move("USD", Decimal(amount))
        self.others.append((f"{self.clock.now():%Y-%m-%d}", activity, amount, symbol))

    def _others(self, query):
        rows = [
            {"id": f"{day}::{k:04d}", "activity_type": activity, "date": day, "net_amount": amount, "symbol": symbol}
            for k, (day, activity, amount, symbol) in enumerate(self.others)
            if activity in query["activity_types"].split(",") and day >= query["after"][:10]
        ]
        rows = [row for row in rows if row["id"] > query.get("page_token", "")]
        return rows[: int(query["page_size"])]

    def _shown(self, order):
        return {
            "id": str(uuid.uuid5(NAMESPACE, str(order.order_id))),
            "client_order_id": order.client_id,
            "created_at": _moment(order.created_ms),
            "submitted_at": _moment(order.created_ms),
            "symbol": order.symbol.partition("/")[0],
            "qty": None if order.client_id in self.by_worth else f"{order.quantity:f}",
            "filled_qty": f"{order.executed:f}",
            "side": order.side.lower(),
            "type": "market" if order.price is None else "limit",
            "time_in_force": "day",
            "status": STATUSES[order.status],
        }


class _Unique(Exception):
    """An id that was used before."""


class _Handler(BaseHTTPRequestHandler):
    fake: AlpacaServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self._obey(dict(parse_qsl(urlsplit(self.path).query)))

    def do_DELETE(self):
        self._obey({})

    def do_POST(self):
        self._obey(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _obey(self, query):
        path = urlsplit(self.path).path
        self.fake.asked.append(f"{self.command} {path}")
        fault = self.fake.script.next(f"{self.command} {path}", self.fake.clock.now())
        kind = fault.kind if fault is not None else ""
        key = self.headers["APCA-API-KEY-ID"], self.headers["APCA-API-SECRET-KEY"]
        if kind == "limited":
            self._send(429, json.dumps({"code": 42910000, "message": "rate limit exceeded"}))
        elif kind == "maintenance":
            self._send(503, json.dumps({"code": 50310000, "message": "service unavailable"}))
        elif kind == "error":
            self._send(502, PAGE)
        elif kind == "quoted":
            self._send(400, json.dumps({"code": 40010000, "message": f"bad request: {key}"}))
        elif kind == "page":
            self._send(200, PAGE)
        elif kind == "empty":
            self._send(200, "")
        elif kind == "frozen":
            self.fake.thaw.wait(20.0)
            self.close_connection = True
        elif kind == "unheard":
            self.close_connection = True
        elif key != (self.fake.account.key, self.fake.account.secret):
            self._send(401, json.dumps({"code": 40110000, "message": "request is not authorized"}))
        else:
            self._answer(path, query, kind)

    def _answer(self, path, query, kind):
        try:
            status, document = self.fake.answer(self.command, path, query)
        except _Unique:
            status, document = 422, {"code": 40010001, "message": "client_order_id must be unique"}
        body = "" if document is None else json.dumps(document)
        if kind == "gateway":
            self._send(504, PAGE)
        elif kind == "lost":
            self.close_connection = True
        elif kind == "cut":
            self._send(status, body, told=len(body) + 9)
            self.close_connection = True
        else:
            self._send(status, body)

    def _send(self, status, body, told=None):
        content = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(told or len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """It keeps no log."""


def _fill_id(trade):
    return f"{trade.time_ms:017d}::{uuid.uuid5(NAMESPACE, str(trade.trade_id))}"


def _moment(ms):
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat().replace("+00:00", "Z")
