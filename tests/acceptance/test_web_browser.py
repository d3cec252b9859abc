"""The dashboard in a real browser, wide, on a phone and in the dark: no error in its console, nothing beyond the edge of
the screen, the chart by keyboard. Debian: apt install chromium chromium-driver.

    ./scripts/run_tests.sh tests/acceptance/test_web_browser.py
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator

import pytest
import uvicorn

from agents.core.clock import SystemClock
from agents.core.settings_sections import WebSettings
from agents.web.access import Access
from agents.web.application import PAGES, make_application
from agents.web.server import listening
from agents.web.site import Site
from agents.web.snapshots import Snapshots
from tests.dashboard import EVIL, NAME, TOKEN, open_view, recorded_desk

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
CLOCK = SystemClock()
SCREENS = {"wide": (1400, "light"), "dark": (1400, "dark"), "phone": (390, "light"), "phone in the dark": (390, "dark")}
WAIT_S = 60.0


@pytest.fixture(scope="module")
def address(services) -> Iterator[str]:
    """Where a recorded desk is served."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver (Debian: apt install chromium chromium-driver)")
    with recorded_desk(), listening(WebSettings(port=1).model_copy(update={"port": 0})) as place:
        view = open_view(NAME)
        site = Site(view, Snapshots(view), Access(TOKEN, CLOCK))
        server = uvicorn.Server(uvicorn.Config(make_application(site), log_config=None, ws="none", loop="asyncio"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        yield f"http://localhost:{place.getsockname()[1]}"
        site.snapshots.stop()
        server.should_exit = True
        thread.join(WAIT_S)
        view.close()


@pytest.fixture(scope="module")
def browser(address):
    """A browser that is logged in by the form."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(DRIVER))
    made.get(f"{address}/login")
    made.find_element("id", "token").send_keys(TOKEN + "\n")
    wait_for(lambda: made.find_elements("css selector", "nav a"))
    yield made
    made.quit()


def wait_for(there) -> None:
    deadline_s = CLOCK.monotonic_s() + WAIT_S
    while not there():
        assert CLOCK.monotonic_s() < deadline_s
        CLOCK.sleep_s(0.1)


def errors(browser) -> list[str]:
    """What its console has that is no remark; a page's requests that were refused are there too."""
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def on_screen(browser, screen: str) -> None:
    width, scheme = SCREENS[screen]
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_fits_and_has_no_error(browser, address, screen):
    on_screen(browser, screen)
    errors(browser)
    for page in PAGES:
        browser.get(address + page.path)
        wait_for(lambda: browser.execute_script("return document.readyState") == "complete")
        CLOCK.sleep_s(0.5)
        found = errors(browser)
        assert not found, (page.path, found)
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= SCREENS[screen][0], page.path
        paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        dark = sum(map(int, paper[4:-1].split(","))) < 200
        assert dark == (SCREENS[screen][1] == "dark"), page.path
        assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0, page.path
        assert browser.title.endswith("· t")
    assert EVIL.startswith("<script"), "and it is on these pages"


def test_the_chart_moves_by_keyboard_and_tells_why(browser, address):
    on_screen(browser, "wide")
    browser.get(f"{address}/chart")
    canvas, reading = (browser.find_element("id", name) for name in ("candles", "reading"))
    drawn = (
        "return document.getElementById('candles').getContext('2d').getImageData(0, 0, 1200, 600).data.some((v) => v)"
    )
    wait_for(lambda: canvas.send_keys("\ue012") or "close" in reading.text)  # arrow left, until there are candles
    assert browser.execute_script(drawn)  # once: of more readings the browser itself warns
    first = reading.text
    canvas.send_keys("\ue012")
    wait_for(lambda: reading.text != first)
    day = reading.text[:10]
    wait_for(lambda: day in browser.find_element("id", "why-title").text)
    assert not errors(browser)


def test_a_page_that_is_open_shows_what_is_new(browser, address, services):
    from sqlalchemy import text

    from agents.adapters.database.engine import open_engine

    on_screen(browser, "wide")
    browser.get(f"{address}/jobs")
    owner = open_engine(services.database_url(NAME, "quorum_owner"))
    with owner.begin() as connection:
        statement = (
            "INSERT INTO alarms (kind, subject, severity, detail, opened_at)"
            " SELECT 'clock', 'browser', 'info', 'shown without a reload', max(time) FROM decisions"
        )
        connection.execute(text(statement))
    owner.dispose()
    wait_for(lambda: "shown without a reload" in browser.find_element("id", "content").text)
