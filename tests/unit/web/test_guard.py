"""Who gets to the pages, and who does not."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from agents.core.clock import SimulatedClock
from agents.core.errors import SettingsError, UsageError
from agents.core.settings_sections import WebSettings
from agents.web.access import COOKIE, LASTS_S, Access, token_in
from agents.web.guard import Guard, host_name, is_loopback
from agents.web.server import address_of, listening

TOKEN = "t" * 43
START = datetime(2024, 1, 1, tzinfo=UTC)


def access() -> Access:
    return Access(TOKEN, SimulatedClock(START))


def client(known: Access | None = None, *, names: tuple[str, ...] = (), host: str = "localhost:8420") -> TestClient:
    known = known or access()
    guard = Guard(PlainTextResponse("the page"), access=known, names=names)
    return TestClient(guard, base_url=f"http://{host}", cookies={COOKIE: known.cookie()}, follow_redirects=False)


def test_who_is_logged_in_sees_the_page_and_everybody_else_the_login():
    assert client().get("/").text == "the page"
    stranger = client()
    stranger.cookies.clear()
    assert stranger.get("/live").status_code == 401
    answer = stranger.get("/", headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert stranger.get("/login").text == "the page"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "8.8.8.8:8420",
        "",
        "[::1",
        "evil@localhost:x@a",
    ],
)
def test_a_name_that_is_not_ours_is_refused_also_with_a_login(host):
    """DNS rebinding: somebody else's name that points here."""
    assert client().get("/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:8420", "[::1]:8420", "desk.example.org"])
def test_our_names_are_let_in(host):
    assert client(names=("Desk.example.org",)).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ],
)
def test_another_site_may_not_ask(headers):
    assert client().get("/", headers=headers).status_code == 403


def test_a_link_from_elsewhere_and_our_own_scripts_may():
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    ours = {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}
    assert client().get("/", headers=link).status_code == 200
    assert client().get("/", headers=ours).status_code == 200
    assert client().get("/", headers={"origin": "http://localhost:8420"}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(method):
    assert client().request(method, "/").status_code == 405


def test_every_answer_tells_the_browser_what_to_refuse():
    for answer in (client().get("/"), client().get("/", headers={"host": "evil.example"}), client().post("/")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers


def test_a_cookie_is_not_the_token_runs_out_and_cannot_be_made_up():
    clock = SimulatedClock(START)
    known = Access(TOKEN, clock)
    cookie = known.cookie()
    assert TOKEN not in cookie and known.knows(cookie) and TOKEN not in repr(known)
    until, _, mark = cookie.partition(".")
    for made_up in ("", ".", cookie + "0", f"{int(until) + 1}.{mark}", f"{until}.", f"-{cookie}", f"٣{cookie}", TOKEN):
        assert not known.knows(made_up), made_up
    assert not Access("u" * 43, clock).knows(cookie), "another token's login"
    clock.advance_to(START + timedelta(seconds=LASTS_S + 1))
    assert not known.knows(cookie)


def test_only_the_token_opens():
    known = access()
    assert known.opens(TOKEN) and known.opens(f" {TOKEN}\n")
    for wrong in ("", TOKEN[:-1], TOKEN + "t", TOKEN.upper(), "é"):
        assert not known.opens(wrong)


def test_the_token_is_made_once_in_a_file_of_its_owner(tmp_path):
    token, file = token_in(tmp_path / "secrets")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(token) >= 43
    assert token_in(tmp_path / "secrets") == (token, file)
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="may be read by others") as told:
        token_in(tmp_path / "secrets")
    assert token not in str(told.value)
    file.chmod(0o600)
    file.write_text("\n")
    with pytest.raises(SettingsError, match="holds no token"):
        token_in(tmp_path / "secrets")


def test_nobody_listens_beyond_loopback_without_a_certificate():
    for host in ("0.0.0.0", "192.168.0.7", "::", "desk.example.org"):
        with pytest.raises(SettingsError, match="takes a certificate"), listening(WebSettings(host=host)):
            pass
    assert [is_loopback(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    with pytest.raises(ValueError, match="belong together"):
        WebSettings(certificate="c.pem")


def test_a_port_that_is_taken_is_told(free_port):
    web = WebSettings(port=free_port)
    with listening(web) as first:
        first.listen()
        with pytest.raises(UsageError, match=f"port {free_port}.*in use.*--port"), listening(web):
            pass


@pytest.fixture
def free_port() -> int:
    with listening(WebSettings(port=1).model_copy(update={"port": 0})) as place:
        return place.getsockname()[1]


def test_the_address_is_one_that_a_browser_opens():
    assert address_of(WebSettings()) == "http://127.0.0.1:8420/"
    assert address_of(WebSettings(host="::1", port=9)) == "http://[::1]:9/"
    secure = WebSettings(host="0.0.0.0", names=("desk.example.org",), certificate="c", certificate_key="k")
    assert address_of(secure) == "https://desk.example.org:8420/"
    assert [host_name(h) for h in ("a:1", "[::1]:2", "[::1", "A")] == ["a", "::1", "", "a"]
