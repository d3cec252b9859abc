"""How a desk is exposed to others, as the report's rules of security see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What others could read, change or reach of a desk. `open_files` maps a file to its mode, `plain_servers` are
    remote ones without TLS, `listening` addresses of the desk's servers beyond loopback; the two moments are None where
    there is no backup, and no lock of packages."""

    open_files: Mapping[str, str]
    plain_servers: Sequence[str]
    listening: Sequence[str]
    newest_backup: datetime | None
    packages_locked: datetime | None
    superuser: bool
