"""SPACE.toml -> which settings a search tries, on which periods. Pure."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from agents.core.errors import SettingsError
from agents.core.types import Times

Method = Literal["grid", "random", "tpe"]
GRID_LIMIT = 10_000
KEYS = ("method", "trials", "seed", "periods", "tuning")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One setting's values: `choices`, or numbers from `low` to `high` in steps of `step` (None: any), on a logarithmic
    scale where `log`."""

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    whole: bool = False

    def grid(self) -> tuple[Any, ...]:
        """All values; SettingsError for a continuous range."""
        if self.choices:
            return self.choices
        if self.step is None:
            raise SettingsError("a grid needs a list of values, or a step within low and high")
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.value(self.low + k * self.step) for k in range(count))

    def draw(self, rng: np.random.Generator) -> Any:
        """One value at random."""
        if self.choices:
            return self.choices[int(rng.integers(len(self.choices)))]
        if self.step is not None:
            values = self.grid()
            return values[int(rng.integers(len(values)))]
        if self.log:
            return self.value(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self.value(float(rng.uniform(self.low, self.high)))

    def value(self, number: float) -> Any:
        """A number as this setting takes it."""
        return round(number) if self.whole else float(f"{number:.12g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is searched: settings by key, by `method`, at most `trials` of them, from `seed`.

    `periods` is a number of equal parts of history or a list of (first day, last day); with `tuning` the weights are
    tuned on the way.
    """

    dimensions: Mapping[str, Dimension]
    method: Method = "random"
    trials: int = 100
    seed: int = 0
    periods: int | tuple[tuple[str, str], ...] = 1
    tuning: bool = True

    def digest_text(self) -> str:
        """The same for the same space."""
        return json.dumps(
            [repr(sorted(self.dimensions.items())), self.method, self.trials, self.seed, self.periods, self.tuning]
        )


def space_of(document: Mapping[str, Any], name: str) -> Space:
    """The space of a parsed SPACE.toml; SettingsError, naming file and key, for what cannot be meant."""
    unknown = sorted(set(document) - {"search", "space"})
    if unknown:
        raise SettingsError(f"{name}: unknown table '{unknown[0]}'; there are [search] and [space]")
    search, dimensions = dict(document.get("search", {})), document.get("space", {})
    for key in search:
        if key not in KEYS:
            raise SettingsError(f"{name}: unknown key 'search.{key}'; allowed here: {', '.join(KEYS)}")
    if not dimensions:
        raise SettingsError(f'{name}: [space] names no setting; write, for example, "tuning.step" = [0.02, 0.05]')
    method, trials, seed, periods, tuning = (
        search.get(key, default) for key, default in zip(KEYS, ("random", 100, 0, 1, True), strict=True)
    )
    if method not in ("grid", "random", "tpe"):
        raise SettingsError(f"{name}: search.method is '{method}'; choose grid, random or tpe")
    for key, value, least in (("trials", trials, 1), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SettingsError(f"{name}: search.{key} must be a whole number of at least {least}, got {value!r}")
    if not isinstance(tuning, bool):
        raise SettingsError(f"{name}: search.tuning must be true or false, got {tuning!r}")
    return Space(
        dimensions={
            key: _dimension(value, f'{name}: space."{key}"') for key, value in sorted(_flat(dimensions).items())
        },
        method=method,
        trials=trials,
        seed=seed,
        periods=_periods(periods, name),
        tuning=tuning,
    )


def _flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Keys written as "tuning.step" or as [space.tuning] step are the same."""
    settings: dict[str, Any] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping) and not {"low", "high"} <= set(value):
            settings |= {f"{key}.{inner}": part for inner, part in value.items()}
        else:
            settings[key] = value
    return settings


def _periods(value: Any, name: str) -> int | tuple[tuple[str, str], ...]:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100:
        return value
    if isinstance(value, list) and value and all(isinstance(part, list) and len(part) == 2 for part in value):
        return tuple((str(start), str(end)) for start, end in value)
    raise SettingsError(
        f"{name}: search.periods must be a number of equal parts or a list of [first day, last day], got {value!r}"
    )


def _dimension(value: Any, where: str) -> Dimension:
    if isinstance(value, list) and value:
        return Dimension(choices=tuple(value))
    if not isinstance(value, Mapping) or not {"low", "high"} <= set(value) <= {"low", "high", "step", "log"}:
        raise SettingsError(
            f"{where}: expected a list of values or {{ low = ..., high = ..., step = ..., log = true }}"
        )
    low, high, step, log = value["low"], value["high"], value.get("step"), bool(value.get("log", False))
    numbers = [v for v in (low, high, step) if v is not None]
    if (
        any(isinstance(v, bool) or not isinstance(v, (int, float)) or not math.isfinite(v) for v in numbers)
        or not low < high
    ):
        raise SettingsError(f"{where}: low must be below high, and all must be numbers")
    if (step is not None and (step <= 0 or log)) or (log and low <= 0):
        raise SettingsError(f"{where}: a step must be positive and stand without log; log needs a positive low")
    whole = all(isinstance(v, int) for v in numbers)
    return Dimension(
        low=low, high=high, step=step if step is not None else (1 if whole else None), log=log, whole=whole
    )


def candidates(space: Space) -> list[dict[str, Any]]:
    """The settings that grid and random search try, in order, each once; none for tpe, which learns on the way."""
    keys = list(space.dimensions)
    if space.method == "grid":
        size = math.prod(len(d.grid()) for d in space.dimensions.values())
        if size > GRID_LIMIT:
            raise SettingsError(
                f'the grid has {size:,} points, more than {GRID_LIMIT:,}; take larger steps or method = "random"'
            )
        return [
            dict(zip(keys, point, strict=True))
            for point in itertools.product(*(space.dimensions[key].grid() for key in keys))
        ]
    if space.method == "tpe":
        return []
    rng, points, seen = np.random.default_rng(space.seed), [], set()
    for _ in range(20 * space.trials):
        point = {key: space.dimensions[key].draw(rng) for key in keys}
        text = json.dumps(point, sort_keys=True, default=str)
        if text not in seen:
            seen.add(text)
            points.append(point)
        if len(points) == space.trials:
            break
    return points


def period_rows(periods: int | Sequence[tuple[str, str]], time: Times) -> list[tuple[int, int]]:
    """(first row, row after the last) of each period; SettingsError where one has no bars."""
    if isinstance(periods, int):
        edges = np.linspace(0, len(time), periods + 1).astype(int)
        return [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    spans = []
    for start, end in periods:
        try:
            first, after = np.datetime64(start, "D"), np.datetime64(end, "D") + np.timedelta64(1, "D")
        except ValueError:
            raise SettingsError(f"search.periods: '{start}' and '{end}' must be days such as 2008-10-10") from None
        rows = int(np.searchsorted(time, first)), int(np.searchsorted(time, after))
        if rows[0] >= rows[1]:
            raise SettingsError(
                f"search.periods: no bars from {start} to {end}; there are some from {time[0]} to {time[-1]}"
            )
        spans.append(rows)
    return spans
