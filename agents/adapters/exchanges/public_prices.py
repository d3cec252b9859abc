"""Public prices of any exchange that ccxt knows; no key is needed. Every failure is one clear line.

ccxt is imported when an exchange is opened, never before. What it hands on without a word is caught here: a web page or
nothing at all in the place of an answer would be candles made of letters, or none.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from agents.adapters.exchanges.recorded_market import HIGH, LOW, OPEN, OPENED, VOLUME
from agents.core.arrays import Booleans, Floats
from agents.core.clock import Clock
from agents.core.errors import DataError, ServiceError, UsageError
from agents.core.settings import INTERVALS_S

TIMEOUT_MS = 10_000
USUAL_PAGE = 500
"""Candles in one answer, where ccxt does not know how many the exchange gives."""
SETTLED_AFTER_MS = 60_000
"""An exchange may still change its newest candle, or lag behind: it counts when the next one is there, or after this
(at most half an interval)."""
NAMES_SHOWN = 6
ELSEWHERE = re.compile(r"\b(451|403)\b|restricted location|not available in your", re.IGNORECASE)


class ExchangeAwayError(ServiceError):
    """An exchange does not answer as it should: it may be asked again, at the soonest after `wait_s`."""

    def __init__(self, words: str, wait_s: float = 0.0) -> None:
        super().__init__(words)
        self.wait_s = wait_s


class ExchangeElsewhereError(ServiceError):
    """An exchange does not serve the place that this machine is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an exchange says of one market: steps and least amounts (None: it does not say), fees as fractions."""

    symbol: str
    price_step: float | None
    quantity_step: float | None
    least_quantity: float | None
    least_cost: float | None
    maker: float | None
    taker: float | None


class PublicPrices:
    """One exchange, by ccxt's name. `url`: where it answers instead, with all its paths, such as a practice server.

    Requests wait for each other as the exchange's limits ask. UsageError where ccxt is missing or knows no such name.
    """

    kind = "spot"
    """Of its markets."""

    def __init__(self, name: str, url: str = "") -> None:
        self.name, self.url = name, url
        self._ccxt = _ccxt()
        if name not in self._ccxt.exchanges:
            raise UsageError(f"'{name}' is no exchange that ccxt knows{_near(name, self._ccxt.exchanges)}")
        self._exchange = getattr(self._ccxt, name)({"enableRateLimit": True, "timeout": TIMEOUT_MS})
        self._exchange.options["defaultType"] = "spot"
        kinds = self._exchange.options.get("fetchMarkets")
        if isinstance(kinds, dict) and "spot" in kinds.get("types", ()):
            kinds["types"] = ["spot"]  # not the futures, which answer elsewhere
        if url:
            self.point_at(url)

    def point_at(self, url: str) -> None:
        """Ask there instead, with all the exchange's paths."""
        self.url = url
        self._exchange.urls["api"] = pointed(self._exchange.urls["api"], url)

    def close(self) -> None:
        """Let the connections go."""
        self._exchange.session.close()

    def require(self, symbols: Sequence[str], interval: str) -> None:
        """UsageError unless the exchange has candles of this interval, and every symbol as a market."""
        if not self._exchange.has.get("fetchOHLCV"):
            raise UsageError(f"{self.name} offers no candles; another exchange is needed for prices")
        offered = self._exchange.timeframes or {}
        if interval not in offered:
            ours = ", ".join(known for known in INTERVALS_S if known in offered)
            raise UsageError(f"{self.name} has no candles of {interval}; of ours it has {ours or 'none'}")
        markets = self.markets()
        for symbol in symbols:
            if symbol not in markets:
                raise UsageError(
                    f"{self.name} has no {self.kind} market '{symbol}'{_near(symbol.upper(), sorted(markets))}"
                )
            if markets[symbol].get("active") is False:
                raise UsageError(f"{self.name} does not trade '{symbol}' at the moment; leave it out")

    def markets(self) -> Mapping[str, Mapping[str, Any]]:
        """The markets by symbol; asked once."""
        markets = self._exchange.markets or self._ask(self._exchange.load_markets)
        return {symbol: market for symbol, market in markets.items() if self._is_ours(market)}

    def _is_ours(self, market: Mapping[str, Any]) -> bool:
        return bool(market.get("spot"))

    def has_market(self, symbol: str) -> bool:
        """Whether there is such a market, as the exchange said last."""
        return symbol in self.markets()

    def terms(self, symbol: str) -> Terms:
        """What orders in one market must keep to, and cost."""
        market = self.markets()[symbol]
        precision, limits = market.get("precision") or {}, market.get("limits") or {}
        return Terms(
            symbol=symbol,
            price_step=self._step(precision.get("price")),
            quantity_step=self._step(precision.get("amount")),
            least_quantity=(limits.get("amount") or {}).get("min"),
            least_cost=(limits.get("cost") or {}).get("min"),
            maker=market.get("maker"),
            taker=market.get("taker"),
        )

    def _step(self, precision: float | None) -> float | None:
        """The step that a precision means: it is one, or a number of decimal places; significant digits are none."""
        if precision is None or self._exchange.precisionMode == self._ccxt.SIGNIFICANT_DIGITS:
            return None
        places = self._exchange.precisionMode == self._ccxt.DECIMAL_PLACES
        return 10.0 ** -int(precision) if places else float(precision)

    def time_ms(self) -> int | None:
        """The exchange's clock; None where it does not tell."""
        if not self._exchange.has.get("fetchTime"):
            return None
        return int(self._ask(self._exchange.fetch_time))

    def clock_ahead_s(self, clock: Clock) -> float | None:
        """How far ours is ahead of the exchange's clock at least, in seconds, whatever the answer took; negative where
        it is behind, None where the exchange does not tell."""
        before_ms = clock.now().timestamp() * 1000
        theirs_ms = self.time_ms()
        after_ms = clock.now().timestamp() * 1000
        if theirs_ms is None:
            return None
        return (max(before_ms - theirs_ms, 0.0) + min(after_ms - theirs_ms, 0.0)) / 1000

    def page(self, symbol: str) -> int:
        """How many candles one answer holds at most. DataError where there is no such symbol."""
        self._require_market(symbol)
        return int(self._exchange.feature_value(symbol, "fetchOHLCV", "limit") or USUAL_PAGE)

    def candles(self, symbol: str, interval: str, since_ms: int, limit: int) -> Floats:
        """Candles [n, 6] that opened at `since_ms` or later, each once, oldest first, the open one among them. Not
        always the oldest of them: some exchanges keep the newest few only. DataError where there is no such symbol."""
        self._require_market(symbol)
        answer = self._ask(self._exchange.fetch_ohlcv, symbol, interval, since_ms, limit)
        try:
            candles = np.array(answer, dtype=np.float64).reshape(-1, 6)
        except (TypeError, ValueError):
            raise self._away("answers with candles that cannot be understood") from None
        candles[:, VOLUME] = np.nan_to_num(candles[:, VOLUME], nan=0.0)
        if not sound(candles, INTERVALS_S[interval] * 1000).all():
            raise self._away("answers with candles that cannot be true")
        candles = candles[np.unique(candles[:, OPENED], return_index=True)[1]]
        return candles[candles[:, OPENED] >= since_ms]

    # ------------------------------------------------------------ what may go wrong

    def _require_market(self, symbol: str) -> None:
        if not self.has_market(symbol):
            raise DataError(f"{self.name} has no {self.kind} market '{symbol}'")

    def _ask(self, call: Callable[..., Any], *arguments: object) -> Any:
        """The answer of ccxt, else ExchangeAwayError, ExchangeElsewhereError or DataError."""
        ccxt, exchange = self._ccxt, self._exchange
        try:
            answer = call(*arguments)
        except ccxt.BadSymbol as error:
            raise DataError(f"{self.name} does not know the symbol any more: {self._words(error)}") from None
        except (ccxt.DDoSProtection, ccxt.RateLimitExceeded):
            wait_s = self._asked_to_wait_s()
            raise self._away(f"limits requests; asked again after {wait_s:.0f} s", wait_s) from None
        except ccxt.RequestTimeout:
            raise self._away(f"does not answer within {TIMEOUT_MS / 1000:.0f} s") from None
        except ccxt.OnMaintenance as error:
            raise self._away(f"is under maintenance: {self._words(error)}") from None
        except ccxt.BaseError as error:
            words = self._words(error)
            if isinstance(error, ccxt.RestrictedLocation) or ELSEWHERE.search(words):
                raise ExchangeElsewhereError(
                    f"{self.name} does not serve the place that this machine is in; choose another exchange, such as"
                    f" kraken or coinbase ({words})"
                ) from None
            if isinstance(error, ccxt.ExchangeNotAvailable) or not isinstance(error, ccxt.NetworkError):
                raise self._away(f"does not work at the moment: {words}") from None
            raise self._away("cannot be reached (is this machine online?)") from None
        except Exception as error:  # a shape that ccxt did not expect, in whatever way it stumbles over it
            raise self._away(f"answers with what cannot be understood ({type(error).__name__})") from None
        if (exchange.last_http_response or "").lstrip()[:1] not in ("{", "["):
            raise self._away("answers with something that is no answer (a web page, or nothing)")
        return answer

    def _words(self, error: Exception) -> str:
        return words_of(error)

    def _away(self, words: str, wait_s: float = 0.0) -> ExchangeAwayError:
        return ExchangeAwayError(f"{self.name} {words}", wait_s)

    def _asked_to_wait_s(self) -> float:
        """What the exchange's Retry-After says; a minute where it says nothing."""
        headers = self._exchange.last_response_headers or {}
        said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
        return float(said) if re.fullmatch(r"\d{1,6}", said) else 60.0


