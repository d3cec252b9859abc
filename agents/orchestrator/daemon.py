"""The trading daemon: polls the feed and runs one cycle for each new bar, until it is told to stop.

It knows ports only; `agents.wiring.daemon` gives it the feed, the store of bars, the broker and the service manager.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from agents.core.clock import Clock
from agents.core.endurance import Endurance, is_outside
from agents.core.errors import DeskBusyError, ServiceError
from agents.core.log import log_event
from agents.core.ports import Broker, DeskBars, Feed, MarketCalendar
from agents.core.settings import INTERVALS_S, DataSettings
from agents.core.stopping import stop_in_time
from agents.core.types import Bars, as_datetime
from agents.orchestrator.attendance import Attendance, Waiting, attendance_of, complete_bars, present_in
from agents.orchestrator.commands import InDoubtError
from agents.orchestrator.kill_switch import KillWatch
from agents.orchestrator.offline_exits import OfflineExits
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.patience import Patience, pause_until_bar_s
from agents.orchestrator.pulse import DaemonPulse
from agents.orchestrator.steady_time import SteadyTime

logger = logging.getLogger(__name__)
BACKLOG_BARS = 500
"""So many waiting bars are read at once."""
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Desk:
    """One desk, ready to decide. `on_bar` is shown every bar before it is decided upon: a paper venue fills at it.
    `reconcile` compares the desk's books with its account's, where that is another's and due. `settle_limits`
    puts the edges on record of limits that are not the step's."""

    orchestrator: Orchestrator
    broker: Broker
    on_bar: Callable[[Bars], None]
    reconcile: Callable[[], None] = lambda: None
    settle_limits: Callable[[datetime], None] = lambda _at: None


