"""One belief on every page: report, scorecards, `weights why` and recommendations say the same of an agent."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from rich.console import Console

from agents.cli.weights import why_tables
from agents.core.alarm_types import PausedTuning
from agents.core.believed import AgentView, believed, newest_belief
from agents.core.facts import RecordedDecision
from agents.core.meta_types import OpenAlarm, Suggestion
from agents.reports.belief_words import FROM_REPLAY, agent_sentence, believed_of, moved, whole_sentence
from agents.reports.pictures import pictures
from agents.reports.report import render
from agents.reports.summary import summary_of
from agents.reports.verdict import verdict_of
from agents.tuning.alarms import desk_alarms
from agents.tuning.recommendations import recommend
from agents.tuning.tuning_pause import waiting
from tests.believing_desks import Desk, as_row, replayed, tuned_desk
from tests.unit.tuning.test_alarms import HEALTHY, LIMITS

GOOD = AgentView(mean=0.62, low=0.02, high=1.31, better=0.84)


def pages(desk):
    """All that is written about a desk: (report, why in 80 columns, recommendations)."""
    suggestions = [Suggestion(recommendation=r) for r in recommend(desk.facts)]
    summary = summary_of(desk.facts, open_suggestions=len(suggestions))
    text = render(desk.facts, summary, suggestions, desk="desk", images=[]).text
    console = Console(width=80, record=True, file=io.StringIO(), highlight=False)
    for table in why_tables(as_row(desk.decisions[-1])):
        console.print(table)
    return text, console.export_text(), recommend(desk.facts)


def test_words_of_a_belief():
    said = agent_sentence("TrendFollower", 0.20, 0.25, GOOD)
    assert said == (
        "TrendFollower 20 -> 25 %: believed +0.6 Sharpe above the average agent"
        " (80 %: 0.0 to 1.3; better than average with 84 %)."
    )
    assert believed_of(GOOD._replace(mean=-0.4)).startswith("believed 0.4 Sharpe below the average agent")
    assert believed_of(GOOD._replace(mean=0.01)).startswith("believed as good as the average agent")
    assert (moved(0.2, 0.2), moved(0.2, 0.204), moved(None, 0.3)) == ("20 %", "20.0 -> 20.4 %", "30 %")


def test_words_of_the_whole():
    belief = believed(tuned_desk([2.0, -1.0, 0.0], 300, every=50).decisions[-1].evidence)
    known = belief._replace(
        agents={"A": GOOD}, share_differing=0.39, expected_gain=0.009, active_risk=0.011, price=0.02, from_replay=0.0
    )
    assert whole_sentence(known) == (
        "Few agents seem to differ (39 %). Expected +0.9 % a year over the anchor's weights, active risk 1.1 %,"
        " price if this is luck 0.02 Sharpe."
    )
    assert "nothing is staked" in whole_sentence(known._replace(active_risk=0.0))
    assert f"({FROM_REPLAY})" in whole_sentence(known._replace(from_replay=0.6))
    assert FROM_REPLAY not in whole_sentence(known._replace(from_replay=0.5))


DESKS = [
    (seed, agents, days)
    for seed, (agents, days) in enumerate([(2, 60), (2, 400), (3, 250), (6, 20), (6, 120), (6, 700), (12, 300)])
]
WORLDS = {
    "zeros": lambda rng, n: np.zeros(n),
    "spread": lambda rng, n: rng.normal(0.0, 1.5, n),
    "all lose": lambda rng, n: rng.normal(-4.0, 0.3, n),
    "one loses": lambda rng, n: np.append(np.full(n - 1, 0.8), -4.0),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("seed", "agents", "days"), DESKS)
def test_no_two_pages_contradict_each_other(world, seed, agents, days):
    desk = tuned_desk(WORLDS[world](np.random.default_rng(seed), agents), days, seed=seed, every=20)
    belief = newest_belief(reversed(desk.decisions))
    text, why, recommendations = pages(desk)
    weights = {name: float(weight) for name, weight in desk.decisions[-1].weights.items()}
    losing = {r.fingerprint.split(":")[1] for r in recommendations if r.fingerprint.startswith("losing_agent")}
    for name, view in belief.agents.items():
        assert believed_of(view) in text  # the same numbers on the page ...
        assert re.search(rf"{name} .*{re.escape(f'{view.better:.0%}'.replace('%', ' %'))}", why)  # ... and the console
        if name in losing:  # proven to lose: believed worse, and listened to less
            assert view.mean < 0.0 and view.better <= 0.25 and weights[name] < belief.anchor[name]
        if weights[name] > belief.anchor[name] + 0.02:  # listened to more: not believed worse
            assert view.better > 0.25
    tilted = max(abs(weights[name] - belief.anchor[name]) for name in weights) > 0.01
    assert ("nothing is staked" in text) is not tilted or not tilted
    if all(decision.status != "apply" for decision in desk.decisions):
        assert "added value" not in text and "nothing is staked" in text
    assert max(len(line.rstrip()) for line in why.splitlines()) <= 80


def test_one_that_loses_among_earners_is_named_and_held_low():
    desk = tuned_desk([0.8] * 5 + [-4.0], 700, seed=1, every=20)
    named = [r for r in recommend(desk.facts) if r.fingerprint.startswith("losing_agent")]
    assert [r.title for r in named] == ["OnChainAnalyst loses after costs, and not by chance"]
    assert float(desk.decisions[-1].weights["OnChainAnalyst"]) < 0.1


def test_where_all_lose_nobody_is_called_worse_than_the_weights_say():
    desk = tuned_desk([-4.0] * 6, 700, seed=2, every=20)
    found = {r.fingerprint.split(":")[0] for r in recommend(desk.facts)}
    assert "losing_agent" not in found and {"loses_like_the_others", "all_agents_lose"} <= found


def test_a_single_look_is_no_proof():
    """A 90 % interval below zero on a young desk: said of one look, not of all."""
    desk = tuned_desk([0.0] * 3, 60, seed=4, every=20)
    low = {"sharpe_ratio": -2.0, "sharpe_low": -3.9, "sharpe_high": -0.1, "sharpe_always_high": 0.4}
    cards = [replace(card, figures={**card.figures, **low}) for card in desk.facts.scorecards]
    found = recommend(replace(desk.facts, scorecards=cards))
    assert not [r for r in found if r.fingerprint.startswith(("losing_agent", "loses_like"))]


def test_what_is_from_replay_is_marked_wherever_it_is_shown():
    desk = replayed(tuned_desk([2.0, -1.0, 0.0], 300, every=50))
    text, why, _ = pages(desk)
    lines = [line for line in text.splitlines() if "better than average with" in line]
    assert len(lines) == 3 and all(FROM_REPLAY in line for line in lines)
    assert why.count(FROM_REPLAY) == 4  # three agents and the whole
    plain = pages(replayed(desk, 0.4))
    assert not any(FROM_REPLAY in line for line in plain[0].splitlines() if "better than average with" in line)
    assert FROM_REPLAY not in plain[1]


def test_holding_says_how_small_the_wish_is():
    desk = tuned_desk([0.0] * 6, 60, seed=5, every=5)
    assert re.search(
        r"Weights are held: the largest wish is \d\.\d points, below 3\.3", verdict_of(desk.facts).sentence
    )


@pytest.mark.parametrize("agents", [1, 2, 12])
def test_beliefs_are_drawn_for_few_and_many(agents):
    skills = np.linspace(-1.0, 1.0, max(agents, 2))
    desk = tuned_desk(skills, 40, every=10)
    weights = dict(list(desk.facts.weights.items())[:agents])
    drawn = pictures(replace(desk.facts, weights=weights, curves=[]))
    assert drawn["beliefs"].startswith(b"\x89PNG")


def test_a_paused_desk_says_so_everywhere_and_what_to_do():
    """Headline, sentence, weights and rules of a desk that the monitor stopped."""
    desk = tuned_desk([0.8] * 5 + [-4.0], 400, seed=1, every=20)
    at, equal = desk.decisions[-1].at + timedelta(hours=1), desk.decisions[0].weights
    row = waiting(equal, at, at)
    history = [RecordedDecision(version=99, decision=row, realised_improvement=None, realised_at=None)]
    alarms = desk_alarms(replace(HEALTHY, tuning_paused=PausedTuning(since=at, reason=row.reason)), LIMITS)
    facts = replace(
        desk.facts,
        weights=equal,
        weight_history=[*history, *desk.facts.weight_history],
        recent_decisions=[row, *desk.facts.recent_decisions],
        alarms=[OpenAlarm(alarm=one, opened_at=at) for one in alarms if one.kind == "tuning_paused"],
    )
    text, _, found = pages(Desk(facts, [*desk.decisions, row], desk.names))
    assert text.startswith("Look now: 1 alarm, tuning paused (weights)")
    assert text.count("quorum weights resume --reason") >= 2 and "not followed while tuning is paused" in text
    assert not [r for r in found if r.fingerprint.startswith("losing_agent")]
