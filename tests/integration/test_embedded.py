"""The embedded services: private, idempotent, two at once, killed, stale; and archives that must be refused."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import text

from agents.adapters.database.engine import open_engine, transaction
from agents.adapters.services.apt import KEYRING, DebianSource, fetch_packages
from agents.adapters.services.debian import fetch_prefix
from agents.adapters.services.embedded import EmbeddedServices
from agents.adapters.services.folder import service_user
from agents.adapters.services.programs import find_installed, package_cache
from agents.core.clock import SystemClock
from agents.core.errors import ServiceError
from tests.conftest import SERVICES

CLOCK = SystemClock()


def quiet(_line: str) -> None:
    return None


def pids(services: EmbeddedServices) -> tuple[int | None, int | None]:
    return services.postgres.pid(), services.redis.pid()


def test_servers_are_private_and_unprivileged(fresh):
    fresh.up(quiet)
    assert stat.S_IMODE(fresh.run.stat().st_mode) == 0o700
    assert stat.S_IMODE(fresh.data.stat().st_mode) == 0o700
    owner = service_user()
    for pid in pids(fresh):
        assert pid is not None
        uid = Path(f"/proc/{pid}").stat().st_uid
        assert uid == (owner.pw_uid if owner else os.geteuid())
        assert uid != 0
    with psycopg.connect(host=str(fresh.run), user="postgres", dbname="postgres") as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW unix_socket_permissions").fetchone() == ("0700",)
    client = redis.Redis.from_url(fresh.redis_url)
    assert client.config_get("port") == {"port": "0"}
    client.close()


def test_up_twice_is_up_once_and_down_stops_only_its_own(fresh, services):
    fresh.up(quiet)
    before = pids(fresh)
    fresh.up(quiet)
    assert pids(fresh) == before
    assert sorted(fresh.down()) == ["postgresql", "redis"]
    assert fresh.down() == []
    assert all(status.running for status in services.status()), "the suite's own servers still run"
    assert [status.running for status in fresh.status()] == [False, False]


def test_two_commands_at_once(fresh):
    code = (
        "import sys; from pathlib import Path; from agents.adapters.services.embedded import EmbeddedServices;"
        "s = EmbeddedServices(Path(sys.argv[1])); s.prefix = Path(sys.argv[2]); s.up(print); s.ensure_database('quorum')"
    )
    command = [sys.executable, "-c", code, str(fresh.root), str(SERVICES.prefix)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], answers
    assert sum("creating the database cluster" in out for out, _ in answers) == 1
    assert any("waiting for another quorum command" in out for out, _ in answers)


@pytest.mark.fault
def test_killed_servers_and_stale_pid_files(fresh):
    fresh.up(quiet)
    for pid in pids(fresh):
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    deadline = CLOCK.monotonic_s() + 60.0
    while pids(fresh) != (None, None) and CLOCK.monotonic_s() < deadline:
        CLOCK.sleep_s(0.05)
    # A pid that lives, but is somebody else's: ours.
    lines = (fresh.data / "postmaster.pid").read_text().split("\n")
    (fresh.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]))
    fresh.up(quiet)
    assert all(status.running for status in fresh.status())


def test_an_interrupted_first_start_begins_anew(fresh):
    (fresh.root / "postgres.new").mkdir()
    (fresh.root / "postgres.new" / "half").write_text("x")
    fresh.up(quiet)
    fresh.ensure_database("quorum")
    fresh.ensure_database("quorum")
    with psycopg.connect(host=str(fresh.run), user="quorum_owner", dbname="quorum") as connection:
        row = connection.execute("SELECT extname FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    assert row == ("timescaledb",)


def test_a_long_state_directory_gets_a_short_socket(services):
    deep = EmbeddedServices(Path("/tmp") / ("x" * 120))
    assert len(str(deep.run)) < 60


def test_a_temporary_folder_with_a_long_name_changes_nothing(services, monkeypatch, tmp_path):
    before = EmbeddedServices(Path("/tmp") / ("x" * 120)).run
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("y" * 200)))
    assert EmbeddedServices(Path("/tmp") / ("x" * 120)).run == before


def test_a_state_directory_with_an_odd_name_works(fresh):
    """A space, a comma, a quote, a percent sign, a letter beyond ASCII: in paths, lists, URLs and settings files."""
    odd = EmbeddedServices(fresh.root / "it's, my #1 (50%) état")
    odd.prefix = fresh.prefix
    try:
        odd.up(quiet)
        odd.up(quiet)
        odd.ensure_database("quorum")
        engine = open_engine(odd.database_url("quorum", "quorum_owner"))
        with transaction(engine) as connection:
            assert connection.execute(text("SELECT current_database()")).scalar() == "quorum"
        engine.dispose()
        client = redis.Redis.from_url(odd.redis_url)
        assert client.ping()
        client.close()
        assert (odd.root / "logs" / "redis.log").exists()
        assert sorted(odd.down()) == ["postgresql", "redis"]
    finally:
        odd.down()
        shutil.rmtree(odd.run, ignore_errors=True)


@pytest.mark.parametrize("name", ['a"b', "a$b", "a`b", "a\\b", "a:b"])
def test_a_state_directory_that_the_programs_cannot_take_is_one_line(tmp_path, name):
    with pytest.raises(ServiceError, match="in its name, .* set QUORUM_STATE_DIR"):
        EmbeddedServices(tmp_path / name).up(quiet)
    assert not (tmp_path / name).exists()


def test_a_state_directory_behind_a_link_is_one_with_its_target(fresh, tmp_path):
    (tmp_path / "link").symlink_to(fresh.root)
    assert EmbeddedServices(tmp_path / "link").run == fresh.run


@pytest.mark.parametrize("kind", ["link", "file", "folder of another user"])
def test_what_others_put_at_the_sockets_place_is_refused_and_not_touched(fresh, tmp_path, kind):
    deep = EmbeddedServices(fresh.root / ("x" * 120))
    deep.prefix = fresh.prefix
    target = tmp_path / "victim"
    target.mkdir(mode=0o755)
    before = target.stat()
    try:
        if kind == "link":
            deep.run.symlink_to(target)
        elif kind == "file":
            deep.run.write_text("")
        elif os.geteuid() == 0:
            deep.run.mkdir()
            os.chown(deep.run, 12345, 12345)
        else:
            pytest.skip("only root makes another user's folder")
        with pytest.raises(ServiceError, match="is a link or somebody else's; remove it"):
            deep.up(quiet)
        assert (target.stat().st_mode, target.stat().st_uid) == (before.st_mode, before.st_uid)
    finally:
        if deep.run.is_dir() and not deep.run.is_symlink():
            deep.run.rmdir()
        else:
            deep.run.unlink(missing_ok=True)  # where the test was skipped


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the servers to another user")
def test_a_state_directory_that_the_servers_cannot_reach_is_one_line(tmp_path):
    tmp_path.chmod(0o700)
    with pytest.raises(ServiceError, match="may not enter .* set QUORUM_STATE_DIR"):
        EmbeddedServices(tmp_path / "state").up(quiet)


# ---------------------------------------------------------------- archives

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None or not KEYRING.exists(), reason="not a Debian")


def make_unsigned(folder: Path) -> DebianSource:
    release = folder / "dists" / "trixie"
    (release / "main" / "binary-amd64").mkdir(parents=True)
    (release / "main" / "binary-amd64" / "Packages").write_text("")
    (release / "Release").write_text(
        "Origin: Debian\nSuite: trixie\nCodename: trixie\nComponents: main\nArchitectures: amd64\n"
    )
    return DebianSource(mirror=f"file:{folder}")


@needs_apt
def test_an_unsigned_archive_is_refused(tmp_path):
    source = make_unsigned(tmp_path / "mirror")
    with pytest.raises(ServiceError, match="cannot be used.*(not signed|NO_PUBKEY|InRelease|does not have)"):
        fetch_prefix(tmp_path / "prefix", tmp_path / "cache", quiet, source)
    assert not (tmp_path / "prefix").exists()


@pytest.fixture(scope="module")
def genuine_release() -> bytes:
    try:
        with urllib.request.urlopen("http://deb.debian.org/debian/dists/trixie/InRelease", timeout=20) as answer:
            return answer.read()
    except OSError:
        pytest.skip("Debian's archive cannot be reached")


@needs_apt
def test_a_tampered_archive_is_refused(tmp_path, genuine_release):
    """Debian's own signed index with one line changed: the signature no longer fits."""
    source = make_unsigned(tmp_path / "mirror")
    tampered = genuine_release.replace(b"Codename: trixie", b"Codename: trixiE", 1)
    assert tampered != genuine_release
    (tmp_path / "mirror" / "dists" / "trixie" / "InRelease").write_bytes(tampered)
    with pytest.raises(ServiceError, match="cannot be used"):
        fetch_prefix(tmp_path / "prefix", tmp_path / "cache", quiet, source)
    assert not (tmp_path / "prefix").exists()


