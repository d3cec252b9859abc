"""The dashboard on a recorded desk: its pages tell what SQL tells, to whom they should, safely."""

from __future__ import annotations

import html
import logging
import re
from html.parser import HTMLParser

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from starlette.testclient import TestClient

from agents.reports.formatting import money, number, percent, quantity, signed_money
from agents.web.access import COOKIE
from agents.web.application import PAGES
from tests.dashboard import EVIL, NAME, TOKEN, looked_at, recorded_desk

PATHS = [page.path for page in PAGES]


@pytest.fixture(scope="module")
def desk(services):
    with recorded_desk() as owner, looked_at(owner, NAME) as looked:
        yield looked


@pytest.fixture
def asked(desk):
    """One row of a query, as the owner."""

    def ask(query, **values):
        with desk.owner.connect() as connection:
            return connection.execute(text(query), values).first()

    return ask


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def words_of(page: str) -> str:
    """What a reader sees, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_every_page_answers_and_is_one_document(desk):
    for path in PATHS:
        answer = desk.client.get(path)
        assert answer.status_code == 200, (path, answer.text[:500])
        tags = [tag for tag, _ in Tags(answer.text).found]
        assert tags.count("h1") == 1 and tags.count("main") == 1, path
        assert "undefined" not in answer.text.lower() and "None</td>" not in answer.text, path


def test_nothing_that_was_written_by_others_becomes_html(desk):
    """Reasons, alarms and names with HTML in them are shown as words; no page has a script or a style inside."""
    shown = 0
    for path in PATHS:
        page = desk.client.get(path).text
        shown += html.escape(EVIL, quote=True).replace("&#x27;", "&#39;") in page
        for tag, attributes in Tags(page).found:
            assert not (tag == "script" and not (attributes.get("src") or "").startswith("/static/")), path
            assert tag != "style" and "style" not in attributes, path
            assert not [name for name in attributes if name.startswith("on")], path
            assert attributes.get("src") != "x", path
    assert shown, "no page shows it at all"


def test_no_page_asks_another_machine_for_anything(desk):
    for path in PATHS:
        for _tag, attributes in Tags(desk.client.get(path).text).found:
            for name in ("src", "href", "action"):
                assert (attributes.get(name) or "/").startswith(("/", "#", "?")), (path, attributes)


def test_the_desk_page_tells_what_sql_tells(desk, asked):
    words = words_of(desk.client.get("/").text)
    equity, cash = asked("SELECT equity, cash FROM decisions ORDER BY time DESC LIMIT 1")
    assert f"Equity {money(equity)} cash {money(cash)}" in words
    (fall,) = asked("SELECT drawdown FROM v_equity WHERE book NOT LIKE '%:%' ORDER BY time DESC LIMIT 1")
    assert f"Drawdown {percent(fall)}" in words
    with desk.owner.connect() as connection:
        positions = connection.execute(text("SELECT * FROM v_positions")).all()
    assert positions
    for held in positions:
        assert f"{held.symbol} {quantity(held.quantity)}" in words
        assert signed_money(held.unrealised_pnl) in words
    (state,) = asked("SELECT risk_state FROM v_health")
    assert f"risk state {state}" in words


def test_weights_and_agents_tell_what_sql_tells(desk, asked):
    words = words_of(desk.client.get("/weights").text)
    with desk.owner.connect() as connection:
        for name, weight in connection.execute(text("SELECT agent_name, weight FROM v_weights_current")):
            assert f"{name} {percent(weight)}" in words
    version, reason = asked("SELECT version, reason FROM weight_history ORDER BY version DESC LIMIT 1")
    one = words_of(desk.client.get(f"/weights?version={version}").text)
    assert reason[1:] in one and f"version {version}" in one
    assert desk.client.get("/weights?version=99999").status_code == 404
    assert desk.client.get("/weights?version=1;DROP").status_code == 404
    words = words_of(desk.client.get("/agents").text)
    query = "SELECT agent_name, sharpe_ratio FROM agent_scorecards WHERE window_days = 0 AND sharpe_ratio IS NOT NULL"
    newest = " AND date = (SELECT max(date) FROM agent_scorecards)"
    with desk.owner.connect() as connection:
        cards = connection.execute(text(query + newest)).all()
    assert cards
    for name, ratio in cards:
        assert f"{name} {number(ratio)}" in words


def test_candles_are_the_bars_thinned_or_not(desk, asked):
    """Every bar where there is room; where not, candles with the first open, the last close and the ends between."""
    (symbol,) = asked("SELECT max(symbol) FROM bars")
    everything = f"symbol={symbol}&start=0&end=4000000000"
    told = desk.client.get(f"/chart/data?{everything}").json()
    with desk.owner.connect() as connection:
        query = "SELECT extract(epoch FROM time), open, close, adjustment FROM bars WHERE symbol = :s ORDER BY time"
        bars = connection.execute(text(query), {"s": symbol}).all()
    assert told["time"] == [int(bar[0]) for bar in bars] and told["width"] == 86400
    last = bars[-1].adjustment
    for shown, bar in zip(told["close"], bars, strict=True):
        assert shown == pytest.approx(bar.close * bar.adjustment / last, rel=1e-5)
    (fills,) = asked("SELECT count(*) FROM fills WHERE symbol = :s", s=symbol)
    assert len(told["fills"]) == fills > 0
    wide = desk.view.dashboard.candles(symbol, 0.0, 4e9, 28 * 86400)
    assert len(wide["time"]) < len(bars) / 10
    assert wide["open"][0] == pytest.approx(bars[0].open * bars[0].adjustment / last)
    assert wide["close"][-1] == pytest.approx(bars[-1].close)
    assert max(wide["high"]) == pytest.approx(max(desk.view.dashboard.candles(symbol, 0.0, 4e9, 86400)["high"]))
    for wrong in ("symbol=NOPE&start=0&end=1", f"symbol={symbol}&start=x&end=1", f"symbol={symbol}&start=nan&end=inf"):
        assert desk.client.get(f"/chart/data?{wrong}").status_code == 404, wrong


def test_why_has_each_vote_and_html_stays_words(desk, asked):
    (symbol,) = asked("SELECT max(symbol) FROM decision_details")
    page = desk.client.get(f"/chart/why?symbol={symbol}&at=2999-01-01").text
    with desk.owner.connect() as connection:
        query = "SELECT agent_name FROM signals WHERE symbol = :s AND time = (SELECT max(time) FROM decisions)"
        names = connection.execute(text(query), {"s": symbol}).scalars().all()
    assert EVIL in names and "<script" not in page
    for name in names:
        assert name in html.unescape(page)
    assert "Nothing was decided" in desk.client.get(f"/chart/why?symbol={symbol}&at=1950-01-01").text
    assert desk.client.get(f"/chart/why?symbol={symbol}&at=yesterday").status_code == 404


def test_a_report_is_shown_alone_and_can_do_nothing(desk, asked):
    (number_of,) = asked("SELECT max(id) FROM project_reports")
    answer = desk.client.get(f"/reports/page?id={number_of}")
    policy = answer.headers["content-security-policy"]
    assert (
        answer.status_code == 200 and "sandbox" in policy and "script-src" not in policy and "<img" not in answer.text
    )
    assert "frame-ancestors 'self'" in policy and answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert desk.client.get("/reports?id=99999").status_code == 404


def test_the_login_takes_the_token_only_from_our_own_page_and_tells_nobody(desk, caplog):
    caplog.set_level(logging.DEBUG)
    with_redirects = desk.client.get("/login")
    assert with_redirects.status_code == 200 and TOKEN not in with_redirects.text
    app = desk.client.app
    stranger = TestClient(app, base_url="http://localhost:8420", follow_redirects=False)
    assert stranger.get("/", headers={"accept": "text/html"}).headers["location"] == "/login"
    for wrong in ("", "x", TOKEN[:-1], TOKEN * 1000, "%00", "é"):
        answer = stranger.post("/login", data={"token": wrong})
        assert answer.status_code in (403, 413) and "set-cookie" not in answer.headers, wrong
    elsewhere = stranger.post("/login", data={"token": TOKEN}, headers={"origin": "http://evil.example"})
    assert elsewhere.status_code == 403 and "set-cookie" not in elsewhere.headers
    assert stranger.get(f"/login?token={TOKEN}").status_code == 200 and not stranger.cookies
    answer = stranger.post("/login", data={"token": TOKEN}, headers={"origin": "http://localhost:8420"})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; ")) and cookie.startswith(COOKIE)
    assert TOKEN not in cookie and TOKEN not in caplog.text.replace(f"token={TOKEN}", "")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/static/../agents/web/access.py", "/static/%2e%2e/access.py", "/openapi.json", "/docs"]
)
def test_what_is_not_there_is_told_as_a_page(desk, path):
    answer = desk.client.get(path)
    assert answer.status_code == 404 and "There is no such page." in answer.text and "import" not in answer.text


def test_static_files_are_for_browsers_to_keep_only_with_their_digest(desk):
    page = desk.client.get("/").text
    for source in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        answer = desk.client.get(source)
        assert answer.status_code == 200 and "?" in source, source


def test_the_dashboard_can_write_nothing(desk):
    for statement in (
        "INSERT INTO risk_events (time, from_state, to_state, reason, actor) VALUES (now(), 'a', 'b', 'c', 'd')",
        "SET default_transaction_read_only = off; DELETE FROM orders",
        "SELECT * FROM email_config",
    ):
        with pytest.raises((DBAPIError, ProgrammingError)), desk.view.engine.begin() as connection:
            connection.execute(text(statement))


def test_what_is_new_is_shown_without_a_restart(desk):
    """A new alarm is on record, and the next look shows it."""
    before = desk.client.get("/").text
    assert "made by a test" not in before
    with desk.owner.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO alarms (kind, subject, severity, detail, opened_at)"
                " SELECT 'clock', 'test', 'info', 'made by a test', max(time) FROM decisions"
            )
        )
    clock = desk.view.clock
    deadline_s = clock.monotonic_s() + 60.0
    while "made by a test" not in desk.client.get("/").text:
        assert clock.monotonic_s() < deadline_s
        clock.sleep_s(0.1)


def test_an_empty_desk_says_what_to_do(database, owner):
    with looked_at(owner, database) as looked:
        for path in PATHS:
            answer = looked.client.get(path)
            assert answer.status_code == 200, (path, answer.text[:800])
        words = words_of(looked.client.get("/").text)
        assert "No decision has been made yet" in words and "quorum import-bars" in words
