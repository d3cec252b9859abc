"""Prices that are wrong, splits and dividends in every order of arrival: what is believed, and what becomes a fact."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.adapters.files.bar_folder import read_folder
from agents.adapters.files.bar_rows import GRIDS
from agents.adapters.files.price_guard import ACCEPTED, NEW, SUSPECT, Track, judge
from agents.adapters.files.split_ratios import step_tolerance, stepped_split
from agents.core.market import MarketAction, PriceLimits
from agents.core.settings import DataSettings
from agents.wiring.demo_desk import demo_file
from tests.conftest import shared_data
from tests.unit.adapters.test_bar_files import load_file

LIMITS = PriceLimits()
DAYS = np.datetime64("2014-06-02T20:00:00", "us") + np.arange(400) * np.timedelta64(1, "D")
PRICES = ("open", "high", "low", "close")


def track(close, *, adjusted=None, split=None, dividend=None, verdict=None, view=None, fresh=True) -> Track:
    """Bars of one price each; `split` and `dividend` are {row: value}, `adjusted` the adjusted closes."""
    close = np.array(close, dtype=float)
    n = len(close)
    columns = {name: close.copy() for name in PRICES}
    return Track(
        symbol="A",
        time=DAYS[:n],
        **columns,
        adjustment=np.ones(n) if adjusted is None else np.array(adjusted) / close,
        split=np.array([(split or {}).get(k, 1.0) for k in range(n)]),
        dividend=np.array([(dividend or {}).get(k, 0.0) for k in range(n)]),
        view=np.zeros(n, dtype=int) if view is None else np.array(view),
        fresh=np.full(n, fresh),
        verdict=np.full(n, NEW) if verdict is None else np.array(verdict),
    )


def facts(judged) -> list[tuple[int, str, float]]:
    """(row, kind, value) of each action."""
    return [(int(np.searchsorted(DAYS, a.time)), a.kind, round(a.value, 6)) for a in judged.actions]


def suspects(judged) -> list[int]:
    return np.nonzero(judged.suspect)[0].tolist()


CASES = {
    # name: (columns of the track, suspect rows, facts)
    "Apple 2:1 in 2005, by its row": ({"close": [88.99, 44.86, 44.5], "split": {1: 2.0}}, [], [(1, "split", 2.0)]),
    "Apple 7:1 in 2014, by its row": ({"close": [645.57, 93.70, 94.25], "split": {1: 7.0}}, [], [(1, "split", 7.0)]),
    "Apple 2:1, by adj_close": (
        {"close": [88.99, 44.86, 44.5], "adjusted": [44.495, 44.86, 44.5]},
        [],
        [(1, "split", 2.0)],
    ),
    "Apple 7:1, by adj_close of two decimals": (
        {"close": [645.57, 93.70, 94.25], "adjusted": [92.22, 93.70, 94.25]},
        [],
        [(1, "split", 7.0)],
    ),
    "10:1, by its row": ({"close": [1000.0, 101.0, 100.0], "split": {1: 10.0}}, [], [(1, "split", 10.0)]),
    "reverse 1:10, by its row": ({"close": [2.0, 19.5, 21.0], "split": {1: 0.1}}, [], [(1, "split", 0.1)]),
    "reverse 1:10, by adj_close": (
        {"close": [2.0, 19.5, 21.0], "adjusted": [20.0, 19.5, 21.0]},
        [],
        [(1, "split", 0.1)],
    ),
    "2:1 without its row": ({"close": [100.0, 50.0, 51.0, 50.0, 52.0, 51.0]}, [1, 2, 3], []),
    "2:1, its row a day late": (
        {"close": [100.0, 50.0, 51.0, 52.0], "split": {2: 2.0}},
        [1],
        [(2, "split", 2.0)],
    ),
    "2:1, its row a day early": (
        {"close": [100.0, 101.0, 50.0, 52.0], "split": {1: 2.0}},
        [1],
        [(2, "split", 2.0)],
    ),
    "a 20 % special dividend beside adj_close": (
        {"close": [50.0, 40.5, 41.0], "adjusted": [40.0, 40.5, 41.0], "dividend": {1: 10.0}},
        [],
        [(1, "dividend", 10.0)],
    ),
    "a special dividend of 7 on 105.95 in 2012": (
        {"close": [105.95, 98.47, 99.0], "dividend": {1: 7.0}},
        [],
        [(1, "dividend", 7.0)],
    ),
    "a dividend that only adj_close shows": (
        {"close": [50.0, 49.8, 50.1], "adjusted": [49.5, 49.8, 50.1]},
        [],
        [(1, "dividend", 0.5)],
    ),
    "rounding of adj_close is no dividend": (
        {"close": [50.03, 49.81, 50.17], "adjusted": [25.02, 24.9, 25.09]},
        [],
        [],
    ),
    "split = 1000 on a price that stays": ({"close": [26.0, 26.1, 26.2], "split": {1: 1000.0}}, [1], []),
    "a dividend of 5,000 on 26 dollars": ({"close": [26.0, 26.1, 26.2], "dividend": {1: 5000.0}}, [1], []),
    "a dividend of 5 on 26 dollars that stay": ({"close": [26.0, 26.1, 26.2], "dividend": {1: 5.0}}, [1], []),
    "raw prices x 100 beside a good adj_close": (
        {"close": [26.0, 2610.0, 26.2], "adjusted": [26.0, 26.1, 26.2]},
        [1],
        [],
    ),
    "a reverse split 1:100 that only adj_close shows": (
        {"close": [0.26, 26.1, 26.2, 26.3, 26.2], "adjusted": [26.0, 26.1, 26.2, 26.3, 26.2]},
        [1, 2, 3],
        [(4, "split", 0.01)],
    ),
    "one adj_close is wrong": ({"close": [26.0, 26.1, 26.2], "adjusted": [26.0, 2.61, 26.2]}, [1], []),
    "three wrong bars in a row": ({"close": [26.0, 260.0, 261.0, 262.0, 26.1, 26.2]}, [1, 2, 3], []),
    "a wrong bar, then its equal, then good ones": ({"close": [26.0, 260.0, 2.6, 26.1]}, [1, 2], []),
    "a fall of 70 % is believed": ({"close": [100.0, 30.0, 29.0, 31.0, 30.0, 28.0]}, [1, 2, 3], []),
    "a new level must be agreed upon": ({"close": [100.0, 30.0, 300.0, 30.0, 29.0, 28.0, 30.0]}, [1, 2, 3, 4, 5], []),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_believed_of_prices_splits_and_dividends(name):
    columns, doubted, actions = CASES[name]
    judged = judge(track(**columns), (), LIMITS)
    assert (suspects(judged), facts(judged)) == (doubted, actions)
    assert [doubt.row for doubt in judged.doubts] == doubted


@pytest.mark.parametrize("part", ["open", "high", "low"])
def test_every_price_of_a_bar_is_judged(part):
    bars = track([26.0, 26.1, 26.2])
    wrong = getattr(bars, part).copy()
    wrong[1] *= 0.1 if part == "low" else 10.0
    assert suspects(judge(replace(bars, **{part: wrong}), (), LIMITS)) == [1]


def test_what_a_later_whole_file_says_of_old_rows_is_news_once():
    """The bars of a 2:1 are stored, the first of them suspect; then the vendor's file comes again, with new factors."""
    known = [ACCEPTED, SUSPECT, NEW]
    again = track([100.0, 50.0, 51.0], adjusted=[50.0, 50.0, 51.0], verdict=known)
    first = judge(again, (), LIMITS)
    assert (facts(first), suspects(first), first.doubts) == ([(1, "split", 2.0)], [1], [])
    second = judge(replace(again, verdict=np.array([ACCEPTED, SUSPECT, ACCEPTED])), first.actions, LIMITS)
    assert (second.actions, second.doubts) == ([], [])


