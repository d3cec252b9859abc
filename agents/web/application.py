"""The pages' addresses, put together behind the guard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from agents.adapters.services.notify import notify
from agents.core.errors import AgentsError, ServiceError
from agents.web.access import COOKIE, LASTS_S
from agents.web.agents_page import agents_page
from agents.web.chart_page import chart_data, chart_page, why_part
from agents.web.desk_page import desk_page
from agents.web.guard import LOGIN, Guard
from agents.web.jobs_page import jobs_page
from agents.web.reports_page import POLICY as REPORT_POLICY
from agents.web.reports_page import report_html, reports_page
from agents.web.site import STATIC, Page, Query, Site, rendered
from agents.web.weights_page import weights_page

logger = logging.getLogger(__name__)
PAGES = (
    Page("/", "Desk", "desk.html", desk_page),
    Page("/agents", "Agents", "agents.html", agents_page),
    Page("/weights", "Weights", "weights.html", weights_page),
    Page("/chart", "Chart", "chart.html", chart_page),
    Page("/jobs", "Jobs and health", "jobs.html", jobs_page),
    Page("/reports", "Reports", "reports.html", reports_page),
)
"""In the order of the menu."""
LOGIN_BYTES = 4096
ASK_S, SIGN_OF_LIFE_S, SUPERVISOR_S = 0.25, 15.0, 60.0


def make_application(site: Site, *, names: tuple[str, ...] = (), secure: bool = False) -> Guard:
    """The dashboard of one desk, for hosts of these `names` beside localhost; `secure` where it is served by TLS."""

    @asynccontextmanager
    async def while_served(_pages: FastAPI) -> AsyncIterator[None]:
        site.snapshots.start()
        alive = asyncio.create_task(_tell_supervisor())
        yield
        alive.cancel()
        site.snapshots.stop()

    pages = FastAPI(title="Quorum", docs_url=None, redoc_url=None, openapi_url=None, lifespan=while_served)
    for page in PAGES:
        pages.add_api_route(page.path, _shown(site, page), response_class=HTMLResponse, methods=["GET", "HEAD"])
    pages.add_api_route("/chart/data", partial(_candles, site), methods=["GET"])
    pages.add_api_route("/chart/why", partial(_why, site), response_class=HTMLResponse, methods=["GET"])
    pages.add_api_route("/reports/page", partial(_report_alone, site), response_class=HTMLResponse, methods=["GET"])
    pages.add_api_route(LOGIN, lambda: HTMLResponse(_login(site)), methods=["GET", "HEAD"])
    pages.add_api_route(LOGIN, partial(_log_in, site, secure), methods=["POST"])
    pages.add_api_route("/live", partial(_live, site), methods=["GET"])
    pages.mount("/static", StaticFiles(directory=STATIC))
    pages.add_exception_handler(HTTPException, partial(_not_there, site))
    pages.add_exception_handler(AgentsError, partial(_told, site))
    return Guard(pages, access=site.access, names=names)


async def _tell_supervisor() -> None:
    """That we are ready, and alive as long as requests are answered."""
    notify("READY=1")
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(SUPERVISOR_S)


def _shown(site: Site, page: Page) -> Callable[[Request], HTMLResponse]:
    def show(request: Request) -> HTMLResponse:
        query: Query = dict(request.query_params)
        placed = page.read(site, query)
        return HTMLResponse(rendered(site, page.template, menu=PAGES, page=page, **placed))

    return show


def _candles(site: Site, request: Request) -> JSONResponse:
    return JSONResponse(chart_data(site, dict(request.query_params)))


def _why(site: Site, request: Request) -> HTMLResponse:
    return HTMLResponse(rendered(site, "why.html", **why_part(site, dict(request.query_params))))


def _report_alone(site: Site, request: Request) -> HTMLResponse:
    headers = {"Content-Security-Policy": REPORT_POLICY, "X-Frame-Options": "SAMEORIGIN"}
    return HTMLResponse(report_html(site, dict(request.query_params)), headers=headers)


def _login(site: Site, wrong: bool = False) -> str:
    return rendered(site, "login.html", menu=(), page=None, wrong=wrong)


async def _log_in(site: Site, secure: bool, request: Request) -> Response:
    """A cookie for whoever has the token; it comes in the body, so that no log and no history has it."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LOGIN_BYTES:
            return HTMLResponse(_login(site, wrong=True), 413)
    answer = parse_qs(body.decode("ascii", "replace")).get("token", [""])[0]
    if not site.access.opens(answer):
        return HTMLResponse(_login(site, wrong=True), 403)
    response = RedirectResponse("/", 303)
    response.set_cookie(
        COOKIE, site.access.cookie(), max_age=LASTS_S, path="/", httponly=True, samesite="strict", secure=secure
    )
    return response


async def _live(site: Site, _request: Request) -> StreamingResponse:
    """Server-sent events: a page that is open hears that there is something new. Source: HTML Standard, 9.2."""

    async def events() -> AsyncIterator[str]:
        told, silent_s = site.snapshots.number, 0.0
        yield "retry: 3000\n\n"
        while not site.snapshots.stopping:
            await asyncio.sleep(ASK_S)
            silent_s += ASK_S
            if site.snapshots.number != told:
                told, silent_s = site.snapshots.number, 0.0
                yield f"event: changed\ndata: {told}\n\n"
            elif silent_s >= SIGN_OF_LIFE_S:
                silent_s = 0.0
                yield ": alive\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def _not_there(site: Site, _request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = "There is no such page." if status == 404 else "This cannot be shown."
    return HTMLResponse(rendered(site, "trouble.html", menu=PAGES, page=None, words=words), status)


async def _told(site: Site, _request: Request, error: Exception) -> Response:
    """What a user can mend is told in its own words."""
    status = 503 if isinstance(error, ServiceError) else 404
    return HTMLResponse(rendered(site, "trouble.html", menu=PAGES, page=None, words=str(error)), status)
