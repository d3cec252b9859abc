"""A state that an older version saved is taken up, and what that version did not know begins anew."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import numpy as np

from agents.core.books import LIVE
from agents.core.settings import Settings
from agents.pipeline.ledger import Ledger
from agents.pipeline.saved_state import pack_state, unpack_state
from agents.pipeline.state import new_state
from agents.wiring.desk import plan_of


def test_a_state_of_before_begins_with_the_prior():
    """Of the version that knew of a forecast's moves their squared change only, under a name that is no more."""
    plan, agents = plan_of(Settings(), ("S0", "S1")), ("A", "B")
    state = new_state(2, 2, 1e6)
    state.heard[:], state.position[LIVE] = 0.7, (3.0, -4.0)
    state.wanted[:], state.followed[:], state.moves[:], state.worth[:] = 1.0, 1.0, 1.0, 1.0
    with np.load(io.BytesIO(pack_state(state, plan.symbols, agents, Ledger(cash=Decimal(5))))) as saved:
        words = json.loads(saved["words"].tobytes())
    before = {k: v for k, v in state._asdict().items() if k not in ("moves", "wanted", "followed", "worth")}
    before["speed"] = np.ones(state.heard.shape)
    words["shapes"] = {name: array.shape for name, array in before.items()}
    old = io.BytesIO()
    text = np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)
    np.savez(old, format=np.array([3]), words=text, numbers=np.concatenate([a.ravel() for a in before.values()]))
    for beside in (False, True):
        loaded, cash = unpack_state(old.getvalue(), plan, agents, beside=beside)
        assert cash == "5" and (loaded.heard[LIVE] == 0.7).all()
        np.testing.assert_array_equal(loaded.position[LIVE], (3.0, -4.0))
        for name in ("moves", "wanted", "followed", "worth"):
            one = getattr(loaded, name)
            assert not one.any() and one.shape == getattr(new_state(2, 2, 1e6, 3 * beside), name).shape, name
