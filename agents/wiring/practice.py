"""Practice: the trading daemon itself, with the paper broker, against the made-up exchange on a fast clock."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from agents.adapters.database.meta_store import MetaStore
from agents.adapters.database.reader import DeskReader
from agents.adapters.exchanges.candle_file import CandleFile
from agents.adapters.exchanges.fake_exchange import FakeExchange
from agents.adapters.exchanges.fake_stream import STREAM
from agents.adapters.exchanges.fault_script import KINDS, Fault, FaultScript, Kind
from agents.adapters.exchanges.recorded_market import OPENED, RecordedMarket
from agents.adapters.twins.in_memory import MemoryWeightCache
from agents.core.clock import Clock, FastClock, SystemClock
from agents.core.errors import ServiceError
from agents.core.settings import Settings, with_changes
from agents.orchestrator.daemon import TradingDaemon
from agents.wiring.connections import Connections
from agents.wiring.daemon import trading_daemon
from agents.wiring.desk import stand_in_of
from agents.wiring.desk_record import desk_journal
from agents.wiring.integrity import check_record
from agents.wiring.job_settings import tuning_of
from agents.wiring.parity import CheckedDesk, check_parity

EXCHANGE = "binance"
LOOK_S = 0.1
WARM_UP_ATTEMPTS = 50
LATE_BARS = 20
"""A course ends so many bars after its last one, whatever was decided by then."""
FAULT_EVERY, FAULT_FROM, FAULT_BARS = 6, 2, 1.5
"""A named fault comes every so many bars, first after so many, and lasts for so many."""
RANDOM_SHARE = 0.25
NAMED: tuple[Kind, ...] = ("limited", "banned", "error", "maintenance", "lost", "cut", "page", "empty", "slow", "late")
"""The faults of public prices, whoever asks or listens."""
NAMED_STREAM: tuple[Kind, ...] = ("lost", "limited", "empty", "late", "shuffled")
"""Those that may come to the stream of candles alone, as "stream-lost" and so on."""
STREAM_WAIT_BARS = 0.1
"""So long, in bars, a candle is waited for that may still be pushed."""
PASSING = tuple(kind for kind in KINDS if kind != "late")
"""What random faults are: on a clock that runs fast, a candle that is shown late counts as final a moment later."""
_BARS = """
SELECT d.time, d.equity, d.risk_state, (SELECT count(*) FROM orders o WHERE o.decision_time = d.time) AS orders
FROM decisions d WHERE d.time > :after ORDER BY d.time
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is practised: a market, from `start` on for so many bars, `speed` of them in a second; `faults` is one of
    NAMED, one of NAMED_STREAM after "stream-", "random" or "none"."""

    market: RecordedMarket
    start: datetime
    bars: int
    speed: float
    faults: str = "none"
    seed: int = 0

    @property
    def length(self) -> timedelta:
        """Of one bar."""
        return timedelta(milliseconds=self.market.interval_ms)


class PracticeBar(NamedTuple):
    """One decision, as a person watches it: positions by symbol, faults met since the last one by kind."""

    time: datetime
    equity: Decimal
    state: str
    orders: int
    positions: Mapping[str, Decimal]
    faults: Mapping[str, int]


def practice_settings(settings: Settings, course: Course, url: str) -> Settings:
    """The desk that practises on the exchange at `url`: in proportion to its bars, it waits as a desk in earnest."""
    length_s = course.length.total_seconds()
    return with_changes(
        settings,
        {
            "data.exchange_url": url,
            "data.symbols": tuple(course.market.candles),
            "data.interval": course.market.interval,
            "data.complete_within_s": length_s,
            "data.stream_wait_s": STREAM_WAIT_BARS * length_s,
            "data.poll_s": max(0.02, min(2.0, 0.1 / course.speed)),
        },
    )


def practise(
    settings: Settings,
    connections: Connections,
    course: Course,
    tell: Callable[[PracticeBar], None],
    begun: Callable[[Callable[[], None]], None] = lambda _stop: None,
) -> dict[str, Any]:
    """Trade the course and say what happened and what survived. `tell` is shown each bar, `begun` how to stop early."""
    clock = FastClock(course.start, course.length.total_seconds() * course.speed)
    script = script_of(course)
    with FakeExchange(course.market, clock, script, per_minute=10**9) as exchange:
        settings = practice_settings(settings, course, exchange.url)
        with desk_journal(connections) as journal:
            daemon = trading_daemon(settings, connections, journal, clock, SystemClock())
            begun(daemon.stop)
            _warm_up(daemon)
            clock.go()
            ends = course.start + course.length * (course.bars + LATE_BARS)
            watcher = _Watcher(
                DeskReader(connections.trader), lambda: clock.now() >= ends, daemon.stop, (course.bars, script, tell)
            )
            watcher.start()
            try:
                daemon.turn_after_turn()
            finally:
                watcher.end()
    return outcome(settings, connections, course, clock) | {
        "bars_missing": max(0, course.bars - watcher.bars) if watcher.gave_up else 0,
        "requests": sum(exchange.asked.values()),
        "streams": exchange.stream.accepted,
        "faults": dict(script.met),
    }


def _warm_up(daemon: TradingDaemon) -> None:
    """History is fetched and the agents see it while time stands still, whatever the exchange does."""
    for _ in range(WARM_UP_ATTEMPTS):
        try:
            daemon.turn()
            return
        except ServiceError:
            continue


def script_of(course: Course) -> FaultScript:
    """The course's faults as the exchange meets requests with them."""
    if course.faults in ("none", "random"):
        share = RANDOM_SHARE if course.faults == "random" else 0.0
        return FaultScript(share=share, seed=course.seed, kinds=PASSING)
    path = STREAM if course.faults.startswith(f"{STREAM}-") else ""
    kind = next(kind for kind in (*NAMED, *NAMED_STREAM) if kind == course.faults.removeprefix(f"{STREAM}-"))
    first = course.start + course.length * FAULT_FROM
    begins = [first + course.length * k for k in range(0, course.bars, FAULT_EVERY)]
    half_s = course.length.total_seconds() / 2
    return FaultScript(
        [
            Fault(kind=kind, path=path, count=0, begins=at, ends=at + course.length * FAULT_BARS, seconds=half_s)
            for at in begins
        ]
    )


