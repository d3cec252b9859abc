"""What makes a weight set usable, and its versioned text form for the cache; pure."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from agents.core.arrays import Floats
from agents.core.clock import require_utc
from agents.core.errors import InvalidWeightsError
from agents.core.life_types import Listing
from agents.core.meta_types import WeightDecision
from agents.core.types import WeightSet, WeightsLevel

SUM_TOLERANCE = Decimal("1e-9")
WEIGHT_STEP = Decimal("0.000001")
SAME_NUMBER = Decimal("1e-10")
TEXT_LIMIT_BYTES = 100_000
LARGEST_VERSION = 2**63


def require_usable(weights: WeightSet, agents: Sequence[str], at: datetime) -> WeightSet:
    """`weights` where they cover exactly `agents`, are finite, non-negative, sum to 1 and are still valid at `at`;
    else InvalidWeightsError. A set is taken whole or not at all."""
    if set(weights.weights) != set(agents):
        unknown, missing = set(weights.weights) - set(agents), set(agents) - set(weights.weights)
        raise InvalidWeightsError(
            f"weights version {weights.version} do not fit the desk's agents:"
            f" unknown {sorted(unknown)}, missing {sorted(missing)}"
        )
    if weights.valid_until is not None and weights.valid_until <= at:
        raise InvalidWeightsError(f"weights version {weights.version} were valid until {weights.valid_until}")
    for name, weight in weights.weights.items():
        if not weight.is_finite() or not 0 <= weight <= 1:
            raise InvalidWeightsError(f"weights version {weights.version}: {name} has weight {weight}")
    total = sum(weights.weights.values(), Decimal(0))
    if abs(total - 1) > SUM_TOLERANCE:
        raise InvalidWeightsError(f"weights version {weights.version} sum to {total}, not 1")
    return weights


def published_set(decision: WeightDecision, version: int) -> WeightSet:
    """The set that a decision about weights puts in force, under its version."""
    return WeightSet(
        version=version,
        weights=dict(decision.weights),
        created_at=decision.at,
        valid_until=None,
        level=WeightsLevel.DATABASE,
        reason=decision.reason,
    )


def normalised(raw: Mapping[str, float], agents: Sequence[str]) -> dict[str, Decimal]:
    """Weights of `agents` in proportion to `raw` (absent = 0), six decimals, summing to exactly 1 (largest
    remainder); InvalidWeightsError where nothing positive is there."""
    values = [float(raw.get(name, 0.0)) for name in agents]
    total = math.fsum(values)
    if any(not math.isfinite(v) or v < 0 for v in values) or not total > 0 or not math.isfinite(total):
        raise InvalidWeightsError(f"weights {dict(raw)} give the agents {', '.join(agents)} nothing to share")
    # What differs by less than 1e-10 is the same number from two solvers: it must round the same way, ties by place.
    exact = [Decimal(repr(v / total)).quantize(SAME_NUMBER) for v in values]
    rounded = [e.quantize(WEIGHT_STEP) for e in exact]
    missing = int((1 - sum(rounded, Decimal(0))) / WEIGHT_STEP)
    order = sorted(range(len(agents)), key=lambda k: exact[k] - rounded[k], reverse=missing > 0)
    for k in order[: abs(missing)]:
        rounded[k] += WEIGHT_STEP if missing > 0 else -WEIGHT_STEP
    return dict(zip(agents, rounded, strict=True))


class StandIn(NamedTuple):
    """What stands in where no published set covers a desk's agents: the settings' weights, in proportion, the weight
    of an agent that was not there when the set was made, and those that are only watched: in `shadow`, they have no
    weight but one that was published."""

    static: Mapping[str, float]
    floor: float
    shadow: tuple[str, ...] = ()

    def listed(self, agents: Sequence[str]) -> dict[str, Listing]:
        """Where the settings name each of `agents`, all that a desk asks."""
        return {name: "shadow" if name in self.shadow else "enabled" for name in agents}


def in_force(newest: WeightSet | None, agents: Sequence[str], stand_in: StandIn, at: datetime) -> WeightSet:
    """The weights in force for `agents`, in both planes, while `newest` is a desk's newest published set: that one,
    fitted to the agents there are now, else the settings' ones, else equal ones. Agents in shadow are not part of it:
    the set is the same as if they were not there."""
    published = newest.weights if newest is not None else {}
    agents = [name for name in agents if name not in stand_in.shadow or name in published]
    if newest is not None:
        with suppress(InvalidWeightsError):
            return fitted(newest, agents, stand_in.floor, at)
        agents = [name for name in agents if name not in stand_in.shadow]
    chosen = any(stand_in.static.get(name, 0.0) > 0 for name in agents)
    level = WeightsLevel.STATIC if chosen else WeightsLevel.EQUAL
    reason = "agents.static_weights of the settings" if chosen else "no weights published or configured: equal"
    return unpublished(anchor_of(stand_in.static, agents), agents, at, level, reason)


def anchor_of(static: Mapping[str, float], agents: Sequence[str]) -> dict[str, float]:
    """The weights of `agents` while nothing is known of them: in proportion to the settings' `static` ones, equal where
    those name none of them. Whatever is compared with or goes back to the anchor takes it from here."""
    return dict(_anchor_of(tuple(static.items()), tuple(agents)))


@lru_cache(maxsize=16)
def _anchor_of(static: tuple[tuple[str, float], ...], agents: tuple[str, ...]) -> dict[str, float]:
    """Kept: every decision asks for the last one's."""
    known = dict(static)
    chosen = {name: float(known.get(name, 0.0)) for name in agents}
    if not sum(chosen.values()) > 0:
        chosen = dict.fromkeys(agents, 1.0)
    total = math.fsum(chosen.values())
    return {name: weight / total for name, weight in chosen.items()}


