"""What of an exchange's stream a feed may take, and whether it is worth waiting for."""

from __future__ import annotations

import logging
from typing import Protocol

from agents.core.arrays import Floats
from agents.core.clock import Clock
from agents.core.log import log_event

logger = logging.getLogger(__name__)
SILENT_TIMES = 10.0
"""A stream counts as silent when nothing was heard for so many times as long as a candle is waited for."""


class Stream(Protocol):
    """A stream of candles."""

    def heard(self) -> bool:
        """Whether it is connected and not silent."""
        ...

    def over(self, symbol: str, first_ms: int, last_ms: int) -> Floats:
        """Candles that are over, without a gap from the first on."""
        ...


class PushedCandles:
    """Candles of `stream`; one that is due is waited for `wait_s`, while something is heard."""

    def __init__(self, stream: Stream, clock: Clock, wait_s: float) -> None:
        self._stream = stream
        self._clock = clock
        self._wait_s = wait_s
        self._heard: bool | None = None
        self._due: tuple[int, float] | None = None

    def over(self, symbol: str, first_ms: int, last_ms: int) -> Floats:
        """As the stream's."""
        return self._stream.over(symbol, first_ms, last_ms)

    def may_come(self, due_ms: int) -> bool:
        """Whether the due candle may still be pushed. It is told once when listening gives way to asking, and once
        when it is the other way round."""
        heard = self._stream.heard()
        if heard and self._heard is not True:
            log_event(logger, "listening to the exchange's stream of candles")
        elif not heard and self._heard is True:
            log_event(logger, "the exchange's stream is silent; candles are asked for meanwhile", level=logging.WARNING)
        if heard or self._heard is not None:
            self._heard = heard
        now_s = self._clock.monotonic_s()
        if self._due is None or self._due[0] != due_ms:
            self._due = due_ms, now_s
        return heard and now_s - self._due[1] < self._wait_s
