"""What of this machine others could read, change or reach: modes of files, and who listens beyond loopback."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

import psutil

LOCAL_NAMES = ("", "localhost")


def open_files(secret: Iterable[Path], code: Iterable[Path]) -> dict[str, str]:
    """File -> its mode (0644): of `secret` those that anybody but their owner may read or change, of `code` those that
    anybody else may change. A file that is not there, or whose folder nobody else may enter, is left out."""
    found = {}
    for forbidden, paths in ((0o077, secret), (0o022, code)):
        for path in paths:
            try:
                mode, folder = (stat.S_IMODE(place.stat().st_mode) for place in (path, path.absolute().parent))
            except OSError:
                continue
            if mode & forbidden and folder & 0o011:
                found[str(path)] = f"{mode:04o}"
    return found


def listening_beyond_loopback(ports: Iterable[int]) -> list[str]:
    """Addresses of this machine that others reach, at which somebody listens on one of these ports."""
    wanted = set(ports)
    try:
        sockets = psutil.net_connections(kind="tcp") if wanted else []
    except (psutil.Error, OSError):
        return []
    heard = {
        f"{socket.laddr.ip}:{socket.laddr.port}"
        for socket in sockets
        if socket.status == psutil.CONN_LISTEN and socket.laddr.port in wanted and not is_local(socket.laddr.ip)
    }
    return sorted(heard)


def is_local(host: str | None) -> bool:
    """Whether this host is a socket's folder or this machine's loopback."""
    if host is None or host in LOCAL_NAMES or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def newest_file(folder: Path, pattern: str) -> float | None:
    """When the newest file of this name was written, in seconds since 1970; None where there is none."""
    return max(_written(folder.glob(pattern)), default=None)


def _written(files: Iterable[Path]) -> Iterator[float]:
    for file in files:
        try:
            yield file.stat().st_mtime
        except OSError:
            continue
