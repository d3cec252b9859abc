"""The guard: does the evidence support going from the weights in force towards a candidate?

It moves weights by a step where it does, takes a tilt away from the anchor back where its support has gone, and
else holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agents.core.types import Floats
from agents.quant.candidate import Candidate, Estimates
from agents.quant.evidence import PairedTest, level_of_a_look, required_t, sharpe_difference
from agents.quant.moments import decay_weights
from agents.quant.proposal import CAUSES, AllocationProblem, Proposal, Status
from agents.quant.same_skill import drifting_spread, lasting_spread

EVIDENCE_HALF_LIFE_YEARS = 3.0
"""Memory of the question whether the agents differ at all; fixed before any data were seen: tuning it on the same
returns would be a trial."""
HALF_LIFE_YEARS = 1.0
"""Memory of the methods that do not look at means, and of whether a tilt is still supported."""
MOVING_T = 1.0
"""Once it is established that the agents' skills differ, so many standard errors suffice for the candidate."""
TESTS_PER_YEAR = 32.0
"""Independent tests that a year of daily looks at the two statistics of `same_skill` amounts to, since neighbouring
looks share nearly all their data: measured on noise by scripts/calibrate_guard.py."""
LOOKS_PER_YEAR = 16.0
"""The same for daily looks at one paired difference."""
KEEP_MOVING_P = 0.05
"""A desk that has left equal weights goes on moving while this is not exceeded; a second opening need not be as
strong."""
RELEASE_T = 0.5
"""A tilt away from the anchor that shows fewer standard errors than this is taken back."""
RECENT_YEARS = 0.5
RECENT_RELEASE_T = -1.0
"""So is one that the last half year speaks against by so many standard errors: skill can die."""


@dataclass(frozen=True, slots=True)
class SameSkill:
    """How probable it is that chance alone makes equally good agents differ this much, and the level below which
    weights move."""

    p: float
    level: float

    @property
    def reason_to_hold(self) -> str:
        """Empty where it is established that the agents' skills differ."""
        if self.p < self.level:
            return ""
        return (
            "were all agents equally good, chance would make them differ this much with probability"
            f" {self.p:.2g}; below {self.level:.2g} weights move"
        )

    @property
    def evidence(self) -> dict[str, object]:
        """Plain numbers."""
        return {"same_skill_p": float(f"{self.p:.3g}"), "same_skill_level": float(f"{self.level:.3g}")}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedCandidate:
    """A candidate with the paired tests of its portfolio against the weights in force: with the belief's half-life,
    and over the last half year; and the standard errors that the first one has to show."""

    candidate: Candidate
    estimates: Estimates
    test: PairedTest
    recent: PairedTest
    needed_t: float

    @property
    def shown(self) -> bool:
        """Whether the test shows what is needed; never where the method itself refuses."""
        return not self.candidate.refusal and self.test.t >= self.needed_t

    @property
    def claim(self) -> str:
        """The test in words."""
        test = self.test
        interval = f"[{test.low:+.2f}, {test.high:+.2f}]"
        return f"the candidate's annual Sharpe is {test.difference:+.2f} {interval} against the weights in force"

    @property
    def evidence(self) -> dict[str, object]:
        """Plain numbers; none where the method itself refuses."""
        if self.candidate.refusal:
            return {}
        return {
            "t": round(self.test.t, 3),
            "t_needed": round(self.needed_t, 3),
            "sharpe_difference": round(self.test.difference, 4),
            "interval": [round(self.test.low, 4), round(self.test.high, 4)],
            "recent_t": round(self.recent.t, 3),
        }


