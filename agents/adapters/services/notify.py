"""Tell a supervisor (systemd's Type=notify) that we are ready, alive or stopping; nothing where nobody listens."""

from __future__ import annotations

import contextlib
import socket

from agents.core.settings import notify_socket


def notify(state: str) -> None:
    """Send `READY=1`, `WATCHDOG=1`, `STOPPING=1` or `STATUS=...`. Source: sd_notify(3)."""
    address = notify_socket()
    if address is None:
        return
    target = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(state.encode(), target)
