"""facts -> recommendations on security: what others could read, change or reach, and what is missing after a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from agents.core.exposure import Exposure
from agents.core.facts import RuleFacts
from agents.core.meta_types import Recommendation, Severity

BACKUP_OLD = timedelta(days=7)
PACKAGES_OLD = timedelta(days=180)
NAMED = 5
"""So many files or addresses are named."""

Rule = Callable[[Exposure, datetime], Iterator[Recommendation]]


def security_rules(facts: RuleFacts) -> Iterator[Recommendation]:
    """What all rules of this file recommend; nothing where nobody looked, as in a replay."""
    if facts.acts_as_owner:
        yield _advice(
            "one_role",
            "medium",
            "All commands act as the owner of the database",
            "Let a superuser run quorum's migrations once, so that the least-privilege roles exist.",
        )
    if facts.exposure is not None:
        for rule in RULES:
            yield from rule(facts.exposure, facts.period.end)


def _advice(fingerprint: str, severity: Severity, title: str, action: str, **evidence: object) -> Recommendation:
    return Recommendation(
        fingerprint=fingerprint, kind="security", severity=severity, title=title, action=action, evidence=evidence
    )


def _file_modes(exposure: Exposure, _at: datetime) -> Iterator[Recommendation]:
    if exposure.open_files:
        names = list(exposure.open_files)[:NAMED]
        yield _advice(
            "file_modes",
            "high",
            f"{len(exposure.open_files)} files that concern you alone are open to others",
            f"chmod go-rwx {' '.join(names)}",
            modes=[f"{name} {exposure.open_files[name]}" for name in names],
        )


def _plain_servers(exposure: Exposure, _at: datetime) -> Iterator[Recommendation]:
    for server in exposure.plain_servers:
        yield _advice(
            f"no_tls:{server}",
            "high",
            f"The connection to {server} is not encrypted",
            "Add sslmode=verify-full to DATABASE_URL, or write rediss:// in REDIS_URL: passwords pass there.",
        )


def _listening(exposure: Exposure, _at: datetime) -> Iterator[Recommendation]:
    if exposure.listening:
        yield _advice(
            "listening",
            "high",
            "A server of this desk can be reached from outside this machine",
            "Set listen_addresses = 'localhost' in PostgreSQL, bind 127.0.0.1 in Redis, or close the ports.",
            addresses=exposure.listening[:NAMED],
        )


def _backups(exposure: Exposure, at: datetime) -> Iterator[Recommendation]:
    newest = exposure.newest_backup
    if newest is None or at - newest > BACKUP_OLD:
        age = "There is no backup" if newest is None else f"The newest backup is {(at - newest).days} days old"
        yield _advice(
            "backup_old",
            "medium",
            f"{age} in the state directory",
            "quorum backup, from cron each night; where you keep backups elsewhere, dismiss this (quorum todo).",
            newest=None if newest is None else f"{newest:%Y-%m-%d}",
        )


def _packages(exposure: Exposure, at: datetime) -> Iterator[Recommendation]:
    locked = exposure.packages_locked
    if locked is not None and at - locked > PACKAGES_OLD:
        yield _advice(
            "packages_old",
            "low",
            f"The locked packages are {(at - locked).days} days old",
            "Update Quorum: a newer release locks packages in which known holes are mended.",
            locked=f"{locked:%Y-%m-%d}",
        )


def _superuser(exposure: Exposure, _at: datetime) -> Iterator[Recommendation]:
    if exposure.superuser:
        yield _advice(
            "superuser",
            "high",
            "The desk's sessions belong to a superuser of the database server",
            "Name a user without that right in DATABASE_URL; who owns the desk's database is enough.",
        )


RULES: tuple[Rule, ...] = (_file_modes, _plain_servers, _listening, _backups, _packages, _superuser)