@dataclass(frozen=True, slots=True)
class WeightGuard:
    """Judges one problem."""

    problem: AllocationProblem

    @property
    def tilted(self) -> bool:
        """Whether the weights in force are away from the anchor."""
        problem = self.problem
        return float(np.max(np.abs(problem.start - problem.anchor)[problem.measurable])) > 1e-4

    def same_skill(self) -> SameSkill:
        """The test of whether the agents' skills differ, lastingly or drifting; the smaller p-value of the two
        counts."""
        returns, year = self.problem.returns, self.problem.periods_per_year
        p = min(
            lasting_spread(returns, decay_weights(len(returns), EVIDENCE_HALF_LIFE_YEARS * year)),
            drifting_spread(returns, round(RECENT_YEARS * year)),
        )
        level = level_of_a_look(self.problem.limits.false_changes_per_year, TESTS_PER_YEAR * self.problem.trials)
        return SameSkill(p, max(level, KEEP_MOVING_P) if self.tilted else level)

    def verdict(self, candidate: Candidate, estimates: Estimates, evidence: Mapping[str, object]) -> Proposal:
        """Apply a step where it is supported, take a tilt back where its support has gone, else hold. `evidence` is
        what led to the candidate."""
        problem, tested = self.problem, self._tested(candidate, estimates)
        start, anchor = problem.start, problem.anchor
        evidence = {**evidence, **tested.evidence}
        stepped = self._step(candidate.target)
        sharpe_gain = self._gains(stepped, tested)[0]
        if tested.shown and tested.recent.t > RECENT_RELEASE_T and sharpe_gain > 0.0:
            reason = (
                f"{tested.claim}: {tested.test.t:.1f} standard errors, {tested.needed_t:.1f} needed;"
                f" no weight moved by more than {problem.limits.step:.0%}"
            )
            return self._move(stepped, reason, tested, evidence)
        tilt, recent = self._compared(start, anchor, HALF_LIFE_YEARS), self._compared(start, anchor, None)
        evidence |= {"tilt_t": round(tilt.t, 3), "recent_tilt_t": round(recent.t, 3)}
        back = self._step(anchor)
        if np.max(np.abs(back - start)) > 1e-4 and (tilt.t < RELEASE_T or recent.t < RECENT_RELEASE_T):
            reason = (
                f"the present tilt away from the anchor has lost its support ({tilt.t:.1f} standard errors,"
                f" in the last half year {recent.t:.1f}): a step back towards it"
            )
            return self._move(back, reason, tested, evidence)
        reason = candidate.refusal or f"{tested.claim}: {_shortfall(tested, sharpe_gain)}"
        return unchanged(problem, "hold", reason, evidence, candidate)

    def _tested(self, candidate: Candidate, estimates: Estimates) -> TestedCandidate:
        """A direction that was not picked by means has to convince by itself."""
        problem = self.problem
        test = self._compared(candidate.target, problem.start, estimates.half_life_years)
        needed_t = MOVING_T
        if not problem.looks_at_means:
            rate = problem.limits.false_changes_per_year
            needed_t = required_t(rate, looks_per_year=LOOKS_PER_YEAR, trials=problem.trials, periods=test.periods)
        return TestedCandidate(
            candidate=candidate,
            estimates=estimates,
            test=test,
            recent=self._compared(candidate.target, problem.start, None),
            needed_t=needed_t,
        )

    def _compared(self, new: Floats, old: Floats, half_life_years: float | None) -> PairedTest:
        """The paired comparison of two sets of weights [A] over the measurable agents, with a half-life or, where
        that is None, over the last half year."""
        year = self.problem.periods_per_year
        rows = slice(None if half_life_years else -max(20, round(RECENT_YEARS * year)), None)
        a, b = self._portfolio(new)[rows], self._portfolio(old)[rows]
        weights = decay_weights(len(a), half_life_years * year if half_life_years else math.inf)
        return sharpe_difference(a, b, weights, year, seed=self.problem.seed)

    def _portfolio(self, weights: Floats) -> Floats:
        """Returns [T] of the measurable agents together; a missing agent leaves the denominator."""
        returns = self.problem.returns
        present = np.isfinite(returns)
        share = weights[self.problem.measurable] * present
        total = share.sum(axis=1)
        return np.asarray((share * np.where(present, returns, 0.0)).sum(axis=1) / np.where(total > 0, total, 1.0))

    def _step(self, target: Floats) -> Floats:
        """From the start towards the target, no weight by more than the step."""
        start = self.problem.start
        change = target - start
        largest = float(np.max(np.abs(change)))
        return start + change * min(1.0, self.problem.limits.step / largest) if largest > 0 else start

    def _gains(self, new: Floats, tested: TestedCandidate) -> tuple[float, float]:
        """Annual (Sharpe ratio, return) gained by the believed means, net of the cost of moving, which a year has to
        earn."""
        problem, moments = self.problem, tested.estimates.moments
        mean = tested.candidate.sharpe * moments.volatility
        cost = problem.turnover_cost * float(np.abs(new - problem.start).sum()) / problem.periods_per_year
        figures = []
        for weights, fee in ((new, cost), (problem.start, 0.0)):
            share = weights[problem.measurable] / weights[problem.measurable].sum()
            earned = float(share @ mean) - fee
            figures.append((earned, earned / math.sqrt(float(share @ moments.covariance @ share))))
        scale = problem.periods_per_year
        return (figures[0][1] - figures[1][1]) * math.sqrt(scale), (figures[0][0] - figures[1][0]) * scale

    def _move(self, stepped: Floats, reason: str, tested: TestedCandidate, evidence: Mapping[str, object]) -> Proposal:
        candidate, start = tested.candidate, self.problem.start
        sharpe_gain, return_gain = self._gains(stepped, tested)
        causes = []
        for k in range(len(stepped)):
            parts = dict(candidate.causes[k]) if candidate.causes else dict.fromkeys(CAUSES, 0.0)
            parts["step"] = float(stepped[k] - start[k]) - sum(v for name, v in parts.items() if name != "step")
            causes.append(parts)
        return Proposal(
            weights=stepped,
            status="apply",
            reason=reason,
            expected_sharpe_improvement=sharpe_gain,
            expected_return_improvement=return_gain,
            candidate=candidate.target,
            evidence={**evidence, "notes": [*self.problem.notes, *candidate.notes]},
            causes=tuple(causes),
        )


def unchanged(
    problem: AllocationProblem,
    status: Status,
    reason: str,
    evidence: Mapping[str, object],
    candidate: Candidate | None = None,
) -> Proposal:
    """The weights in force; applied where the limits moved them, although nothing else does."""
    if problem.brought_in and status == "hold":
        status, reason = "apply", f"previous weights brought inside the limits; beyond that: {reason}"
    return Proposal(
        weights=problem.start,
        status=status,
        reason=reason,
        expected_sharpe_improvement=0.0,
        expected_return_improvement=0.0,
        candidate=problem.start if candidate is None else candidate.target,
        evidence={**evidence, "notes": [*problem.notes, *(candidate.notes if candidate else ())]},
        causes=tuple(dict.fromkeys(CAUSES, 0.0) for _ in problem.start),
    )


def _shortfall(tested: TestedCandidate, sharpe_gain: float) -> str:
    """Why a candidate is not followed."""
    if not tested.shown:
        return f"{tested.test.t:.1f} standard errors where {tested.needed_t:.1f} are needed"
    if sharpe_gain <= 0.0:
        return "its turnover costs more than it gains"
    return f"the last half year speaks against it ({tested.recent.t:.1f} standard errors)"
