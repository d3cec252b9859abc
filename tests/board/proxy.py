"""A proxy in front of PostgreSQL's UNIX socket that loses, delays, cuts or swallows what passes.

It counts what it did, which is the proof that a fault happened.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["pass", "drop_reply", "cut_before", "blackhole", "slow"]
SOCKET = ".s.PGSQL.5432"
CHUNK = 65536


@dataclass
class Fault:
    """What happens to the next message that holds `literal` (or to all of them): `drop_reply` passes it on and cuts
    before the answer, `cut_before` cuts before it, `blackhole` swallows everything, `slow` delays each piece."""

    mode: Mode = "pass"
    literal: bytes = b""
    times: int = 1
    delay_s: float = 0.0


class Proxy:
    """Sessions through `folder`/.s.PGSQL.5432 to the real socket."""

    def __init__(self, folder: Path, server: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._server = folder, str(server / SOCKET)
        self.fault, self.fired = Fault(), 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen(64)
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._open = False
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._server)
            except OSError:
                client.close()
                continue
            cut = threading.Event()
            for source, target, upward in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, target, upward, cut), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, upward: bool, cut: threading.Event) -> None:
        """Pass what comes, with the fault of the moment, until either side ends."""
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                fault = self.fault
                if fault.mode == "blackhole":
                    self.fired += 1
                    while self.fault.mode == "blackhole" and self._open:
                        time.sleep(0.05)
                    break
                if fault.mode == "slow":
                    self.fired += 1
                    time.sleep(fault.delay_s)
                hit = upward and fault.literal and fault.literal in data and fault.times > 0
                if hit and fault.mode in ("drop_reply", "cut_before"):
                    fault.times -= 1
                    self.fired += 1
                    if fault.mode == "drop_reply":
                        cut.set()
                        target.sendall(data)
                        time.sleep(0.3)  # the server has done it, and its answer is read by nobody
                    break
                if not upward and cut.is_set():
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
