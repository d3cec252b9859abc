"""What only some commands need is installed when such a command is first used: after a question, from its lock."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from agents.core.errors import UsageError

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "scripts" / "setup_venv.sh"


@dataclass(frozen=True, slots=True)
class Extra:
    """A package, the lock that brings it with all it needs, what it is for, and what it takes to download, in MB."""

    package: str
    lock: str
    purpose: str
    megabytes: int


SEARCH = Extra("optuna", "requirements-search.lock", "a search", 12)
EXCHANGES = Extra("ccxt", "requirements-exchanges.lock", "an exchange", 12)
STOCKS = Extra("yfinance", "requirements-stocks.lock", "Yahoo's prices", 25)
WEB = Extra("fastapi", "requirements-web.lock", "the dashboard", 2)
ALPACA = Extra("alpaca", "requirements-stocks.lock", "Alpaca", 25)


def require(extra: Extra) -> None:
    """Return once the package can be imported: a person at a terminal is asked whether to install it, anybody else gets
    a UsageError that holds the one command to type."""
    if importlib.util.find_spec(extra.package) is not None:
        return
    command = _install_command(extra)
    needs = f"{extra.purpose} needs the package {extra.package}"
    if not (command and sys.stdin.isatty() and sys.stderr.isatty()):
        typed = " ".join(command) or f"{sys.executable} -m pip install {extra.package}"
        raise UsageError(f"{needs}, which is not installed; run: {typed}")
    sys.stderr.write(f"{needs} ({extra.megabytes} MB), which is not installed; install it now? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError(f"{needs}; run: {' '.join(command)}")
    if subprocess.run(command, check=False).returncode != 0:
        raise UsageError(f"{extra.package} could not be installed, see above; run again: {' '.join(command)}")
    importlib.invalidate_caches()


def _install_command(extra: Extra) -> list[str]:
    """How to add packages to the environment that runs; empty where it is not the one of this folder."""
    if SETUP.is_file() and Path(sys.prefix).resolve() == (ROOT / ".venv").resolve():
        return [str(SETUP), extra.lock]
    return []