def test_factors_of_two_files_do_not_compare():
    """Each vendor's file is adjusted to its own last day: the step between two of them is no dividend, but a split whose
    move the price shows is one."""
    files = {"verdict": [ACCEPTED, NEW, NEW], "view": [0, 1, 1]}
    quiet = track([100.0, 101.0, 102.0], adjusted=[95.0, 101.0, 102.0], **files)
    quiet = replace(quiet, fresh=np.array([False, True, True]))
    assert facts(judge(quiet, (), LIMITS)) == []
    halved = track([100.0, 50.5, 51.0], adjusted=[50.0, 50.5, 51.0], **files)
    halved = replace(halved, fresh=np.array([False, True, True]))
    assert facts(judge(halved, (), LIMITS)) == [(1, "split", 2.0)]


@pytest.mark.parametrize(("word", "still"), [("accepted", []), ("rejected", [4, 5])])
def test_a_person_ends_the_doubt_or_prolongs_it(word, still):
    """Rows 1 to 3 are suspect; the person speaks of row 3."""
    told = MarketAction("A", DAYS[3], word, 31.0, 1.0, "a person")
    bars = track([100.0, 30.0, 29.0, 31.0, 30.0, 28.0], verdict=[ACCEPTED, SUSPECT, SUSPECT, SUSPECT, NEW, NEW])
    judged = judge(bars, [told], LIMITS)
    assert [row for row in suspects(judged) if row > 3] == still


