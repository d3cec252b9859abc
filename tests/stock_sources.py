"""Sources of daily stock prices on loopback, in the shapes of stooq's and Yahoo's answers. The numbers are invented."""

from __future__ import annotations

import json
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import numpy as np

NEW_YORK = ZoneInfo("America/New_York")


class Stock:
    """One stock's sessions as they were: raw prices, with a split of 4 for 1 before the session of number `split_at`
    and a dividend of 0.5 before that of `dividend_at`."""

    def __init__(self, days, split_at=None, dividend_at=None, seed=1):
        rng = np.random.default_rng(seed)
        close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, len(days))))
        self.days = days
        self.ratio = np.ones(len(days))
        if split_at is not None:
            self.ratio[split_at] = 4.0
            close[split_at:] /= 4.0
        self.close = np.round(close, 2)
        self.open = np.round(self.close * 1.001, 2)
        self.high, self.low = np.maximum(self.open, self.close) + 0.25, np.minimum(self.open, self.close) - 0.25
        self.volume = rng.integers(1000, 9000, len(days)) * 100
        self.dividend = np.zeros(len(days))
        if dividend_at is not None:
            self.dividend[dividend_at] = 0.5

    def until(self, count):
        """What a source knew after so many sessions."""
        shorter = object.__new__(Stock)
        shorter.__dict__ = {name: values[:count] for name, values in self.__dict__.items()}
        return shorter

    def later(self):
        """What a price of each day is divided by to be stated in today's shares."""
        return np.append(np.cumprod(self.ratio[::-1])[::-1][1:], 1.0)

    def stooq(self, first, last):
        """CSV in today's shares."""
        lines = ["Date,Open,High,Low,Close,Volume"]
        for day, factor, *prices, volume in zip(
            self.days, self.later(), self.open, self.high, self.low, self.close, self.volume, strict=True
        ):
            if first <= f"{day:%Y%m%d}" <= last:
                lines.append(f"{day},{','.join(f'{price / factor:.6g}' for price in prices)},{volume * factor:.0f}")
        return "\r\n".join(lines) + "\r\n" if len(lines) > 1 else "No data"

    def yahoo(self, symbol, first, last):
        """`v8/finance/chart`, in today's shares, each session at its open."""
        moments = [round(datetime.combine(day, time(9, 30), NEW_YORK).timestamp()) for day in self.days]
        rows = [k for k, moment in enumerate(moments) if first <= moment <= last]
        factor = self.later()
        column = {name: getattr(self, name) / factor for name in ("open", "high", "low", "close")}
        quote = {name: [float(np.float32(values[k])) for k in rows] for name, values in column.items()}
        quote["volume"] = [int(self.volume[k] * factor[k]) for k in rows]
        dividends = {
            str(moments[k]): {"amount": self.dividend[k] / factor[k], "date": moments[k]}
            for k in rows
            if self.dividend[k]
        }
        splits = {
            str(moments[k]): {"date": moments[k], "numerator": self.ratio[k], "denominator": 1.0, "splitRatio": "4:1"}
            for k in rows
            if self.ratio[k] != 1
        }
        meta = {
            "currency": "USD",
            "symbol": symbol,
            "exchangeName": "NMS",
            "instrumentType": "EQUITY",
            "firstTradeDate": moments[0],
            "regularMarketTime": moments[-1],
            "gmtoffset": -18000,
            "timezone": "EST",
            "exchangeTimezoneName": "America/New_York",
            "regularMarketPrice": quote["close"][-1] if rows else 1.0,
            "priceHint": 2,
            "dataGranularity": "1d",
            "range": "",
            "validRanges": ["1d", "5d", "1mo", "max"],
        }
        result = {
            "meta": meta,
            "timestamp": [moments[k] for k in rows],
            "events": {"dividends": dividends, "splits": splits},
            "indicators": {"quote": [quote], "adjclose": [{"adjclose": quote["close"]}]},
        }
        return {"chart": {"result": [result], "error": None}}


def sessions(count, until=None):
    """The last `count` weekdays that are over."""
    day, found = (until or datetime.now(UTC).date()) - timedelta(days=1), []
    while len(found) < count:
        found += [day] if day.weekday() < 5 else []
        day -= timedelta(days=1)
    return found[::-1]


class Source:
    """Answers at `url`; `faults` are met by one request for prices each: (status, body), or "cut"."""

    def __init__(self, stocks):
        self.stocks, self.faults, self.asked, self.queries = stocks, [], Counter(), []

    def answer(self, path, query):
        if path == "/q/d/l/":
            self.queries.append(query)
            stock = self.stocks.get(query["s"].removesuffix(".us").upper())
            return 200, "text/csv", stock.stooq(query["d1"], query["d2"]) if stock else "No data"
        if path.startswith("/v8/finance/chart/"):
            symbol = path.rpartition("/")[2]
            stock = self.stocks.get(symbol)
            if stock is None:
                error = {"code": "Not Found", "description": "No data found, symbol may be delisted"}
                return 404, "application/json", json.dumps({"chart": {"result": None, "error": error}})
            first, last = int(query.get("period1", 0)), int(query.get("period2", 2**40))
            return 200, "application/json", json.dumps(stock.yahoo(symbol, first, last))
        return 200, "text/plain", "crumb"


class Server(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that went away is nothing to tell of: it would be told among what the program says."""


@contextmanager
def serving(stocks):
    """A source with these stocks by symbol."""
    source = Source(stocks)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            parts = urlsplit(self.path)
            source.asked[parts.path] += 1
            fault = (
                source.faults.pop(0) if source.faults and "getcrumb" not in parts.path and parts.path != "/" else None
            )
            if isinstance(fault, tuple):
                status, kind, body = fault[0], "text/html", fault[1]
            else:
                status, kind, body = source.answer(parts.path, dict(parse_qsl(parts.query)))
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
            self.close_connection = fault == "cut"

        def log_message(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    source.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()
