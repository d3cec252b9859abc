"""Integers that the step writes into its arrays, each with the words that are recorded and shown for it.

Integers and words are stored (state, journal, Parquet): a member may be added, none may be renumbered or reworded.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class Code(IntEnum):
    """An integer with words: `str` gives the words, `NoTrade(3)` the member of a number, `of` that of words."""

    words: str

    def __new__(cls, code: int, words: str = "") -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.words = words
        return member

    def __str__(self) -> str:
        return self.words

    @classmethod
    def of(cls, words: str) -> Self:
        """The member with these words; ValueError where there is none."""
        for member in cls:
            if member.words == words:
                return member
        raise ValueError(f"'{words}' is none of {', '.join(repr(member.words) for member in cls)}")


class RiskState(Code):
    """ACTIVE trades; REDUCING trades at a reduced scale; HALTED lets positions only shrink until a person resumes."""

    ACTIVE = 0, "active"
    REDUCING = 1, "reducing"
    HALTED = 2, "halted"


FLATTENING = "flattening"
"""The word on record for a person's order to halt and close every position; the state that follows is HALTED."""


def state_of_order(words: str) -> RiskState:
    """The risk state that an order on record leads to."""
    return RiskState.HALTED if words == FLATTENING else RiskState.of(words)


class NoTrade(Code):
    """Why a symbol was left alone at a decision."""

    TRADED = 0, ""
    NO_BAR = 1, "no bar for this symbol"
    WARM_UP = 2, "volatility not yet measurable"
    NO_OPINION = 3, "every agent abstained: position held"
    BUFFER = 4, "inside the buffer"
    TOO_SMALL = 5, "below the minimum trade"
    LOT = 6, "less than one lot"
    SUSPECT = 7, "price suspect: position held"
    STOPPED = 8, "stopped out: waits before it may be entered again"


class Clamp(Code):
    """Limits that shrank a target, as bits: several may have done so."""

    SYMBOL_CAP = 1, "symbol cap"
    GROSS_CAP = 2, "gross cap"
    NO_SHORTS = 4, "no shorts"
    REDUCING = 8, "reducing"
    HALTED = 16, "halted"
    STALE = 32, "stale data"
    LEAVING = 64, "leaving the universe"
    FLATTENED = 128, "flattened"
    GROUP_CAP = 256, "group cap"
    ORDER_SIZE = 512, "order size"
    STOPPED = 1024, "stopped out"
    DOUBT = 2048, "price in doubt"

    @staticmethod
    def words_of(bits: int, separator: str = ", ") -> str:
        """The words of all limits in `bits`; none for 0."""
        return separator.join(clamp.words for clamp in Clamp if bits & clamp)


class RiskLimit(Code):
    """Limits of `risk.limits` that a bar has reached, as bits, enforced or only told."""

    GROUP = 1, "group exposure"
    ORDER_SIZE = 2, "order size"
    DAILY_LOSS = 4, "daily loss"
    LOSSES = 8, "consecutive losses"


class FillStatus(Code):
    """What became of an order at the bar it was meant for. NONE: there was no order; UNKNOWN_SYMBOL and HALTED are
    a venue's refusals, the matcher gives the others."""

    NONE = 0, ""
    FILLED = 1, "filled"
    PARTIAL = 2, "partial"
    NO_BAR = 3, "expired: no bar"
    NO_VOLUME = 4, "expired: no volume"
    NO_CASH = 5, "rejected: not enough buying power"
    HALTED = 6, "rejected: symbol halted"
    UNKNOWN_SYMBOL = 7, "rejected: unknown symbol"
    PAID_PARTLY = 8, "partial: the rest exceeded the buying power"
    SUSPECT = 9, "expired: the price is suspect"
    STOPPED = 10, "expired: stopped out at the open"
    STOP_LOSS = 11, "stop-loss"
    TRAILING_STOP = 12, "trailing stop"
    LOCKED = 13, "expired: the market was locked at its limit"
    NOT_REACHED = 14, "expired: the market did not trade through its price"
