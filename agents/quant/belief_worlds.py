"""How many of the agents differ at all? The chances of the filter's four worlds, in each of which another share of the
agents is ordinary; and the correlations that tell which agents count once. Compiled, in place."""

from __future__ import annotations

import math

from agents.core.types import Floats
from agents.quant.belief_state import CORRELATION_PERIODS, SHARE_PRIOR, WORLDS, BeliefState
from agents.quant.compiled import compiled_bare


@compiled_bare
def weigh_shares(state: BeliefState, correlation: Floats, row: Floats, share: Floats) -> None:
    """Fill `share` [Q]: how probable each of the worlds of SHARES is; agents that move alike count once.
    `correlation` [A, A] and `row` [A] are room."""
    correlate(state, correlation)
    count = _independent_share(state, correlation, row)
    most = -math.inf
    for q in range(WORLDS):
        share[q] = math.log(SHARE_PRIOR[q])
        for a in range(len(row)):
            share[q] += count * state.fit[a, q]
        most = max(most, share[q])
    total = 0.0
    for q in range(WORLDS):
        share[q] = math.exp(share[q] - most)
        total += share[q]
    for q in range(WORLDS):
        share[q] /= total


@compiled_bare
def _independent_share(state: BeliefState, correlation: Floats, row: Floats) -> float:
    """Which share of the agents there are moves independently once their mean is taken away: tr(X)^2 / (|X|^2 A) with X
    their centred correlations; 0 where there are no two."""
    alive, agents, grand = state.alive, 0, 0.0
    for a in range(len(row)):
        agents += alive[a] > 0.0
    for a in range(len(row)):
        row[a] = 0.0
        for b in range(len(row)):
            if alive[a] > 0.0 and alive[b] > 0.0:
                row[a] += correlation[a, b]
        row[a] /= agents
        grand += row[a] / agents
    trace, squares = 0.0, 0.0
    for a in range(len(row)):
        for b in range(a + 1):
            if alive[a] > 0.0 and alive[b] > 0.0:
                centred = correlation[a, b] - row[a] - row[b] + grand
                squares += centred * centred if a == b else 2.0 * centred * centred
                trace += centred if a == b else 0.0
    return trace * trace / (squares * agents) if squares > 1e-12 else 0.0


@compiled_bare
def correlate(state: BeliefState, matrix: Floats) -> None:
    """Fill `matrix` [A, A]: running correlations of the agents' scores, each drawn to the mean of all."""
    together, beside, weight = state.together, state.square_beside, state.pair_weight
    total, pairs = 0.0, 0
    for a in range(len(matrix)):
        for b in range(a):
            scale = beside[a, b] * beside[b, a]
            matrix[a, b] = min(1.0, max(-1.0, together[a, b] / math.sqrt(scale))) if scale > 0.0 else 0.0
            if weight[a, b] > 0.0:
                total += matrix[a, b]
                pairs += 1
    mean = total / max(pairs, 1)
    for a in range(len(matrix)):
        matrix[a, a] = 1.0
        for b in range(a):
            own = weight[a, b]
            matrix[a, b] = (own * matrix[a, b] + CORRELATION_PERIODS * mean) / (own + CORRELATION_PERIODS)
            matrix[b, a] = matrix[a, b]
