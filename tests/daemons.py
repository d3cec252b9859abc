"""The trading daemon inside the test's process, turn by turn, with a clock that the test sets."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import text

from agents.adapters.database.engine import open_engine
from agents.adapters.database.journal import PostgresJournal
from agents.core.clock import SystemClock
from agents.core.errors import DeskBusyError, ServiceError
from agents.core.settings import Settings
from agents.wiring.connections import Connections
from agents.wiring.daemon import trading_daemon
from tests.conftest import SERVERS, SERVICES

HEAD = "symbol,time,open,high,low,close,volume\n"


class HandClock:
    """Wall clock and monotonic clock, which move apart when the test steps the wall clock."""

    def __init__(self, start: datetime) -> None:
        self.wall, self.elapsed_s = start, 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def sleep_s(self, duration_s: float) -> None:
        """Time passes on both."""
        self.wall += timedelta(seconds=duration_s)
        self.elapsed_s += duration_s

    def step(self, by: timedelta) -> None:
        """Somebody sets the wall clock."""
        self.wall += by


class Desk:
    """One daemon on a database of its own; files go into `folder`, decisions are read from the database."""

    def __init__(self, connections, settings, clock) -> None:
        self.connections, self.settings, self.clock = connections, settings, clock
        self.folder = settings.data.feed_folder
        self._start()

    def _start(self) -> None:
        self._journal = PostgresJournal(self.connections.trader)
        while True:
            try:
                self._journal.hold_desk()
                break
            except DeskBusyError:  # the server ends the session of the one before in its own time
                SystemClock().sleep_s(0.02)
        self.daemon = trading_daemon(self.settings, self.connections, self._journal, self.clock)

    def end(self) -> None:
        """The daemon is gone; what it knew is what is on record."""
        self.daemon.close()
        self._journal.release()

    def restart(self) -> None:
        """Another daemon takes the desk up."""
        self.end()
        self._start()

    def write(self, file: str, rows: str) -> None:
        """Append rows, after a header where the file is new."""
        path = self.folder / file
        with path.open("a") as stream:
            stream.write(rows if path.stat().st_size else HEAD + rows)

    def turn(self, after_s: float = 2.0) -> int:
        """One poll, `after_s` seconds later."""
        self.clock.sleep_s(after_s)
        return self.daemon.turn()

    def rows(self, query: str) -> list[tuple]:
        with self.connections.owner.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def scalar(self, query: str):
        return self.rows(query)[0][0]

    def equities(self) -> list[float]:
        return [row[0] for row in self.rows("SELECT equity FROM decisions ORDER BY time")]


@contextmanager
def running(folder: Path, clock: HandClock, **data):
    """A daemon on a fresh database with these settings of `data`; a name in upper case is a section of its own."""
    sections = {name.lower(): data.pop(name) for name in list(data) if name.isupper()}
    usual = {"feed_folder": folder / "bars", "timezone": "UTC", "session_open": "14:30", "session_close": "21:00"}
    settings = Settings(desk={"name": "t", **sections.pop("desk", {})}, data={**usual, **data}, **sections)
    with ExitStack() as stack:
        name = stack.enter_context(SERVERS.database())
        owner, trader, meta = (
            open_engine(SERVICES.database_url(name, f"quorum_{role}")) for role in ("owner", "trader", "meta")
        )
        for engine in (owner, trader, meta):
            stack.callback(engine.dispose)
        connections = Connections(owner, trader, meta, SERVICES.redis_url, (), {})
        desk = Desk(connections, settings, clock)
        stack.callback(desk.end)
        yield desk


def line(symbol: str, time: str, price: float) -> str:
    """One row of a bar file around a price."""
    high, low = price * 1.01, price * 0.99
    return f"{symbol},{time},{price:.4f},{high:.4f},{low:.4f},{price * 1.002:.4f},100000\n"


def walk(days: int, seed: int) -> np.ndarray:
    """Prices of one symbol."""
    rng = np.random.default_rng(seed)
    return 50.0 * np.exp(np.cumsum(rng.normal(0.001, 0.02, days)))


def day(number: int) -> str:
    """Weekends included."""
    return str(np.datetime64("2024-01-01") + np.timedelta64(number, "D"))


def moment(number: int, hour: int = 21, minute: int = 0) -> datetime:
    return datetime.fromisoformat(day(number)).replace(hour=hour, minute=minute, tzinfo=UTC)


def until(desk, moment, *, restarts=()):
    """Turn after turn around each full hour until `moment`, patient with an exchange that is away; how many failed."""
    failed, waiting = 0, list(restarts)
    while desk.clock.now() < moment:
        try:
            desk.turn(5.0)
            if 3 <= desk.clock.now().minute < 59:
                desk.clock.sleep_s(3560.0 - desk.clock.now().minute * 60)  # nothing is due before the next hour
        except ServiceError:
            failed += 1
            desk.clock.sleep_s(5.0)
        if waiting and desk.clock.now() >= waiting[0]:
            waiting.pop(0)
            desk.restart()
    return failed
