"""`quorum services`: the embedded PostgreSQL and Redis, started, stopped, shown, or kept up by this process."""

from __future__ import annotations

import threading
from argparse import Namespace

from agents.adapters.services.embedded import EmbeddedServices
from agents.adapters.services.keeper import ServerKeeper
from agents.adapters.services.notify import notify
from agents.cli.screen import Screen, rows_table
from agents.core.clock import Clock, SystemClock
from agents.core.endurance import Endurance
from agents.core.errors import ServiceError
from agents.core.log import configure_logging
from agents.core.settings import load_settings
from agents.core.stopping import stop_in_time
from agents.wiring.connections import services_of

NOT_RUNNING = 3
"""The exit status where a service does not run, as systemctl's."""
PAUSE_S = 1.0
STOP_S = 3.5
"""For each server, so that the process ends within the ten seconds that are promised of every daemon."""
CLAIM_S = 10.0
"""A daemon that mends the servers at this moment is done by then."""


def services(options: Namespace, screen: Screen) -> int:
    """The embedded servers; exit status 3 where `status` sees one that does not run."""
    settings = load_settings(options.settings)
    embedded = services_of(settings)
    needed = settings.database_url is None or settings.redis_url is None
    if not needed and options.action != "status":
        screen.result({"needed": False}, "not needed: DATABASE_URL and REDIS_URL name your own servers")
        if options.action == "run":
            _idle()
        return 0
    if options.action == "run":
        configure_logging(settings.log_folder / "services.log", level=settings.log_level)
        keep_up(embedded, SystemClock(), screen)
        return 0
    if options.action == "up":
        embedded.up(screen.say)
    elif options.action == "down":
        stopped = embedded.down()
        screen.result({"stopped": stopped}, "stopped " + " and ".join(stopped) if stopped else "nothing was running")
        return 0
    servers = embedded.status()
    document = [{"name": s.name, "running": s.running, "detail": s.detail} for s in servers]
    lines = [{**row, "running": "yes" if row["running"] else "no"} for row in document]
    screen.result(document, rows_table("Embedded services", lines, ("name", "running", "detail")))
    return 0 if all(s.running for s in servers) else NOT_RUNNING


def keep_up(embedded: EmbeddedServices, clock: Clock, screen: Screen) -> None:
    """Keep the servers up until told to stop, then stop them; ServiceError where another process does so already."""
    stopping = threading.Event()
    stop_in_time(stopping.set)
    deadline_s = clock.monotonic_s() + CLAIM_S
    while not stopping.is_set():
        with embedded.supervising() as ours:
            if ours:
                embedded.forget_stop()
                _mend_until(stopping, ServerKeeper(embedded, clock), Endurance("services", clock, notify), screen)
                notify("STOPPING=1")
                embedded.stop(within_s=STOP_S)
                return
        if clock.monotonic_s() > deadline_s:
            raise ServiceError("another process keeps the embedded servers up already; stop that one first")
        stopping.wait(PAUSE_S)


def _idle() -> None:
    """Stay until told to stop: a supervisor would start again what ends."""
    stopping = threading.Event()
    stop_in_time(stopping.set)
    notify("READY=1")
    stopping.wait()


def _mend_until(stopping: threading.Event, keeper: ServerKeeper, endurance: Endurance, screen: Screen) -> None:
    ready = False
    while not stopping.is_set():
        notify("WATCHDOG=1")
        pause_s = PAUSE_S
        try:
            keeper.mend()
            endurance.worked()
            if not ready:
                notify("READY=1")
                screen.say("the servers run; keeping them up")
                ready = True
        except Exception as error:  # a full disk today is none tomorrow
            pause_s = endurance.failed(error, pause_s=PAUSE_S)
        stopping.wait(pause_s)
