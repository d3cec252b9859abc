"""The state directory of the embedded servers: its folders, its lock, and the user whose processes may enter it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import signal
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from agents.core.clock import SystemClock
from agents.core.errors import ServiceError
from agents.core.settings import child_environment, home_state_dir

Say = Callable[[str], None]
"""Shows one line about what is going on."""

CLOCK = SystemClock()
SERVICE_USERS = ("quorum", "postgres", "nobody")
ROOT_STATE_DIR = Path("/var/lib/quorum")
SOCKET_PATH_LIMIT = 100
PLAIN = re.compile(r"[A-Za-z0-9._/+-]+")
UNFIT = frozenset('"$`\\:\n')
"""pg_ctl passes paths through a shell; the loader's list of folders is separated by colons."""
SHARED_PLACES = (Path("/dev/shm"), Path("/tmp"))  # noqa: S108 - guarded by `_require_own_run`
START_TIMEOUT_S = 60
KILL_S = 1.0


class StateFolder:
    """Where the servers of one state directory keep what they have; None: the user's own state directory."""

    def __init__(self, state_dir: Path | None = None) -> None:
        self.root = (state_dir or default_state_dir()).resolve()  # as /proc names it, also behind a link
        self.data = self.root / "postgres"
        self.logs = self.root / "logs"
        self.run = _socket_folder(self.root)

    @contextmanager
    def lock(self, say: Say) -> Iterator[None]:
        """Held while servers are started or stopped; ServiceError where the directory cannot be written."""
        self.require()
        with locked(self.root / "lock", say, "waiting for another quorum command that is preparing the services"):
            yield

    @contextmanager
    def supervising(self) -> Iterator[bool]:
        """Whether this process is the one that keeps the servers up; while it is, no other one is."""
        self.require()
        with (self.root / "supervisor.lock").open("a") as file:
            yield _has(file, fcntl.LOCK_EX)

    def is_supervised(self) -> bool:
        """Whether another process keeps the servers up now."""
        with (self.root / "supervisor.lock").open("a") as file:
            return not _has(file, fcntl.LOCK_SH)

    @property
    def stopped_by_hand(self) -> Path:
        """A file that is there after a person stopped the servers, until somebody starts them."""
        return self.root / "stopped"

    def require(self) -> None:
        """The folder itself; ServiceError where it cannot be written."""
        if wrong := sorted(set(str(self.root)) & UNFIT):
            raise ServiceError(
                f"state directory {self.root} has {' and '.join(map(repr, wrong))} in its name, which PostgreSQL's"
                " programs cannot take; set QUORUM_STATE_DIR to one without"
            )
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / "lock").touch()
        except OSError as error:
            raise ServiceError(
                f"state directory {self.root} cannot be written ({error}); set QUORUM_STATE_DIR"
            ) from None

    def make(self) -> None:
        """The folders, each for the user who runs the servers; ServiceError where that user cannot reach them."""
        owner = service_user()
        if owner is not None:
            self.root.chmod(0o755)
            _require_reachable(self.root, owner)
        self._require_own_run(owner)
        for folder in (self.logs, self.run):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
            give(folder)

    def _require_own_run(self, owner: pwd.struct_passwd | None) -> None:
        """Beside others' files a link or a folder may wait for us at the sockets' place: neither is touched."""
        try:
            found = self.run.lstat()
        except FileNotFoundError:
            return
        ours = {os.geteuid(), *([owner.pw_uid] if owner else [])}
        if stat.S_ISLNK(found.st_mode) or not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours:
            raise ServiceError(
                f"the sockets' place {self.run} is a link or somebody else's; remove it, or set QUORUM_STATE_DIR to"
                " a shorter path"
            )

    def run_as_service(self, command: list[str], failed: str) -> None:
        """Run a program as the user who runs the servers; ServiceError with its last words where it fails."""
        owner = service_user()
        identity = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        with tempfile.TemporaryFile() as output:
            try:
                result = subprocess.run(
                    command,
                    env=child_environment(LC_ALL="C.UTF-8"),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=False,
                    timeout=START_TIMEOUT_S * 2,
                    start_new_session=True,
                    umask=0o077,
                    **identity,  # type: ignore[call-overload]  # the three identity arguments have different types
                )
            except subprocess.TimeoutExpired as error:
                raise ServiceError(f"{failed}: no end within {error.timeout:g} s; see {self.logs}") from None
            if result.returncode != 0:
                output.seek(0)
                lines = output.read().decode(errors="replace").strip().splitlines()
                raise ServiceError(f"{failed}: {' '.join(lines[-3:])}; see {self.logs}")


