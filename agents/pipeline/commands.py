"""What a person commands, as it changes the step's state."""

from __future__ import annotations

import numpy as np

from agents.core.books import FIRST_BENCHMARK, FIRST_SHADOW, LIVE
from agents.core.types import RiskState
from agents.pipeline.highs import begun_highs
from agents.pipeline.parameters import FLATTEN
from agents.pipeline.state import State, has_account


def obey(state: State, command: RiskState, *, flatten: bool = False) -> None:
    """What a person commands, to the live book and those that follow it; a resume measures all losses from here."""
    agents = state.asked.shape[1]
    books = [b for b in range(len(state.cash)) if has_account(b, agents) and not FIRST_BENCHMARK <= b < FIRST_SHADOW]
    if command is RiskState.REDUCING:
        state.risk_state[books] = np.maximum(state.risk_state[books], command)
        state.ordered[0] = max(state.ordered[0], command)
    else:
        state.risk_state[books] = command
        state.ordered[0] = FLATTEN if flatten else command
    if command is RiskState.ACTIVE:
        state.peak[books] = state.equity[books]
        state.highs[books] = begun_highs(state.equity[books])
        state.today[:] = np.nan, state.equity[LIVE], 0.0
