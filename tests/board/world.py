"""The world in which faults happen: real servers that may be killed, a desk in a folder of its own, its daemons as
processes, and a supervisor that starts them again as systemd would."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from agents.core.types import Bars
from tests.market import make_bars
from tests.servers import Servers, state_dir

ROOT = Path(__file__).resolve().parents[2]
BARS = make_bars(110, 2, 31)
"""A market of two symbols that makes orders at most bars."""
WAIT_S = 120.0
CANARY = "canary-7f3a"
"""The password in every daemon's DATABASE_URL, which the server does not ask for; it must appear nowhere."""
SETTINGS = {
    "desk": {"name": '"t"'},
    "data": {
        "feed_folder": '"bars"',
        "clock": '"bars"',
        "poll_s": "0.1",
        "complete_within_s": "1.0",
        "session_open": '"15:00"',
        "session_close": '"21:00"',
        "timezone": '"UTC"',
    },
}


def csv_rows(bars: Bars, first: int, last: int, symbols: Sequence[str] | None = None) -> list[str]:
    """The rows of bars `first` to `last` (exclusive) as a file of daily sessions has them, oldest first."""
    rows = []
    for t in range(first, last):
        for s, symbol in enumerate(bars.symbols):
            if symbols is None or symbol in symbols:
                prices = (getattr(bars, name)[t, s] for name in ("open", "high", "low", "close", "volume"))
                rows.append(f"{symbol},{str(bars.time[t])[:10]}," + ",".join(repr(float(v)) for v in prices) + "\n")
    return rows


class World:
    """The servers of one worker of the board. A case may kill them: the next one starts them again."""

    def __init__(self) -> None:
        self.servers = Servers(state_dir(), durable=True)
        self.servers.start()

    def close(self) -> None:
        self.servers.stop()

    @property
    def services(self):
        return self.servers.services

    def mend(self) -> None:
        """Whatever a case did to the servers, they run again."""
        for process in self.server_processes():
            with_signal(process.pid, signal.SIGCONT)
        self.services.up(lambda _line: None)

    def server_processes(self) -> list[psutil.Process]:
        """The database server and all of its backends, and Redis."""
        pids = [pid for pid in (self.services.postgres.pid(), self.services.redis.pid()) if pid is not None]
        found = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        return [*found, *(child for process in found for child in process.children(recursive=True))]

    def postmaster(self) -> int:
        pid = self.services.postgres.pid()
        assert pid is not None
        return pid


