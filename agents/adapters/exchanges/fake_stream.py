"""The made-up exchange's stream of candles: a WebSocket server in Binance's shape, and what goes wrong with it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from agents.adapters.exchanges.fault_script import Fault, FaultScript
from agents.adapters.exchanges.recorded_market import RecordedMarket

TICK_S = 0.005
UPDATE_MS = 2000
"""An open candle is shown so often, where the exchange's clock does not run faster than ticks."""
STREAM = "stream"
"""The path of its faults."""
REFUSES, ENDS = ("limited", "banned", "maintenance", "elsewhere"), ("lost", "cut", "error", "page")
SHUFFLED_BY = 3


class FakeStream:
    """Answers at `port` between `start` and `end`, on threads of its own; `now_ms` is the exchange's time. It needs
    aiohttp, which ccxt brings along."""

    def __init__(self, market: RecordedMarket, script: FaultScript, now_ms: Callable[[], int]) -> None:
        self.market = market
        self.port = 0
        self.ticked_ms = 0
        """All that was to be shown by then was sent."""
        self.accepted = 0
        """Connections so far."""
        self._script = script
        self._now_ms = now_ms
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="fake stream", daemon=True)
        self._listeners: dict[Any, _Listener] = {}

    def start(self) -> None:
        """Answers when it returns."""
        self._thread.start()
        self._begun.wait()

    def end(self) -> None:
        """All connections end."""
        assert self._loop is not None
        assert self._serving is not None
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except asyncio.CancelledError:
            pass
        finally:
            self._begun.set()

    async def _serve(self) -> None:
        from aiohttp import web

        self._loop, self._serving = asyncio.get_running_loop(), asyncio.current_task()
        application = web.Application()
        application.router.add_get("/{path:.*}", self._accept)
        runner = web.AppRunner(application, shutdown_timeout=0.1, handle_signals=False, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.port = runner.addresses[0][1]
            self._begun.set()
            while True:
                now_ms = self._now_ms()
                for socket, listener in list(self._listeners.items()):
                    await self._tell(socket, listener, now_ms)
                self.ticked_ms = now_ms
                await asyncio.sleep(TICK_S)
        finally:
            for socket in list(self._listeners):
                await socket.close()
            await runner.cleanup()

    async def _accept(self, request: Any) -> Any:
        """One connection, from its subscription on."""
        from aiohttp import web

        self.accepted += 1
        fault = self._fault(self._now_ms())
        if fault is not None and fault.kind in REFUSES:
            return web.Response(status=429 if fault.kind == "limited" else 503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            async for message in socket:
                asked = json.loads(message.data)
                if asked.get("method") == "SUBSCRIBE":
                    names = [symbol for name in asked["params"] if (symbol := self._symbol_of(name)) is not None]
                    await socket.send_str(json.dumps({"result": None, "id": asked["id"]}))
                    self._listeners[socket] = _Listener(names, self._now_ms())
        finally:
            self._listeners.pop(socket, None)
        return socket

    def _symbol_of(self, name: str) -> str | None:
        """The symbol whose candles a stream's name (btcusdt@kline_1h) means."""
        market, _, kind = name.partition("@")
        return self.market.symbol_of(market.upper()) if kind == f"kline_{self.market.interval}" else None

    def _fault(self, now_ms: int) -> Fault | None:
        at = datetime.fromtimestamp(now_ms / 1000, UTC)
        return self._script.of_stream(STREAM, at, now_ms // self.market.interval_ms)

    async def _tell(self, socket: Any, listener: _Listener, now_ms: int) -> None:
        """What became known since the last time: candles that are over, and the open one as far as it has come."""
        fault = self._fault(now_ms)
        kind = None if fault is None else fault.kind
        if kind in (*ENDS, *REFUSES):
            self._listeners.pop(socket, None)
            await socket.close()
            return
        messages = listener.due(self.market, now_ms, marked=kind != "late")
        if kind in ("empty", "slow", "frozen"):
            return
        if kind == "shuffled":
            messages = [*messages[::-1], *messages[:SHUFFLED_BY], *listener.told[-SHUFFLED_BY:]]
        listener.told = messages or listener.told
        try:
            for message in messages:
                await socket.send_str(json.dumps(message))
        except ConnectionError:
            self._listeners.pop(socket, None)


class _Listener:
    """One subscription: up to when it was told of which symbols."""

    def __init__(self, symbols: list[str], at_ms: int) -> None:
        self.told: list[dict[str, Any]] = []
        self._symbols = symbols
        self._until_ms, self._shown_ms = at_ms, 0

    def due(self, market: RecordedMarket, now_ms: int, *, marked: bool) -> list[dict[str, Any]]:
        """Messages about what ended since, and, now and then, about what is open; where they are not `marked` the last
        state of a candle is lost, and the one before it was the last that anybody saw."""
        length = market.interval_ms
        first = self._until_ms // length * length
        ended = list(range(first + length, now_ms // length * length + 1, length))
        self._until_ms = now_ms
        messages = []
        for symbol in self._symbols:
            for end_ms in ended:
                messages += _messages(market, symbol, end_ms if marked else end_ms - length // 3, now_ms, over=marked)
        if ended or now_ms - self._shown_ms >= UPDATE_MS:
            self._shown_ms = now_ms
            for symbol in self._symbols:
                messages += _messages(market, symbol, now_ms, now_ms, over=False)
        return messages


def _messages(market: RecordedMarket, symbol: str, at_ms: int, now_ms: int, *, over: bool) -> list[dict[str, Any]]:
    """The candle of a symbol as it was at `at_ms`; the one that ended then where it is `over`. None where nothing was
    traded."""
    opened_ms = (at_ms - 1 if over else at_ms) // market.interval_ms * market.interval_ms
    candles = [k for k in market.klines(symbol, at_ms, start_ms=opened_ms, limit=1) if k[0] == opened_ms]
    name = symbol.replace("/", "")
    return [
        {
            "e": "kline",
            "E": now_ms,
            "s": name,
            "k": dict(zip("tohlcvTqnVQB", k, strict=True))
            | {"s": name, "i": market.interval, "f": 1, "L": 2, "x": over},
        }
        for k in candles
    ]
