"""What takes minutes on a machine's first start is said and shown, whichever command is the first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from agents.cli.screen import Screen
from agents.core.clock import SystemClock
from agents.core.settings import Settings

TOLD_EVERY_S = 30.0


def compile_once(settings: Settings, screen: Screen) -> None:
    """Compile what a desk calls, where this machine never did."""
    from agents.wiring.first_compilation import WARNING, compile_desk, is_due  # here: `halt` should not wait for it

    if not is_due():
        return
    screen.say(WARNING)
    with ExitStack() as stack:
        if screen.err.is_terminal:
            show = screen.progress(stack, "compiling", "parts")  # with its own clock
            compile_desk(settings, show)
        else:
            stack.enter_context(told_meanwhile(screen, TOLD_EVERY_S))
            compile_desk(settings, lambda _done, _total: None)


@contextmanager
def told_meanwhile(screen: Screen, every_s: float) -> Iterator[None]:
    """A line from time to time that it goes on, where no terminal shows a bar, such as in a log."""
    clock, over = SystemClock(), threading.Event()
    began_s = clock.monotonic_s()

    def tell() -> None:
        while not over.wait(every_s):
            screen.say(f"still compiling, {clock.monotonic_s() - began_s:.0f} s so far")

    thread = threading.Thread(target=tell, name="compiling", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
