"""What is composed around an exchange's public prices: the live feed of a desk."""

from __future__ import annotations

from collections.abc import Callable

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.exchanges.public_prices import PublicPrices
from agents.adapters.feeds.exchange_feed import ExchangeFeed, Wanted
from agents.adapters.feeds.folder_feed import FolderFeed
from agents.core.clock import Clock
from agents.core.ports import Feed
from agents.core.settings import INTERVALS_S, Settings


def feed_of(
    settings: Settings, store: BarsStore, warm_up_bars: int, clock: Clock, drift: Callable[[float], None]
) -> Feed:
    """The feed that `data.feed` names: the folder, or an exchange that fills it, with `warm_up_bars` to begin with;
    `drift` is told how many seconds our clock is ahead of the exchange's.
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
    return ExchangeFeed(PublicPrices(data.exchange, data.exchange_url), files, wanted, clock, drift)
