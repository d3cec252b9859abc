"""Everything that `quorum agent check` tells of a user's strategy: asked in its worker, as the desk would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agents.adapters.own.frames import PositionAgent
from agents.adapters.workers.blocks import PanelBoard
from agents.adapters.workers.seat import Work, WorkerSeat
from agents.core.asking import Question
from agents.core.clock import SystemClock
from agents.core.errors import DataError
from agents.core.own_strategies import TABLES, name_of
from agents.core.profiles import OURS
from agents.core.seats import Seat
from agents.core.settings import Settings, with_changes
from agents.core.types import Panel, Signals
from agents.quant.leave_one_out import Added
from agents.quant.measures import BookFigures
from agents.quant.replay_summary import ReplaySummary, summary_of
from agents.replay.lookahead import Cuts, Offence, Progress, check_lookahead
from agents.trading.inside import InsideSeat
from agents.trading.registry import AGENTS
from agents.wiring.history import History, ReplayRequest
from agents.wiring.replay import replay_history

PATIENCE = 20.0
"""Timeouts that a strategy may take for a whole history, as in a replay."""
ORDER_TOLERANCE = 1e-9
ASKED_TWICE = "asked twice, it answers differently"
MOST_TURNS, TURNS_MS = 600, 15_000.0
"""So many turns of an answer are looked at, as far as that takes no longer, in milliseconds."""


class Speed(NamedTuple):
    """Nanoseconds for a bar of a symbol, of this strategy and of ours by name, and milliseconds for the newest bar."""

    ns_a_bar: float
    ours: dict[str, float]
    newest_ms: float


class Said(NamedTuple):
    """Parts of all bars of all symbols: long, short, and without an opinion."""

    long: float
    short: float
    silent: float


class Worth(NamedTuple):
    """Alone, and what holding the same symbols made: figures, turnover a year, and costs of equity a year."""

    alone: BookFigures
    hold: BookFigures
    turnover_a_year: float
    costs_a_year: float
    added: Added


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The page. Where `problem` is not empty, nothing behind it was tried; what looks ahead, or never says the same, is
    not replayed, for nothing would be known by that."""

    name: str
    bars_needed: int
    bars: int
    problem: str = ""
    offences: tuple[Offence, ...] = ()
    speed: Speed | None = None
    said: Said | None = None
    differs: tuple[str, ...] = ()
    worth: Worth | None = None


class AskedAgent(PositionAgent):
    """An agent that works at a seat: what it does wrong is a DataError with the cause."""

    def __init__(self, seat: Seat, timeout_s: float) -> None:
        self.name, self.bars_needed = seat.name, seat.bars_needed
        self._seat, self._timeout_s = seat, timeout_s
        self.spent_ms = 0.0

    def signals(self, panel: Panel) -> Signals:
        """Its opinions on the whole panel."""
        return self.asked(Question(panel, whole=True), self._timeout_s * PATIENCE)

    def newest(self, panel: Panel) -> Signals:
        """Its opinion on the newest bar, as a desk asks, within the desk's patience."""
        return self.asked(Question(panel, whole=False), self._timeout_s)

    def asked(self, question: Question, timeout_s: float) -> Signals:
        """The answer to a question; DataError where there is none."""
        self._seat.ask(question)
        answer = self._seat.answer(timeout_s)
        self.spent_ms = answer.spent_ms
        if answer.signals is None:
            problem = answer.problem.partition("; restarted in")[0]
            within = f" (within {timeout_s:g} s)" if problem == "no answer in time" else ""
            raise DataError(problem + within)
        return answer.signals


def check_strategy(file: Path, settings: Settings, history: History, panel: Panel, progress: Progress) -> Checked:
    """Look at a strategy from all sides. Whatever it does wrong is in the result."""
    name = name_of(file)
    with _asked(file, settings) as agent:
        page = Checked(name=name, bars_needed=agent.bars_needed, bars=len(panel.time))
        try:
            agent.newest(panel.rows(max(0, len(panel.time) - agent.bars_needed), len(panel.time)))
            newest_ms = agent.spent_ms
            whole = agent.signals(panel)
            first_ms = agent.spent_ms
            again = agent.signals(panel)
            spent_ms = min(first_ms, agent.spent_ms)
            differs = tuple(_differences(file, settings, panel, (whole, again), agent))
        except DataError as error:
            return replace(page, problem=str(error))
        page = replace(page, differs=differs)
        cuts = Cuts(30, 10, min(MOST_TURNS, int(TURNS_MS / max(1.0, newest_ms))), years=file.suffix not in TABLES)
        if ASKED_TWICE not in differs:
            page = replace(page, offences=tuple(check_lookahead(agent, panel, progress, cuts=cuts)))
    per_bar = 1e6 / max(1, panel.close.size)
    page = replace(page, speed=Speed(spent_ms * per_bar, _ours(panel, per_bar), newest_ms), said=_said(whole))
    if page.offences or page.differs:
        return page
    try:
        return replace(page, worth=_worth(file, name, settings, history))
    except DataError as error:
        return replace(page, problem=str(error))