@needs_apt
def test_a_genuine_index_with_other_packages_is_refused(tmp_path, genuine_release):
    """A signature that fits, but a package list that the signed index does not know."""
    source = make_unsigned(tmp_path / "mirror")
    (tmp_path / "mirror" / "dists" / "trixie" / "InRelease").write_bytes(genuine_release)
    (tmp_path / "mirror" / "dists" / "trixie" / "main" / "binary-amd64" / "Packages").write_text(
        "Package: evil\nVersion: 1\n\n"
    )
    with pytest.raises(ServiceError, match="cannot be used"):
        fetch_prefix(tmp_path / "prefix", tmp_path / "cache", quiet, source)


needs_fetching = pytest.mark.skipif(find_installed() is not None, reason="a server is installed, so nothing is fetched")


def stamps(archives: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in archives.glob("*.deb")}


@needs_apt
@needs_fetching
@pytest.mark.slow
def test_a_fetch_that_was_killed_resumes_and_leaves_the_system_alone(tmp_path, genuine_release):
    watched = [Path("/var/lib/dpkg/status"), Path("/var/lib/apt/lists"), Path("/var/cache/apt/archives")]
    before = [path.stat().st_mtime_ns for path in watched if path.exists()]
    prefix, cache = tmp_path / "prefix", tmp_path / "cache"
    code = (
        "import sys; from pathlib import Path; from agents.adapters.services.debian import fetch_prefix;"
        "fetch_prefix(Path(sys.argv[1]), Path(sys.argv[2]), print)"
    )
    command = [sys.executable, "-c", code, str(prefix), str(cache)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    archives = cache / "archives"
    while len(list(archives.glob("*.deb"))) < 5 and process.poll() is None:
        CLOCK.sleep_s(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not prefix.exists(), "never half a prefix"
    complete = stamps(archives)
    fetch_prefix(prefix, cache, quiet)
    assert complete
    assert complete.items() <= stamps(archives).items(), "what was complete was not fetched again"
    postgres = next(prefix.glob("usr/lib/postgresql/*/bin/postgres"))
    assert "PostgreSQL" in subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True).stdout
    fetch_prefix(prefix, cache, quiet, DebianSource(mirror="http://127.0.0.1:1/none"))
    assert [path.stat().st_mtime_ns for path in watched if path.exists()] == before


@needs_apt
@needs_fetching
@pytest.mark.slow
def test_fetched_packages_are_used_again_and_a_damaged_one_is_fetched_again(tmp_path, genuine_release):
    fetch_packages(package_cache(), quiet)
    cache = tmp_path / "cache"
    shutil.copytree(package_cache(), cache)
    complete, lines = stamps(cache / "archives"), list[str]()
    packages = fetch_packages(cache, lines.append)
    assert stamps(cache / "archives") == complete
    assert sorted(path.name for path in packages) == sorted(complete)
    assert not any("fetching" in line for line in lines)

    damaged = next(path for path in packages if path.name.startswith("redis-server_"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1  # the size stays: apt alone would take it
    damaged.write_bytes(content)
    (cache / "archives" / "evil_1.0_all.deb").write_bytes(content)
    assert fetch_packages(cache, lines.append) == packages
    assert any(f"(1 of {len(complete)} packages" in line for line in lines)
    assert stamps(cache / "archives").keys() == complete.keys()
    content[len(content) // 2] ^= 1
    assert damaged.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cache directory .* cannot be written .* set XDG_CACHE_HOME"):
        fetch_prefix(tmp_path / "prefix", tmp_path / "file" / "cache", quiet)
