"""A strategy that trades elsewhere, as the desk sees it: what is advised about it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAdvice:
    """`weight` is the part of the whole risk, desk and strategy, that it is advised to have, `anchor` what it would be
    while nothing is known; `ratio` (annual appraisal ratio, 80 % from `low` to `high`) and `belief`, the chance that it
    adds to the desk, over `days` in common. Where `problem` is not empty it says why there is no advice."""

    name: str
    problem: str = ""
    days: int = 0
    weight: float = math.nan
    anchor: float = math.nan
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    belief: float = math.nan

    def as_plain(self) -> dict[str, Any]:
        """For JSON: what is not known is None."""
        values = asdict(self)
        return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in values.items()}
