"""Candles that an exchange pushes: a thread listens by ccxt's asynchronous class and keeps those that are over.

Only exchanges that mark a candle as over are listened to: elsewhere nobody can tell the last state of a candle from one
whose last update was lost.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import numpy as np

from agents.adapters.exchanges.public_prices import PublicPrices, pointed, sound
from agents.adapters.exchanges.recorded_market import OPENED
from agents.core.arrays import Floats
from agents.core.clock import Clock
from agents.core.settings import INTERVALS_S

logger = logging.getLogger(__name__)
KEPT = 16
"""Candles of one symbol that wait to be taken; older ones are asked for."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S = 1.0, 300.0, 60.0
"""Before it connects again it pauses, twice as long each time; after a connection that lasted, from the beginning."""
LOOK_S = 0.25
ENDS_WITHIN_S = 3.0
Row = tuple[Any, ...]
"""(the exchange's name of a market, when the candle opened in ms, open, high, low, close, volume)."""


def _of_binance(message: Mapping[str, Any]) -> Iterator[Row]:
    k = message["k"]
    if k["x"] is True:
        yield k["s"], k["t"], k["o"], k["h"], k["l"], k["c"], k["v"]


def _of_bybit(message: Mapping[str, Any]) -> Iterator[Row]:
    market = message["topic"].rpartition(".")[2]
    for k in message["data"]:
        if k["confirm"] is True:
            yield market, k["start"], k["open"], k["high"], k["low"], k["close"], k["volume"]


def _of_okx(message: Mapping[str, Any]) -> Iterator[Row]:
    for k in message["data"]:
        if len(k) > 8 and k[8] == "1":
            yield message["arg"]["instId"], *k[:6]


OVER: Mapping[str, Callable[[Mapping[str, Any]], Iterator[Row]]] = {
    "binance": _of_binance,
    "binanceus": _of_binance,
    "bybit": _of_bybit,
    "okx": _of_okx,
}
"""How an exchange's message tells of candles that are over, by ccxt's name of the exchange."""


def can_listen(name: str) -> str:
    """ "" where the exchange of this name can be listened to, else why not."""
    if name not in OVER:
        return f"{name} does not mark candles that are over (those do: {', '.join(OVER)})"
    if find_spec("aiohttp") is None:
        return "the package aiohttp is not installed (requirements-exchanges.lock)"
    return ""


