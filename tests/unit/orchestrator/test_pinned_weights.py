"""All symbols of a cycle read one version of the weights, whatever is published while it decides."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agents.core.clock import SystemClock
from agents.core.settings import Settings
from agents.core.types import OrderOutcome, WeightSet, WeightsLevel, as_datetime
from agents.orchestrator.orchestrator import Orchestrator
from agents.wiring.desk import plan_of
from tests.market import all_agents, make_bars
from tests.twins import MemoryJournal

T0 = datetime(2024, 1, 1, tzinfo=UTC)
BARS = make_bars(300, 4, 1)


class AlwaysNewer:
    """Somebody publishes before every look: each answer is a version of its own."""

    def __init__(self, names):
        self.names, self.looks = names, 0

    def current(self, at):
        self.looks += 1
        first, *others = self.names
        tilt = Decimal(self.looks) / 1000
        weights = {first: Decimal(1) - tilt * len(others), **dict.fromkeys(others, tilt)}
        return WeightSet(
            version=self.looks,
            weights=weights,
            created_at=T0,
            valid_until=None,
            level=WeightsLevel.DATABASE,
            reason="",
        )


class Venue:
    """Takes every order and fills none."""

    def poll(self, since):
        return []

    def place(self, orders):
        return [OrderOutcome(client_order_id=o.client_order_id, state="acked", reason="") for o in orders]

    def lookup(self, client_order_id):
        return None


def test_a_cycle_asks_for_each_symbol_and_reads_one_version(monkeypatch):
    agents, journal = all_agents(SystemClock()), MemoryJournal()
    weights, asked = AlwaysNewer(agents.names), []
    desk = Orchestrator(plan_of(Settings(), BARS.symbols), agents, weights, journal)
    answer = Orchestrator._get_agent_weights
    monkeypatch.setattr(
        Orchestrator,
        "_get_agent_weights",
        lambda self, symbol: asked.append((symbol, answer(self, symbol))) or asked[-1][1],
    )
    desk.recover(Venue(), BARS.rows(0, 290), as_datetime(BARS.time[289]))
    assert asked == []
    for n, t in enumerate(range(290, 294), 1):
        asked.clear()
        cycle = desk.run_cycle(BARS.rows(0, t + 1), Venue(), as_datetime(BARS.time[t]), stale=False)
        assert [symbol for symbol, _ in asked] == list(BARS.symbols)
        assert weights.looks == n, "one look for the whole cycle"
        assert cycle.weights[0].version == n
        assert all(read == cycle.weights[0].weights for _, read in asked)
    assert answer(desk, "S0") == cycle.weights[0].weights, "between cycles: what the newest one pinned"
    with pytest.raises(KeyError):
        answer(desk, "XYZ")


def test_before_the_first_cycle_it_is_what_is_in_force():
    agents = all_agents(SystemClock())
    desk = Orchestrator(plan_of(Settings(), BARS.symbols), agents, AlwaysNewer(agents.names), MemoryJournal())
    assert sum(desk._get_agent_weights("S1").values()) == 1