def over(candles: Floats, interval_ms: int, now_ms: int) -> Floats:
    """Those of an answer's candles that are over and will not change: by our clock, and all but the newest by the
    exchange's own, since a later one has begun."""
    ends = candles[:, OPENED] + interval_ms
    settled = ends + min(SETTLED_AFTER_MS, interval_ms // 2) <= now_ms
    settled[:-1] = True
    return candles[settled & (ends <= now_ms)]


def sound(candles: Floats, interval_ms: int) -> Booleans:
    """Which rows [n] can be candles: on the grid of their interval, positive prices in order."""
    prices = candles[:, OPEN:VOLUME]
    on_grid = candles[:, OPENED] % interval_ms == 0
    inside = (candles[:, LOW] <= prices[:, [0, 3]].min(axis=1)) & (prices[:, [0, 3]].max(axis=1) <= candles[:, HIGH])
    sound: Booleans = on_grid & np.isfinite(prices).all(axis=1) & (prices > 0).all(axis=1) & inside
    return sound & (candles[:, VOLUME] >= 0)


def _ccxt() -> Any:
    try:
        return importlib.import_module("ccxt")
    except ImportError:
        lock = "requirements-exchanges.lock"
        raise UsageError(
            "an exchange needs the package ccxt, which is not installed; run scripts/setup_venv.sh"
            f" {lock} (or {sys.executable} -m pip install ccxt)"
        ) from None


def _near(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=NAMES_SHOWN, cutoff=0.6)
    return f"; near are {', '.join(near)}" if near else ""


def words_of(error: Exception | str) -> str:
    """The first words of an error, without addresses and the tags of a web page."""
    text = re.sub(r"<[^>]*>|https?://\S+", " ", str(error))
    return " ".join(text.split())[:160]


def pointed(urls: Any, base: str) -> Any:
    """The same paths on another host; a stream stays one."""
    if isinstance(urls, Mapping):
        return {name: pointed(url, base) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    there = urlsplit(urls)
    return (base.replace("http", "ws", 1) if there.scheme.startswith("ws") else base).rstrip("/") + there.path