def in_batches(whole: Track, cuts: list[int]) -> tuple[list[int], list[tuple[int, str, float]]]:
    """The same rows in several loads, as the database does it: each sees the last accepted bar and the suspects since."""
    verdict, known = np.full(len(whole.time), NEW), []
    for start, stop in zip([0, *cuts], [*cuts, len(whole.time)], strict=True):
        if start == stop:
            continue
        accepted = np.nonzero(verdict[:start] == ACCEPTED)[0]
        first = int(accepted[-1]) if len(accepted) else 0
        columns = {
            name: getattr(whole, name)[first:stop] for name in ("time", *PRICES, "adjustment", "split", "dividend")
        }
        part = replace(
            whole,
            **columns,
            view=whole.view[first:stop],
            fresh=np.arange(first, stop) >= start,
            verdict=verdict[first:stop].copy(),
        )
        judged = judge(part, known, LIMITS)
        known = [*known, *judged.actions]
        verdict[start:stop] = np.where(judged.suspect[start - first :], SUSPECT, ACCEPTED)
    return np.nonzero(verdict == SUSPECT)[0].tolist(), [
        (int(np.searchsorted(DAYS, a.time)), a.kind, round(a.value, 6)) for a in known
    ]


@st.composite
def wild_bars(draw):
    """A random walk with splits, dividends, missed and wrong split rows, and wrong prices."""
    n = draw(st.integers(2, 40))
    close, split, dividend, factor = [50.0], {}, {}, [1.0]
    level, adjust = 50.0, 1.0
    for row in range(1, n):
        level *= draw(st.sampled_from([0.97, 1.0, 1.02]))
        event = draw(
            st.sampled_from([None] * 8 + ["split", "missed", "phantom", "cash", "spike", "quiet cash", "crash"])
        )
        if event in ("split", "missed"):
            ratio = draw(st.sampled_from([2.0, 0.1, 1.5, 7.0]))
            level, adjust = level / ratio, adjust * ratio
            if event == "split":
                split[row] = ratio
        elif event == "phantom":
            split[row] = 20.0
        elif event in ("cash", "quiet cash"):
            adjust *= level / (level - 0.01 * level)
            level *= 0.99
            if event == "cash":
                dividend[row] = level / 99.0
        elif event == "crash":
            level *= 0.4
        close.append(level * (10.0 if event == "spike" else 1.0))
        factor.append(adjust)
    closes = np.array(close)
    with_adjusted = draw(st.booleans())
    bars = track(closes, adjusted=closes * np.array(factor) if with_adjusted else None, split=split, dividend=dividend)
    cuts = draw(st.lists(st.integers(0, n), max_size=4).map(sorted))
    return bars, cuts


@given(wild_bars())
@settings(max_examples=300, deadline=None)
def test_any_cut_into_batches_gives_the_same_bars_suspects_and_actions(world):
    bars, cuts = world
    whole = judge(bars, (), LIMITS)
    assert in_batches(bars, cuts) == (suspects(whole), facts(whole))