@contextmanager
def locked(file: Path, say: Say, waiting: str) -> Iterator[None]:
    """Hold the lock `file` while the block runs; says `waiting` where another process has it."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _has(file: IO[str], kind: int) -> bool:
    """Whether the lock of this kind could be had without waiting; it goes when the file is closed."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_private(file: Path, text: str) -> None:
    """Replace a file at once, readable for the user who runs the servers only."""
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text)
    fresh.chmod(0o600)
    give(fresh)
    fresh.replace(file)


def give(path: Path) -> None:
    """Make the user who runs the servers its owner."""
    if (owner := service_user()) is not None:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def default_state_dir() -> Path:
    """XDG state directory of this user; for root a place that the unprivileged service user can reach."""
    return ROOT_STATE_DIR if os.geteuid() == 0 else home_state_dir()


def service_user() -> pwd.struct_passwd | None:
    """Whom the servers run as when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in SERVICE_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServiceError(f"servers must not run as root and none of the users {', '.join(SERVICE_USERS)} exists; add one")


def wait_gone(pid: int, name: str, logs: Path, timeout_s: float = START_TIMEOUT_S) -> None:
    """Return once the process has ended; ServiceError where that takes longer."""
    deadline = CLOCK.monotonic_s() + timeout_s
    while not _is_gone(pid):
        if CLOCK.monotonic_s() > deadline:
            raise ServiceError(f"{name} (pid {pid}) did not stop within {timeout_s:g} s; see {logs}")
        CLOCK.sleep_s(0.05)


def kill_all(pids: list[int]) -> None:
    """SIGKILL, and a moment for the kernel to take the processes down, so that who looks next sees them gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline_s = CLOCK.monotonic_s() + KILL_S
    while not all(_is_gone(pid) for pid in pids) and CLOCK.monotonic_s() < deadline_s:
        CLOCK.sleep_s(0.01)


def processes_in(folder: Path, program: str) -> list[int]:
    """The processes of this program that work in this folder."""
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if works_in(int(p.name), folder, program)]


def works_in(pid: int, folder: Path, program: str) -> bool:
    """Whether the process lives, works in this folder and is this program; no, where it is not ours to see."""
    process = Path(f"/proc/{pid}")
    try:
        return (process / "cwd").readlink() == folder and (process / "comm").read_text().strip() == program
    except OSError:
        return False


def _is_gone(pid: int) -> bool:
    """Also one that waits for its parent only."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (OSError, IndexError):
        return True


def _socket_folder(root: Path) -> Path:
    """A folder whose sockets' paths fit into the 107 bytes that the kernel allows, and into a URL and a list of hosts.

    It depends on nothing but `root`: a service with a private /tmp finds it too.
    """
    if len(str(root / "run" / ".s.PGSQL.5432.lock").encode()) <= SOCKET_PATH_LIMIT and PLAIN.fullmatch(str(root)):
        return root / "run"
    digest = hashlib.sha256(str(root).encode()).hexdigest()[:10]
    shared = next((place for place in SHARED_PLACES if place.is_dir()), SHARED_PLACES[-1])
    return shared / f"quorum-{os.geteuid()}-{digest}"


def _require_reachable(folder: Path, owner: pwd.struct_passwd) -> None:
    for parent in (folder, *folder.parents):
        status = parent.stat()
        if not (status.st_mode & 0o001 or (status.st_uid == owner.pw_uid and status.st_mode & 0o100)):
            raise ServiceError(
                f"the servers run as user '{owner.pw_name}', who may not enter {parent};"
                f" set QUORUM_STATE_DIR to a folder that it can reach, such as {ROOT_STATE_DIR}"
            )
