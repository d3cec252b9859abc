"""The command line: `quorum ...`, the same as `python -m agents ...`."""

from __future__ import annotations

import _thread
import gc
import importlib
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agents.cli.command import Command
from agents.cli.completion import answer_shell
from agents.cli.parser import MISUSE, parse, parser_for
from agents.core.clock import SystemClock
from agents.core.errors import AgentsError

if TYPE_CHECKING:
    from agents.cli.screen import Screen

LOG_FILE = Path("logs/orchestrator.log")
STOPPED = 130
"""The exit status after Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors that a user can mend are one line on stderr."""
    usual = sys.unraisablehook
    sys.unraisablehook = partial(_interrupt_again, usual)
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("quorum: stopped; everything recorded so far is consistent, start again to go on\n")
        return STOPPED
    finally:
        sys.unraisablehook = usual


def _interrupt_again(usual: Callable[[sys.UnraisableHookArgs], None], met: sys.UnraisableHookArgs) -> None:
    """Ctrl-C that meets a finalizer or the callback of a weak reference is printed and forgotten there by Python: it is
    sent once more, a little later, since it would be lost in here, too."""
    if met.exc_type is KeyboardInterrupt:
        _thread.start_new_thread(_press_ctrl_c, ())
    else:
        usual(met)


def _press_ctrl_c() -> None:
    SystemClock().sleep_s(0.01)
    _thread.interrupt_main()


def _main(arguments: Sequence[str] | None) -> int:
    answer_shell()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words:
        parser_for([]).print_help()
        return MISUSE
    options = parse(words)
    from agents.cli.screen import Screen  # here: help and completion show no tables

    return _run(options.command, options, Screen(as_json=options.json))


def _function_of(command: Command) -> Callable[[Namespace, Screen], int]:
    """Imports the command's module. What is imported is never garbage, so no garbage is looked for meanwhile, nor in it
    later: that saves a tenth of the start."""
    gc.disable()
    try:
        module = importlib.import_module(f"agents.cli.{command.module}")
    finally:
        gc.freeze()
        gc.enable()
    function: Callable[[Namespace, Screen], int] = getattr(module, command.function)
    return function


def _run(command: Command, options: Namespace, screen: Screen) -> int:
    try:
        return _function_of(command)(options, screen)
    except AgentsError as error:
        screen.err.print(f"quorum: {error}", markup=False)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        # A defect of ours: one line for the user, the whole story in the log.
        from agents.core.log import configure_logging

        if not logging.getLogger("agents").handlers:
            configure_logging(LOG_FILE, console=False)
        logging.getLogger("agents").exception("unexpected error")
        screen.err.print(
            f"quorum: unexpected {type(error).__name__}: {error}; details are in {LOG_FILE.parent}/", markup=False
        )
        return 70