def fitted(published: WeightSet, agents: Sequence[str], floor: float, at: datetime) -> WeightSet:
    """A published set for the agents there are now: itself where they are the same.

    Where some have left, those who stay keep their proportions. Where some are new, each gets `floor`, at most an equal
    share, taken from the others in proportion. Such a set has no version of its own; its level is that of the published
    one. InvalidWeightsError where that is unsound or gives none of today's agents anything.
    """
    if set(published.weights) == set(agents):
        return require_usable(published, agents, at)
    require_usable(published, tuple(published.weights), at)
    weights = fitted_weights(published.weights, agents, floor)
    reason = f"version {published.version} for the agents there are now; new ones at the floor"
    return replace(published, version=0, weights=weights, created_at=at, valid_until=None, reason=reason)


def fitted_weights(published: Mapping[str, Decimal | float], agents: Sequence[str], floor: float) -> dict[str, Decimal]:
    """The weights of `fitted`."""
    staying = {name: float(published[name]) for name in agents if name in published}
    total, joining = math.fsum(staying.values()), len(agents) - len(staying)
    share = min(floor, 1.0 / len(agents)) if total > 0.0 else 0.0
    raw = {
        name: (1.0 - share * joining) * staying[name] / total if name in staying and total > 0.0 else share
        for name in agents
    }
    return normalised(raw, agents)


def vector_of(weights: Mapping[str, Decimal | float], agents: Sequence[str]) -> Floats:
    """The weights [A] of `agents`, 0 for those that have none."""
    return np.array([float(weights.get(name, 0)) for name in agents])


def unpublished(
    raw: Mapping[str, float], agents: Sequence[str], at: datetime, level: WeightsLevel, reason: str
) -> WeightSet:
    """A set without a version, in proportion to `raw`."""
    return WeightSet(
        version=0, weights=normalised(raw, agents), created_at=at, valid_until=None, level=level, reason=reason
    )


def to_text(weights: WeightSet, key: str) -> str:
    """The cache's form: JSON that carries its own key, version and checksum, so that a reply that belongs to another
    key, or half of one, is recognised."""
    body = {
        "key": key,
        "version": weights.version,
        "created_at": weights.created_at.isoformat(),
        "valid_until": weights.valid_until.isoformat() if weights.valid_until else None,
        "reason": weights.reason,
        "weights": {name: str(weight) for name, weight in weights.weights.items()},
    }
    return json.dumps({**body, "sha256": _digest(body)})


def from_text(text: str | bytes, key: str) -> WeightSet:
    """The set in a cache's text, level redis; InvalidWeightsError for anything but what `to_text` wrote."""
    if len(text) > TEXT_LIMIT_BYTES:
        raise InvalidWeightsError(f"the cached weights are {len(text)} bytes long")
    try:
        body = json.loads(text, parse_constant=_refuse_constant)
        digest = body.pop("sha256")
        if body["key"] != key or digest != _digest(body):
            raise InvalidWeightsError("the cached weights carry another key or a wrong checksum")
        until = body["valid_until"]
        return WeightSet(
            version=_require_version(body["version"]),
            weights={str(name): Decimal(weight) for name, weight in body["weights"].items()},
            created_at=require_utc(datetime.fromisoformat(body["created_at"]), "created_at"),
            valid_until=require_utc(datetime.fromisoformat(until), "valid_until")
            if (until := body["valid_until"])
            else None,
            level=WeightsLevel.REDIS,
            reason=str(body["reason"]),
        )
    except InvalidWeightsError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InvalidWeightsError(f"the cached weights cannot be read: {type(error).__name__}") from None


def _require_version(value: object) -> int:
    """As a version counts: ValueError for a fraction, a truth value, or what the database could not hold."""
    if type(value) is not int or not 0 <= value < LARGEST_VERSION:
        raise ValueError("a version is a whole number")
    return value


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _refuse_constant(name: str) -> float:
    raise InvalidWeightsError(f"the cached weights hold {name}")


def largest_move(before: Mapping[str, Decimal | float], after: Mapping[str, Decimal | float]) -> float:
    """The largest change of one agent's weight; an agent that one side lacks weighs nothing there."""
    return max((abs(float(after.get(name, 0)) - float(before.get(name, 0))) for name in {*before, *after}), default=0.0)
