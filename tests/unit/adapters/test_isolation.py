"""`agents.isolation`: the same desk to the last bit wherever its agents work, and whatever a foreign one does."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from agents.adapters.workers import seat as seats
from agents.core.clock import SystemClock
from agents.core.errors import SettingsError
from agents.core.settings import Settings, plain_settings, with_changes
from agents.core.types import Bars, CycleRecord, Signals
from agents.wiring.desk import agents_of
from agents.wiring.job_settings import variants_of
from tests.market import make_bars
from tests.real_history import demo_bars
from tests.unit.pipeline import test_step

TURNCOAT = {"Turncoat": "tests.hostile_agents:Turncoat"}


def settings_of(**agents) -> Settings:
    return with_changes(Settings(), {f"agents.{name}": value for name, value in agents.items()})


@pytest.fixture
def run(monkeypatch):
    """Drives a desk of these settings; its agents stay for the next drive."""
    made = {}

    def drive_desk(drive, bars: Bars, settings: Settings, *more) -> list[CycleRecord]:
        key = repr(settings.agents)
        made[key] = made.get(key) or agents_of(settings, SystemClock())
        monkeypatch.setattr(test_step, "AGENTS", made[key])
        return drive(bars, *more).cycles

    yield drive_desk
    for agents in made.values():
        agents.close()


def same(mine: object, its: object) -> bool:
    """To the bit, through records and their arrays."""
    if isinstance(mine, np.ndarray):
        return isinstance(its, np.ndarray) and mine.tobytes() == its.tobytes()
    if is_dataclass(mine):
        return all(same(getattr(mine, field.name), getattr(its, field.name)) for field in fields(mine))
    return mine == its


def assert_same_cycles(ours: list[CycleRecord], theirs: list[CycleRecord], *, but: int | None = None) -> None:
    """To the bit, but for durations and evidence; of the agent `but` neither reasons nor log are compared."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        kept = [a for a in range(len(one.agents)) if a != but]
        for field in fields(CycleRecord):
            mine, its = getattr(one, field.name), getattr(other, field.name)
            if field.name == "signals":
                for said, also in zip(mine, its, strict=True):
                    assert same(replace(said, evidence={}), replace(also, evidence={}))
            elif field.name == "reasons":
                assert [mine[a] for a in kept] == [its[a] for a in kept]
            elif field.name == "work_log":
                assert [(mine[a].ok, mine[a].opinions) for a in kept] == [(its[a].ok, its[a].opinions) for a in kept]
            elif field.name != "weights":  # whose moment of making is the machine's
                assert same(mine, its), field.name


def test_the_demo_s_start_is_the_same_with_agents_inside_and_in_workers(run):
    """300 bars decided live, and the same recorded in segments as the demo does it."""
    bars = demo_bars().rows(0, 400)
    for drive, more in ((test_step.run_live, (100,)), (test_step.run_replay, ())):
        inside = run(drive, bars, settings_of(isolation="none"), *more)
        workers = run(drive, bars, settings_of(isolation="all", timeout_s=60.0), *more)
        assert all(entry.ok for cycle in workers for entry in cycle.work_log)
        assert_same_cycles(inside, workers)


class Silent:
    """Never has an opinion."""

    name, bars_needed = "Turncoat", 50

    def signals(self, panel):
        nothing = np.zeros(panel.close.shape)
        return Signals(strength=nothing, confidence=nothing, abstained=np.ones(panel.close.shape, dtype=bool))


def test_a_desk_with_an_agent_that_fails_in_every_way_is_a_desk_with_one_that_says_nothing(monkeypatch, run):
    monkeypatch.setattr(seats, "FIRST_BACK_OFF_S", 0.0)
    bars = make_bars(74, 2, 5)
    settings = settings_of(own=TURNCOAT, timeout_s=2.0, breaker_failures=100, memory_mb=512)
    cycles = run(test_step.run_live, bars, settings, 60)
    place = f"{__name__}:{Silent.__name__}"
    calm = run(test_step.run_live, bars, settings_of(own={"Turncoat": place}, isolation="none"), 60)
    assert cycles[0].agents[-1] == "Turncoat"
    assert_same_cycles(cycles, calm, but=len(cycles[0].agents) - 1)
    causes = [cycle.work_log[-1].detail.partition(";")[0] for cycle in cycles]
    assert not any(cycle.work_log[-1].ok for cycle in cycles)
    assert set(causes) == {
        "its process was ended by SIGSEGV",
        "its process ended with status 0",
        "ValueError: no such column",
        "no answer within 2 s",
        "printed more than 16 MB",
        "spoke out of turn",
        next(cause for cause in causes if "Unable to allocate" in cause),
    }, causes
    assert [cycle.reasons[-1][0][0].partition(";")[0] for cycle in cycles] == [f"failed: {cause}" for cause in causes]


REFUSED = [
    ({"own": {"Mine": "nowhere.py:Mine"}}, "agents.own.Mine: .*nowhere.py: no such file"),
    ({"own": {"TrendFollower": "tests.market:Oracle"}}, "agents.own.TrendFollower: an agent that comes with Quorum"),
    ({"own": {"Mine": "mine.py"}}, "agents.own.Mine: .*mine.py: no such file"),
    ({"own": {"Mine": "mine.txt"}}, "own.*'mine.txt' is neither FILE.py:CLASS, module:CLASS nor FILE"),
    ({"external": {"Mine": "mine.txt"}}, "external.*'mine.txt' is no .csv or .parquet"),
    ({"enabled": ["Mine"]}, "agents.enabled: no agent is named 'Mine'"),
    (
        {"own": {"Mine": "tests.hostile_agents:CannotBeMade"}, "isolation": "none"},
        "cannot be made: RuntimeError: model",
    ),
    ({"isolation": "some"}, "isolation"),
    ({"memory_mb": 1}, "memory_mb"),
]


@pytest.mark.parametrize(("agents", "problem"), REFUSED)
def test_settings_that_name_no_agent_are_refused_in_a_line(agents, problem):
    with pytest.raises(SettingsError, match=problem):
        agents_of(settings_of(**agents), SystemClock())


def test_own_agents_come_last_by_name_and_where_they_work_is_no_part_of_what_was_decided():
    own = {"Zebra": "tests.hostile_agents:Decent", "Ant": "tests.hostile_agents:Decent"}
    settings = settings_of(own=own, enabled=["Zebra", "Breakout", "Ant"], isolation="none")
    assert agents_of(settings, SystemClock()).names == ("Breakout", "Ant", "Zebra")
    assert set(variants_of(settings)[0]) == {"Breakout", "Ant", "Zebra"}
    assert plain_settings(settings) == plain_settings(with_changes(settings, {"agents.isolation": "all"}))
