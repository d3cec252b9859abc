"""The live feed from an exchange: closed candles, asked for when they are due, into the folder that the desk reads.

One round for each bar time: every symbol is asked until its candle is there, or is known not to be. Where the exchange
pushes candles, those are taken first, and only what is missing is asked for. Only when the round is over is the folder
read, so the desk sees whole cross-sections, whatever failed on the way, and after any pause all that was missed
before it decides on anything. The files are the record: a restart goes on where they end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agents.adapters.exchanges.candle_file import CandleFile
from agents.adapters.exchanges.candle_stream import CandleStream
from agents.adapters.exchanges.history import EMPTY_BELIEVED
from agents.adapters.exchanges.public_prices import ExchangeAwayError, PublicPrices, over
from agents.adapters.exchanges.recorded_market import OPENED
from agents.adapters.feeds.funding_feed import FundingFeed
from agents.adapters.feeds.pushed_candles import PushedCandles
from agents.core.clock import Clock
from agents.core.errors import DataError
from agents.core.log import log_event
from agents.core.ports import Arrival, Feed

logger = logging.getLogger(__name__)
POLL_LIMIT_S = 10.0
"""One poll fetches for so long; a long back-fill goes on with the next one, and the daemon shows that it lives."""
AWAY_AFTER_BARS = 3
"""A symbol without a candle so often in a row is asked once for each bar time, and not waited for."""
TOLD_EVERY_S = 30.0
LAST_SHARE = 10
"""Who listens asks for the exchange's time in the last tenth of a bar, so that nothing is left to ask at its end."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is fetched: the candles of `symbols`, of an interval by name and in ms, of a new symbol the last `warm_up`,
    into `folder`. A candle that is not there is waited for `patience_s`, at most half an interval."""

    folder: Path
    symbols: Sequence[str]
    interval: str
    interval_ms: int
    warm_up: int
    patience_s: float


@dataclass(slots=True)
class _Asked:
    """One symbol's file; when its newest candle opened, and up to which one it is settled what there is; which one the
    exchange has answered without, and since when (on the clock that nobody sets); since when it failed; how many
    candles it missed and how many answers were empty in a row."""

    file: CandleFile
    newest_ms: int | None
    settled_ms: int
    waiting: tuple[int, float] | None = None
    failing_since_s: float | None = None
    missed: int = 0
    empty: int = 0


@dataclass(slots=True)
class _Round:
    """What a poll met: failures by symbol, and until when it may go on."""

    ends_s: float
    failures: dict[str, ExchangeAwayError] = field(default_factory=dict)


class ExchangeFeed:
    """Fetches what is `wanted` of `prices`, then lets `files`, the feed of the same folder, read it; once for each bar
    `drift` is told how many seconds our clock is ahead of the exchange's at least."""

    def __init__(
        self, prices: PublicPrices, files: Feed, wanted: Wanted, clock: Clock, drift: Callable[[float], None]
    ) -> None:
        self._prices = prices
        self._files = files
        self._wanted = wanted
        self._clock = clock
        self._asked: dict[str, _Asked] = {}
        self._again_s = 0.0
        self._away: ExchangeAwayError | None = None
        self._drift = drift
        self._clock_looked_ms = self._looked_ahead_ms = 0
        self._told_s = clock.monotonic_s()
        self._stream: CandleStream | None = None
        self._pushed: PushedCandles | None = None
        self.funding: FundingFeed | None = None
        """Of perpetual futures."""

    def listen(self, stream: CandleStream, wait_s: float) -> None:
        """Take what `stream` brings, and wait so long for it before anything is asked for."""
        self._stream = stream
        self._pushed = PushedCandles(stream, self._clock, wait_s)

    def close(self) -> None:
        """Ends the stream's thread, and lets the connections go."""
        if self._stream is not None:
            self._stream.close()
        self._prices.close()

    def poll(self, at: datetime) -> Arrival:
        """Take in the candles that are over at `at`. ServiceError while the exchange is away: what was fetched is kept,
        and nothing of the round is shown."""
        if self._away is not None and self._clock.monotonic_s() < self._again_s:
            raise self._away  # it asked to be left alone for so long
        now_ms, length_ms = round(at.timestamp() * 1000), self._wanted.interval_ms
        due_ms = now_ms // length_ms * length_ms - length_ms
        if not self._asked:
            self._begin()
        pending = self._pending(due_ms)
        if pending and self._pushed is not None:
            may_come = self._pushed.may_come(due_ms)
            self._take_pushed(self._pushed, pending, due_ms)
            pending = self._pending(due_ms)
            if may_come and pending and self._lack_only(due_ms, pending):
                return Arrival(0, 0.0)
        unlooked = self._pushed is not None and self._clock_looked_ms < due_ms
        if (pending or unlooked) and not self._fetch(pending, now_ms, due_ms):
            return Arrival(0, 0.0)
        self._away = None
        if self.funding is not None:
            self.funding.take(due_ms)
        if self._pushed is not None and now_ms - due_ms >= 2 * length_ms - length_ms // LAST_SHARE:
            self._look_ahead(due_ms + length_ms)
        # The feed itself has waited for whoever is missing, so nobody needs to wait for the folder to be quiet.
        return Arrival(self._files.poll(at).bars, None)

    def _begin(self) -> None:
        self._prices.require((), self._wanted.interval)  # one wrong symbol does not hold the others
        for symbol in self._wanted.symbols:
            file = CandleFile.of(self._wanted.folder, self._prices.name, symbol, self._wanted.interval)
            newest_ms = file.newest_ms()
            self._asked[symbol] = _Asked(file, newest_ms, newest_ms or 0)
        if self._stream is not None:
            self._stream.start(self._wanted.symbols)

    def _pending(self, due_ms: int) -> list[str]:
        return [symbol for symbol, asked in self._asked.items() if asked.settled_ms < due_ms]

    def _take_pushed(self, pushed: PushedCandles, pending: Sequence[str], due_ms: int) -> None:
        """Write down what goes on where a symbol's file ends; a gap is left to be asked for."""
        for asked in (self._asked[symbol] for symbol in pending):
            if asked.newest_ms is None:
                continue
            candles = pushed.over(asked.file.symbol, asked.settled_ms + self._wanted.interval_ms, due_ms)
            if len(candles):
                asked.file.append(candles)
                asked.newest_ms, asked.empty = int(candles[-1, OPENED]), 0
                self._settle(asked, asked.newest_ms, missed=False)

    def _lack_only(self, due_ms: int, pending: Sequence[str]) -> bool:
        """Whether nothing but the candle that is due just now is missing, of a symbol that is waited for."""
        lacking = [self._asked[symbol] for symbol in pending]
        before_ms = due_ms - self._wanted.interval_ms
        return all(a.settled_ms >= before_ms for a in lacking) and any(a.missed < AWAY_AFTER_BARS for a in lacking)

    def _fetch(self, pending: Sequence[str], now_ms: int, due_ms: int) -> bool:
        """Ask for the pending symbols; whether the round is over."""
        this = _Round(self._clock.monotonic_s() + POLL_LIMIT_S)
        try:
            if self._clock_looked_ms < due_ms:
                self._look_at_clocks(due_ms)
            for symbol in pending:
                self._fetch_symbol(symbol, now_ms, due_ms, this)
            if this.failures:
                self._give_up_or_raise(this, due_ms)
        except ExchangeAwayError as error:
            self._away, self._again_s = error, self._clock.monotonic_s() + error.wait_s
            raise
        left = [symbol for symbol in pending if self._asked[symbol].settled_ms < due_ms]
        if left and self._clock.monotonic_s() >= this.ends_s:
            self._tell_progress(left, due_ms)
        return not left

    def _fetch_symbol(self, symbol: str, now_ms: int, due_ms: int, this: _Round) -> None:
        """Pages until the due candle is there, or is known not to be; a failure is noted, the second in a row raised:
        then it is the exchange, not the symbol."""
        asked = self._asked[symbol]
        try:
            while asked.settled_ms < due_ms and self._clock.monotonic_s() < this.ends_s:
                if not self._fetch_page(asked, now_ms, due_ms):
                    break
            asked.failing_since_s = None
        except ExchangeAwayError as error:
            if this.failures or error.wait_s or len(self._asked) == 1:
                raise
            this.failures[symbol] = error
            asked.failing_since_s = asked.failing_since_s or self._clock.monotonic_s()
        except DataError as error:  # taken off the exchange: the others go on
            if not asked.missed:
                log_event(logger, "no candles of a symbol", level=logging.WARNING, symbol=symbol, error=str(error))
            self._settle(asked, due_ms, missed=True)

    def _fetch_page(self, asked: _Asked, now_ms: int, due_ms: int) -> bool:
        """One answer into the file; whether it is worth asking for the next at once."""
        length_ms, limit = self._wanted.interval_ms, self._prices.page(asked.file.symbol)
        first_ms = due_ms - (self._wanted.warm_up - 1) * length_ms
        since_ms = first_ms if asked.newest_ms is None else asked.newest_ms + length_ms
        since_ms = max(since_ms, asked.settled_ms + length_ms)
        answer = self._prices.candles(asked.file.symbol, self._wanted.interval, since_ms, limit)
        candles = over(answer, length_ms, now_ms)
        if len(candles):
            asked.file.append(candles)
            asked.newest_ms, asked.empty = int(candles[-1, OPENED]), 0
            if asked.newest_ms >= due_ms:
                self._settle(asked, due_ms, missed=False)
            return True
        if since_ms + limit * length_ms <= due_ms:  # some exchanges answer with nothing for each piece of a long gap
            asked.empty += 1
            if asked.empty >= EMPTY_BELIEVED:
                asked.settled_ms, asked.empty = since_ms + (limit - 1) * length_ms, 0
            return True
        later = len(answer) > 0 and answer[-1, OPENED] > due_ms
        if later or asked.missed >= AWAY_AFTER_BARS or self._waited(asked, due_ms):
            self._settle(asked, due_ms, missed=True)
        return False

    def _waited(self, asked: _Asked, due_ms: int) -> bool:
        """Whether the due candle of a symbol was waited for long enough, beginning now."""
        now_s = self._clock.monotonic_s()
        if asked.waiting is None or asked.waiting[0] != due_ms:
            asked.waiting = due_ms, now_s
        return now_s - asked.waiting[1] >= min(self._wanted.patience_s, self._wanted.interval_ms / 2000.0)

    def _settle(self, asked: _Asked, due_ms: int, *, missed: bool) -> None:
        asked.settled_ms, asked.waiting = due_ms, None
        asked.missed = asked.missed + 1 if missed else 0

    def _give_up_or_raise(self, this: _Round, due_ms: int) -> None:
        """One symbol fails: while the exchange works it is given up after a while, else the round waits."""
        symbol, error = next(iter(this.failures.items()))
        asked = self._asked[symbol]
        failing_s = self._clock.monotonic_s() - (asked.failing_since_s or 0.0)
        if failing_s < self._wanted.patience_s:
            raise error
        self._prices.time_ms()  # raises where it is the exchange after all
        log_event(logger, "a symbol cannot be asked", level=logging.WARNING, symbol=symbol, error=str(error))
        self._settle(asked, due_ms, missed=True)

    def _look_at_clocks(self, due_ms: int) -> None:
        """A clock that is wrong decides late, or on a candle that others still see change."""
        ahead_s = self._prices.clock_ahead_s(self._clock)
        self._clock_looked_ms = due_ms
        if ahead_s is not None:
            self._drift(ahead_s)

    def _look_ahead(self, due_ms: int) -> None:
        """The clocks for the bar that is due next, tried once: what fails is tried again when it is due."""
        if self._looked_ahead_ms < due_ms:
            self._looked_ahead_ms = due_ms
            with suppress(ExchangeAwayError):
                self._fetch((), due_ms, due_ms)

    def _tell_progress(self, left: Sequence[str], due_ms: int) -> None:
        if self._clock.monotonic_s() - self._told_s < TOLD_EVERY_S:
            return
        self._told_s = self._clock.monotonic_s()
        newest = {symbol: self._asked[symbol].newest_ms or 0 for symbol in left}
        behind = sum(due_ms - newest_ms for newest_ms in newest.values() if newest_ms) // self._wanted.interval_ms
        log_event(logger, "fetching history", symbols_left=len(left), candles_left=behind)
