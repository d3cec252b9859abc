"""Rules of security, each with what makes it speak and what does not; and how the machine is looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import psutil
import pytest

from agents.adapters.services.exposure import is_local, listening_beyond_loopback, newest_file, open_files
from agents.core.exposure import Exposure
from agents.tuning.recommendations import recommend
from tests.unit.reports.test_report import AT, empty_facts

SOUND = Exposure(
    open_files={},
    plain_servers=[],
    listening=[],
    newest_backup=AT - timedelta(days=1),
    packages_locked=AT - timedelta(days=30),
    superuser=False,
)


def advised(**changes):
    facts = replace(empty_facts(), exposure=replace(SOUND, **changes))
    return {r.fingerprint: r for r in recommend(facts) if r.kind == "security"}


def test_a_sound_desk_is_left_in_peace():
    assert advised() == {}
    assert not [r for r in recommend(empty_facts()) if r.kind == "security"], "where nobody looked, nothing is said"


@pytest.mark.parametrize(
    ("changes", "fingerprint", "words"),
    [
        ({"open_files": {".env": "0644", "key": "0666"}}, "file_modes", "2 files that concern you alone"),
        ({"plain_servers": ["Redis at cache.example.org"]}, "no_tls:Redis at cache.example.org", "is not encrypted"),
        ({"listening": ["0.0.0.0:5432"]}, "listening", "reached from outside"),
        ({"newest_backup": None}, "backup_old", "There is no backup"),
        ({"newest_backup": AT - timedelta(days=8)}, "backup_old", "8 days old"),
        ({"packages_locked": AT - timedelta(days=200)}, "packages_old", "200 days old"),
        ({"superuser": True}, "superuser", "superuser"),
    ],
)
def test_each_weakness_is_one_recommendation(changes, fingerprint, words):
    found = advised(**changes)
    assert list(found) == [fingerprint]
    assert words in found[fingerprint].title and found[fingerprint].action


def test_modes_are_those_that_others_could_use(tmp_path):
    tmp_path.chmod(0o755)
    files = {}
    for name, mode in (("secret", 0o644), ("own", 0o600), ("code", 0o644), ("theirs", 0o664)):
        files[name] = tmp_path / name
        files[name].touch()
        files[name].chmod(mode)
    hidden = tmp_path / "folder"
    hidden.mkdir(mode=0o700)
    (hidden / "dump").touch(mode=0o644)
    secret = [files["secret"], files["own"], hidden / "dump", tmp_path / "none"]
    assert open_files(secret, [files["code"], files["theirs"]]) == {
        str(files["secret"]): "0644",
        str(files["theirs"]): "0664",
    }


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((host, True) for host in ("", None, "/run/x", "localhost", "127.3.2.1", "::1")),
        *((host, False) for host in ("10.0.0.1", "db.example.org", "0.0.0.0", "::")),
    ],
)
def test_what_is_local(host, local):
    assert is_local(host) is local


def test_only_the_desks_ports_beyond_loopback_are_named(monkeypatch):
    def socket(ip, port, status=psutil.CONN_LISTEN):
        return SimpleNamespace(status=status, laddr=SimpleNamespace(ip=ip, port=port))

    heard = [
        socket("127.0.0.1", 5432),
        socket("10.1.2.3", 5432),
        socket("10.1.2.3", 5432, psutil.CONN_ESTABLISHED),
        socket("10.1.2.3", 22),
        socket("::", 6379),
    ]
    monkeypatch.setattr(psutil, "net_connections", lambda kind: heard)
    assert listening_beyond_loopback([5432, 6379]) == ["10.1.2.3:5432", ":::6379"]
    assert listening_beyond_loopback([]) == []


def test_the_newest_backup_counts(tmp_path):
    assert newest_file(tmp_path, "*.dump") is None
    assert newest_file(tmp_path / "none", "*.dump") is None
    (tmp_path / "a.dump").touch()
    assert newest_file(tmp_path, "*.dump") == (tmp_path / "a.dump").stat().st_mtime
