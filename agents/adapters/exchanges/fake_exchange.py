"""An exchange on loopback for tests and practice: real HTTP, recorded candles, scripted faults.

It speaks Binance's API, so that ccxt's own class, its `urls` pointed here, cannot tell it from the exchange. Binance's,
because the class asks little before it works (one list of markets, one answer for each question), pages candles by
time, and its rules for orders (client ids, 418 bans, receive windows) are what most faults on record are about.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from agents.adapters.exchanges.fake_account import FakeAccount
from agents.adapters.exchanges.fake_futures import PREFIX, SAME_SHAPE, answer_futures
from agents.adapters.exchanges.fake_orders import RefusedError
from agents.adapters.exchanges.fake_private import PRIVATE_PATHS, PrivateRequest, answer_private, obey_later
from agents.adapters.exchanges.fake_stream import FakeStream
from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.recorded_market import Answer, RecordedMarket
from agents.core.clock import Clock

MOST_CANDLES, USUAL_CANDLES = 1000, 500
PAGE = "<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
MINUTE_S = 60.0


class FakeExchange:
    """A context: inside, it answers at `url`. `skew` is how far its clock is ahead of ours; `per_minute` requests are
    answered each minute, more are refused with 429 until the next one. `accounts` are those of its customers. `asked`
    counts requests by path."""

    def __init__(
        self,
        market: RecordedMarket,
        clock: Clock,
        script: FaultScript | None = None,
        *,
        skew: timedelta = timedelta(0),
        per_minute: int = 6000,
    ) -> None:
        self.market = market
        self.accounts: Sequence[FakeAccount] = ()
        self.script = script or FaultScript()
        self.skew = skew
        self.asked: Counter[str] = Counter()
        self.told: Answer | None = None
        """What it says of its markets instead of the truth."""
        self._clock = clock
        self._per_minute = per_minute
        self._minute, self._in_minute = 0, 0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.stream = FakeStream(market, self.script, lambda: round(self.now().timestamp() * 1e3))

    @property
    def url(self) -> str:
        """Where it answers."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FakeExchange:
        exchange = self

        class Handler(_Handler):
            fake = exchange

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stream_port(self) -> int:
        """Where candles are pushed; nobody listens before the first one asks."""
        with self._lock:
            if not self.stream.port:
                self.stream.start()
        return self.stream.port

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        if self.stream.port:
            self.stream.end()

    def now(self) -> datetime:
        """The exchange's own time."""
        return self._clock.now() + self.skew

    def wait_s(self, duration_s: float) -> None:
        """A slow answer takes its time."""
        self._clock.sleep_s(duration_s)

    def next_fault(self, path: str) -> Fault | None:
        """What the request that came in meets, the exchange's own limit of requests among it."""
        with self._lock:
            self.asked[path.removeprefix("GET ")] += 1
            elapsed_s = self._clock.monotonic_s()
            minute = int(elapsed_s // MINUTE_S)
            self._in_minute = self._in_minute + 1 if minute == self._minute else 1
            self._minute = minute
            if self._in_minute > self._per_minute:
                return Fault(kind="limited", seconds=MINUTE_S - elapsed_s % MINUTE_S)
        return self.script.next(path, self.now())

    def answer_private(self, request: PrivateRequest) -> tuple[int, Answer]:
        """(status, document) of a signed request."""
        return answer_private(self.accounts, request, round(self.now().timestamp() * 1e3))

    def obey_later(self, request: PrivateRequest, delay_s: float) -> None:
        """The order that it asks for is accepted after a while, if it may be then."""
        at_ms = round(self.now().timestamp() * 1e3)
        obey_later(self.accounts, request, at_ms, at_ms + round(delay_s * 1000))

    def answer(self, path: str, query: Mapping[str, str], *, late: bool) -> tuple[int, Answer]:
        """(status, document) of one request; `late`: the newest candle that is over is shown as it
        was before its end."""
        at_ms = round(self.now().timestamp() * 1e3)
        general: dict[str, Answer] = {
            "/api/v3/ping": {},
            "/api/v3/time": {"serverTime": at_ms},
            "/api/v3/exchangeInfo": self.told or self.market.information(at_ms),
            "/dapi/v1/exchangeInfo": {"symbols": []},
            "/sapi/v1/system/status": {"status": 0, "msg": "normal"},
        }
        if path in general:
            return 200, general[path]
        if path.startswith(PREFIX) and not path.endswith(SAME_SHAPE):
            return answer_futures(self.market, path, query, at_ms)
        path = path.replace(PREFIX, "/api/v3").replace("markPriceKlines", "klines")
        if path == "/api/v3/ticker/24hr" and "symbol" not in query:
            return 200, [
                self.market.ticker(symbol, at_ms) for symbol in self.market.candles if symbol not in self.market.gone
            ]
        symbol = self.market.symbol_of(query.get("symbol", ""))
        if symbol is None:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        if path == "/api/v3/ticker/24hr":
            return 200, self.market.ticker(symbol, at_ms)
        if path == "/api/v3/depth":
            return 200, self.market.depth(symbol, at_ms, limit=min(int(query.get("limit", 100)), 100))
        if path == "/api/v3/klines":
            return self._klines(symbol, at_ms, query, late=late)
        return 404, {"code": -1000, "msg": f"this exchange has no {path}"}

    def _klines(self, symbol: str, at_ms: int, query: Mapping[str, str], *, late: bool) -> tuple[int, Answer]:
        if query.get("interval") != self.market.interval:
            return 400, {"code": -1120, "msg": "Invalid interval."}
        start = int(query["startTime"]) if "startTime" in query else None
        limit = min(int(query.get("limit", USUAL_CANDLES)), MOST_CANDLES)
        if late:  # as the picture was when that candle was not over yet
            at_ms = at_ms // self.market.interval_ms * self.market.interval_ms - 1
        return 200, self.market.klines(symbol, at_ms, start_ms=start, limit=limit)


class _Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away before its answer is nothing to tell of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """One connection, kept open between requests as exchanges do."""

    fake: FakeExchange
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer, or fail as the script says; who wants to listen is shown where."""
        if self.headers.get("Upgrade", "").lower() == "websocket":
            there = {"Location": f"http://127.0.0.1:{self.fake.stream_port()}{self.path}"}
            self._send(307, "", there)
            return
        self._obey(urlsplit(self.path).query)

    def do_DELETE(self) -> None:
        """As GET."""
        self._obey(urlsplit(self.path).query)

    def do_POST(self) -> None:
        """As GET, asked for in the body."""
        self._obey(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def _obey(self, asked: str) -> None:
        parts = urlsplit(self.path)
        fault = self.fake.next_fault(f"{self.command} {parts.path}")
        kind = fault.kind if fault is not None else None
        if fault is not None and kind in ("limited", "banned"):
            status, code = (429, -1003) if kind == "limited" else (418, -1003)
            words = {"code": code, "msg": "Too many requests."}
            self._send(status, json.dumps(words), {"Retry-After": f"{fault.seconds:.0f}"})
        elif kind == "error":
            self._send(502, PAGE, {}, "text/html")
        elif kind == "maintenance":
            self._send(503, json.dumps({"code": -1016, "msg": "This service is no longer available."}))
        elif kind == "elsewhere":
            words = {"code": 0, "msg": "Service unavailable from a restricted location."}
            self._send(451, json.dumps(words))
        elif kind == "quoted":
            sent = f"Bad request: {self.headers.get('X-MBX-APIKEY', '')} {self.command} {asked}"
            self._send(400, json.dumps({"code": -1100, "msg": sent}))
        elif kind == "page":
            self._send(200, PAGE, {}, "text/html")
        elif kind == "empty":
            self._send(200, "")
        elif kind == "unheard":
            self.close_connection = True
        else:
            self._answer(parts.path, asked, fault)

    def _answer(self, path: str, asked: str, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "slow":
            self.fake.wait_s(fault.seconds)
        if path in PRIVATE_PATHS:
            request = PrivateRequest(self.command, path, asked, self.headers.get("X-MBX-APIKEY", ""))
            if fault is not None and fault.kind == "delayed":
                with suppress(RefusedError):
                    self.fake.obey_later(request, fault.seconds)
                self.close_connection = True
                return
            status, document = self.fake.answer_private(request)
        else:
            late = fault is not None and fault.kind == "late"
            status, document = self.fake.answer(path, dict(parse_qsl(asked)), late=late)
        if fault is not None and fault.kind == "gateway":
            self._send(504, PAGE, {}, "text/html")
            return
        body = json.dumps(document)
        if fault is not None and fault.kind in ("lost", "cut"):  # the request was obeyed; nobody hears of it
            if fault.kind == "cut":
                self._headers(status, len(body), {}, "application/json")
                self.wfile.write(body[: len(body) // 2].encode())
            self.close_connection = True
            return
        self._send(status, body)

    def _send(self, status: int, body: str, headers: Mapping[str, str] | None = None, kind: str = "") -> None:
        content = body.encode()
        self._headers(status, len(content), headers or {}, kind or "application/json")
        self.wfile.write(content)

    def _headers(self, status: int, size: int, headers: Mapping[str, str], kind: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(size), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """It keeps no log: `asked` counts."""
