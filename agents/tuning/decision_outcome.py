"""A decision about weights -> what the optimizer's caller gets: plain numbers and texts."""

from __future__ import annotations

from typing import Any

from agents.core.meta_types import WeightDecision
from agents.core.types import WeightSet

IMPROVEMENT_UNITS = {
    "sharpe_improvement": "annual Sharpe ratio",
    "return_improvement": "fraction of the agents' capital a year (0.01 is one percent)",
}


def outcome_of(decision: WeightDecision, version: int | None, before: WeightSet) -> dict[str, Any]:
    """The decision as plain numbers and texts."""
    return {
        "weights_updated": decision.status == "apply",
        "old_weights": {name: float(w) for name, w in before.weights.items()},
        "new_weights": {name: float(w) for name, w in decision.weights.items()},
        "improvement": {
            "sharpe_improvement": decision.sharpe_improvement or 0.0,
            "return_improvement": decision.return_improvement or 0.0,
            "units": dict(IMPROVEMENT_UNITS),
        },
        "decision": decision.status,
        "reason": decision.reason,
        "version": version,
        "method": decision.method,
        "causes": {name: dict(parts) for name, parts in decision.causes.items()},
        "evidence": dict(decision.evidence),
    }
