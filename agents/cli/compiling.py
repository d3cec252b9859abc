"""What takes a minute on a machine's first start is said and shown, whichever command is the first."""

from __future__ import annotations

from contextlib import ExitStack

from agents.cli.screen import Screen
from agents.core.settings import Settings


def compile_once(settings: Settings, screen: Screen) -> None:
    """Compile what a desk calls, where this machine never did."""
    from agents.wiring.first_compilation import WARNING, compile_desk, is_due  # here: `halt` should not wait for it

    if not is_due():
        return
    screen.say(WARNING)
    with ExitStack() as stack:
        show = screen.progress(stack, "compiling", "parts") if screen.err.is_terminal else lambda _done, _total: None
        compile_desk(settings, show)
