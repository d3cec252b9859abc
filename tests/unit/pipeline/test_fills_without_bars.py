"""A broker may fill an order in a bar that nobody saw: its money is somebody's all the same."""

from __future__ import annotations

import numpy as np

from agents.core.books import LIVE
from agents.pipeline.desk import desk_of
from agents.pipeline.state import BrokerFills, new_outputs, new_state
from agents.pipeline.step import run_rows
from tests.unit.pipeline.desks import made_desk


def test_contributions_make_the_equity_where_a_fill_comes_without_a_bar():
    """Seen: such a fill's costs, and what it held from then on, were in no agent's and no remainder's account."""
    desk = made_desk(7, 160, 3, 2, gaps=0.1, external=True)
    rng, shape = np.random.default_rng(1), desk.inputs.open.shape
    missing = ~np.isfinite(desk.inputs.open)
    missing[:60] = False
    filled = np.where(missing, rng.integers(-20, 21, shape), 0).astype(float)
    assert np.count_nonzero(filled) > 20
    price = np.where(missing, 100.0 + rng.normal(size=shape), 0.0)
    inputs = desk.inputs._replace(
        weights=np.full(2, 0.5), broker_fills=BrokerFills(filled, price, np.abs(filled) * 0.02)
    )
    state, out = new_state(2, 3, desk.parameters.initial_cash), new_outputs(160, 2, 3)
    run_rows(desk_of(state, desk.parameters), inputs, out, 0, 160)
    earned = np.diff(out.equity[:, LIVE], prepend=desk.parameters.initial_cash)
    assert np.abs(out.contribution.sum(axis=1) - earned).max() < 1e-6
