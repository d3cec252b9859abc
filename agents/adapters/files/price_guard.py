"""Is a price believable? Every bar is held against the last accepted one of its symbol, and what it says of splits and
dividends against the move of the raw price. Pure and causal: a row's verdict depends on earlier rows only, so any cut
of a file into batches gives the same verdicts.

A price that was refused never becomes the reference for the next one. Bars that are refused one after the other and
agree with each other form a new level, which the first bar after them that agrees is believed at.

The limits, opens and closes within 1.4x of the last accepted close, highs and lows within 1.96x, were chosen on 46 US
stocks in 19 years: of 220,607 bars they doubt 26, in 12 places, two of which are wrong rows of the vendor's; no 2:1
split would have gone unseen without its row, of 3:2 splits 0.6 %. They doubt none of 200,579 hourly, five-minute and
minute bars of Bitcoin and Ether, and none of 54,989 of currencies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from agents.adapters.files.price_claims import (
    CONTRADICTION,
    IN_COLUMN,
    Claim,
    as_claim,
    factor_of,
    is_seen,
    stepped_dividend,
)
from agents.adapters.files.split_ratios import step_tolerance, stepped_split
from agents.core.market import MarketAction, PriceLimits
from agents.core.types import Booleans, Floats, Integers, Times

NEW, ACCEPTED, SUSPECT, WITHDRAWN = -1, 0, 1, 2
"""Verdicts on a row; NEW is to be judged. WITHDRAWN was believed on a person's word that was taken back: what was
decided upon it stays, but no later price is held against it."""
WORDS = ("accepted", "rejected", "withdrawn")
"""What a person says of a suspect bar; of several words about one the last counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Bars of one symbol in the order of time [n]. `verdict` is what is on record of each row, or NEW.

    `view` numbers the file that a row's adjusting factor is of, since only factors of one file compare; `fresh` marks
    the rows of the file that is read now.
    """

    symbol: str
    time: Times
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    adjustment: Floats
    split: Floats
    dividend: Floats
    view: Integers
    fresh: Booleans
    verdict: Integers


class Doubt(NamedTuple):
    """A row that is not believed, and why."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class Judged:
    """`suspect` [n] marks rows of a track that are not believed; `actions` are those that were not known before;
    `doubts` say why of each new suspect row, and of actions that an old row claims now without the price's move."""

    suspect: Booleans
    actions: Sequence[MarketAction]
    doubts: Sequence[Doubt]


def judge(track: Track, known: Iterable[MarketAction], limits: PriceLimits) -> Judged:
    """The verdict on every NEW row, and the actions that the fresh rows show. `known` are the symbol's actions on
    record, with persons' words on earlier suspect bars."""
    return _Judge(track, known, limits).run()


