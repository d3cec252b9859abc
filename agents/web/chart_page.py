"""Any symbol at any time: candles, studies, what each agent said, what was traded; and why."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from agents.adapters.database.engine import Row
from agents.core.errors import UsageError
from agents.core.settings_sections import INTERVALS_S
from agents.core.types import Floats
from agents.reports.formatting import number, percent
from agents.reports.why_words import decision_lines, order_lines
from agents.web.site import Query, Site
from agents.web.studies import MEMORY, studies

MOST_CANDLES = 1500
"""More of them no screen shows; a window with more bars has wider candles."""
WIDTHS_S = (60, 300, 900, 1800, 3600, 4 * 3600, 86400, 7 * 86400, 28 * 86400)
FIRST_BARS = 400
"""Of the window that opens first, about."""
FILLS = 3000
DIGITS = 6
LATEST = 4e9
"""No moment of a desk is later, in seconds since 1970."""


def chart_page(site: Site, query: Query) -> dict[str, Any]:
    """The frame of the chart, and the decision of ?at= or the newest one."""
    symbols = site.view.dashboard.bar_symbols()
    if not symbols:
        return {"symbols": (), "symbol": "", "why": None}
    symbol = query.get("symbol") or symbols[0]
    first, last = _span(site, symbol)
    at = moment(query["at"]) if "at" in query else None
    interval_s = _interval(site)
    count = site.view.dashboard.count_bars(symbol, first - 1.0, last)
    bar_s = max(interval_s, (last - first) / max(1, count))
    middle = last - FIRST_BARS * bar_s / 2.0 if at is None else min(max(at.timestamp(), first), last)
    return {
        "symbols": symbols,
        "symbol": symbol,
        "first": first,
        "last": last,
        "start": max(first, middle - FIRST_BARS * bar_s / 2.0),
        "end": min(last, middle + FIRST_BARS * bar_s / 2.0),
        "bar_s": bar_s,
        "why": why_of(site, symbol, at or datetime.fromtimestamp(last, UTC)),
    }


def why_part(site: Site, query: Query) -> dict[str, Any]:
    """The decision that is shown below the chart, alone."""
    return {"why": why_of(site, query.get("symbol", ""), moment(query.get("at", "")))}


def why_of(site: Site, symbol: str, at: datetime) -> dict[str, Any] | None:
    """The newest decision about a symbol at or before `at`; None before the first one."""
    decision = site.view.reader.why(symbol, at)
    if decision is None:
        return None
    return {
        "symbol": symbol,
        "time": decision["time"],
        "votes": [_vote(vote, decision["weights"]) for vote in decision["votes"]],
        "lines": [*decision_lines(decision), *order_lines(decision)],
    }


def _vote(vote: Row, weights: dict[str, Any]) -> dict[str, str]:
    silent = vote["abstained"]
    return {
        "agent": vote["agent_name"],
        "weight": percent(weights.get(vote["agent_name"])),
        "strength": "" if silent else number(vote["strength"], sign=True),
        "confidence": "" if silent else number(vote["confidence"]),
        "forecast": "" if silent else number(vote["forecast"], sign=True),
        "reason": vote["reason"],
    }


def chart_data(site: Site, query: Query) -> dict[str, Any]:
    """Candles of ?symbol= from ?start= to ?end=, so wide that there are not too many, with studies, opinions and
    fills. Times are seconds since 1970: the close of a candle's last bar."""
    symbol, dashboard = query.get("symbol", ""), site.view.dashboard
    first, last = _span(site, symbol)
    start, end = max(seconds(query, "start"), first - 1.0), min(seconds(query, "end"), last)
    interval_s = _interval(site)
    width_s = width_of(dashboard.count_bars(symbol, start, end), end - start, interval_s)
    before = MEMORY * max(width_s, interval_s) * 2
    columns = dashboard.candles(symbol, max(0.0, start - before), end, width_s)
    if columns["time"] is None:
        return {"time": [], "width": width_s}
    shown = int(np.searchsorted(columns["time"], start, side="right"))
    high, low, close = (np.array(columns[name], dtype=np.float64) for name in ("high", "low", "close"))
    drawn = {name: _short(values[shown:]) for name, values in studies(high, low, close).items()}
    times = columns["time"][shown:]
    prices = {name: _short(np.array(columns[name][shown:])) for name in ("open", "high", "low", "close")}
    fills = dashboard.fills(symbol, start, end, FILLS)
    told = {
        "time": times,
        "volume": columns["volume"][shown:],
        "width": width_s,
        "bar": interval_s,
        "agents": opinions(dashboard.signals_at(symbol, times), times),
        "fills": [[f["time"], 1 if f["side"] == "buy" else -1, f["quantity"], f["price"]] for f in fills],
    }
    return told | prices | drawn


def width_of(bars: int, span_s: float, interval_s: int) -> int:
    """How wide a candle must be, in seconds, for so many bars of a span to make no more than MOST_CANDLES."""
    for width_s in (interval_s, *(width for width in WIDTHS_S if width > interval_s)):
        if max(bars * interval_s / width_s, min(bars, span_s / width_s)) <= MOST_CANDLES:
            return width_s
    return math.ceil(span_s / MOST_CANDLES)


def opinions(rows: list[Row], times: list[int]) -> dict[str, list[float | None]]:
    """Each agent's strength times confidence at each time, None where it had none."""
    found = {}
    for row in rows:
        known = dict(zip(row["time"], row["strength"], strict=True))
        found[row["agent_name"]] = [round(known[t], 3) if t in known else None for t in times]
    return found


def moment(text: str) -> datetime:
    """Seconds since 1970, or an ISO 8601 time, UTC where it says nothing else; a date means its end. UsageError for
    anything else."""
    try:
        if text.replace(".", "", 1).isdigit() and "-" not in text:
            return datetime.fromtimestamp(min(float(text), LATEST), UTC)
        given = datetime.fromisoformat(text)
        if len(text) <= len("2008-10-10"):
            given += timedelta(days=1) - timedelta(microseconds=1)
    except ValueError:
        raise UsageError(f"at={text[:40]}: expected a time such as 2008-10-10 or 2008-10-10T14:30") from None
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


def seconds(query: Query, name: str) -> float:
    """A moment of an address, in seconds since 1970; UsageError for what is none."""
    try:
        value = float(query.get(name, ""))
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= LATEST:
        raise UsageError(f"{name}={query.get(name, '')[:40]}: expected seconds since 1970")
    return value


def _span(site: Site, symbol: str) -> tuple[float, float]:
    span = site.view.dashboard.span(symbol)
    if span is None:
        raise UsageError(f"there are no bars of {symbol[:40]!r}")
    return span


def _interval(site: Site) -> int:
    return INTERVALS_S["1d" if site.view.demo else site.view.settings.data.interval]


def _short(values: Floats) -> list[float | None]:
    """Numbers with few digits, None for NaN: what JSON knows."""
    return [float(f"{v:.{DIGITS}g}") if v == v else None for v in values.tolist()]
