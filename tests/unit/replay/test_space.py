"""SPACE.toml: what it means, and one clear line where it means nothing."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from agents.core.errors import SettingsError, UsageError
from agents.replay.space import candidates, period_rows, space_of
from agents.replay.walk_forward import WalkForward


def space(text: str):
    return space_of(tomllib.loads(text), "SPACE.toml")


GRID = """
[search]
method = "grid"
[space]
"tuning.step" = [0.02, 0.05]
"combine.scale_window_bars" = { low = 100, high = 300, step = 100 }
[space.risk]
allow_short = [true, false]
"""


def test_a_grid_is_the_product_of_its_values():
    points = candidates(space(GRID))
    assert len(points) == 12 == len({str(p) for p in points})
    assert points[0] == {"combine.scale_window_bars": 100, "risk.allow_short": True, "tuning.step": 0.02}
    assert {p["combine.scale_window_bars"] for p in points} == {100, 200, 300}


def test_random_points_come_from_the_seed_and_stay_within():
    text = '[search]\ntrials = 60\nseed = 4\n[space]\n"combine.volatility_target" = {low = 0.05, high = 0.4, log = true}\n"tuning.look_back_days" = {low = 5, high = 9}'
    points = candidates(space(text))
    assert points == candidates(space(text)) != candidates(space(text.replace("seed = 4", "seed = 5")))
    assert len(points) == 60
    values = np.array([p["combine.volatility_target"] for p in points])
    assert 0.05 <= values.min() < values.max() <= 0.4
    assert (values < 0.1414).mean() == pytest.approx(0.5, abs=0.2), (
        "half of a logarithmic range lies below its geometric mean"
    )
    assert {p["tuning.look_back_days"] for p in points} <= {5, 6, 7, 8, 9}


def test_few_values_are_drawn_once_each():
    points = candidates(space('[search]\ntrials = 50\n[space]\n"risk.allow_short" = [true, false]'))
    assert len(points) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[serch]\n", "unknown table 'serch'"),
        ('[search]\ntries = 3\n[space]\n"a.b" = [1]', "unknown key 'search.tries'"),
        ('[search]\ntrials = 0\n[space]\n"a.b" = [1]', "search.trials must be a whole number of at least 1"),
        ('[search]\nmethod = "best"\n[space]\n"a.b" = [1]', "choose grid, random or tpe"),
        ("[search]\n", "names no setting"),
        ('[space]\n"a.b" = 3', "expected a list"),
        ('[space]\n"a.b" = {low = 3, high = 2}', "low must be below high"),
        ('[space]\n"a.b" = {low = 0, high = 2, log = true}', "log needs a positive low"),
        ('[search]\nperiods = 0\n[space]\n"a.b" = [1]', "search.periods"),
        ('[search]\ntuning = 1\n[space]\n"a.b" = [1]', "search.tuning must be true or false"),
    ],
)
def test_one_clear_line_names_the_key(text, message):
    with pytest.raises(SettingsError, match="SPACE.toml") as caught:
        space(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_grid_needs_steps_and_an_end():
    with pytest.raises(SettingsError, match="step within low and high"):
        candidates(space('[search]\nmethod = "grid"\n[space]\n"a.b" = {low = 0.1, high = 0.2}'))
    with pytest.raises(SettingsError, match="more than 10,000"):
        candidates(
            space('[search]\nmethod = "grid"\n[space]\n"a.b" = {low = 1, high = 200}\n"a.c" = {low = 1, high = 200}')
        )


def test_periods():
    time = np.datetime64("2020-01-01T21:00", "us") + np.arange(100) * np.timedelta64(1, "D")
    assert period_rows(3, time) == [(0, 33), (33, 66), (66, 100)]
    assert period_rows((("2020-01-05", "2020-01-07"),), time) == [(4, 7)]
    with pytest.raises(SettingsError, match="no bars from 2021"):
        period_rows((("2021-01-05", "2021-01-07"),), time)


@pytest.mark.parametrize("anchored", [True, False])
def test_folds_never_touch(anchored):
    """No day is learnt on and judged on in one fold, the gap is kept, and no day is judged twice."""
    walk = WalkForward(anchored=anchored, train_days=100, test_days=40, purge_days=3, embargo_days=4)
    folds = walk.folds(330)
    judged = []
    for learn, learnt, judge, end in folds:
        assert judge - learnt == 7
        assert learnt - learn >= 100
        assert anchored or learnt - learn == 100
        assert learn == 0 or not anchored
        judged += range(judge, end)
    assert len(judged) == len(set(judged))
    assert judged == list(range(107, 330))
    with pytest.raises(UsageError, match="hold no fold"):
        walk.folds(110)
