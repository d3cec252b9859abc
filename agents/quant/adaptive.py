"""The default method: weights follow what is believed of the agents, in proportion, and the price of luck is stated.

A state of knowledge (`beliefs`) -> a target (`target`) -> a trade towards it, with what it is expected to bring, what
it would cost if all agents were equally good, and which cause moved which weight.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from agents.core.later import Later
from agents.core.types import Floats
from agents.quant.belief_state import SHARES, BeliefState
from agents.quant.beliefs import (
    activity,
    better_than_average,
    chances_of_levels,
    chances_of_shares,
    chances_where_agents_differ,
    from_replay,
    interval,
)
from agents.quant.compiled import compiled
from agents.quant.proposal import CAUSES, AgentBelief, AllocationProblem, Beliefs, Proposal, Status
from agents.quant.target import (
    ANCHOR_SHARPE,
    AVERSION,
    CORRELATION_SHARE,
    Views,
    active_risk,
    built_up,
    largest_wish,
    no_trade_zone,
    of_a_year,
    priced_risk,
    target_of,
    traded,
    views_of,
)

INTERVAL_SHARE = 0.80
NO_TARGET = "there is no target: no agent's book has moved, or no optimum was found; previous weights kept"


class _Outcome(NamedTuple):
    """What is decided, why, the weights [A] that are wished for, and the largest wish."""

    status: Status
    reason: str
    target: Floats
    largest: float = 0.0


def propose_by_beliefs(problem: AllocationProblem, state: BeliefState) -> Proposal:
    """The decision on a state of knowledge that holds all returns up to now."""
    views = views_of(state, math.sqrt(problem.periods_per_year))
    return _proposal(problem, state, views, _outcome(problem, state, views))


def _outcome(problem: AllocationProblem, state: BeliefState, views: Views) -> _Outcome:
    status, reason = _too_little(problem, state)
    if reason:
        return _Outcome(status, reason, problem.start)
    target = target_of(views, problem.anchor, problem.low, problem.high)
    largest, zone = largest_wish(problem.start, target), no_trade_zone(problem.agents)
    if math.isnan(largest):
        return _Outcome("fallback", NO_TARGET, problem.start)
    wish = f"the largest wish is {100 * largest:.1f} points"
    if largest <= zone:
        return _Outcome("hold", f"{wish}, below {100 * zone:.1f}", target, largest)
    reason = (
        f"{wish}, above {100 * zone:.1f}: weights move to within {50 * zone:.1f} of what is believed,"
        f" none by more than {100 * problem.limits.step:.0f}"
    )
    return _Outcome("apply", reason, target, largest)


def _too_little(problem: AllocationProblem, state: BeliefState) -> tuple[Status, str]:
    """Why there is too little to decide on; "" where there is enough."""
    limits = problem.limits
    spoken = state.seen >= limits.minimum_signals if problem.spoken is None else problem.spoken
    known = int((spoken & (state.square > 0.0)).sum())
    if known < 2:
        return (
            "fallback",
            f"{known} of {problem.agents} agents have {limits.minimum_signals} signals or more; 2 are needed",
        )
    periods = int(state.clock[0])
    if periods < limits.minimum_periods:
        return "hold", f"{periods} periods are seen, {limits.minimum_periods} are needed for a change"
    return "hold", ""


def _proposal(problem: AllocationProblem, state: BeliefState, views: Views, outcome: _Outcome) -> Proposal:
    status, reason, target, largest = outcome
    weights, gains = problem.start, (0.0, 0.0)
    causes = tuple(dict.fromkeys(CAUSES, 0.0) for _ in weights)
    if status == "apply":
        weights = traded(problem.start, target, problem.limits.step)
        gains, causes = _gains(problem, views, weights), _causes(problem, views, target, weights)
    elif problem.brought_in and status == "hold":
        status, reason = "apply", f"previous weights brought inside the limits; beyond that: {reason}"
    beliefs, periods = _beliefs(problem, state, views, weights), int(state.clock[0])
    return Proposal(
        weights=weights,
        status=status,
        reason=reason,
        expected_sharpe_improvement=gains[0],
        expected_return_improvement=gains[1],
        candidate=target,
        evidence=Later(lambda: _evidence(problem, periods, beliefs, largest)),
        causes=causes,
        beliefs=beliefs,
        state=state,
    )


def _beliefs(problem: AllocationProblem, state: BeliefState, views: Views, weights: Floats) -> Beliefs:
    trades = problem.turnover_cost * float(np.abs(weights - problem.start).sum())
    each, shares, (gain, risk, whole) = _figures(state, views, problem.anchor, weights)
    price = 0.5 * ANCHOR_SHARPE * (risk / whole) ** 2 + trades / whole if whole > 0.0 else 0.0
    return Beliefs(
        agents=tuple(AgentBelief(*row) for row in each.tolist()),
        share_differing=float(shares @ (1.0 - SHARES)),
        expected_gain=gain,
        active_risk=risk,
        price=price,
        from_replay=from_replay(state),
    )


@compiled
def _figures(
    state: BeliefState, views: Views, anchor: Floats, weights: Floats
) -> tuple[Floats, Floats, tuple[float, float, float]]:
    """What is told of all days of a year. [A, 4]: the parts of each agent's `AgentBelief`, with bounds that hold its
    skill with INTERVAL_SHARE, and what is believed of it; the chances of the worlds; and what it is expected to bring
    to hold `weights` instead of the anchor, the risk of that, and the anchor's own."""
    shares, active = chances_of_shares(state), activity(state)
    of_year = of_a_year(views, active)
    bounds = interval(chances_where_agents_differ(state), INTERVAL_SHARE)
    better = better_than_average(chances_of_levels(state))
    each, tilt, gain = np.empty((len(active), 4)), weights - anchor, 0.0
    for a in range(len(active)):
        skill = of_year.skill[a]
        each[a, 0], each[a, 3] = skill, better[a]
        each[a, 1] = min(bounds[a, 0] * active[a], skill)
        each[a, 2] = max(bounds[a, 1] * active[a], skill)
        gain += tilt[a] * (skill * of_year.volatility[a])
    return each, shares, (gain, active_risk(of_year, tilt), active_risk(of_year, anchor))


