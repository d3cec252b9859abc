"""What is composed around an exchange's public prices: the live feed of a desk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.exchanges.candle_stream import CandleStream, can_listen
from agents.adapters.exchanges.futures_prices import FuturesPrices, prices_of
from agents.adapters.feeds.exchange_feed import ExchangeFeed, Wanted
from agents.adapters.feeds.folder_feed import FolderFeed
from agents.adapters.feeds.funding_feed import FundingFeed
from agents.adapters.feeds.pushed_candles import SILENT_TIMES
from agents.core.clock import Clock
from agents.core.log import log_event
from agents.core.settings import INTERVALS_S, Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told what by a feed: `drift`, how many seconds our clock is ahead of the exchange's at least; `arrived`,
    that all candles of a time have come without being asked for."""

    drift: Callable[[float], None]
    arrived: Callable[[], None]


def feed_of(
    settings: Settings, store: BarsStore, warm_up_bars: int, clock: Clock, told: Told
) -> FolderFeed | ExchangeFeed:
    """The feed that `data.feed` names: the folder, or an exchange that fills it, with `warm_up_bars` to begin with.
    It listens where `data.stream_wait_s` is not 0 and the exchange can be listened to, else it asks.
    UsageError where ccxt is missing or does not know the exchange."""
    data = settings.data
    files = FolderFeed(data, store)
    if not data.exchange:
        return files
    wanted = Wanted(
        folder=data.feed_folder,
        symbols=store.symbols(),
        interval=data.interval,
        interval_ms=INTERVALS_S[data.interval] * 1000,
        warm_up=warm_up_bars + 1,
        patience_s=data.complete_within_s,
    )
    prices = prices_of(data.exchange, data.exchange_url)
    feed = ExchangeFeed(prices, files, wanted, clock, told.drift)
    if isinstance(prices, FuturesPrices):
        warm_up_ms = wanted.warm_up * wanted.interval_ms
        feed.funding = FundingFeed(prices, wanted.folder, wanted.symbols, warm_up_ms)
    if data.stream_wait_s:
        if why_not := can_listen(data.exchange):
            log_event(logger, "candles are asked for", why=why_not)
        else:
            stream = CandleStream(prices, data.interval, clock, SILENT_TIMES * data.stream_wait_s)
            stream.arrived = told.arrived
            feed.listen(stream, data.stream_wait_s)
    return feed
