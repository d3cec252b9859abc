"""returns of the agents -> a proposal of weights, with its evidence and the guard's verdict. Pure.

`propose` is the whole decision: what can be measured, a method's candidate, the step towards it, and whether the evidence
supports taking it. The methods themselves are in `portfolios`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from agents.core.types import Booleans, Floats
from agents.quant.evidence import PairedTest, inflation, required_t, sharpe_difference
from agents.quant.moments import Moments, decay_weights, estimate, measurable, shrink_to_grand_mean
from agents.quant.portfolios import METHODS, SolverError, max_sharpe, project

Status = Literal["apply", "hold", "fallback"]
Method = Literal["adaptive", "max_sharpe", "min_variance", "risk_parity", "inverse_volatility", "hrp", "equal"]

HALF_LIFE_YEARS = 1.0
"""Memory of the estimates, fixed before any data were seen; tuning it on the same returns would be a trial."""
PRIOR_PERIODS = 60.0
"""The candidate is blended with equal weights as if these had been seen for so many periods."""
LOOKS_PER_YEAR = 12.0
"""Independent looks that a year of daily ones amounts to, since neighbouring ones share nearly all their data; held
to account by scripts/calibrate_guard.py."""
RELEASE_T = 0.5
"""A tilt away from equal weights that shows fewer standard errors than this is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of every weight, the largest change of one weight in one run, and what an agent must show.

    `minimum_sharpe` is annual; `minimum_signals` counts periods in which the agent's book moved, `minimum_periods` those
    that a change needs at all. `false_changes_per_year` is the guard's stated level on skill-less agents.
    """

    floor: float = 0.05
    cap: float = 0.40
    step: float = 0.05
    minimum_sharpe: float = 0.3
    minimum_signals: int = 10
    minimum_periods: int = 30
    false_changes_per_year: float = 0.10

    def __post_init__(self) -> None:
        values = (self.floor, self.cap, self.step, self.minimum_sharpe, self.false_changes_per_year)
        if not all(math.isfinite(v) for v in values) or not 0.0 <= self.floor <= self.cap <= 1.0 or not self.step > 0.0:
            raise ValueError(f"limits need 0 <= floor <= cap <= 1 and a positive step, got {self}")
        if not 0.0 < self.false_changes_per_year < 1.0:
            raise ValueError(f"false_changes_per_year must lie between 0 and 1, got {self.false_changes_per_year}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What to do about the weights. `weights` [A] sum to 1 and are those to be in force from now on: on "hold" and
    "fallback" the previous ones. `candidate` is what the method would choose had it no guard and no step limit.

    `expected_sharpe_improvement` and `expected_return_improvement` are annual, of `weights` after the step over the previous
    ones and net of turnover, by the shrunk estimates; 0 where nothing changes. `evidence` holds plain numbers and short texts, fit
    for JSON; `causes` splits each agent's change into mean, volatility, correlation, shrinkage, cap, guard (the rest).
    """

    weights: Floats
    status: Status
    reason: str
    expected_sharpe_improvement: float
    expected_return_improvement: float
    candidate: Floats
    evidence: Mapping[str, object]
    causes: tuple[Mapping[str, float], ...] = field(default=())


