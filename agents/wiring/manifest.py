"""What a result was computed from: data, settings, versions, seeds. The same manifest means the same bytes."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import version as package_version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from agents.core.agent_code import file_of
from agents.core.replay_types import Run
from agents.core.settings import plain_settings
from agents.core.types import Bars
from agents.replay.simulate import ChunkResult
from agents.tuning.scorecards import SEED as ANALYZER_SEED
from agents.tuning.weight_decision import SEED as OPTIMIZER_SEED
from agents.wiring.history import ReplayRequest

LIBRARIES = ("numpy", "numba", "scipy", "cvxpy", "daqp", "pandas")


class DataDigest:
    """A digest of all bars that a replay saw, the same however they were cut into chunks."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def __call__(self, chunk: ChunkResult) -> None:
        self.add(chunk.bars, chunk.first)

    def add(self, bars: Bars, first: int) -> None:
        """Take in the rows from `first` on."""
        grids = {
            name: getattr(bars, name)
            for name in ("open", "high", "low", "close", "volume", "adjustment", "split", "dividend")
        }
        if any(grid.any() for grid in (bars.funding, bars.funding_within)):  # of spot and stocks the digest stays
            grids |= {"funding": bars.funding, "funding_within": bars.funding_within}
        for name, grid in {"time": bars.time, "opened": bars.opened, **grids, **bars.exogenous}.items():
            self._parts.setdefault(name, hashlib.sha256()).update(np.ascontiguousarray(grid[first:]))
        self._parts.setdefault("symbols", hashlib.sha256("|".join(bars.symbols).encode()))

    def hexdigest(self) -> str:
        whole = hashlib.sha256()
        for name in sorted(self._parts):
            whole.update(f"{name}={self._parts[name].hexdigest()};".encode())
        return whole.hexdigest()[:32]


def manifest_of(request: ReplayRequest, run: Run, data: str) -> dict[str, Any]:
    """What the result was computed from: the same manifest means the same bytes."""
    return {
        **versions(),
        "data_sha256": data,
        "first_bar": f"{run.time[0]}Z",
        "last_bar": f"{run.time[-1]}Z",
        "bars": len(run.time),
        "symbols": list(run.symbols),
        "agents": list(run.agents),
        "tuned": request.tuning,
        "trials_before": request.trials,
        "seeds": {"performance_analyzer": ANALYZER_SEED, "weight_optimizer": OPTIMIZER_SEED},
        "settings": plain_settings(request.settings),
    }


def versions() -> dict[str, Any]:
    """What computes: this program, Python and the libraries whose numbers go into results."""
    return {
        "quorum": package_version("quorum-desk") if _installed("quorum-desk") else "source",
        "code": code_digest(),
        "python": platform.python_version(),
        "libraries": {name: package_version(name) for name in LIBRARIES if _installed(name)},
    }


def code_digest(own: Mapping[str, str] = MappingProxyType({})) -> str:
    """A digest of this program's own sources, and of the files that `own` agents come from."""
    folder, digest = Path(__file__).resolve().parents[1], hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    for name, place in sorted(own.items()):
        source = file_of(place)
        digest.update(f"{name}={place}\0".encode() + (source.read_bytes() if source and source.is_file() else b""))
    return digest.hexdigest()[:16]


def _installed(name: str) -> bool:
    try:
        package_version(name)
    except ModuleNotFoundError:
        return False
    return True
