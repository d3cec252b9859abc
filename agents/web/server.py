"""The dashboard's server: one process, on loopback unless the settings name another address and a certificate."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvicorn

from agents.core.errors import SettingsError, UsageError
from agents.core.settings_sections import WebSettings
from agents.core.stopping import stop_in_time
from agents.web.access import Access
from agents.web.application import make_application
from agents.web.guard import is_loopback
from agents.web.site import Site
from agents.web.snapshots import Snapshots
from agents.wiring.dashboard import DeskView

GRACE_S = 1
"""Answers that are being given may take so long when the server is told to stop."""
BACKLOG = 128


class _Server(uvicorn.Server):
    """Told to stop by whoever runs it, not by signals of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def listening(web: WebSettings) -> Iterator[socket.socket]:
    """The socket of these settings. SettingsError where it would be reached from elsewhere without a certificate,
    UsageError where nobody can listen there."""
    if not is_loopback(web.host) and not web.certificate:
        raise SettingsError(
            f"web.host = '{web.host}' is reached from other machines, which takes a certificate: set web.certificate"
            " and web.certificate_key, or leave web.host and reach it by ssh -L"
        )
    with ExitStack() as stack:
        try:
            family = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM)[0][0]
            place = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind((web.host, web.port))
        except OSError as error:
            raise UsageError(f"cannot listen at {web.host} port {web.port}: {error.strerror}; try --port N") from None
        yield place


def address_of(web: WebSettings) -> str:
    """Where a browser opens it."""
    name = web.names[0] if web.names else web.host
    name = f"[{name}]" if ":" in name else name
    return f"{'https' if web.certificate else 'http'}://{name}:{web.port}/"


def serve(view: DeskView, web: WebSettings, token: str, place: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM, which end it within a second or two. SettingsError for a certificate that cannot
    be used."""
    site = Site(view, Snapshots(view), Access(token, view.clock))
    application = make_application(site, names=(*web.names, web.host), secure=bool(web.certificate))
    config = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        ws="none",
        loop="asyncio",
        http="h11",
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=web.certificate or None,
        ssl_keyfile=web.certificate_key or None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"web.certificate {web.certificate} and its key cannot be used: {error}") from None
    server = _Server(config)

    def stop() -> None:
        site.snapshots.stop()
        server.should_exit = True

    stop_in_time(stop, grace_s=2.0 * GRACE_S)
    server.run(sockets=[place])