def _evidence(problem: AllocationProblem, periods: int, beliefs: Beliefs, largest: float) -> dict[str, object]:
    """Plain numbers and texts; docs/mathematics.md tells what each one is."""
    return {
        "method": problem.method,
        "agents": problem.agents,
        "periods": periods,
        **beliefs.as_plain(),
        "largest_wish": round(largest, 6),
        "no_trade_zone": round(no_trade_zone(problem.agents), 6),
        "anchor": np.round(problem.anchor, 6).tolist(),
        "floor": np.round(problem.low, 6).tolist(),
        "cap": np.round(problem.high, 6).tolist(),
        "notes": list(problem.notes),
    }


def _gains(problem: AllocationProblem, views: Views, weights: Floats) -> tuple[float, float]:
    """What going from the weights in force to `weights` is expected to bring a year, net of the trade: (Sharpe ratio,
    return). The Sharpe ratio counts what the tilt costs by its risk, at the price that the target was chosen by."""
    risk = active_risk(views, problem.anchor)
    cost = problem.turnover_cost * float(np.abs(weights - problem.start).sum())
    gain = float((weights - problem.start) @ (views.skill * views.volatility)) - cost
    price = priced_risk(views.volatility, views.correlation, CORRELATION_SHARE, AVERSION / risk)
    before, after = (float(tilt @ price @ tilt) for tilt in (problem.start - problem.anchor, weights - problem.anchor))
    return (gain - 0.5 * (after - before)) / risk, gain


def _causes(problem: AllocationProblem, views: Views, target: Floats, weights: Floats) -> tuple[dict[str, float], ...]:
    """For each agent what every cause added: the target built up from the anchor by skills alone, then volatilities,
    then correlations, then the limits; and the rest, the step."""
    parts = np.empty((len(CAUSES), problem.agents))
    parts[:-1] = np.diff(np.vstack([built_up(views, problem.anchor), target]), axis=0)
    parts[-1] = weights - problem.start - (target - problem.anchor)
    return tuple(dict(zip(CAUSES, part, strict=True)) for part in parts.T.tolist())