def _said(whole: Signals) -> Said:
    shares = (whole.strength > 0.0, whole.strength < 0.0, whole.abstained)
    return Said(*(float(share.mean()) for share in shares))


@contextmanager
def _asked(file: Path, settings: Settings) -> Iterator[AskedAgent]:
    """The strategy in a worker of its own."""
    work = Work(name=name_of(file), place=str(file.absolute()), memory_mb=settings.agents.memory_mb)
    seat = WorkerSeat(work, PanelBoard(), SystemClock())
    try:
        yield AskedAgent(seat, settings.agents.timeout_s)
    finally:
        seat.close()


def _differences(
    file: Path, settings: Settings, panel: Panel, asked: tuple[Signals, Signals], agent: AskedAgent
) -> Iterator[str]:
    """What is not the same: asked twice, in another process, and with the symbols in another order."""
    whole, again = asked
    if not _same(whole, again, 0.0):
        yield ASKED_TWICE
    with _asked(file, settings) as other:
        if not _same(whole, other.signals(panel), 0.0):
            yield "another process answers differently"
    turned = agent.signals(_turned(panel))
    columns = slice(None, None, -1)
    back = Signals(turned.strength[:, columns], turned.confidence[:, columns], turned.abstained[:, columns])
    if not _same(whole, back, ORDER_TOLERANCE):
        yield "the order of the symbols changes its answer"


def _turned(panel: Panel) -> Panel:
    """The same panel with its symbols in the opposite order."""

    def turned(
        array: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.ascontiguousarray(array[:, ::-1])

    prices = {name: turned(getattr(panel, name)) for name in ("open", "high", "low", "close", "volume")}
    exogenous = {name: turned(series) for name, series in panel.exogenous.items()}
    return Panel(time=panel.time, symbols=panel.symbols[::-1], **prices, exogenous=exogenous)


def _same(one: Signals, other: Signals, tolerance: float) -> bool:
    return bool(
        np.array_equal(one.abstained, other.abstained)
        and np.allclose(one.strength, other.strength, rtol=0.0, atol=tolerance)
        and np.allclose(one.confidence, other.confidence, rtol=0.0, atol=tolerance)
    )


def _ours(panel: Panel, per_bar: float) -> dict[str, float]:
    """What our agents take for the same, in nanoseconds a bar, the second time: the first may compile."""
    taken = {}
    for name, make in AGENTS.items():
        agent = AskedAgent(InsideSeat(make(), SystemClock()), 60.0)
        agent.signals(panel)
        agent.signals(panel)
        taken[name] = agent.spent_ms * per_bar
    return taken


def _worth(file: Path, name: str, settings: Settings, history: History) -> Worth:
    """Two replays, at equal weights that nobody tunes: of the strategy alone, and of our agents with it and without."""
    alone = _replayed(file, settings, history, (name,))
    desk = _replayed(file, settings, history, (*OURS, name))
    return Worth(
        alone=alone.books["live"],
        hold=alone.books["control:hold"],
        turnover_a_year=alone.costs.turnover_a_year,
        costs_a_year=alone.costs.of_equity_a_year,
        added=desk.agents_added[name],
    )


def _replayed(file: Path, settings: Settings, history: History, names: tuple[str, ...]) -> ReplaySummary:
    changes = {
        "agents.own": {name_of(file): str(file)},
        "agents.enabled": names,
        "agents.shadow": (),
        "agents.static_weights": {},
    }
    request = ReplayRequest(
        settings=with_changes(settings, changes), tuning=False, report_every=None, value_added=len(names) > 1
    )
    return summary_of(replay_history(history, request).run)