def propose(
    returns: Floats, previous: Floats, *, method: Method = "adaptive", limits: Limits | None = None, periods_per_year: float = 252.0,
    turnover_cost: float = 0.0005, trials: int = 1, seed: int = 0,
) -> Proposal:  # fmt: skip
    """The decision about the weights of A agents.

    `returns` [T, A] are the agents' own returns per period, oldest first, NaN where an agent did not exist;
    `previous` [A] the weights in force; `turnover_cost` the cost of moving all of the book, as a fraction. ValueError
    for arrays that do not fit, infinite returns, or an unknown method; every other difficulty is an outcome.
    """
    limits = limits or Limits()
    returns, previous = np.asarray(returns, dtype=np.float64), np.asarray(previous, dtype=np.float64)
    _check(returns, previous, method, periods_per_year, trials)
    agents = len(previous)
    start, notes = _feasible_start(previous, limits)
    brought_in = bool(np.max(np.abs(start - previous), initial=0.0) > 1e-6)
    able = measurable(returns, limits.minimum_signals)
    base = {
        "method": method,
        "agents": agents,
        "periods": len(returns),
        "trials": trials,
        "measurable": int(able.sum()),
    }
    if int(able.sum()) < 2:
        reason = f"{int(able.sum())} of {agents} agents have {limits.minimum_signals} signals or more; 2 are needed"
        return _stay(start, brought_in, "fallback", reason, base, notes)
    moments = estimate(returns[:, able], HALF_LIFE_YEARS * periods_per_year)
    sample = float(np.min(moments.sample))
    base |= {"effective_periods": round(sample, 1), "correlation_shrinkage": round(moments.shrinkage, 4)}
    if sample < limits.minimum_periods:
        reason = f"{sample:.0f} effective periods are seen, {limits.minimum_periods} are needed for a change"
        return _stay(start, brought_in, "hold", reason, base, notes)
    try:
        plan = _candidate(returns, able, moments, method, limits, periods_per_year, base)
    except SolverError as error:
        return _stay(
            start, brought_in, "fallback", f"the solver gave no answer ({error}); previous weights kept", base, notes
        )
    if plan.refusal:
        return _stay(start, brought_in, "hold", plan.refusal, base, [*notes, *plan.notes], plan.target)
    judged = _Judge(returns[:, able], moments, plan.sharpe, limits, periods_per_year, turnover_cost, trials, seed, able)
    return judged.verdict(start, brought_in, plan, base, [*notes, *plan.notes])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Where a method wants to go: `target` [A], the per-period Sharpe ratios it believes in [measurable]."""

    target: Floats
    sharpe: Floats
    causes: tuple[dict[str, float], ...]
    notes: list[str]
    refusal: str = ""


def _check(returns: Floats, previous: Floats, method: str, periods_per_year: float, trials: int) -> None:
    if returns.ndim != 2 or previous.ndim != 1 or returns.shape[1] != len(previous):
        raise ValueError(f"returns {returns.shape} must be [periods, agents] and previous {previous.shape} [agents]")
    if np.isinf(returns).any():
        raise ValueError("returns hold an infinite value; NaN says that an agent did not exist")
    if method not in ("adaptive", *METHODS):
        raise ValueError(f"method '{method}' is unknown; choose one of adaptive, {', '.join(METHODS)}")
    if not (periods_per_year > 0 and math.isfinite(periods_per_year) and trials >= 1):
        raise ValueError(f"periods_per_year {periods_per_year} and trials {trials} must be positive")


def bounds(agents: int, limits: Limits) -> tuple[float, float, str]:
    """(floor, cap, remark): the limits, relaxed to what is feasible for so many agents."""
    floor, cap, remark = limits.floor, limits.cap, ""
    if agents * cap < 1.0:
        cap = 1.0 / agents
        remark = f"cap relaxed from {limits.cap:.0%} to {cap:.1%}: {agents} agents could not reach 100 %"
    if agents * floor > 1.0:
        floor = 1.0 / agents
        remark = f"floor relaxed from {limits.floor:.0%} to {floor:.1%}: {agents} agents would exceed 100 %"
    return floor, cap, remark


def _feasible_start(previous: Floats, limits: Limits) -> tuple[Floats, list[str]]:
    """The previous weights, brought inside the limits where they are not; equal ones where they mean nothing."""
    agents = len(previous)
    if agents == 0:
        return previous, []
    floor, cap, remark = bounds(agents, limits)
    notes = [remark] if remark else []
    if not np.isfinite(previous).all() or (previous < 0).any() or not previous.sum() > 0:
        return np.full(agents, 1.0 / agents), [*notes, "the previous weights mean nothing: equal ones are the start"]
    scaled = previous / previous.sum()
    low, high = np.full(agents, floor), np.full(agents, cap)
    if (scaled >= low - 1e-9).all() and (scaled <= high + 1e-9).all():
        return scaled, notes
    return project(scaled, low, high), [*notes, "the previous weights were outside the limits and are brought inside"]


def _stay(
    start: Floats, brought_in: bool, status: Status, reason: str, evidence: dict[str, object], notes: list[str],
    candidate: Floats | None = None,
) -> Proposal:  # fmt: skip
    if brought_in and status == "hold":
        status, reason = "apply", f"previous weights brought inside the limits; beyond that: {reason}"
    nothing = {name: 0.0 for name in CAUSES}
    return Proposal(
        weights=start, status=status, reason=reason, expected_sharpe_improvement=0.0, expected_return_improvement=0.0,
        candidate=start if candidate is None else candidate, evidence={**evidence, "notes": notes},
        causes=tuple(dict(nothing) for _ in start),
    )  # fmt: skip


CAUSES = ("mean", "volatility", "correlation", "shrinkage", "cap", "guard")


def _candidate(
    returns: Floats, able: Booleans, moments: Moments, method: str, limits: Limits, periods_per_year: float,
    evidence: dict[str, object],
) -> _Plan:  # fmt: skip
    """A method's weights for all agents: those that cannot be measured keep the floor."""
    agents, known = len(able), int(able.sum())
    floor, cap, _ = bounds(agents, limits)
    shrunk, own = shrink_to_grand_mean(moments.sharpe, moments.sample, moments.correlation, inflation(returns[:, able]))
    annual = math.sqrt(periods_per_year)
    evidence |= {
        "own_share_of_sharpe": round(own, 4),
        "annual_sharpe": [round(float(s), 4) for s in _spread(moments.sharpe * annual, able)],
        "shrunk_annual_sharpe": [round(float(s), 4) for s in _spread(shrunk * annual, able)],
    }
    notes: list[str] = []
    left = 1.0 - floor * (agents - known)
    cap = max(cap, left / known)
    low, high = np.full(known, floor), np.full(known, cap)
    equal = np.full(known, left / known)
    believed = shrunk if method == "adaptive" else moments.sharpe
    gated = believed * annual < limits.minimum_sharpe
    refusal = ""
    if method == "adaptive" and own == 0.0:
        refusal = "the agents differ by no more than chance would make them differ"
    elif method in ("adaptive", "max_sharpe"):
        if gated.all():
            refusal = (
                f"no agent shows a Sharpe ratio above {limits.minimum_sharpe:g}; a person should look at the exposure"
            )
        elif gated.any():
            room = (left - cap * float((~gated).sum())) / float(gated.sum())
            high = np.where(gated, max(floor, room), high)
            notes.append(
                f"{int(gated.sum())} agents below Sharpe {limits.minimum_sharpe:g} keep the floor or what the cap leaves over"
            )
    if refusal:
        return _Plan(target=_fill(equal, able, floor), sharpe=believed, causes=(), notes=notes, refusal=refusal)
    scale = 1.0 / left
    stages = _stages(moments, believed, method, low * scale, high * scale, equal * scale)
    if method == "adaptive":
        trust = float(np.min(moments.sample)) / (float(np.min(moments.sample)) + PRIOR_PERIODS)
        stages.append(("shrinkage", trust * stages[-1][1] + (1.0 - trust) * equal * scale))
        evidence["blend_with_equal"] = round(1.0 - trust, 4)
    target = _fill(stages[-1][1] * left, able, floor)
    return _Plan(target=target, sharpe=believed, causes=_split(stages, left, able), notes=notes)


