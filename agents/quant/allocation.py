"""returns of the agents -> a proposal of weights, with its evidence and the guard's verdict. Pure.

`propose` is the whole decision: what can be measured, a method's candidate, the step towards it, and whether the evidence
supports taking it. The methods themselves are in `portfolios`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from agents.core.types import Booleans, Floats
from agents.quant.evidence import (
    PairedTest,
    drifting_spread,
    inflation,
    lasting_spread,
    level_of_a_look,
    required_t,
    sharpe_difference,
)
from agents.quant.limits import Limits, bounds, feasible_start
from agents.quant.moments import Moments, decay_weights, estimate, measurable, shrink_to_grand_mean
from agents.quant.portfolios import METHODS, NoPositiveMeanError, Solver, SolverError, highest_mean, max_sharpe

__all__ = ["CAUSES", "Limits", "Method", "Proposal", "Solver", "bounds", "propose"]

Status = Literal["apply", "hold", "fallback"]
Method = Literal["adaptive", "max_sharpe", "min_variance", "risk_parity", "inverse_volatility", "hrp", "equal"]

EVIDENCE_HALF_LIFE_YEARS = 3.0
"""Memory of the question whether the agents differ at all; fixed before any data were seen: tuning it on the same returns would be
a trial."""
HALF_LIFE_YEARS = 1.0
"""Memory of the methods that do not look at means, and of whether a tilt is still supported."""
MOVING_HALF_LIFE_YEARS = 0.5
MOVING_T = 1.0
"""Once it is established that the agents' skills differ, means are remembered for this long, and so many standard errors for
the candidate suffice."""
PRIOR_PERIODS = 60.0
"""The candidate is blended with equal weights as if these had been seen for so many periods."""
TESTS_PER_YEAR = 32.0
"""Independent tests that a year of daily looks at the two statistics of `sameness` amounts to, since neighbouring looks
share nearly all their data: measured on noise by scripts/calibrate_guard.py."""
LOOKS_PER_YEAR = 16.0
"""The same for daily looks at one paired difference."""
KEEP_MOVING_P = 0.05
"""A desk that has left equal weights goes on moving while this is not exceeded; a second opening need not be as strong."""
RELEASE_T = 0.5
"""A tilt away from equal weights that shows fewer standard errors than this is taken back."""
RECENT_YEARS = 0.5
RECENT_RELEASE_T = -1.0
"""So is one that the last half year speaks against by so many standard errors: skill can die."""


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
    returns: Floats,
    previous: Floats,
    *,
    method: Method = "adaptive",
    limits: Limits | None = None,
    periods_per_year: float = 252.0,
    turnover_cost: float = 0.0005,
    trials: int = 1,
    seed: int = 0,
    solver: Solver = "reference",
) -> Proposal:
    """The decision about the weights of A agents.

    `returns` [T, A] are the agents' own returns per period, oldest first, NaN where an agent did not exist;
    `previous` [A] the weights in force; `turnover_cost` the cost of moving all of the book, as a fraction. ValueError
    for arrays that do not fit, infinite returns, or an unknown method; every other difficulty is an outcome. Which `solver` finds
    the optimum changes nothing but the time it takes.
    """
    limits = limits or Limits()
    returns, previous = np.asarray(returns, dtype=np.float64), np.asarray(previous, dtype=np.float64)
    _check(returns, previous, method, periods_per_year, trials)
    agents = len(previous)
    start, notes = feasible_start(previous, limits)
    brought_in = bool(np.max(np.abs(start - previous), initial=0.0) > 1e-6)
    able = measurable(returns, limits.minimum_signals)
    base: dict[str, object] = {
        "method": method,
        "agents": agents,
        "periods": len(returns),
        "trials": trials,
        "measurable": int(able.sum()),
    }
    if int(able.sum()) < 2:
        reason = f"{int(able.sum())} of {agents} agents have {limits.minimum_signals} signals or more; 2 are needed"
        return _stay(start, brought_in, "fallback", reason, base, notes)
    seen = int(np.isfinite(returns[:, able]).sum(axis=0).min())
    if seen < limits.minimum_periods:
        reason = f"{seen} periods are seen, {limits.minimum_periods} are needed for a change"
        return _stay(start, brought_in, "hold", reason, base, notes)
    judge = _Judge(returns[:, able], limits, periods_per_year, turnover_cost, trials, seed, able, start)
    by_means = method in ("adaptive", "max_sharpe")
    refusal = judge.sameness(base) if by_means else ""
    if refusal and method == "adaptive" and not judge.tilted:
        return _stay(start, brought_in, "hold", refusal, base, notes)
    years = MOVING_HALF_LIFE_YEARS if by_means and not refusal else HALF_LIFE_YEARS
    moments = estimate(returns[:, able], years * periods_per_year)
    evidence = {
        **base,
        "half_life_years": years,
        "effective_periods": round(float(np.min(moments.sample)), 1),
        "correlation_shrinkage": round(moments.shrinkage, 4),
    }
    try:
        plan = _candidate(returns, able, moments, method, limits, periods_per_year, evidence, solver)
    except SolverError as error:
        reason = f"the solver gave no answer ({error}); previous weights kept"
        return _stay(start, brought_in, "fallback", reason, evidence, notes)
    plan = replace(plan, refusal=plan.refusal or refusal)
    return judge.verdict(judge.case(plan, moments, years, evidence, by_means), brought_in, [*notes, *plan.notes])


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


def _stay(
    start: Floats,
    brought_in: bool,
    status: Status,
    reason: str,
    evidence: dict[str, object],
    notes: list[str],
    candidate: Floats | None = None,
) -> Proposal:
    if brought_in and status == "hold":
        status, reason = "apply", f"previous weights brought inside the limits; beyond that: {reason}"
    nothing = dict.fromkeys(CAUSES, 0.0)
    return Proposal(
        weights=start,
        status=status,
        reason=reason,
        expected_sharpe_improvement=0.0,
        expected_return_improvement=0.0,
        candidate=start if candidate is None else candidate,
        evidence={**evidence, "notes": notes},
        causes=tuple(dict(nothing) for _ in start),
    )


CAUSES = ("mean", "volatility", "correlation", "shrinkage", "cap", "guard")


def _candidate(
    returns: Floats,
    able: Booleans,
    moments: Moments,
    method: str,
    limits: Limits,
    periods_per_year: float,
    evidence: dict[str, object],
    solver: Solver,
) -> _Plan:
    """A method's weights for all agents: those that cannot be measured keep the floor."""
    agents, known = len(able), int(able.sum())
    floor, cap, _ = bounds(agents, limits)
    shrunk, own = shrink_to_grand_mean(moments.sharpe, moments.sample, moments.correlation, inflation(returns[:, able]))
    annual = math.sqrt(periods_per_year)
    evidence |= {
        "own_share_of_sharpe": round(own, 4),
        "annual_sharpe": _spread(moments.sharpe * annual, able),
        "shrunk_annual_sharpe": _spread(shrunk * annual, able),
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
    try:
        stages = _stages(moments, believed, method, low * scale, high * scale, equal * scale, solver)
    except NoPositiveMeanError:
        notes.append("within the limits no weights have a positive expected return: the candidate loses least")
        least = highest_mean(believed * moments.volatility, low * scale, high * scale)
        stages = [("equal", equal * scale), ("mean", least)]
    if method == "adaptive":
        trust = float(np.min(moments.sample)) / (float(np.min(moments.sample)) + PRIOR_PERIODS)
        stages.append(("shrinkage", trust * stages[-1][1] + (1.0 - trust) * equal * scale))
        evidence["blend_with_equal"] = round(1.0 - trust, 4)
    target = _fill(stages[-1][1] * left, able, floor)
    return _Plan(target=target, sharpe=believed, causes=_split(stages, left, able), notes=notes)


def _stages(
    moments: Moments, believed: Floats, method: str, low: Floats, high: Floats, equal: Floats, solver: Solver
) -> list[tuple[str, Floats]]:
    """The candidate built up cause by cause: from equal weights by means alone, then volatilities, then correlations,
    then the bounds; each stage is a full weight vector (summing to 1)."""
    size = len(equal)
    if method not in ("adaptive", "max_sharpe"):
        final = METHODS[method](moments, low, high, solver)
        names = {"equal": "cap", "inverse_volatility": "volatility"}
        return [("equal", equal), (names.get(method, "correlation"), final)]
    mean_only = np.maximum(believed, 0.0)
    mean_only = mean_only / mean_only.sum() if mean_only.sum() > 0 else equal
    with_volatility = mean_only / moments.volatility
    with_volatility = with_volatility / with_volatility.sum()
    mean = believed * moments.volatility
    final = max_sharpe(mean, moments.covariance, low, high, solver)
    unbounded = max_sharpe(mean, moments.covariance, np.zeros(size), np.ones(size), solver)
    return [
        ("equal", equal),
        ("mean", mean_only),
        ("volatility", with_volatility),
        ("correlation", unbounded),
        ("cap", final),
    ]


def _split(stages: list[tuple[str, Floats]], left: float, able: Booleans) -> tuple[dict[str, float], ...]:
    parts = {name: np.zeros(len(able)) for name in CAUSES}
    for (_, before), (name, after) in pairwise(stages):
        parts[name][able] += (after - before) * left
    return tuple({name: float(values[k]) for name, values in parts.items()} for k in range(len(able)))


def _fill(known: Floats, able: Booleans, floor: float) -> Floats:
    whole = np.full(len(able), floor)
    whole[able] = known
    return np.asarray(whole / whole.sum())


def _spread(values: Floats, able: Booleans) -> list[float | None]:
    """Values of the measurable agents in the places of all, None for the others: fit for JSON."""
    found = iter(values)
    return [round(float(next(found)), 4) if one else None for one in able]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A plan before the guard: by how much its test exceeds what is needed (-inf where the plan refuses itself)."""

    plan: _Plan
    moments: Moments
    evidence: dict[str, object]
    test: PairedTest
    lately: PairedTest
    needed: float
    margin: float


@dataclass(frozen=True, slots=True)
class _Judge:
    """The guard: does the evidence support going from `start` towards a plan's target?"""

    returns: Floats
    limits: Limits
    periods_per_year: float
    turnover_cost: float
    trials: int
    seed: int
    able: Booleans
    start: Floats

    @property
    def tilted(self) -> bool:
        """Whether the weights in force are away from equal ones."""
        return float(np.max(np.abs(self.start - self._equal())[self.able])) > 1e-4

    def sameness(self, evidence: dict[str, object]) -> str:
        """ "" where it is established that these agents' skills differ, lastingly or drifting; else the reason to hold."""
        year = self.periods_per_year
        p = min(
            lasting_spread(self.returns, decay_weights(len(self.returns), EVIDENCE_HALF_LIFE_YEARS * year)),
            drifting_spread(self.returns, round(RECENT_YEARS * year)),
        )
        level = level_of_a_look(self.limits.false_changes_per_year, TESTS_PER_YEAR * self.trials)
        if self.tilted:
            level = max(level, KEEP_MOVING_P)
        evidence |= {"same_skill_p": float(f"{p:.3g}"), "same_skill_level": float(f"{level:.3g}")}
        return (
            ""
            if p < level
            else f"were all agents equally good, chance would make them differ this much with probability {p:.2g}; below {level:.2g} weights move"
        )

    def case(self, plan: _Plan, moments: Moments, years: float, evidence: dict[str, object], by_means: bool) -> _Case:
        """The evidence for one plan; a direction that was not picked by means has to convince by itself."""
        test = self.test(plan.target, self.start, years)
        lately = self.test(plan.target, self.start, None)
        needed = (
            MOVING_T
            if by_means
            else required_t(
                self.limits.false_changes_per_year,
                looks_per_year=LOOKS_PER_YEAR,
                trials=self.trials,
                periods=test.periods,
            )
        )
        if not plan.refusal:
            evidence |= {
                "t": round(test.t, 3),
                "t_needed": round(needed, 3),
                "sharpe_difference": round(test.difference, 4),
                "interval": [round(test.low, 4), round(test.high, 4)],
                "recent_t": round(lately.t, 3),
            }
        margin = -math.inf if plan.refusal else test.t - needed
        return _Case(
            plan=plan,
            moments=moments,
            evidence=evidence,
            test=test,
            lately=lately,
            needed=needed,
            margin=margin,
        )

    def verdict(self, case: _Case, brought_in: bool, notes: list[str]) -> Proposal:
        """Apply a step where it is supported, take a tilt back where its support has gone, else hold."""
        start, plan, test, lately = self.start, case.plan, case.test, case.lately
        stepped = self.step(plan.target)
        gain, gain_return = self.expected(stepped, case)
        said = f"the candidate's annual Sharpe is {test.difference:+.2f} [{test.low:+.2f}, {test.high:+.2f}] against the weights in force"
        if case.margin >= 0.0 and lately.t > RECENT_RELEASE_T and gain > 0.0:
            reason = f"{said}: {test.t:.1f} standard errors, {case.needed:.1f} needed; no weight moved by more than {self.limits.step:.0%}"
            return self._move(stepped, (gain, gain_return), reason, case, notes)
        equal = self._equal()
        tilt, recent = self.test(start, equal, HALF_LIFE_YEARS), self.test(start, equal, None)
        case.evidence.update({"tilt_t": round(tilt.t, 3), "recent_tilt_t": round(recent.t, 3)})
        back = self.step(equal)
        if np.max(np.abs(back - start)) > 1e-4 and (tilt.t < RELEASE_T or recent.t < RECENT_RELEASE_T):
            reason = (
                f"the present tilt away from equal weights has lost its support ({tilt.t:.1f} standard errors, in the last half"
                f" year {recent.t:.1f}): a step back towards equal"
            )
            return self._move(back, self.expected(back, case), reason, case, notes)
        reason = plan.refusal or f"{said}: {self._short(case, gain)}"
        return _stay(start, brought_in, "hold", reason, case.evidence, notes, plan.target)

    def _short(self, case: _Case, gain: float) -> str:
        if case.margin < 0.0:
            return f"{case.test.t:.1f} standard errors where {case.needed:.1f} are needed"
        if gain <= 0.0:
            return "its turnover costs more than it gains"
        return f"the last half year speaks against it ({case.lately.t:.1f} standard errors)"

    def test(self, new: Floats, old: Floats, years: float | None) -> PairedTest:
        """The paired comparison over the measurable agents with a half-life of `years`, or, where None, over the last half
        year; a missing agent leaves the denominator."""
        rows = slice(None if years else -max(20, round(RECENT_YEARS * self.periods_per_year)), None)
        a, b = self._portfolio(new)[rows], self._portfolio(old)[rows]
        weights = decay_weights(len(a), years * self.periods_per_year if years else math.inf)
        return sharpe_difference(a, b, weights, self.periods_per_year, seed=self.seed)

    def _portfolio(self, weights: Floats) -> Floats:
        present = np.isfinite(self.returns)
        share = weights[self.able] * present
        total = share.sum(axis=1)
        return np.asarray((share * np.where(present, self.returns, 0.0)).sum(axis=1) / np.where(total > 0, total, 1.0))

    def step(self, target: Floats) -> Floats:
        """From the start towards the target, no weight by more than the step."""
        change = target - self.start
        largest = float(np.max(np.abs(change)))
        return self.start + change * min(1.0, self.limits.step / largest) if largest > 0 else self.start

    def _equal(self) -> Floats:
        return np.full(len(self.start), 1.0 / len(self.start))  # `bounds` always lets them in

    def expected(self, new: Floats, case: _Case) -> tuple[float, float]:
        """Annual (Sharpe, return) gained by the believed means, net of the cost of moving, which a year has to earn."""
        mean = case.plan.sharpe * case.moments.volatility
        cost = self.turnover_cost * float(np.abs(new - self.start).sum()) / self.periods_per_year
        figures = []
        for weights, fee in ((new, cost), (self.start, 0.0)):
            share = weights[self.able] / weights[self.able].sum()
            earned = float(share @ mean) - fee
            figures.append((earned, earned / math.sqrt(float(share @ case.moments.covariance @ share))))
        scale = self.periods_per_year
        return (figures[0][1] - figures[1][1]) * math.sqrt(scale), (figures[0][0] - figures[1][0]) * scale

    def _move(
        self, stepped: Floats, gains: tuple[float, float], reason: str, case: _Case, notes: list[str]
    ) -> Proposal:
        causes = []
        for k in range(len(stepped)):
            whole = dict(case.plan.causes[k]) if case.plan.causes else dict.fromkeys(CAUSES, 0.0)
            whole["guard"] = float(stepped[k] - self.start[k]) - sum(v for name, v in whole.items() if name != "guard")
            causes.append(whole)
        return Proposal(
            weights=stepped,
            status="apply",
            reason=reason,
            expected_sharpe_improvement=gains[0],
            expected_return_improvement=gains[1],
            candidate=case.plan.target,
            evidence={**case.evidence, "notes": notes},
            causes=tuple(causes),
        )
