"""A search without Optuna asks a person and tells everybody else what to type; it never installs unasked."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import sys
sys.modules["optuna"] = None  # as where it is not installed
from agents.cli import extras
from agents.core.errors import UsageError
if {in_our_environment}:
    extras._install_command = lambda _extra: ["/bin/sh", "-c", {script!r}]
else:
    sys.prefix = "/elsewhere"
try:
    extras.require(extras.SEARCH)
except UsageError as error:
    print("refused:", error)
else:
    print("installed")
"""


def ask(answer: str | None, script: str = "true", in_our_environment: bool = True) -> str:
    """What the program said, with `answer` typed at a terminal; None: no terminal."""
    code = CODE.format(script=script, in_our_environment=in_our_environment)
    command = [sys.executable, "-c", code]
    if answer is None:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        return done.stdout + done.stderr
    ours, theirs = os.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    os.write(ours, (answer + "\n").encode())
    out, _ = process.communicate(timeout=60)
    shown = os.read(ours, 4096).decode()
    os.close(ours)
    return shown + out


def test_without_a_terminal_the_one_command_to_type_is_told():
    told = ask(None)
    assert told.startswith("refused: a search needs the package optuna, which is not installed; run: /bin/sh -c true")


def test_in_a_foreign_environment_its_own_pip_is_named():
    assert f"run: {sys.executable} -m pip install optuna" in ask("y", in_our_environment=False)


@pytest.mark.parametrize("answer", ["", "n", "what"])
def test_anything_but_yes_installs_nothing(answer):
    told = ask(answer, script="echo it ran")
    assert "install it now? [y/N]" in told
    assert "refused:" in told
    assert "it ran" not in told.replace("\r", "").split("\n")


def test_yes_installs_and_goes_on():
    told = ask("y", script="echo it ran >&2")
    assert "it ran" in told
    assert told.rstrip().endswith("installed")


def test_a_failed_installation_is_one_line_with_what_to_do():
    assert "refused: optuna could not be installed, see above; run again: /bin/sh -c false" in ask("y", script="false")
