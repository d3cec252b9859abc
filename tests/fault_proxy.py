"""A proxy between clients and a server, at UNIX sockets or loopback ports, which injects the faults of a network."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agents.core.clock import SystemClock

CLOCK = SystemClock()
CHUNK_BYTES = 65_536


class Proxy:
    """Stands between clients and a server, both at UNIX sockets (paths) or loopback ports; run it with `proxied`.

    `mode` may be changed at any time: "pass"; "blackhole" takes bytes and passes none on; "refuse" closes new
    connections at once; "delay" passes after `delay_s`; "slice" passes one byte at a time; "drop_reply" passes requests
    on, and once one holds `literal`, closes the client's side instead of passing the reply; "cut_request" closes both
    sides instead of passing such a request on, "cut_half" after half of it. `dropped` counts what was swallowed, cut or refused: the proof that the
    fault fired.
    """

    def __init__(self, listen: Path | int, target: Path | int) -> None:
        self.mode, self.literal, self.delay_s, self.dropped = "pass", b"", 0.5, 0
        self._target = target
        self._listener = _socket_of(listen)
        if isinstance(listen, Path):
            listen.unlink(missing_ok=True)
            self._listener.bind(str(listen))
            listen.chmod(0o777)
        else:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", listen))
        self._listener.listen(32)
        self._stopping = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def port(self) -> int:
        """Where it listens, for a proxy on a loopback port (0 was: any free one)."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        """End all connections and threads."""
        self._stopping.set()
        self.cut()
        for thread in self._threads:
            thread.join(5.0)
        self._listener.close()

    def cut(self) -> None:
        """Reset every connection that is open now (RST on TCP)."""
        for end in self._open:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        self._listener.settimeout(0.1)
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            if self.mode == "refuse":
                self.dropped += 1
                client.close()
                continue
            server = _socket_of(self._target)
            try:
                server.connect(str(self._target) if isinstance(self._target, Path) else ("127.0.0.1", self._target))
            except OSError:
                client.close()
                server.close()
                continue
            self._open += [client, server]
            thread = threading.Thread(target=self._relay, args=(client, server), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        watched, waits = False, selectors.DefaultSelector()
        waits.register(client, selectors.EVENT_READ)
        waits.register(server, selectors.EVENT_READ)
        with client, server, waits, contextlib.suppress(OSError):
            while not self._stopping.is_set():
                for key, _ in waits.select(0.1):
                    source = client if key.fileobj is client else server
                    content = source.recv(CHUNK_BYTES)
                    if not content:
                        return
                    asked = source is client and bool(self.literal) and self.literal in content
                    watched |= asked and self.mode == "drop_reply"
                    if asked and self.mode == "cut_half":
                        server.sendall(content[: len(content) // 2])
                    if (asked and self.mode in ("cut_request", "cut_half")) or (watched and source is server):
                        self.dropped += 1
                        return
                    self._pass_on(content, server if source is client else client)

    def _pass_on(self, content: bytes, to: socket.socket) -> None:
        if self.mode == "blackhole":
            self.dropped += 1
        elif self.mode == "slice":
            for at in range(len(content)):
                to.sendall(content[at : at + 1])
        else:
            if self.mode == "delay":
                CLOCK.sleep_s(self.delay_s)
            to.sendall(content)


@contextmanager
def proxied(listen: Path | int, target: Path | int) -> Iterator[Proxy]:
    """A running proxy."""
    proxy = Proxy(listen, target)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()


def _socket_of(address: Path | int) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET, socket.SOCK_STREAM)