class CandleStream:
    """Listens to candles of one interval from `start` until `close`. A connection on which nothing was heard for
    `silent_s` is ended, and another one made. Safe for threads; time is `clock`'s."""

    def __init__(self, prices: PublicPrices, interval: str, clock: Clock, silent_s: float) -> None:
        self._prices = prices
        self._interval = interval
        self._clock = clock
        self._silent_s = silent_s
        self._symbols: dict[str, str] = {}
        self._over: dict[str, dict[int, Floats]] = {}
        self._heard_s: float | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening: asyncio.Task[None] | None = None
        self._closing = threading.Event()
        self.arrived: Callable[[], None] = lambda: None
        """Is called when the newest candle of the last symbol is there."""
        self.connections = 0
        """How many were made."""

    def start(self, symbols: Sequence[str]) -> None:
        """Listen to those of `symbols` that the exchange has; the markets must have been asked for."""
        markets = self._prices.markets()
        self._symbols = {str(markets[symbol]["id"]): symbol for symbol in symbols if symbol in markets}
        self._over = {symbol: {} for symbol in self._symbols.values()}
        self._thread = threading.Thread(target=self._run, name="candles", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let the connection go; the thread has ended when it returns, or hangs and ends with the process."""
        self._closing.set()
        if self._loop is not None and self._listening is not None:
            with suppress(RuntimeError):  # it ended by itself just now
                self._loop.call_soon_threadsafe(self._listening.cancel)
        if self._thread is not None:
            self._thread.join(ENDS_WITHIN_S)

    def heard(self) -> bool:
        """Whether it is connected, and something was heard within `silent_s`."""
        heard_s = self._heard_s
        return heard_s is not None and self._clock.monotonic_s() - heard_s <= self._silent_s

    def over(self, symbol: str, first_ms: int, last_ms: int) -> Floats:
        """Candles [n, 6] that are over, without a gap from the one that opened at `first_ms`, at most to that of
        `last_ms`. What is older is forgotten."""
        length_ms = INTERVALS_S[self._interval] * 1000
        with self._lock:
            known = self._over.get(symbol, {})
            for opened in [opened for opened in known if opened < first_ms]:
                del known[opened]
            rows = []
            for opened in range(first_ms, last_ms + 1, length_ms):
                if opened not in known:
                    break
                rows.append(known[opened])
        return np.array(rows).reshape(-1, 6)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._listen())

    async def _listen(self) -> None:
        self._loop, self._listening = asyncio.get_running_loop(), asyncio.current_task()
        self._loop.set_exception_handler(lambda _loop, context: logger.debug("in the stream: %s", context["message"]))
        pause_s = FIRST_PAUSE_S
        while not self._closing.is_set():
            began_s = self._clock.monotonic_s()
            exchange = self._listener()
            try:
                self.connections += 1
                await self._while_heard(exchange)
            except Exception as error:  # whatever the stream dies of, the next one is another one
                logger.debug("the stream ended: %s", type(error).__name__)
            finally:
                self._heard_s = None
                await exchange.close()
            lasted = self._clock.monotonic_s() - began_s > STEADY_S
            pause_s = FIRST_PAUSE_S if lasted else min(2.0 * pause_s, LONGEST_PAUSE_S)
            until_s = self._clock.monotonic_s() + pause_s
            while self._clock.monotonic_s() < until_s:
                await asyncio.sleep(min(LOOK_S, pause_s))

    async def _while_heard(self, exchange: Any) -> None:
        """Until the connection ends or is silent for too long."""
        began_s = self._clock.monotonic_s()
        watching = asyncio.ensure_future(self._watch(exchange))
        try:
            while True:
                await asyncio.wait({watching}, timeout=LOOK_S)
                if watching.done():
                    return watching.result()
                if self._clock.monotonic_s() - max(began_s, self._heard_s or began_s) > self._silent_s:
                    return None
        finally:
            watching.cancel()

    async def _watch(self, exchange: Any) -> None:
        wanted = [[symbol, self._interval] for symbol in self._symbols.values()]
        while True:
            await exchange.watch_ohlcv_for_symbols(wanted)

    def _listener(self) -> Any:
        """ccxt's own class, which shows each message about candles to `_note` first."""
        usual: Any = getattr(importlib.import_module("ccxt.pro"), self._prices.name)
        note = self._note

        class Listener(usual):  # type: ignore[misc]  # ccxt has no types
            def handle_ohlcv(self, client: Any, message: Any) -> None:
                with suppress(Exception):  # a message that nobody understands must not end ccxt's reading
                    note(message)
                    super().handle_ohlcv(client, message)

        exchange = Listener({"enableRateLimit": True, "newUpdates": True})
        exchange.options["defaultType"] = "spot"
        if self._prices.url:
            exchange.urls["api"] = pointed(exchange.urls["api"], self._prices.url)
        markets = self._prices.markets()
        exchange.set_markets({symbol: markets[symbol] for symbol in self._symbols.values()})
        return exchange

    def _note(self, message: Mapping[str, Any]) -> None:
        self._heard_s = self._clock.monotonic_s()
        for market, opened, *numbers in OVER[self._prices.name](message):
            symbol, candle = self._symbols.get(market), np.array([opened, *numbers], dtype=np.float64)
            if symbol is None or not sound(candle[None], INTERVALS_S[self._interval] * 1000).all():
                continue
            with self._lock:
                mine = self._over[symbol]
                mine[int(candle[OPENED])] = candle
                if len(mine) > KEPT:
                    del mine[min(mine)]
                complete = all(int(candle[OPENED]) in known for known in self._over.values())
            if complete:
                self.arrived()