def outcome(settings: Settings, connections: Connections, course: Course, clock: Clock) -> dict[str, Any]:
    """What is on record, held against what the exchange knows and against a replay."""
    reader = DeskReader(connections.trader)
    counts = reader.counts()
    decided = reader.rows("SELECT time, equity FROM decisions ORDER BY time")
    lost, wrong = _compared(settings, course)
    document: dict[str, Any] = {
        "decisions": len(decided),
        "orders": counts["orders"],
        "fills": counts["fills"],
        "equity": decided[-1]["equity"] if decided else None,
        "initial_cash": settings.desk.initial_cash,
        "outages": reader.rows("SELECT count(*) AS n FROM outages")[0]["n"],
        "candles_lost": lost,
        "candles_wrong": wrong,
        "bars_not_decided": _not_decided([row["time"] for row in decided], course.length),
    }
    if decided:
        store = MetaStore(
            connections.meta, MemoryWeightCache(), settings.agents.enabled, stand_in_of(settings), SystemClock()
        )
        checked = CheckedDesk(settings, connections.meta, store, tuning_of(settings))
        parity = check_parity(checked, clock.now(), keep=False)
        record = check_record(connections.meta, clock.now(), whole=True)
        document |= {"replay_differences": parity["differences"], "record_differences": len(record.differences)}
    return document


def _compared(settings: Settings, course: Course) -> tuple[int, int]:
    """Candles that the exchange has and a file lacks between its first and its last, and such as are other ones."""
    lost = wrong = 0
    for symbol, true in course.market.candles.items():
        file = CandleFile.of(settings.data.feed_folder, EXCHANGE, symbol, course.market.interval)
        if not file.path.exists():
            continue
        lines = file.path.read_bytes().splitlines()[1:]
        closes = {time: float(line.split(b",")[5]) for time, line in zip(file.times_ms().tolist(), lines, strict=True)}
        known = {int(opened): close for opened, close in true[:, [OPENED, 4]]}
        lost += sum(min(closes) <= opened <= max(closes) and opened not in closes for opened in known)
        wrong += sum(known.get(opened) != close for opened, close in closes.items())
    return lost, wrong


def _not_decided(times: list[datetime], length: timedelta) -> int:
    """Bars between the first decision and the last without one."""
    return round((times[-1] - times[0]) / length) + 1 - len(times) if times else 0


class _Watcher(threading.Thread):
    """Looks at the record beside the daemon, and stops it after so many bars, or when it is `late`."""

    def __init__(
        self,
        reader: DeskReader,
        late: Callable[[], bool],
        stop: Callable[[], None],
        what: tuple[int, FaultScript, Callable[[PracticeBar], None]],
    ) -> None:
        super().__init__(daemon=True)
        self._reader, self._late, self._stop = reader, late, stop
        self._most, self._script, self._tell = what
        self._over = threading.Event()
        self._told = Counter[str]()
        self._after = datetime(1970, 1, 1, tzinfo=UTC)
        self.bars = 0
        """Decided so far."""
        self.gave_up = False
        """The course is over, and not all of its bars are decided."""

    def run(self) -> None:
        """Until `end`."""
        while not self._over.wait(LOOK_S):
            with suppress(ServiceError):  # the next look tells of it
                self._look()
            if self.bars >= self._most or self._late():
                self.gave_up = self.bars < self._most
                self._stop()
                return

    def end(self) -> None:
        """Tell what is left to tell."""
        self._over.set()
        self.join()
        self._look()

    def _look(self) -> None:
        rows = self._reader.rows(_BARS, after=self._after)
        held = {row["symbol"]: row["quantity"] for row in self._reader.positions()} if rows else {}
        for row in rows:
            met = Counter(self._script.met)
            bar = PracticeBar(row["time"], row["equity"], row["risk_state"], row["orders"], held, met - self._told)
            self._told, self._after, self.bars = met, row["time"], self.bars + 1
            self._tell(bar)


def start_of(market: RecordedMarket, warm_up: int, bars: int) -> datetime:
    """The moment at which a downloaded market has `warm_up` candles behind it, or as many as leave `bars` ahead."""
    times = np.unique(np.concatenate([candles[:, OPENED] for candles in market.candles.values()]))
    place = max(1, min(warm_up, len(times) - bars - 1))
    return datetime.fromtimestamp(float(times[place]) / 1000.0, UTC)
