"""Does an agent look into the future, or hang on where its data begin? Tried, not proven: the agent is asked again with less, and must
say the same. Names the first bar and symbol at which it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from agents.core.ports import Agent
from agents.core.types import Booleans, Floats, Panel, Signals, as_datetime
from agents.trading.guard import fault_of, read_only

CHECKS = ("answer", "prefix", "poison", "start")
EXACT, FORGOTTEN = 0.0, 1e-9
CUTS, DENSE = 120, 40
"""So many cuts over the whole history, and so many one after the other where the agent first speaks."""
SEED = 20240121
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offence:
    """The first place where an agent's answer depends on what it must not know: `check` is prefix (the future was cut off), poison (it
    was replaced by garbage), start (only `bars_needed` bars were given) or answer (the answer is no answer at all)."""

    agent: str
    check: str
    time: datetime | None
    symbol: str
    detail: str


def examine(agent: Agent, panel: Panel, progress: Progress = lambda _done, _all: None) -> list[Offence]:
    """At most one offence for each check; an empty list is a clean bill."""
    try:
        whole = _ask(agent, panel)
    except _NoAnswerError as error:
        return [Offence(agent=agent.name, check="answer", time=None, symbol="", detail=str(error))]
    rows = len(panel.time)
    cuts = _cuts(whole, rows)
    found: list[Offence] = []
    for turn, (check, differs) in enumerate(
        (("prefix", _without_future), ("poison", _with_garbage), ("start", _from_memory))
    ):
        for k, row in enumerate(cuts):
            progress(turn * len(cuts) + k, 3 * len(cuts))
            offence = differs(agent, panel, whole, row)
            if offence is not None:
                found.append(_earliest(agent, panel, whole, differs, offence, check))
                break
    progress(3 * len(cuts), 3 * len(cuts))
    return found


class _NoAnswerError(Exception):
    """The agent raised, or returned something else than signals."""


@dataclass(frozen=True, slots=True)
class _Cell:
    row: int
    symbol: int
    detail: str


Check = Callable[[Agent, Panel, Signals, int], "_Cell | None"]


def _ask(agent: Agent, panel: Panel) -> Signals:
    try:
        signals = agent.signals(read_only(panel))
    except Exception as error:  # an agent may raise anything
        raise _NoAnswerError(f"raised {type(error).__name__}: {error}") from None
    fault = fault_of(signals, panel)
    if fault:
        raise _NoAnswerError(fault)
    return signals


def _cuts(whole: Signals, rows: int) -> list[int]:
    """Rows to cut after: where the agent begins to speak, one after the other, and over the whole history."""
    spoken = np.flatnonzero(~whole.abstained.all(axis=1))
    first = int(spoken[0]) if len(spoken) else rows // 2
    dense = range(first, min(rows, first + DENSE))
    return sorted({*dense, *np.linspace(1, rows - 1, min(CUTS, rows - 1)).astype(int).tolist()})


def _without_future(agent: Agent, panel: Panel, whole: Signals, row: int) -> _Cell | None:
    return _first_difference(agent, panel.rows(0, row + 1), whole, 0, EXACT)


def _with_garbage(agent: Agent, panel: Panel, whole: Signals, row: int) -> _Cell | None:
    rng = np.random.default_rng(SEED + row)

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
    return _first_difference(agent, after, whole, 0, EXACT, until=row + 1)


def _from_memory(agent: Agent, panel: Panel, whole: Signals, row: int) -> _Cell | None:
    if row + 1 < agent.bars_needed:
        return None
    start = row + 1 - agent.bars_needed
    return _first_difference(agent, panel.rows(start, row + 1), whole, start, FORGOTTEN, only_last=True)


def _first_difference(
    agent: Agent,
    panel: Panel,
    whole: Signals,
    start: int,
    tolerance: float,
    *,
    until: int | None = None,
    only_last: bool = False,
) -> _Cell | None:
    try:
        part = _ask(agent, panel)
    except _NoAnswerError as error:
        return _Cell(start + len(panel.time) - 1, 0, str(error))
    rows = len(panel.time) if until is None else until
    first = rows - 1 if only_last else 0
    for row, symbol in _differences(part, whole, start, first, rows, tolerance):
        return _Cell(
            start + row,
            symbol,
            f"said {_words(whole, start + row, symbol)} with all data, {_words(part, row, symbol)} without",
        )
    return None


def _differences(
    part: Signals, whole: Signals, start: int, first: int, rows: int, tolerance: float
) -> Iterator[tuple[int, int]]:
    def differ(ours: Floats, theirs: Floats) -> Booleans:
        return np.asarray(~np.isclose(ours, theirs, rtol=0.0, atol=tolerance))

    here, there = slice(first, rows), slice(start + first, start + rows)
    silent = part.abstained[here] != whole.abstained[there]
    spoken = ~part.abstained[here] & ~whole.abstained[there]
    unlike = differ(part.strength[here], whole.strength[there]) | differ(part.confidence[here], whole.confidence[there])
    for row, symbol in zip(*np.nonzero(silent | (spoken & unlike)), strict=True):
        yield int(row) + first, int(symbol)


def _words(signals: Signals, row: int, symbol: int) -> str:
    if signals.abstained[row, symbol]:
        return "nothing"
    return f"{signals.strength[row, symbol]:+.6g} x {signals.confidence[row, symbol]:.6g}"


def _earliest(agent: Agent, panel: Panel, whole: Signals, differs: Check, found: _Cell, check: str) -> Offence:
    """The first offending row: cuts between those that were tried may show an earlier one."""
    low = max(0, found.row - 2 * max(1, len(panel.time) // CUTS))
    for row in range(low, found.row):
        earlier = differs(agent, panel, whole, row)
        if earlier is not None and earlier.row < found.row:
            found = earlier
            break
    return Offence(
        agent=agent.name,
        check=check,
        time=as_datetime(panel.time[found.row]),
        symbol=panel.symbols[found.symbol],
        detail=found.detail,
    )
