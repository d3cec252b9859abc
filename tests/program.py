"""The command line: as a process of its own, as users start it, and inside the test's process, which takes no start."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
WAIT_S = 900.0


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def start(*arguments: str, cwd: Path, environment: Mapping[str, str], program: tuple[str, ...] = ("-m", "agents")):
    """The command as a running process, which takes Ctrl-C also where this one, as a background job or a worker of
    pytest-xdist, ignores it: ignoring is inherited, a handler is not."""
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=cwd,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, ours)


@contextmanager
def started(*arguments: str, cwd: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """The command as a running process while the block runs; where the block fails, what the process said is told."""
    process = start(*arguments, cwd=cwd, environment=environment)
    try:
        yield process
    except BaseException as error:
        process.kill()
        error.add_note(f"{' '.join(arguments)} said:\n" + "\n".join(process.communicate()))
        raise
    finally:
        process.kill()
        process.communicate()


def run(*arguments: str, cwd: Path, environment: Mapping[str, str], code: int | None = 0, **more) -> Outcome:
    """The command as a process, to its end, which must come with the exit status `code` and without a traceback."""
    process = start(*arguments, cwd=cwd, environment=environment, **more)
    try:
        out, err = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    return _checked(Outcome(process.returncode, out, err), code)


def call(*arguments: str, cwd: Path, environment: Mapping[str, str], code: int | None = 0) -> Outcome:
    """As `run`, inside this process: for what a command does and says, where starting it is not the point."""
    out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(environment)
        with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(arguments)
            except SystemExit as stop:  # argparse's way
                status = int(stop.code or 0)
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget_logging()
    return _checked(Outcome(status, out.getvalue(), err.getvalue()), code)


def _checked(outcome: Outcome, code: int | None) -> Outcome:
    assert "Traceback" not in outcome.stderr, outcome.stderr
    if code is not None:
        assert outcome.returncode == code, outcome.stdout + outcome.stderr
    return outcome


def _forget_logging() -> None:
    """A command sends the program's log to its files; the next test's belongs to pytest again."""
    logger = logging.getLogger("agents")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
