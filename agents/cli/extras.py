"""What only some commands need is installed when such a command is first used: after a question, from its lock."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

from agents.core.errors import UsageError

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "scripts" / "setup_venv.sh"
SEARCH_LOCK = "requirements-search.lock"


def require_optuna() -> None:
    """Return once Optuna can be imported: a person at a terminal is asked whether to install it, anybody else gets a
    UsageError that holds the one command to type."""
    if importlib.util.find_spec("optuna") is not None:
        return
    command = _install_command()
    if not (command and sys.stdin.isatty() and sys.stderr.isatty()):
        typed = " ".join(command) or f"{sys.executable} -m pip install optuna"
        raise UsageError(f"a search needs the package optuna, which is not installed; run: {typed}")
    sys.stderr.write("a search needs the package optuna (12 MB), which is not installed; install it now? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError(f"a search needs the package optuna; run: {' '.join(command)}")
    if subprocess.run(command, check=False).returncode != 0:
        raise UsageError(f"optuna could not be installed, see above; run again: {' '.join(command)}")
    importlib.invalidate_caches()


def _install_command() -> list[str]:
    """How to add the search's packages to the environment that runs; empty where it is not the one of this folder."""
    if SETUP.is_file() and Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        return [str(SETUP), SEARCH_LOCK]
    return []
