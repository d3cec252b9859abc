"""Requests to Alpaca through its own client, and what their answers prove: accepted, refused, or nothing at all.

Answers are taken as they came: the numbers in them are text, as money has to be. Nothing is asked twice by itself and
every request ends after a while; the client alone would send an order again after a 504, and wait for a frozen server
for ever.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from agents.adapters.exchanges.account_keys import AccountKey
from agents.adapters.exchanges.order_errors import (
    OrderFormError,
    OrderLimitedError,
    OrderRefusedError,
    OrderUnknownError,
)
from agents.adapters.exchanges.public_prices import ExchangeAwayError, words_of
from agents.core.clock import Clock
from agents.core.errors import ServiceError, SettingsError, UsageError

TIMEOUT_S = 10.0
LIMITED_FOR_S = 60.0
"""Alpaca's limits of requests are by the minute."""
PRICES = "https://data.alpaca.markets"
T = TypeVar("T")


class AlpacaRequests:
    """Those of one key; `sandbox`: to Alpaca's paper account; `url`: where both of its servers answer instead.
    UsageError where the client is missing."""

    def __init__(self, key: AccountKey, clock: Clock, *, sandbox: bool, url: str = "") -> None:
        client = _imported("alpaca.trading.client").TradingClient
        self._refusal = _imported("alpaca.common.exceptions").APIError
        self._client = client(key.key, key.secret, paper=sandbox, raw_data=True, url_override=url or None)
        self._client._retry_codes = []
        for scheme in ("http://", "https://"):
            self._client._session.mount(scheme, _patient_adapter())
        self._prices = url or PRICES
        self._hidden = (key.key, key.secret)
        self._clock = clock
        self._alone_until_s = clock.monotonic_s()
        self._status = 0

    def close(self) -> None:
        """Let the connections go."""
        self._client._session.close()

    def ask(self, read: Callable[[Any], T], path: str, query: Mapping[str, object] | None = None) -> T:
        """What `read` makes of the answer. ExchangeAwayError where there is none, OrderRefusedError where there is no
        such thing, SettingsError where the key is refused."""
        return self._asked(read, path, query, None)

    def ask_prices(self, read: Callable[[Any], T], path: str, query: Mapping[str, object]) -> T:
        """As `ask`, of the server that knows prices."""
        return self._asked(read, path, query, self._prices)

    def send(self, read: Callable[[Any], T], path: str, order: Mapping[str, object]) -> T:
        """Send an order, once. OrderRefusedError, OrderUnknownError."""
        return _understood(read, self._heard(self._client.post, path, dict(order)))

    def take_back(self, path: str) -> None:
        """Cancel what is there, once. Errors as of `send`."""
        self._heard(self._client.delete, path)

    def _asked(self, read: Callable[[Any], T], path: str, query: Mapping[str, object] | None, base: str | None) -> T:
        try:
            return _understood(read, self._heard(self._client.get, path, dict(query or {}), base_url=base))
        except OrderLimitedError as error:
            raise ExchangeAwayError(str(error), max(self._alone_for_s(), 0.0)) from None
        except OrderRefusedError as error:
            if self._status == 404:
                raise
            if self._status in (401, 403):
                raise SettingsError(f"alpaca refuses the key: {error}") from None
            raise ExchangeAwayError(str(error)) from None
        except OrderUnknownError as error:
            raise ExchangeAwayError(str(error)) from None

    def _heard(self, call: Callable[..., Any], *arguments: object, **named: object) -> Any:
        self._status = 0
        if self._alone_for_s() > 0:
            raise OrderLimitedError(f"alpaca asked to be left alone for {self._alone_for_s():.0f} s more")
        try:
            return call(*arguments, **named)
        except self._refusal as error:
            raise self._meaning(error) from None
        except Exception as error:  # the connection, or an answer that is none
            words = self._words(error) or type(error).__name__
            raise OrderUnknownError(f"alpaca did not answer as it should: {words}") from None

    def _meaning(self, error: Any) -> ServiceError:
        """A refusal is Alpaca's own, in its form; a gateway's page and a status that is no refusal prove nothing."""
        self._status = error.status_code or 0
        try:
            words = self._words(str(error.message))
        except (KeyError, TypeError, ValueError):
            return OrderUnknownError(f"alpaca did not answer as it should: {self._words(error)}")
        if self._status == 429:
            self._alone_until_s = self._clock.monotonic_s() + LIMITED_FOR_S
            return OrderLimitedError(f"alpaca limits requests: {words}")
        if not 400 <= self._status < 500 or self._status == 408 or "client_order_id must be unique" in words:
            return OrderUnknownError(f"alpaca says: {words}")
        kind = OrderFormError if self._status == 422 else OrderRefusedError
        return kind(f"alpaca refuses: {words}")

    def _alone_for_s(self) -> float:
        return self._alone_until_s - self._clock.monotonic_s()

    def _words(self, error: object) -> str:
        """A server, or a machine on the way to it, may quote what it was sent."""
        text = str(error)
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return words_of(text)


def _understood(read: Callable[[Any], T], answer: Any) -> T:
    try:
        return read(answer)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
        raise OrderUnknownError("alpaca's answer cannot be understood") from None


def _patient_adapter() -> Any:
    """Requests that name no time-out of their own get one."""
    adapters = _imported("requests.adapters")

    class Patient(adapters.HTTPAdapter):  # type: ignore[misc,name-defined]  # imported where it is used
        def send(self, request: Any, *arguments: Any, timeout: Any = None, **named: Any) -> Any:
            return super().send(request, *arguments, timeout=timeout or TIMEOUT_S, **named)

    return Patient()


def _imported(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its streams, which nothing here uses
            return importlib.import_module(name)
    except ImportError:
        lock = "requirements-stocks.lock"
        raise UsageError(
            "Alpaca needs the package alpaca-py, which is not installed; run scripts/setup_venv.sh"
            f" {lock} (or {sys.executable} -m pip install alpaca-py)"
        ) from None
