"""Does an agent look into the future, or depend on where its data begin? Tried, not proven: the agent is asked again
with less, and must say the same. The first bar and symbol at which it does not are named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np

from agents.core.asking import checked, problem_of, read_only
from agents.core.ports import Agent
from agents.core.types import Booleans, Floats, Panel, Signals, as_datetime

CHECKS = ("answer", "prefix", "poison", "start", "years")
EXACT, FORGOTTEN = 0.0, 1e-9
SEED = 20240121
LATER = np.timedelta64(28 * 365 + 7, "D")
"""28 years: months, days and days of the week are the same again, and only the year is another."""
SUMMER_TIME = np.datetime64("2008-01-01", "us")
"""Before, clocks in America changed in other weeks than 28 years later."""


class Cuts(NamedTuple):
    """How many bars are tried as the last one: over the whole history, one after the other where the agent first
    speaks, and, with its memory alone, where its answer turns: who peeks rarely is seen there. And whether it is asked
    as if all were years later, which a table of signals cannot answer."""

    whole: int = 120
    first: int = 40
    turns: int = 0
    years: bool = True


USUAL_CUTS = Cuts()

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offence:
    """The first place where an agent's answer depends on what it must not know.

    `check` is prefix (the future was cut off), poison (it was replaced by garbage), start (only `bars_needed` bars were
    given), years (all was told to be 28 years later) or answer (the answer is no answer at all; `time` is None).
    """

    agent: str
    check: str
    time: datetime | None
    symbol: str
    detail: str


class Subject(NamedTuple):
    """An agent, all data, and what it says with all data."""

    agent: Agent
    panel: Panel
    whole: Signals


def check_lookahead(
    agent: Agent,
    panel: Panel,
    progress: Progress = lambda _done, _all: None,
    *,
    cuts: Cuts = USUAL_CUTS,
) -> list[Offence]:
    """At most one offence for each check; an empty list is a clean bill."""
    try:
        subject = Subject(agent, panel, _ask(agent, panel))
    except _NoAnswerError as error:
        return [Offence(agent=agent.name, check="answer", time=None, symbol="", detail=str(error))]
    rows = _cuts(subject.whole, len(panel.time), cuts)
    asked = {"prefix": rows, "poison": rows, "start": sorted({*rows, *_turns(subject.whole, cuts.turns)})}
    offences: dict[str, Offence] = {}
    done, total = 0, sum(map(len, asked.values()))
    for name, check in CHECK_FUNCTIONS.items():
        for k, row in enumerate(asked[name]):
            progress(done + k, total)
            difference = check(subject, row)
            if difference is None:
                continue
            ahead = _without_future(subject, row) if name == "start" and "prefix" not in offences else None
            found = ("prefix", _without_future, ahead) if ahead is not None else (name, check, difference)
            offences[found[0]] = _offence(subject, found[0], _earliest(subject, *found[1:]))
            break
        done += len(asked[name])
    progress(total, total)
    later = _years_later(subject) if cuts.years else None
    if later is not None:
        offences["years"] = _offence(subject, "years", later)
    return [offences[name] for name in CHECKS if name in offences]


def _years_later(subject: Subject) -> Difference | None:
    """Where the agent says otherwise of the same bars 28 years later: it knows dates by heart, or looks its answers up
    in data of its own. Bars within a day are compared from 2008 on."""
    panel = subject.panel
    within_a_day = len(panel.time) > 1 and np.median(np.diff(panel.time)) < np.timedelta64(20, "h")
    first = int(np.searchsorted(panel.time, SUMMER_TIME)) if within_a_day else 0
    later = replace(panel, time=panel.time + LATER)
    return _compare(subject, later, Rows(first, len(panel.time), asked="28 years later"), FORGOTTEN)


def _offence(subject: Subject, check: str, difference: Difference) -> Offence:
    return Offence(
        agent=subject.agent.name,
        check=check,
        time=as_datetime(subject.panel.time[difference.row]),
        symbol=subject.panel.symbols[difference.symbol],
        detail=difference.detail,
    )


class _NoAnswerError(Exception):
    """The agent raised, or returned something else than signals."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where an answer with less data differs: a row and a symbol of all data, and both answers in words."""

    row: int
    symbol: int
    detail: str


Check = Callable[[Subject, int], Difference | None]
"""What the agent says of the bars up to a row, asked with less data, against what it says with all."""


def _ask(agent: Agent, panel: Panel) -> Signals:
    try:
        signals = agent.signals(read_only(panel))
    except Exception as error:  # an agent may raise anything
        raise _NoAnswerError(f"raised {problem_of(error)}") from None
    answer = checked(signals, panel.close.shape)
    if isinstance(answer, str):
        raise _NoAnswerError(answer)
    return answer


