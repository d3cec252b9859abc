"""Daily prices of Yahoo Finance by yfinance, which is kept in step with what Yahoo asks of its callers.

Yahoo states past prices, volumes and dividends in today's shares and lists the splits; here they become what they were
on the day. Its adjusted close is left alone: the desk adjusts by splits and dividends itself.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from agents.adapters.exchanges.public_prices import ExchangeAwayError
from agents.adapters.stocks.daily_bars import DailyBars, before_splits
from agents.core.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

TIMEOUT_S = 20.0
LIMITED_S = 60.0
ASKED_UNTIL = np.timedelta64(2, "D")
"""Splits are needed until today, wherever the bars that are asked for end."""


class Yahoo:
    """Asks Yahoo, or `url` in its place. `notes`: a folder for what yfinance keeps (cookies, time zones)."""

    name = "yahoo"

    def __init__(self, today: np.datetime64, notes: Path, url: str = "") -> None:
        self._yfinance: Any = importlib.import_module("yfinance")
        self._today = today
        self._session: Any = _session(url) if url else None
        self._yfinance.config.debug.hide_exceptions = False
        logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # what is wrong is told once, below
        self._yfinance.set_tz_cache_location(str(notes))

    def bars(self, symbol: str, first: np.datetime64, last: np.datetime64) -> DailyBars:
        """As `DailyPrices` says."""
        whole = before_splits(_bars(self._ask(symbol, first)))
        return whole.at(whole.day <= last.astype("datetime64[D]"))

    def _ask(self, symbol: str, first: np.datetime64) -> pd.DataFrame:
        errors = importlib.import_module("yfinance.exceptions")
        try:
            ticker = self._yfinance.Ticker(yahoo_symbol(symbol), session=self._session)
            end = str(self._today.astype("datetime64[D]") + ASKED_UNTIL)
            start = str(first.astype("datetime64[D]"))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what yfinance does with pandas
                answer: pd.DataFrame = ticker.history(
                    start=start, end=end, auto_adjust=False, actions=True, timeout=TIMEOUT_S
                )
        except errors.YFRateLimitError:
            raise ExchangeAwayError("yahoo limits requests", LIMITED_S) from None
        except errors.YFTickerMissingError as error:
            raise UsageError(f"yahoo has no daily prices of '{symbol}' in these days ({error.rationale})") from None
        except Exception as error:  # of curl, JSON, pandas: whatever it stumbled over
            if "curl" in type(error).__module__ or isinstance(error, OSError):
                raise ExchangeAwayError("yahoo cannot be reached (is this machine online?)") from None
            raise ExchangeAwayError(f"yahoo answers with what cannot be understood ({type(error).__name__})") from None
        if not len(answer):
            raise UsageError(f"yahoo has no daily prices of '{symbol}' in these days")
        return answer


def yahoo_symbol(symbol: str) -> str:
    """Yahoo's name of a symbol: a class of shares is written with a dash (BRK-B), a country with a point (SAP.DE)."""
    stem, point, ending = symbol.rpartition(".")
    return f"{stem}-{ending}" if point and len(ending) == 1 and ending.upper() in "ABC" else symbol


def _bars(answer: pd.DataFrame) -> DailyBars:
    prices = answer[["Open", "High", "Low", "Close"]].to_numpy(dtype=np.float64)
    good = np.isfinite(prices).all(axis=1) & (prices > 0).all(axis=1)
    split = answer["Stock Splits"].to_numpy(dtype=np.float64)
    bars = DailyBars(
        day=answer.index.tz_localize(None).to_numpy().astype("datetime64[D]"),
        prices=prices,
        volume=answer["Volume"].to_numpy(dtype=np.float64),
        dividend=answer["Dividends"].to_numpy(dtype=np.float64),
        split=np.where(split > 0, split, 1.0),
    )
    # A split on a day without prices would be lost with it, and all before it be wrong.
    if (bars.split[~good] != 1.0).any():
        raise ExchangeAwayError("yahoo lists a split on a day that it has no prices of")
    return bars.at(good)


def _session(base: str) -> Any:
    """yfinance's kind of session whose requests all go to `base`."""
    requests = importlib.import_module("curl_cffi.requests")

    class Pointed(requests.Session):  # type: ignore[misc,name-defined]  # known at run time only
        def request(self, method: str, url: str, *args: Any, **more: Any) -> Any:
            parts = urlsplit(url)
            more.pop("impersonate", None)
            return super().request(method, f"{base}{parts.path}", *args, **more)

    return Pointed()
