"""History from an exchange into a file, page by page: what is over, from where the file ends, patient with failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from agents.adapters.exchanges.candle_file import CandleFile
from agents.adapters.exchanges.public_prices import ExchangeAwayError, PublicPrices, over
from agents.adapters.exchanges.recorded_market import OPENED
from agents.core.arrays import Floats
from agents.core.clock import Clock
from agents.core.settings import INTERVALS_S

ATTEMPTS = 6
LONGEST_WAIT_S = 60.0
EMPTY_BELIEVED = 2
"""An empty page is believed when it came so often in a row: exchanges answer with nothing when they are busy, too."""
T = TypeVar("T")


def patiently(ask: Callable[[], T], clock: Clock, say: Callable[[str], None]) -> T:
    """The answer, for which ATTEMPTS are made with growing pauses, as the exchange asks for them; the last
    ExchangeAwayError when they were in vain."""
    for attempt in range(1, ATTEMPTS):
        try:
            return ask()
        except ExchangeAwayError as error:
            wait_s = max(error.wait_s, min(LONGEST_WAIT_S, 2.0 ** (attempt - 1)))
            say(f"{error}; attempt {attempt + 1} of {ATTEMPTS} in {wait_s:.0f} s")
            clock.sleep_s(wait_s)
    return ask()


class History:
    """Brings the candles of one interval."""

    def __init__(self, prices: PublicPrices, interval: str, clock: Clock, say: Callable[[str], None]) -> None:
        self._prices = prices
        self._interval = interval
        self._length_ms = INTERVALS_S[interval] * 1000
        self._clock = clock
        self._say = say

    def fetch_earlier(self, file: CandleFile, start_ms: int) -> Iterator[int]:
        """As `fetch`, of candles from `start_ms` on that are older than the file's first; nothing where it has none."""
        times = file.times_ms()
        if len(times) and start_ms < times[0]:
            older = file.beside()
            yield from self.fetch(older, start_ms, int(times[0]))
            if older.path.exists():
                file.put_before(older)

    def fetch(self, file: CandleFile, start_ms: int, until_ms: int) -> Iterator[int]:
        """Candles that open at `start_ms` or later, or where the file ends, and are over at `until_ms`, into the file;
        after each answer, up to which moment they are there."""
        newest = file.newest_ms()
        since = start_ms if newest is None else max(start_ms, newest + self._length_ms)
        limit, empty = self._prices.page(file.symbol), 0
        while since + self._length_ms <= until_ms:
            answer = self._answer(file.symbol, since, limit)
            if len(answer) and answer[0, OPENED] >= until_ms:  # an exchange that begins with what it has
                return
            page = self._settled(answer, until_ms)
            if len(page):
                file.append(page)
                since, empty = int(page[-1, OPENED]) + self._length_ms, 0
            elif empty + 1 < EMPTY_BELIEVED:
                empty += 1
                continue
            else:  # before its first candle, or in a long gap, an exchange may answer with nothing
                since, empty = since + limit * self._length_ms, 0
            yield min(since, until_ms)

    def _answer(self, symbol: str, since: int, limit: int) -> Floats:
        def ask() -> Floats:
            return self._prices.candles(symbol, self._interval, since, limit)

        return patiently(ask, self._clock, self._say)

    def _settled(self, answer: Floats, until_ms: int) -> Floats:
        settled = over(answer, self._length_ms, round(self._clock.now().timestamp() * 1000))
        return settled[settled[:, OPENED] + self._length_ms <= until_ms]
