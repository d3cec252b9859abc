"""The trading daemon: polls the feed and runs one cycle for each new bar, until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from datetime import datetime, timedelta

from agents.adapters.brokers.paper_venue import PostgresPaperVenue
from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.journal import PostgresJournal
from agents.adapters.feeds.folder_feed import FolderFeed
from agents.adapters.services.notify import notify
from agents.core.clock import Clock
from agents.core.errors import DataError, ServiceError
from agents.core.log import log_event
from agents.core.settings import INTERVALS_S, Settings
from agents.core.types import Bars, as_datetime
from agents.orchestrator.orchestrator import Orchestrator
from agents.orchestrator.paper_broker import PaperBroker
from agents.wiring import desk as app
from agents.wiring.connections import Connections

logger = logging.getLogger(__name__)
BACKLOG_BARS = 500


class TradingDaemon:
    """Polls the feed, runs one cycle for each new bar, until `stop`."""

    def __init__(self, settings: Settings, connections: Connections, journal: PostgresJournal, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._store = BarsStore(connections.trader, settings.data.symbols)
        self._feed = FolderFeed(settings.data, self._store)
        self._agents = app.agents_of(settings, clock)
        self._weights = app.desk_weights(settings, connections, self._agents)
        self._journal = journal
        self._stopping = threading.Event()
        self._orchestrator: Orchestrator | None = None
        self._broker: PaperBroker | None = None
        self._last: datetime | None = None
        self._window: Bars | None = None

    def stop(self, *_: object) -> None:
        """Finish the cycle that runs and return from `run`."""
        self._stopping.set()

    def run(self) -> None:
        """Until `stop`; SIGTERM and SIGINT stop too. Errors of the outside world are logged and tried again."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        folder = self._settings.data.feed_folder
        folder.mkdir(parents=True, exist_ok=True)
        log_event(logger, "trading", desk=self._settings.desk.name, feed=folder, agents=",".join(self._agents.names))
        problem = ""
        notify("READY=1")
        while not self._stopping.is_set():
            notify("WATCHDOG=1")  # only a loop that turns says that it lives
            try:
                self.turn()
                problem = ""
            except (ServiceError, DataError) as error:
                if str(error) != problem:  # an alarm on the edge, not for each poll
                    log_event(logger, "cannot trade now; trying again", level=logging.ERROR, error=error)
                problem = str(error)
            self._stopping.wait(self._settings.data.poll_s)
        notify("STOPPING=1")
        log_event(logger, "stopped", last_decision=self._last)

    def turn(self) -> int:
        """One poll: load new bars, decide on those that nobody decided on; returns how many decisions were made."""
        now = self._clock.now()
        self._feed.poll(now)
        if self._orchestrator is None and not self._open(now):
            return 0
        assert self._orchestrator is not None and self._broker is not None
        made = 0
        news = self._store.after(self._last, limit=BACKLOG_BARS)
        for t in range(len(news.time)):
            if self._stopping.is_set():
                break
            self._decide(news.rows(t, t + 1))
            made += 1
        return made

    def _open(self, now: datetime) -> bool:
        """Take up the desk once there are bars; False while there is nothing to trade."""
        symbols = self._store.symbols()
        newest = self._store.window(until=now, count=1) if symbols else None
        if newest is None or not len(newest.time):
            return False
        settings = self._settings
        plan = app.plan_of(settings, symbols)
        # The universe stays what it was when the desk was opened; a new symbol joins at the next start.
        self._store = self._store.narrowed(symbols)
        orchestrator = Orchestrator(plan, self._agents, self._weights, self._journal)
        venue = PostgresPaperVenue(self._journal.writer)
        broker = PaperBroker(venue, orchestrator.account, symbols, plan.lots, plan.parameters)
        history = self._store.window(until=now, count=orchestrator.bars_needed + plan.scale_window_bars)
        fresh = [t for t in range(len(history.time)) if not self._is_stale(as_datetime(history.time[t]), now)]
        split = fresh[0] if fresh else len(history.time)
        self._last = orchestrator.recover(broker, history.rows(0, split), now)
        if self._last is None and split > 0:
            self._last = as_datetime(history.time[split - 1])
            log_event(logger, "history up to here is warm-up only", bars=split, until=self._last)
        self._window = self._store.window(until=self._last, count=orchestrator.bars_needed) if self._last else None
        self._orchestrator, self._broker = orchestrator, broker
        return True

    def _decide(self, bar: Bars) -> None:
        assert self._orchestrator is not None and self._broker is not None
        now = self._clock.now()
        closed = as_datetime(bar.time[0])
        window = bar if self._window is None else self._window.followed_by(bar)
        window = window.rows(max(0, len(window.time) - self._orchestrator.bars_needed), len(window.time))
        stale = self._is_stale(closed, now)
        cycle = self._orchestrator.run_cycle(window, self._broker, now, stale=stale)
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
        data = self._settings.data
        if data.clock == "bars":
            return False
        limit = timedelta(seconds=INTERVALS_S[data.interval] * data.stale_after_intervals)
        return now - closed > limit