def _cuts(whole: Signals, rows: int, cuts: Cuts) -> list[int]:
    """Rows to cut after: where the agent begins to speak, one after the other, and over the whole history."""
    spoken = np.flatnonzero(~whole.abstained.all(axis=1))
    first = int(spoken[0]) if len(spoken) else rows // 2
    dense = range(first, min(rows, first + cuts.first))
    return sorted({*dense, *np.linspace(1, rows - 1, min(cuts.whole, rows - 1)).astype(int).tolist()})


def _turns(whole: Signals, count: int) -> list[int]:
    """At most `count` rows, spread evenly, at which the answer on any symbol is not that of the row before."""
    said = np.where(whole.abstained, np.nan, whole.strength)
    same = (said[1:] == said[:-1]) | (np.isnan(said[1:]) & np.isnan(said[:-1]))
    turns = 1 + np.flatnonzero(~same.all(axis=1))
    return turns[np.linspace(0, len(turns) - 1, min(count, len(turns))).astype(int)].tolist() if len(turns) else []


def _without_future(subject: Subject, row: int) -> Difference | None:
    return _compare(subject, subject.panel.rows(0, row + 1), Rows(0, row + 1), EXACT)


def _with_garbage(subject: Subject, row: int) -> Difference | None:
    rng, panel = np.random.default_rng(SEED + row), subject.panel

    def poisoned(values: Floats) -> Floats:
        garbage = values.copy()
        shape = garbage[row + 1 :].shape
        garbage[row + 1 :] = rng.choice([np.nan, 1e-9, 1e12, 7.0], shape)
        return garbage

    after = replace(
        panel,
        open=poisoned(panel.open),
        high=poisoned(panel.high),
        low=poisoned(panel.low),
        close=poisoned(panel.close),
        volume=poisoned(panel.volume),
        exogenous={name: poisoned(series) for name, series in panel.exogenous.items()},
    )
    return _compare(subject, after, Rows(0, row + 1), EXACT)


def _from_memory(subject: Subject, row: int) -> Difference | None:
    needed = subject.agent.bars_needed
    if row + 1 < needed:
        return None
    part = subject.panel.rows(row + 1 - needed, row + 1)
    return _compare(subject, part, Rows(needed - 1, needed, offset=row + 1 - needed), FORGOTTEN)


CHECK_FUNCTIONS: dict[str, Check] = {"prefix": _without_future, "poison": _with_garbage, "start": _from_memory}


class Rows(NamedTuple):
    """Rows of a part to compare, `first` to `stop` (exclusive); row 0 of the part is row `offset` of the whole; and how
    the part was asked, in words."""

    first: int
    stop: int
    offset: int = 0
    asked: str = "without"


def _compare(subject: Subject, panel: Panel, rows: Rows, tolerance: float) -> Difference | None:
    """The first difference between what is said of `panel` and of all data. Who raises where there is less than its
    memory looks nowhere."""
    whole, offset = subject.whole, rows.offset
    try:
        part = _ask(subject.agent, panel)
    except _NoAnswerError as error:
        if len(panel.time) < subject.agent.bars_needed:
            return None
        return Difference(offset + len(panel.time) - 1, 0, f"it {error}")

    def differ(ours: Floats, theirs: Floats) -> Booleans:
        return np.asarray(~np.isclose(ours, theirs, rtol=0.0, atol=tolerance))

    here, there = slice(rows.first, rows.stop), slice(offset + rows.first, offset + rows.stop)
    silent = part.abstained[here] != whole.abstained[there]
    spoken = ~part.abstained[here] & ~whole.abstained[there]
    unlike = differ(part.strength[here], whole.strength[there]) | differ(part.confidence[here], whole.confidence[there])
    places = np.argwhere(silent | (spoken & unlike))
    if not len(places):
        return None
    row, symbol = int(places[0][0]) + rows.first, int(places[0][1])
    with_all, without = _words(whole, offset + row, symbol), _words(part, row, symbol)
    return Difference(offset + row, symbol, f"said {with_all} with all data, {without} {rows.asked}")


def _words(signals: Signals, row: int, symbol: int) -> str:
    if signals.abstained[row, symbol]:
        return "nothing"
    return f"{signals.strength[row, symbol]:+.6g} x {signals.confidence[row, symbol]:.6g}"


def _earliest(subject: Subject, check: Check, difference: Difference) -> Difference:
    """The first offending row: cuts between those that were tried may show an earlier one."""
    low = max(0, difference.row - 2 * max(1, len(subject.panel.time) // USUAL_CUTS.whole))
    for row in range(low, difference.row):
        earlier = check(subject, row)
        if earlier is not None and earlier.row < difference.row:
            return earlier
    return difference