def _stages(
    moments: Moments, believed: Floats, method: str, low: Floats, high: Floats, equal: Floats
) -> list[tuple[str, Floats]]:
    """The candidate built up cause by cause: from equal weights by means alone, then volatilities, then correlations,
    then the bounds; each stage is a full weight vector (summing to 1)."""
    size = len(equal)
    flat, wide = np.full(size, 1.0), np.ones(size)
    if method not in ("adaptive", "max_sharpe"):
        final = METHODS[method](moments, low, high)
        names = {"equal": "cap", "inverse_volatility": "volatility"}
        return [("equal", equal), (names.get(method, "correlation"), final)]
    mean_only = np.maximum(believed, 0.0)
    mean_only = mean_only / mean_only.sum() if mean_only.sum() > 0 else equal
    with_volatility = mean_only / moments.volatility
    with_volatility = with_volatility / with_volatility.sum()
    mean = believed * moments.volatility
    final = max_sharpe(mean, moments.covariance, low, high)
    unbounded = max_sharpe(mean, moments.covariance, 0.0 * flat, wide)
    return [
        ("equal", equal),
        ("mean", mean_only),
        ("volatility", with_volatility),
        ("correlation", unbounded),
        ("cap", final),
    ]


def _split(stages: list[tuple[str, Floats]], left: float, able: Booleans) -> tuple[dict[str, float], ...]:
    parts = {name: np.zeros(len(able)) for name in CAUSES}
    for (_, before), (name, after) in zip(stages, stages[1:], strict=False):
        parts[name][able] += (after - before) * left
    return tuple({name: float(values[k]) for name, values in parts.items()} for k in range(len(able)))


def _fill(known: Floats, able: Booleans, floor: float) -> Floats:
    whole = np.full(len(able), floor)
    whole[able] = known
    return whole / whole.sum()


def _spread(values: Floats, able: Booleans) -> Floats:
    whole = np.full(len(able), math.nan)
    whole[able] = values
    return whole


