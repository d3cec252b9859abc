"""Daily prices of stooq.com: one CSV for each symbol. Past prices are stated in today's shares: adjusted for splits,
which it does not list, and not for dividends, which it does not list either.

It answers 200 whatever happens: an unknown symbol, a limit that is reached and a missing key are sentences in the place
of the table, and each is told here for what it is.
"""

from __future__ import annotations

import csv
import http.client
import io
import re
import urllib.error
import urllib.parse
import urllib.request

import numpy as np

from agents.adapters.exchanges.public_prices import ExchangeAwayError
from agents.adapters.stocks.daily_bars import DailyBars
from agents.core.errors import DataError, ServiceError, UsageError

PLACE = "https://stooq.com"
TIMEOUT_S = 20.0
COLUMNS = ("Date", "Open", "High", "Low", "Close")
UNKNOWN = re.compile(r"no data|brak danych", re.IGNORECASE)
LIMIT = re.compile(r"daily hits limit|przekroczony dzienny limit", re.IGNORECASE)
COUNTRIES = frozenset({"us", "uk", "de", "jp", "hk", "hu", "pl", "v"})
"""What stooq puts behind a point, v for coins; a class of shares is written with a dash."""


class Stooq:
    """Asks stooq, or `url` in its place. `key` is what it gives to a person who asks for one."""

    name = "stooq"

    def __init__(self, url: str = "", key: str = "") -> None:
        self._place = url or PLACE
        self._key = key

    def bars(self, symbol: str, first: np.datetime64, last: np.datetime64) -> DailyBars:
        """As `DailyPrices` says."""
        query = {"s": stooq_symbol(symbol), "d1": _digits(first), "d2": _digits(last), "i": "d"}
        text = self._get(query | ({"apikey": self._key} if self._key else {}))
        if not text.strip():
            raise ExchangeAwayError("stooq answers with nothing")
        head = " ".join(text[:300].split())
        if LIMIT.search(head):
            raise ServiceError("stooq's limit of downloads for today is reached; go on tomorrow, or use --source yahoo")
        if head.lower().startswith("get your apikey"):
            raise ServiceError(
                f"stooq wants a key: get one at {PLACE}/q/d/?s={query['s']}&get_apikey and write it into the settings"
                " as stooq_key under [data], or use --source yahoo"
            )
        if UNKNOWN.match(head):
            raise UsageError(
                f"stooq has no daily prices of '{symbol}' (asked for as {query['s']}) in these days; other countries'"
                " symbols end as in SAP.DE, VOD.UK"
            )
        if head.startswith("<"):
            raise ExchangeAwayError("stooq answers with a web page in the place of prices")
        return _table(text, symbol)

    def _get(self, query: dict[str, str]) -> str:
        address = f"{self._place}/q/d/l/?{urllib.parse.urlencode(query)}"
        headers = {"User-Agent": "Mozilla/5.0 (quorum)"}
        asked = urllib.request.Request(address, headers=headers)  # noqa: S310 - https, or loopback
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
                content: bytes = answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            raise ExchangeAwayError(f"stooq does not work at the moment (status {error.code})") from None
        except TimeoutError:
            raise ExchangeAwayError(f"stooq does not answer within {TIMEOUT_S:.0f} s") from None
        except urllib.error.URLError:
            raise ExchangeAwayError("stooq cannot be reached (is this machine online?)") from None
        except (OSError, http.client.HTTPException):
            raise ExchangeAwayError("stooq's answer was cut off") from None
        return content.decode("utf-8", "replace").removeprefix("\ufeff")


def stooq_symbol(symbol: str) -> str:
    """stooq's name of a symbol: aapl.us, brk-b.us, sap.de, ^spx; Polish stocks (PKO.PL) have no ending there."""
    name = symbol.lower()
    stem, point, ending = name.rpartition(".")
    if point and ending in COUNTRIES:
        return stem if ending == "pl" else name
    return name if name.startswith("^") else f"{name.replace('.', '-')}.us"


def _digits(day: np.datetime64) -> str:
    return str(day.astype("datetime64[D]")).replace("-", "")


def _table(text: str, symbol: str) -> DailyBars:
    lines = csv.DictReader(io.StringIO(text))
    if not set(COLUMNS) <= set(lines.fieldnames or ()):
        raise ExchangeAwayError(f"stooq answers with what is no table of prices: {' '.join(text[:60].split())!r}")
    rows: dict[np.datetime64, list[float]] = {}
    for row in lines:
        try:
            day = np.datetime64(row["Date"], "D")
            rows[day] = [*(float(row[name]) for name in COLUMNS[1:]), float(row.get("Volume") or "nan")]
        except (ValueError, TypeError):
            raise DataError(f"stooq's prices of '{symbol}': line {lines.line_num} is no row of prices") from None
    days = sorted(rows)
    numbers = np.array([rows[day] for day in days], dtype=np.float64).reshape(-1, 5)
    return DailyBars(
        day=np.array(days, dtype="datetime64[D]"),
        prices=numbers[:, :4],
        volume=numbers[:, 4],
        dividend=np.zeros(len(days)),
        split=np.ones(len(days)),
    )