class _Judge:
    """One pass over a track; `base` is the last accepted row (-1: none), `run` the suspect rows since that agree."""

    def __init__(self, track: Track, known: Iterable[MarketAction], limits: PriceLimits) -> None:
        self.track, self.limits = track, limits
        self.largest = math.log(limits.largest_move)
        self.known = sorted(known, key=lambda action: action.time)
        self.on_record = {(action.time, action.kind) for action in self.known}
        words = sorted((action for action in self.known if action.kind in WORDS), key=lambda action: action.read_id)
        self.words = {action.time: action.kind for action in words}
        self.suspect: Booleans = track.verdict == SUSPECT
        self.actions: list[MarketAction] = []
        self.doubts: list[Doubt] = []
        self.base = -1
        self.run_rows: list[int] = []
        self.pending = Claim()

    def run(self) -> Judged:
        """Look at rows where something happens, and at all rows from a suspect one to the next accepted one."""
        row = -1
        for event in np.nonzero(self._eventful())[0].tolist():
            if event <= row:
                continue
            if not self.run_rows and event > 0:
                self.base = event - 1
            row = event
            self._look_at(row)
            while self.run_rows and row + 1 < len(self.track.time):
                row += 1
                self._look_at(row)
        return Judged(self.suspect, self.actions, self.doubts)

    def _eventful(self) -> Booleans:
        """Rows at which a verdict could be other than "as the row before"."""
        track = self.track
        marks = (track.verdict >= SUSPECT) | (track.split != 1.0) | (track.dividend != 0.0)
        marks[:1] = True
        with np.errstate(divide="ignore"):
            before = np.log(track.close[:-1])
            for price, limit in self._prices():
                marks[1:] |= np.abs(np.log(price[1:]) - before) > limit
            steps = np.abs(np.diff(np.log(track.adjustment)))
        marks[1:] |= steps > step_tolerance(track.adjustment, track.close)
        times = [action.time for action in self.known]
        marks[np.minimum(np.searchsorted(track.time, times), len(marks) - 1)] = True
        return np.asarray(marks)

    def _prices(self) -> Iterator[tuple[Floats, float]]:
        """Opens and closes with their limit; highs and lows, which prints of a moment make, with twice that."""
        track = self.track
        yield from ((track.open, self.largest), (track.close, self.largest))
        yield from ((track.high, 2.0 * self.largest), (track.low, 2.0 * self.largest))

    def _look_at(self, row: int) -> None:
        if self.base < 0 and not self.run_rows:
            self._accept(row, Claim())
            return
        known, said = self._known_since(self.base, row), self._said(row, self.base)
        if self.track.verdict[row] != NEW:
            self._look_again(row, known, said)
            return
        for claim in (said, *([self.pending.with_(said)] if not self.pending.is_none else [])):
            if self._fits(row, self.base, known.with_(claim)):
                self._accept(row, claim)
                return
        if len(self.run_rows) >= self.limits.suspect_bars and self._agrees(row):
            self._accept(row, self._level(row, known))
            return
        self._doubt(row, known, said)

    def _level(self, row: int, known: Claim) -> Claim:
        """What made a new level: a split of any ratio where the adjusting factor moved as the raw price did, else the
        market."""
        track, base = self.track, self.base
        if track.view[base] != track.view[row]:
            return Claim()
        step = float(track.adjustment[row] / track.adjustment[base]) / known.split
        claim = Claim(split=step, source="adj_close")
        large = abs(math.log(step)) > self.largest
        return claim if large and self._fits(row, base, known.with_(claim)) else Claim()

    def _look_again(self, row: int, known: Claim, said: Claim) -> None:
        """A row that was judged before keeps its verdict; what it says now of splits and dividends may be news."""
        if not said.is_none and self.track.fresh[row]:
            if self._fits(row, self.base, known.with_(said)):
                self._record(row, said)
                said = Claim()
            else:
                self.doubts.append(Doubt(row, self._reason(row, known, said)))
        if self.track.verdict[row] == ACCEPTED:
            self.base, self.run_rows, self.pending = row, [], Claim()
        elif self.track.verdict[row] == WITHDRAWN:
            self.run_rows, self.pending = [row], Claim()
        else:
            self._extend_run(row, said)

    def _accept(self, row: int, claim: Claim) -> None:
        self._record(row, claim)
        self.base, self.run_rows, self.pending = row, [], Claim()

    def _doubt(self, row: int, known: Claim, said: Claim) -> None:
        self.suspect[row] = True
        self.doubts.append(Doubt(row, self._reason(row, known, said)))
        self._extend_run(row, said)

    def _extend_run(self, row: int, said: Claim) -> None:
        self.run_rows = [*self.run_rows, row] if self._agrees(row) else [row]
        if said.source == IN_COLUMN:  # a step of the adjusting factor is seen again at the next row
            self.pending = self.pending.with_(said)
        self._hear_persons(row)

    def _agrees(self, row: int) -> bool:
        """Whether a row continues the run of suspect ones."""
        if not self.run_rows:
            return False
        last = self.run_rows[-1]
        return self._fits(row, last, self._known_since(last, row).with_(self._said(row, last)))

    def _hear_persons(self, row: int) -> None:
        """A person who accepted a suspect bar made its price the reference; one who rejected it, or took an acceptance
        back, wants a new run."""
        word = self.words.get(self.track.time[row])
        if word == "accepted":
            self.base, self.run_rows, self.pending = row, [], Claim()
        elif word is not None:
            self.run_rows, self.pending = [row], Claim()

    def _known_since(self, reference: int, row: int) -> Claim:
        """Actions on record that take effect after the reference row and by this row."""
        after, until = self.track.time[reference], self.track.time[row]
        claim = Claim()
        for action in self.known:
            if after < action.time <= until:
                claim = claim.with_(as_claim(action))
        return claim

    def _said(self, row: int, reference: int) -> Claim:
        """What the row itself says that is not on record: its columns, else the step of its adjusting factor since
        the reference row, where that is one of the same file."""
        track, stamp = self.track, self.track.time[row]
        has_split = track.split[row] != 1.0 or (stamp, "split") in self.on_record
        has_dividend = track.dividend[row] != 0.0 or (stamp, "dividend") in self.on_record
        told = Claim(
            1.0 if (stamp, "split") in self.on_record else float(track.split[row]),
            0.0 if (stamp, "dividend") in self.on_record else float(track.dividend[row]),
            IN_COLUMN,
        )
        one_file = track.view[reference] == track.view[row]
        if track.fresh[row] and not track.fresh[reference] and track.verdict[row] != NEW:
            return told  # the file was read again from here on: what was stored before has factors of another day
        explained = self._known_since(reference, row)
        if reference == self.base:
            explained = explained.with_(self.pending)
        pair = np.array([reference, row])
        close, tolerance = track.close[pair], float(step_tolerance(track.adjustment[pair], track.close[pair])[0])
        factor = factor_of(explained.with_(told), float(close[0]))
        step = float(track.adjustment[row] / track.adjustment[reference])
        if factor is None or has_split or abs(math.log(step)) <= tolerance:
            return told
        step /= factor
        ratio = stepped_split(step, tolerance)
        if ratio is not None and is_seen(math.log(ratio), math.log(float(close[0] / close[1]) / factor)):
            return told._replace(split=ratio, source="adj_close")
        if has_dividend or not one_file or abs(math.log(step)) <= tolerance:
            return told
        return stepped_dividend(step, float(close[0]))

    def _fits(self, row: int, reference: int, claim: Claim) -> bool:
        """Whether a row's prices, with the claim's shares and cash, are within reach of a reference row's close, and
        the raw price shows the claim's move."""
        if reference < 0:
            return True
        close = float(self.track.close[reference])
        factor = factor_of(claim, close)
        if factor is None or claim.source == CONTRADICTION:
            return False
        for prices, limit in self._prices():
            if abs(math.log((float(prices[row]) * claim.split + claim.dividend) / close)) > limit:
                return False
        return is_seen(math.log(factor), math.log(close / float(self.track.close[row])))

    def _record(self, row: int, claim: Claim) -> None:
        """Note the claim's actions, unless there is no price before them that they could change."""
        if self.base < 0 or claim.is_none:
            return
        track, close, stamp = self.track, float(self.track.close[self.base]), self.track.time[row]
        parts = (("split", claim.split, 1.0), ("dividend", claim.dividend, 0.0))
        for kind, value, neutral in parts:
            if value == neutral or (stamp, kind) in self.on_record:
                continue
            factor = value if kind == "split" else close / (close - value)
            action = MarketAction(track.symbol, stamp, kind, value, factor, claim.source or IN_COLUMN)
            self.actions.append(action)
            self.known.append(action)
            self.on_record.add((stamp, kind))

    def _reason(self, row: int, known: Claim, said: Claim) -> str:
        close = float(self.track.close[self.base]) if self.base >= 0 else math.nan
        if self.base >= 0 and not said.is_none and self._fits(row, self.base, known):
            parts = [f"split {said.split:g}"] if said.split != 1.0 else []
            parts += [f"dividend {said.dividend:g}"] if said.dividend else []
            where = " of adj_close" if said.source in ("adj_close", CONTRADICTION) else ""
            return f"{' and '.join(parts)}{where} without such a move of the price, last accepted {close:g}"
        return f"price moved more than {self.limits.largest_move:g}x from the last accepted {close:g}"
