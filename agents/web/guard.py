"""What stands before every page: who may ask, from where, how; and what the browser is told to refuse."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agents.web.access import COOKIE, Access

LOGIN = "/login"
OPEN_TO_ALL = (LOGIN, "/static/")
"""What a person sees before the login: its page, and how that looks."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
}
"""Of every answer that does not say otherwise itself."""


class Guard:
    """Lets a request through to the pages, or answers it: 400 for a Host that is not ours (a name that somebody else
    lets point here), 403 where another site asks, 405 for what would change something, and without a login the way to
    it."""

    def __init__(self, pages: ASGIApp, *, access: Access, names: Iterable[str] = ()) -> None:
        self._pages = pages
        self._access = access
        self._names = {*LOCAL_NAMES, *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._pages(scope, receive, send)
            return
        refusal = self._refusal(scope)
        await (self._pages if refusal is None else refusal)(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), str(scope["path"])
        if host_name(headers.get("host", "")) not in self._names:
            return PlainTextResponse("this name is not the dashboard's: open it as localhost\n", 400)
        if _from_elsewhere(headers):
            return PlainTextResponse("another site may not ask for this\n", 403)
        if scope["method"] not in ("GET", "HEAD") and not (scope["method"] == "POST" and path == LOGIN):
            return PlainTextResponse("the dashboard only shows\n", 405, {"Allow": "GET"})
        if path.startswith(OPEN_TO_ALL) or self._access.knows(_cookie(headers)):
            return None
        if "text/html" in headers.get("accept", ""):
            return RedirectResponse(LOGIN, 303)
        return PlainTextResponse("log in first\n", 401)


def host_name(host: str) -> str:
    """The name in a Host header, without its port; "" for what is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a socket that listens there."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _from_elsewhere(headers: Headers) -> bool:
    """Whether a browser says that a page of another site asks: no link, but a form, an image, a script."""
    origin = headers.get("origin")
    if origin is not None:
        ours = urlsplit(origin).netloc.lower() if origin != "null" else ""
        return ours != headers.get("host", "").lower()
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return False
    return not (headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document")


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
