"""What a user runs and imports of the meta plane; nothing in the program imports it but the command line.

    from agents.meta import PerformanceAnalyzerAgent, WeightOptimizerAgent, ProjectManagerAgent, MetaOrchestrator

Each name is imported when it is asked for. The work itself is in `agents.tuning` and `agents.reports`; `agents.wiring`
joins it to a desk.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from agents.meta.meta_orchestrator import MetaOrchestrator
    from agents.meta.performance_analyzer import PerformanceAnalyzerAgent
    from agents.meta.project_manager import ProjectManagerAgent
    from agents.meta.weight_optimizer import WeightOptimizerAgent

__all__ = ["MetaOrchestrator", "PerformanceAnalyzerAgent", "ProjectManagerAgent", "WeightOptimizerAgent"]

_MODULES = {
    "MetaOrchestrator": "meta_orchestrator",
    "PerformanceAnalyzerAgent": "performance_analyzer",
    "ProjectManagerAgent": "project_manager",
    "WeightOptimizerAgent": "weight_optimizer",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"agents.meta.{_MODULES[name]}"), name)


def start_command(*arguments: str) -> NoReturn:
    """Become `quorum ARGUMENTS`: what a file of this folder does when it is run as a program."""
    os.execv(sys.executable, [sys.executable, "-m", "agents", *arguments])
