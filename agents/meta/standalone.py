"""The meta plane's one door to the composition root: jobs that are started by hand, without arguments.

The import law lets nothing in this folder know `agents.wiring.desk` but this file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.meta.performance_analyzer import PerformanceAnalyzerAgent
    from agents.meta.project_manager import ProjectManagerAgent
    from agents.meta.weight_optimizer import WeightOptimizerAgent


@contextmanager
def analyzer() -> Iterator[PerformanceAnalyzerAgent]:
    """The analyzer of the desk that the settings describe."""
    from agents.wiring import meta as meta_app

    with meta_app.meta_plane_of_settings() as plane:
        yield plane.analyzer()


@contextmanager
def optimizer() -> Iterator[WeightOptimizerAgent]:
    """The optimizer of the desk that the settings describe."""
    from agents.wiring import meta as meta_app

    with meta_app.meta_plane_of_settings() as plane:
        yield plane.optimizer()


@contextmanager
def project_manager() -> Iterator[ProjectManagerAgent]:
    """The project manager of the desk that the settings describe."""
    from agents.wiring import meta as meta_app

    with meta_app.meta_plane_of_settings() as plane:
        yield plane.project_manager()


def run_one(name: str) -> int:
    """`python agents/meta/NAME.py`: run the job once and print its outcome as JSON."""
    from agents.cli.main import main

    return main(["meta", "--once", "--only", name, "--json", *sys.argv[1:]])


def run_all(arguments: Sequence[str]) -> int:
    """`python agents/meta/meta_orchestrator.py [--once]`."""
    from agents.cli.main import main

    return main(["meta", *arguments])