class LiveFeed(Feed, Protocol):
    """A feed that may hold threads and connections."""

    def close(self) -> None:
        """Let them go."""
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the daemon lives in. `open_desk` makes the desk of a universe, `is_new` says whether the desk has never
    decided; `notify` tells the service manager, `pulse`
    the other daemon and whoever looks; `tend` keeps the servers up that are the daemon's to keep; `endurance` knows
    what to do about errors; `kill` looks after the kill switch, `exits` after what leaves while the database is away
    (None: nothing can). `only_shrink` says whether positions may only shrink, whatever the bars say. `wake` is set
    where the next poll should not wait."""

    feed: LiveFeed
    bars: DeskBars
    calendar: MarketCalendar
    open_desk: Callable[[tuple[str, ...]], Desk]
    is_new: Callable[[], bool]
    notify: Callable[[str], None]
    pulse: DaemonPulse
    tend: Callable[[], None]
    endurance: Endurance
    kill: KillWatch
    exits: OfflineExits | None = None
    only_shrink: Callable[[], bool] = lambda: False
    wake: threading.Event = field(default_factory=threading.Event)


class TradingDaemon:
    """Polls the feed, runs one cycle for each new bar, until `stop`."""

    def __init__(self, around: Surroundings, data: DataSettings, clock: Clock) -> None:
        self._around = around
        self._bars = around.bars
        self._data = data
        self._clock = clock
        self._stopping = threading.Event()
        self._desk: Desk | None = None
        self._last: datetime | None = None
        self._window: Bars | None = None
        self._interval = timedelta(seconds=INTERVALS_S[data.interval])
        self._patience = Patience(clock, data.complete_within_s, self._interval.total_seconds())
        self._time = SteadyTime(clock)
        self._attendance: Attendance | None = None
        self._waiting_told = False

    def stop(self, *_: object) -> None:
        """Finish the cycle that runs and return from `run`."""
        self._stopping.set()
        self._around.wake.set()

    def close(self) -> None:
        """Let go of what the feed holds."""
        self._around.feed.close()

    def run(self) -> None:
        """Until `stop`, which SIGTERM and SIGINT are too; the process ends in time, whatever hangs.

        Whatever a turn raises is told once and tried again. Only where another process trades this desk the daemon
        ends: DeskBusyError.
        """
        stop_in_time(self.stop, farewell=self._around.pulse.end)
        self.turn_after_turn()

    def turn_after_turn(self) -> None:
        """As `run`, for a process that looks after its signals itself."""
        notify = self._around.notify
        notify("READY=1")
        self._around.kill.watch(self._stopping)
        if self._around.exits is not None:
            self._around.exits.watch(self._stopping)
        self._around.pulse.beat()  # the first turn may take long
        try:
            while not self._stopping.is_set():
                notify("WATCHDOG=1")  # only a loop that turns says that it lives
                self._around.wake.wait(self._try_turn())
                self._around.wake.clear()
            notify("STOPPING=1")
        finally:
            self.close()
        self._around.pulse.end()
        log_event(logger, "stopped", last_decision=self._last)

    def _try_turn(self) -> float:
        """One turn with all that may happen to it; how many seconds to wait for the next."""
        endurance = self._around.endurance
        try:
            self._around.tend()
            self.turn()
            endurance.worked()
            self._around.pulse.beat()
        except DeskBusyError:
            raise
        except Exception as error:  # nothing that comes from outside, and no defect, ends the daemon
            pause_s = endurance.failed(error, pause_s=self._data.poll_s)
            if not is_outside(error) or isinstance(error, InDoubtError):
                self._desk = None  # what it knows may be half a cycle's: it is taken up again from the record
            if not isinstance(error, ServiceError):  # else there is no database to tell it to
                self._around.pulse.beat(endurance.problem)
            return pause_s
        return pause_until_bar_s(self._clock.now(), self._interval, self._data.poll_s)

    def turn(self) -> int:
        """One poll: take in new bars, decide on those that are complete; how many decisions were made."""
        if self._around.exits is not None:
            self._around.exits.take_in()
        if self._desk is not None:  # before the feed, which may be away: a halt must not wait for prices
            self._desk.orchestrator.obey_commands(self._desk.broker, self._clock.now())
        self._patience.note(self._around.feed.poll(self._time.now()))
        now = self._clock.now()
        desk = self._desk or self._open(now)
        if desk is None:
            return 0
        desk.orchestrator.settle_kill(self._around.kill, now)
        desk.settle_limits(now)
        desk.orchestrator.obey_commands(desk.broker, now)
        desk.reconcile()
        self._look_back()
        decisions = 0
        news = self._bars.after(self._last, limit=BACKLOG_BARS, known=desk.orchestrator.data_version)
        self._refresh_window(desk, news.version)
        for t, attendance in enumerate(self._complete(news)):
            if self._stopping.is_set():
                break
            self._around.notify("WATCHDOG=1")  # many bars wait, and at each an agent may take all its time
            if decisions:  # as between two turns
                desk.orchestrator.obey_commands(desk.broker, self._clock.now())
            self._decide(desk, news.rows(t, t + 1))
            self._note_attendance(attendance)
            decisions += 1
        return decisions

    def _open(self, now: datetime) -> Desk | None:
        """Take up the desk once there are bars and no more are coming; None while there is nothing to trade."""
        if not (self._data.symbols or self._patience.has_all()) and self._around.is_new():
            # The files of other symbols may be on their way, and the desk keeps the symbols that it opens with.
            self._tell_that_it_waits()
            return None
        symbols = self._bars.symbols()
        newest = self._bars.window(until=now, count=1) if symbols else None
        if newest is None or not len(newest.time):
            return None
        # The universe stays what it was when the desk was opened; a new symbol joins at the next start.
        self._bars = self._bars.narrowed(symbols)
        desk = self._around.open_desk(symbols)
        orchestrator = desk.orchestrator
        history = self._bars.window(until=now, count=orchestrator.warm_up_bars)
        fresh = [t for t in range(len(history.time)) if not self._is_stale(as_datetime(history.time[t]), now)]
        split = fresh[0] if fresh else len(history.time)
        self._last = orchestrator.recover(desk.broker, history.rows(0, split), now)
        if self._last is None and split > 0:
            self._last = as_datetime(history.time[split - 1])
            log_event(logger, "history up to here is warm-up only", bars=split, until=self._last)
        self._window = self._bars.window(until=self._last, count=orchestrator.bars_needed) if self._last else None
        self._attendance = attendance_of(self._window or history.rows(0, 0))
        self._desk = desk
        return desk

    def _tell_that_it_waits(self) -> None:
        if not self._waiting_told:
            hint = "name them in data.symbols to begin at once"
            log_event(logger, "a new desk waits for all of its files", quiet_s=self._data.complete_within_s, hint=hint)
        self._waiting_told = True

    def _look_back(self) -> None:
        """Tell of bars that earlier decisions lacked; `_refresh_window` brings them into the window."""
        if self._last is None:
            return
        late = self._bars.note_late(self._last)
        if late:
            undecided = sorted({bar.time for bar in late if not bar.decided})
            log_event(
                logger,
                "bars came after their decision",
                level=logging.WARNING,
                bars=len(late),
                symbols=_names({bar.symbol for bar in late}),
                first=min(bar.time for bar in late).isoformat(),
                never_decided_on=_names(time.isoformat() for time in undecided),
            )

    def _refresh_window(self, desk: Desk, version: int) -> None:
        """Read the window again, as it is known now, where something about bars that were decided on became known: a
        split, a dividend, a late bar."""
        if self._last is None or self._window is None or version == self._window.version:
            return
        if self._bars.changed(self._window.version, self._last):
            needed = desk.orchestrator.bars_needed
            self._window = self._bars.as_of(version).window(until=self._last, count=needed)
            assert self._attendance is not None
            self._attendance = self._attendance.seen_in(self._window)

    def _complete(self, news: Bars) -> list[Attendance]:
        """The attendance after each bar time of `news` that may be decided upon now."""
        assert self._attendance is not None
        overdue = self._patience.overdue(news.time)
        regular, delisted = self._around.calendar.expects(news.time), np.isfinite(news.delisting)
        waiting = Waiting(news.time, present_in(news), delisted, regular, overdue)
        return complete_bars(self._attendance, waiting, self._interval)

    def _note_attendance(self, after: Attendance) -> None:
        """Tell who was given up at the decision that was just made."""
        assert self._attendance is not None
        absent = after.missed == self._attendance.missed + 1
        if absent.any():
            names = [name for name, is_absent in zip(self._bars.symbols(), absent, strict=True) if is_absent]
            log_event(logger, "decided without", level=logging.WARNING, symbols=_names(names), bar=self._last)
        self._attendance = after

    def _decide(self, desk: Desk, bar: Bars) -> None:
        now, needed = self._clock.now(), desk.orchestrator.bars_needed
        closed = as_datetime(bar.time[0])
        window = bar if self._window is None else self._window.followed_by(bar)
        window = window.rows(max(0, len(window.time) - needed), len(window.time))
        stale = self._is_stale(closed, now) or self._around.only_shrink()
        desk.on_bar(window)

        def went_stale() -> bool:
            return not stale and self._is_stale(closed, self._clock.now())

        cycle = desk.orchestrator.run_cycle(window, desk.broker, now, stale=stale, went_stale=went_stale)
        self._window, self._last = window, closed  # only now: a cycle that failed is tried again
        log_event(
            logger,
            "decided",
            bar=closed.isoformat(),
            equity=f"{cycle.equity[0, 0]:.2f}",
            weights=cycle.weights[0].level,
            version=cycle.weights[0].version,
            stale=stale,
            what=cycle.reason[0],
        )

    def _is_stale(self, closed: datetime, now: datetime) -> bool:
        return self._data.clock == "system" and closed < self._around.calendar.stale_before(now)


def _names(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    every = sorted(names)
    return ",".join(every[:NAMES_SHOWN]) + (f" and {len(every) - NAMES_SHOWN} more" if len(every) > NAMES_SHOWN else "")