def with_signal(pid: int, number: int) -> None:
    """A signal to a process of ours that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@dataclass
class Supervisor:
    """Starts a daemon again when it ends, until told to stop; what systemd does with Restart=always."""

    start: Callable[[], subprocess.Popen[str]]
    restart_after_s: float = 0.3
    starts: int = 0
    codes: list[int] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._spawn()
        self._thread.start()

    def _spawn(self) -> None:
        self.process = self.start()
        self.starts += 1

    def _watch(self) -> None:
        while not self._stopping.is_set():
            assert self.process is not None
            code = self.process.poll()
            if code is None:
                time.sleep(0.02)
                continue
            self.codes.append(code)
            if self._stopping.wait(self.restart_after_s):
                return
            self._spawn()

    def stop(self, number: int = signal.SIGTERM, within_s: float = WAIT_S) -> int:
        """Send a signal and wait; the exit status. AssertionError where it takes longer. One that was killed a moment ago
        is awaited first, else its death would pass for the answer to the signal."""
        limit = time.monotonic() + self.restart_after_s + within_s
        while self.process is not None and self.process.poll() is not None and time.monotonic() < limit:
            time.sleep(0.02)
        self._stopping.set()
        self._thread.join()
        assert self.process is not None
        with_signal(self.process.pid, number)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon did not end within {within_s:g} s of signal {number}") from None

    def kill(self) -> None:
        """End it whatever it does, and everything it started."""
        self._stopping.set()
        self._thread.join()
        assert self.process is not None
        if psutil.pid_exists(self.process.pid):
            children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            self.process.wait()
            for child in children:
                with_signal(child.pid, signal.SIGKILL)


class Desk:
    """A desk as its user has it: a folder with a settings file and bars, a database, daemons."""

    def __init__(self, world: World, folder: Path, database: str, **changes: str) -> None:
        """`changes` are settings as `section__key="value in TOML"`."""
        self.world, self.folder, self.database = world, folder, database
        (folder / "bars").mkdir(parents=True, exist_ok=True)
        self.set(**changes)
        self.url = world.services.database_url(database, f"quorum_owner:{CANARY}")
        self.redis_url = world.services.redis_url
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("QUORUM_", "KILLPOINT"))},
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": self.url,
            "REDIS_URL": self.redis_url,
        }
        self.trading: Supervisor | None = None
        self.meta: Supervisor | None = None

    # ------------------------------------------------------------ settings and files

    def set(self, **changes: str) -> None:
        """Write the settings file: the world's settings with some changed."""
        settings = {section: dict(keys) for section, keys in SETTINGS.items()}
        for name, value in changes.items():
            section, key = name.split("__")
            settings.setdefault(section, {})[key] = value
        lines = []
        for section, keys in settings.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in keys.items())]
        (self.folder / "quorum.toml").write_text("\n".join(lines) + "\n")

    def feed(self, first: int, last: int, file: str = "all.csv", symbols: Sequence[str] | None = None) -> None:
        """Append bars to a file of the watched folder."""
        self.append("".join(csv_rows(BARS, first, last, symbols)), file)

    def append(self, text: str, file: str = "all.csv") -> None:
        path = self.folder / "bars" / file
        if not path.exists():
            path.write_text("symbol,time,open,high,low,close,volume\n")
        with path.open("a") as stream:
            stream.write(text)

    # ------------------------------------------------------------ processes

    def start(self, *, restart_after_s: float = 0.3, **environment: str) -> Supervisor:
        """The trading daemon under its supervisor; `environment` counts for the first start only."""
        extra = [environment]

        def spawn() -> subprocess.Popen[str]:
            return self._spawn("trade", extra.pop() if extra else {})

        self.trading = Supervisor(spawn, restart_after_s)
        return self.trading

    def start_meta(self, **environment: str) -> Supervisor:
        """The meta daemon under its supervisor."""
        extra = [environment]
        self.meta = Supervisor(lambda: self._spawn("meta", extra.pop() if extra else {}))
        return self.meta

    def _spawn(self, command: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        log = (self.folder / f"{command}.out").open("a")
        return subprocess.Popen(
            [sys.executable, "-m", "agents", command],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def command(
        self, *arguments: str, code: int | None = 0, within_s: float = WAIT_S
    ) -> subprocess.CompletedProcess[str]:
        """A command of the program, to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "agents", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr[-2000:]
        if code is not None:
            assert done.returncode == code, (
                f"{arguments}: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}"
            )
        return done

    def close(self) -> None:
        """End every process of this desk."""
        for supervisor in (self.trading, self.meta):
            if supervisor is not None:
                supervisor.kill()

    # ------------------------------------------------------------ what is on record

    def session(self) -> psycopg.Connection:
        """A superuser's session on this desk's database, each statement a transaction of its own."""
        return psycopg.connect(
            host=str(self.world.services.run), user="postgres", dbname=self.database, autocommit=True, connect_timeout=5
        )

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.session() as session:
            return session.execute(query).fetchall()

    def scalar(self, query: str):
        rows = self.rows(query)
        return rows[0][0] if rows else None

    def decisions(self) -> int | None:
        """How many are on record; None while the database does not answer."""
        try:
            return int(self.scalar("SELECT count(*) FROM decisions"))
        except psycopg.Error:
            return None

    def wait(self, decisions: int, within_s: float = WAIT_S) -> float:
        """Wait for so many decisions; the seconds it took. AssertionError with the daemon's last words otherwise."""
        return self.wait_until(lambda: (self.decisions() or 0) >= decisions, f"{decisions} decisions", within_s)

    def wait_until(self, condition: Callable[[], bool], what: str, within_s: float = WAIT_S) -> float:
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > within_s:
                seen = self.decisions()
                raise AssertionError(
                    f"waited {within_s:g} s for {what} in vain ({seen} decisions): {self.said()[-1500:]}"
                )
            time.sleep(0.05)
        return time.monotonic() - begun

    def said(self, command: str = "trade") -> str:
        """What a daemon has written so far."""
        files = (self.folder / f"{command}.out", *sorted((self.folder / "logs").glob("*.log")))
        return "\n".join(file.read_text(errors="replace") for file in files if file.exists())


@contextmanager
def desk_in(world: World, folder: Path, **changes: str) -> Iterator[Desk]:
    """A desk of its own on a database of its own; whatever happens, nothing of it goes on."""
    with world.servers.database() as database:
        desk = Desk(world, folder, database, **changes)
        try:
            yield desk
        finally:
            desk.close()
            world.mend()
            shutil.rmtree(folder, ignore_errors=True)
