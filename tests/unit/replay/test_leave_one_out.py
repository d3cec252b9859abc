"""What would the desk have made without an agent? Against replays that have no such agent at all."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from agents.core.settings import Settings, with_changes
from agents.core.types import REMAINDER
from agents.core.value_added import AgentBooks
from agents.quant.leave_one_out import leave_one_out, value_added_by
from agents.quant.replay_summary import summary_of
from agents.tuning.value_added import WITH, WITHOUT, value_added
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history
from tests.market import make_bars

NAMES = ("TechnicalAnalyst", "TrendFollower", "MeanReversion", "Breakout")
WEIGHTS = {"TechnicalAnalyst": 0.3, "TrendFollower": 0.4, "MeanReversion": 0.2, "Breakout": 0.1}
BARS = make_bars(420, 3, 12, gaps=0.03, actions=True)
SETTINGS = Settings(agents={"enabled": NAMES, "static_weights": WEIGHTS}, tuning={"floor": 0.05})


def replayed(settings: Settings, *, beside: bool = False):
    return replay_history(history_of(BARS), ReplayRequest(settings=settings, tuning=False, value_added=beside)).run


def test_weights_without_an_agent_keep_the_others_proportions():
    rows = leave_one_out(np.array([0.5, 0.3, 0.2, 0.0]), 0.05)
    np.testing.assert_allclose(rows[0], [0.5, 0.3, 0.2, 0.0])
    np.testing.assert_allclose(rows[1], [0.0, 0.6, 0.4, 0.0])
    np.testing.assert_allclose(rows[4], [0.475, 0.285, 0.19, 0.05])
    np.testing.assert_allclose(rows[1:].sum(axis=1), 1.0)
    assert leave_one_out(np.array([1.0]), 0.05).tolist() == [[1.0], [0.0]]


def test_books_beside_the_desk_are_replays_without_the_agent():
    """The same history replayed by a desk that never had the agent, at renormalised weights: the same equity; and
    asking for it changes nothing of the desk."""
    run, plain = replayed(SETTINGS, beside=True), replayed(SETTINGS)
    np.testing.assert_array_equal(run.equity, plain.equity)
    np.testing.assert_array_equal(run.beside[:, 0], run.equity[:, 0])
    assert plain.beside.shape == (len(plain.time), 0)
    for name in NAMES:
        rest = {other: weight / (1.0 - WEIGHTS[name]) for other, weight in WEIGHTS.items() if other != name}
        changes = {"agents.enabled": list(rest), "agents.static_weights": rest}
        without = replayed(with_changes(SETTINGS, changes))
        book = run.beside[:, 1 + run.agents.index(name)]
        np.testing.assert_allclose(book, without.equity[:, 0], rtol=1e-5)  # the last bit of a weight may turn a lot
        assert abs(book[-1] - run.equity[-1, 0]) > 1e4


@pytest.mark.parametrize("shadow", [False, True])
def test_an_agent_without_weight_is_tried_at_the_floor(shadow):
    """Whether its weight is 0 or it is in shadow: against a desk on which it trades at the floor."""
    none = {name: weight / 0.9 for name, weight in WEIGHTS.items() if name != "Breakout"}
    silent = {"agents.enabled": list(none), "agents.shadow": ["Breakout"], "agents.static_weights": none}
    zero = {"agents.static_weights": {**none, "Breakout": 0.0}}
    run = replayed(with_changes(SETTINGS, silent if shadow else zero), beside=True)
    with_it = {name: weight * 0.95 for name, weight in none.items()} | {"Breakout": 0.05}
    other = replayed(with_changes(SETTINGS, {"agents.static_weights": with_it}))
    place = 1 + run.agents.index("Breakout")
    np.testing.assert_allclose(run.beside[:, place], other.equity[:, 0], rtol=1e-5)
    added = summary_of(run).agents_added["Breakout"]
    gained = run.beside[-1, place] > run.beside[-1, 0]
    assert (added.return_a_year > 0.0) == gained, "with it less without it"


def test_chunks_and_one_piece_are_the_same(monkeypatch):
    from agents.wiring import replay as module

    whole = replayed(SETTINGS, beside=True)
    monkeypatch.setattr(module, "CHUNK_CELLS", 3)
    monkeypatch.setattr(module, "LEAST_ROWS", 100)
    np.testing.assert_array_equal(replayed(SETTINGS, beside=True).beside, whole.beside)


def days(count: int) -> np.ndarray:
    return np.datetime64("2024-01-01", "D") + np.arange(count)


def test_an_agent_that_earns_every_day_adds_and_one_that_does_nothing_is_not_judged():
    rng = np.random.default_rng(1)
    base = rng.normal(0.0002, 0.005, 300)
    desk, lacking = 1e6 * np.cumprod(1.0 + base + 0.0005), 1e6 * np.cumprod(1.0 + base)
    never = np.zeros(300, dtype=bool)
    added = value_added_by(days(300), desk, lacking, never, 0)
    assert added.return_a_year == pytest.approx(0.0005 * 365.25, rel=0.01)
    assert (
        added.return_low > 0.0 and added.sharpe_low > 0.0 and added.verdict == "shown at one look: it adds to the desk"
    )
    swapped = value_added_by(days(300), lacking, desk, ~never, 0)
    assert swapped.return_a_year == pytest.approx(added.return_a_year), "the desk with it is the book beside"
    still = value_added_by(days(300), desk, desk, never, 0)
    assert still.verdict == "nothing to judge yet" and math.isnan(still.return_a_year)
    assert value_added_by(days(300), desk, lacking, never, 30).days == 30
    assert value_added_by(days(10), desk[:10], lacking[:10], never[:10], 0).verdict == "too early: 9 of 20 days"


def test_the_interval_holds_the_truth():
    """Nothing added on average: the 90 % interval leaves 0 out in about a tenth of such desks."""
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(200):
        base = rng.normal(0, 0.01, 250)
        desk = 1e6 * np.cumprod(1.0 + base + rng.normal(0, 0.002, 250))
        added = value_added_by(days(250), desk, 1e6 * np.cumprod(1.0 + base), np.zeros(250, dtype=bool), 0)
        wrong += added.verdict.startswith("shown")
    assert 0.04 <= wrong / 200 <= 0.18


def test_every_agent_with_a_book_gets_a_row_for_each_window():
    rng = np.random.default_rng(5)
    desk = 1e6 * np.cumprod(1.0 + rng.normal(0, 0.01, 120))
    books = np.column_stack([desk * np.linspace(1.0, 0.9, 120), desk * np.linspace(1.0, 1.1, 120)])
    books[:60, 1] = np.nan  # joined later
    shadow = np.zeros((120, 2), dtype=bool)
    shadow[:, 1] = True
    table = AgentBooks(date=days(120), agents=("A", "B"), desk=desk, books=books, with_agent=shadow)
    rows = {(row.agent_name, row.window_days): row for row in value_added(table)}
    assert set(rows) == {(name, window) for name in "AB" for window in (30, 90, 0)}
    assert rows["A", 0].days == 119 and rows["B", 0].days == 59
    assert rows["A", 0].compared == WITHOUT and rows["B", 0].compared == WITH
    assert rows["A", 0].return_a_year > 0.0 and rows["B", 0].return_a_year > 0.0
    gone = replace(table, books=np.where(np.arange(120)[:, None] == 119, np.nan, books))
    assert value_added(gone) == []
    assert REMAINDER not in {row.agent_name for row in rows.values()}
