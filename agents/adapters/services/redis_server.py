"""The embedded Redis: a cache on a UNIX socket, for this user alone; nothing of it is kept on disk."""

from __future__ import annotations

from pathlib import Path

from agents.adapters.services.folder import (
    CLOCK,
    START_TIMEOUT_S,
    Say,
    StateFolder,
    kill_all,
    processes_in,
    works_in,
    write_private,
)
from agents.core.errors import ServiceError

ANSWER_S = 2.0
PROGRAM = "redis-server"
SETTINGS = """
port 0
unixsocket {run}/redis.sock
unixsocketperm 700
daemonize yes
pidfile {run}/redis.pid
logfile "{logs}/redis.log"
dir {run}
save ""
appendonly no
maxmemory 64mb
maxmemory-policy noeviction
"""


class RedisServer:
    """The server of one state directory, running or not."""

    def __init__(self, folder: StateFolder) -> None:
        self._folder = folder
        self._socket = folder.run / "redis.sock"

    def start(self, binaries: Path, say: Say) -> None:
        """Make it answer; ServiceError where it does not."""
        if self._answers():
            return
        say("starting Redis")
        run, logs = self._folder.run, self._folder.logs
        configuration = run / "redis.conf"
        write_private(configuration, SETTINGS.format(run=run, logs=logs))
        self._socket.unlink(missing_ok=True)
        self._folder.run_as_service([str(binaries / "redis-server"), str(configuration)], "Redis did not start")
        if not self._answers():
            raise ServiceError(f"Redis ended while it started; see {logs}/redis.log")

    def pid(self) -> int | None:
        """The server of our state directory; None for no, a dead or somebody else's process."""
        try:
            pid = int((self._folder.run / "redis.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if works_in(pid, self._folder.run, PROGRAM) else None

    def kill(self) -> None:
        """End it at once; there is nothing in it that the database does not have."""
        kill_all(processes_in(self._folder.run, PROGRAM))

    def version(self) -> str:
        """Asked of the running server; ServiceError where it does not answer."""
        import redis  # here: a command that only reads the database starts sooner without it
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        address, once = str(self._socket), Retry(NoBackoff(), 0)  # else a frozen one is asked eleven times
        client = redis.Redis(unix_socket_path=address, socket_timeout=ANSWER_S, retry=once)
        try:
            return str(client.info("server")["redis_version"])
        except (redis.RedisError, OSError) as error:
            raise ServiceError(str(error)) from None
        finally:
            client.close()

    def _answers(self) -> bool:
        """True once the running server answers; False when there is none, also when it dies while we wait."""
        deadline_s = CLOCK.monotonic_s() + START_TIMEOUT_S
        while pids := processes_in(self._folder.run, PROGRAM):
            try:
                self.version()
                return True
            except ServiceError as error:
                if CLOCK.monotonic_s() > deadline_s:
                    raise ServiceError(
                        f"Redis (pid {pids[0]}) runs but does not answer ({error}); end it and try again; see"
                        f" {self._folder.logs}/redis.log"
                    ) from None
                CLOCK.sleep_s(0.05)
        return False