@dataclass(frozen=True, slots=True)
class _Judge:
    """The guard: does the evidence support going from `start` towards a target?"""

    returns: Floats
    moments: Moments
    sharpe: Floats
    limits: Limits
    periods_per_year: float
    turnover_cost: float
    trials: int
    seed: int
    able: Booleans

    def verdict(
        self, start: Floats, brought_in: bool, plan: _Plan, evidence: dict[str, object], notes: list[str]
    ) -> Proposal:
        """Apply a step where it is supported, take a tilt back where its support has gone, else hold."""
        equal = _fill(np.full(int(self.able.sum()), 1.0), self.able, 1.0)
        test = self.test(plan.target, start)
        contrasts = max(1, int(self.able.sum()) - 1)
        needed = required_t(
            self.limits.false_changes_per_year, looks_per_year=LOOKS_PER_YEAR, contrasts=contrasts, trials=self.trials,
            periods=test.periods,
        )  # fmt: skip
        stepped = self.step(start, plan.target)
        gain, gain_return = self.expected(stepped, start)
        evidence |= {
            "t": round(test.t, 3), "t_needed": round(needed, 3), "sharpe_difference": round(test.difference, 4),
            "interval": [round(test.low, 4), round(test.high, 4)], "net_gain": round(gain, 5),
        }  # fmt: skip
        said = f"the candidate's annual Sharpe is {test.difference:+.2f} [{test.low:+.2f}, {test.high:+.2f}] against the weights in force"
        if test.t >= needed and gain > 0.0:
            reason = f"{said}: {test.t:.1f} standard errors, {needed:.1f} needed; moved by at most {self.limits.step:.0%} a weight"
            return self._move(start, stepped, gain, gain_return, reason, plan, evidence, notes)
        tilt = self.test(start, equal)
        evidence["tilt_t"] = round(tilt.t, 3)
        if np.max(np.abs(start - equal)[self.able]) > 1e-4 and tilt.t < RELEASE_T:
            back = self.step(start, self._towards_equal(equal))
            if np.max(np.abs(back - start)) > 1e-6:
                gain, gain_return = self.expected(back, start)
                reason = (
                    f"the present tilt shows {tilt.t:.1f} standard errors over equal weights, {RELEASE_T} keep it:"
                    f" a step back towards equal"
                )
                return self._move(start, back, gain, gain_return, reason, plan, evidence, notes)
        short = (
            f"{test.t:.1f} standard errors where {needed:.1f} are needed"
            if test.t < needed
            else "its turnover costs more than it gains"
        )
        return _stay(start, brought_in, "hold", f"{said}: {short}", evidence, notes, plan.target)

    def test(self, new: Floats, old: Floats) -> PairedTest:
        """The paired comparison over the measurable agents; a missing agent leaves the denominator."""
        weights = decay_weights(len(self.returns), HALF_LIFE_YEARS * self.periods_per_year)
        return sharpe_difference(
            self._portfolio(new), self._portfolio(old), weights, self.periods_per_year, seed=self.seed
        )

    def _portfolio(self, weights: Floats) -> Floats:
        present = np.isfinite(self.returns)
        share = weights[self.able] * present
        total = share.sum(axis=1)
        return np.asarray((share * np.where(present, self.returns, 0.0)).sum(axis=1) / np.where(total > 0, total, 1.0))

    def step(self, start: Floats, target: Floats) -> Floats:
        """Towards the target, no weight by more than the step."""
        change = target - start
        largest = float(np.max(np.abs(change)))
        return start + change * min(1.0, self.limits.step / largest) if largest > 0 else start

    def _towards_equal(self, equal: Floats) -> Floats:
        floor, cap, _ = bounds(len(equal), self.limits)
        return project(equal, np.full(len(equal), floor), np.full(len(equal), cap))

    def expected(self, new: Floats, old: Floats) -> tuple[float, float]:
        """Annual (Sharpe, return) gained by the believed means, net of the cost of moving, which a half-life of
        memory has to earn."""
        mean = self.sharpe * self.moments.volatility
        cost = self.turnover_cost * float(np.abs(new - old).sum()) / (HALF_LIFE_YEARS * self.periods_per_year)
        figures = []
        for weights, fee in ((new, cost), (old, 0.0)):
            share = weights[self.able] / weights[self.able].sum()
            earned = float(share @ mean) - fee
            figures.append((earned, earned / math.sqrt(float(share @ self.moments.covariance @ share))))
        scale = self.periods_per_year
        return (figures[0][1] - figures[1][1]) * math.sqrt(scale), (figures[0][0] - figures[1][0]) * scale

    def _move(
        self, start: Floats, stepped: Floats, gain: float, gain_return: float, reason: str, plan: _Plan,
        evidence: dict[str, object], notes: list[str],
    ) -> Proposal:  # fmt: skip
        causes = []
        for k, parts in enumerate(plan.causes):
            change = float(stepped[k] - start[k])
            whole = {**parts, "guard": 0.0}
            whole["guard"] = change - sum(whole.values())
            causes.append(whole)
        return Proposal(
            weights=stepped, status="apply", reason=reason, expected_sharpe_improvement=gain,
            expected_return_improvement=gain_return, candidate=plan.target, evidence={**evidence, "notes": notes},
            causes=tuple(causes),
        )  # fmt: skip