@given(wild_bars(), st.integers(1, 39))
@settings(max_examples=150, deadline=None)
def test_no_verdict_depends_on_what_comes_later(world, stop):
    bars, _ = world
    n = min(stop, len(bars.time))
    names = ("time", *PRICES, "adjustment", "split", "dividend", "view", "fresh", "verdict")
    part = judge(replace(bars, **{name: getattr(bars, name)[:n] for name in names}), (), LIMITS)
    whole = judge(bars, (), LIMITS)
    assert part.suspect.tolist() == whole.suspect[:n].tolist()
    assert facts(part) == [fact for fact in facts(whole) if fact[0] < n]


@pytest.mark.parametrize(
    ("step", "ratio"),
    [
        (2.0, 2.0),
        (1.5, 1.5),
        (7.0, 7.0),
        (0.1, 0.1),
        (2.003, 2.0),
        (2.01, None),
        (1.08, None),
        (0.95, None),
        (1.37, None),
    ],
)
def test_only_a_simple_ratio_is_a_split(step, ratio):
    assert stepped_split(step, 1e-4) == ratio


def test_the_tolerance_of_a_step_follows_the_digits():
    """Two decimals at 25 and 50: each price is off by at most 0.005, twice; ten decimals leave the floor of 1e-4."""
    close = np.array([50.03, 50.01])
    coarse, fine = np.array([25.02, 25.01]) / close, np.array([25.0212345678, 25.0112345678]) / close
    assert step_tolerance(coarse, close)[0] == pytest.approx(4 * 0.005 / 33.35 + 1e-4, rel=0.01)
    assert step_tolerance(fine, close)[0] == pytest.approx(2 * 0.005 / 50.02 + 1e-4, rel=0.01)


def test_the_demos_file_has_its_splits_dividends_and_one_real_fall():
    """Apple fell by 52 % on 2000-09-29, which is believed at the fourth bar. It halved its shares in 2000 and 2005,
    Microsoft in 2003. Its file has no dividends; adj_close shows 92."""
    read = read_folder(demo_file(), DataSettings(), {}, datetime(2024, 1, 1, tzinfo=UTC))
    bars = read.bars
    found = [
        (bars.symbols[s], str(bars.time[t])[:10], bars.split[t, s])
        for t, s in zip(*np.nonzero(bars.split != 1), strict=True)
    ]
    assert sorted(found) == [("AAPL", "2000-06-21", 2.0), ("AAPL", "2005-02-28", 2.0), ("MSFT", "2003-02-18", 2.0)]
    where = [(bars.symbols[s], str(bars.time[t])[:10]) for t, s in zip(*np.nonzero(bars.suspect), strict=True)]
    assert where == [("AAPL", "2000-09-29"), ("AAPL", "2000-10-02"), ("AAPL", "2000-10-03")]
    assert [row.reason[:7] for _, row in read.bad] == ["suspect"] * 3
    assert int((bars.dividend > 0).sum()) == 92


def test_inferred_dividends_are_the_vendors_own():
    """46 US stocks, 19 years: what adj_close alone shows against the vendor's own columns of splits and dividends."""
    file = shared_data("equities", "us_daily.csv.gz")
    given_, inferred = ({}, {})
    batch = load_file(file)
    for code in range(len(batch.symbols)):
        rows = np.nonzero(batch.symbol == code)[0]
        columns = {name: getattr(batch, name)[rows] for name in ("time", *(g for g in GRIDS if g != "volume"))}
        n = len(rows)
        whole = Track(
            symbol=batch.symbols[code],
            **columns,
            view=np.zeros(n, int),
            fresh=np.ones(n, bool),
            verdict=np.full(n, NEW),
        )
        blind = replace(whole, split=np.ones(n), dividend=np.zeros(n))
        for source, found in ((whole, given_), (blind, inferred)):
            for action in judge(source, (), LIMITS).actions:
                found[action.symbol, action.time, action.kind] = action.value
    for kind, most_missed in (("split", 1), ("dividend", 98)):
        said = {key for key in given_ if key[2] == kind}
        seen = {key for key in inferred if key[2] == kind}
        assert len(said - seen) <= most_missed
        assert len(seen - said) <= 1
    sums = [sum(v for key, v in found.items() if key[2] == "dividend") for found in (given_, inferred)]
    assert sums[1] == pytest.approx(sums[0], rel=0.002)
