"""Wrong prices, splits and dividends through files, daemon and database: what the desk's money and the parity check say."""

from __future__ import annotations

import numpy as np
import pytest

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.suspect_bars import SuspectBars
from agents.core.clock import SystemClock
from agents.orchestrator import orchestrator
from agents.wiring.meta import MetaPlane
from agents.wiring.parity import check_parity
from tests.daemons import HandClock, day, moment, running, walk

WARM_UP, DECISIONS, FIRST = 320, 14, 324
"""Something happens at bar FIRST, the fourth that is decided on."""
HEAD = "symbol,time,open,high,low,close,volume,split,dividend,adj_close\n"
PRICES = {symbol: walk(WARM_UP + DECISIONS, seed) * 0.5 for seed, symbol in enumerate("AB")}


def row(
    symbol: str, t: int, *, raw: float = 1.0, adjusted: float = 1.0, split: float = 1.0, dividend: float = 0.0
) -> str:
    price = PRICES[symbol][t]
    numbers = ",".join(f"{price * raw * part:.6f}" for part in (1.0, 1.01, 0.99, 1.002))
    return f"{symbol},{day(t)},{numbers},100000,{split:g},{dividend:g},{price * 1.002 * adjusted:.6f}\n"


def rows(symbol: str, first: int, last: int, changes=None, **always) -> str:
    return "".join(row(symbol, t, **{**always, **(changes or {}).get(t, {})}) for t in range(first, last))


@pytest.fixture
def world(services, tmp_path):
    """Days of a desk: `changes` maps a day to what A's row says otherwise; `replaced` writes the whole file anew on
    that day, with other changes; `person` is (day, word) of what is said of A in its evening, or several. Returns equities, facts, suspect days, and what parity finds."""
    made = iter(range(100))

    def run(changes=None, *, replaced=None, person=None):
        folder = tmp_path / str(next(made))
        (folder / "bars").mkdir(parents=True)
        clock = HandClock(moment(WARM_UP - 1, 21, 5))
        with running(folder, clock, complete_within_s=0.0) as desk:
            for symbol in "AB":
                (desk.folder / f"{symbol}.csv").write_text(HEAD + rows(symbol, 0, WARM_UP, changes))
            desk.turn()
            for t in range(WARM_UP, WARM_UP + DECISIONS):
                clock.sleep_s((moment(t, 21, 5) - clock.now()).total_seconds())
                for symbol in "BA":
                    path = desk.folder / f"{symbol}.csv"
                    if replaced and replaced[0] == t and symbol == "A":
                        path.write_text(HEAD + rows(symbol, 0, t + 1, replaced[1]))
                    else:
                        with path.open("a") as stream:
                            said = replaced[1] if replaced and t > replaced[0] else changes
                            stream.write(row(symbol, t, **(said or {}).get(t, {}) if symbol == "A" else {}))
                desk.turn()
                if person and (word := dict([person] if isinstance(person, tuple) else person).get(t)):
                    store = SuspectBars(desk.connections.trader, 3)
                    store.take_back("A") if word == "withdrawn" else store.decide("A", word)
            return Outcome(desk)

    return run


class Outcome:
    """What is left of a world after its last day."""

    def __init__(self, desk) -> None:
        self.equity = np.array(desk.equities()[-DECISIONS:])
        self.facts = desk.rows(
            "SELECT time::date::text, kind, round(value::numeric, 4)::float8 FROM market_actions ORDER BY 1"
        )
        self.suspect = [r[0] for r in desk.rows("SELECT time::date::text FROM bars WHERE suspect ORDER BY time")]
        self.versions = desk.scalar("SELECT count(DISTINCT data_version) FROM decisions")
        self.reasons = [r[0] for r in desk.rows("SELECT reason FROM bar_quarantine ORDER BY id")]
        self.parity = parity_of(desk)
        self.closes = BarsStore(desk.connections.trader).after(None, limit=10**6)


def parity_of(desk) -> dict:
    plane = MetaPlane(desk.settings, desk.connections, SystemClock(), with_pictures=False)
    try:
        return check_parity(plane.checked_desk, desk.clock.now(), keep=False)
    finally:
        plane.cache.close()


WRONG = {
    "split of 1000": {FIRST: {"split": 1000.0}},
    "dividend of 5,000": {FIRST: {"dividend": 5000.0}},
    "raw x 100 beside a good adj_close": {FIRST: {"raw": 100.0}},
    "three wrong bars in a row": {t: {"raw": 10.0, "adjusted": 10.0} for t in range(FIRST, FIRST + 3)},
}


@pytest.mark.slow
def test_wrong_prices_leave_the_desks_money_sane(world):
    """Seen: equity from 0.96 M to 9.5 M, 86 M, 17 M, 9.4 M on 1 M."""
    control = world()
    assert control.suspect == control.facts == []
    for name, changes in WRONG.items():
        wrong = world(changes)
        assert wrong.suspect == [day(t) for t in changes], name
        assert wrong.facts == [], name
        astray = wrong.equity / control.equity - 1.0
        assert np.abs(astray).max() < 0.02, name
        assert len(wrong.reasons) == len(changes), name
        assert wrong.parity["examples"] == [], name


@pytest.mark.slow
def test_decisions_of_an_older_version_are_recomputed_by_its_rule(world, monkeypatch):
    """It counted a suspect price where that was the worse one; its marks on record tell."""
    control, usual = world(), orchestrator.matched_inputs

    def of_old(*arguments):
        return usual(*arguments)._replace(doubt_counts=np.ones(1, dtype=bool))

    monkeypatch.setattr(orchestrator, "matched_inputs", of_old)
    dips = []
    for raw in (0.1, 10.0):
        old = world({t: {"raw": raw, "adjusted": raw} for t in (FIRST, FIRST + 1)})
        dips.append((old.equity / control.equity - 1.0)[FIRST - WARM_UP])
        assert old.parity["examples"] == []
    assert min(dips) < -0.02, "one of both was against the position"


def halved(first: int, said: int) -> dict:
    """A 2:1 split that the price makes at bar `first`, and the file says at `said`; adj_close keeps the new scale."""
    changes = {t: {"raw": 0.5, "adjusted": 0.5} for t in range(first, WARM_UP + DECISIONS)}
    return {**changes, said: {**changes.get(said, {}), "split": 2.0}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("early", "suspect"), [(0, []), (1, [FIRST - 1]), (-1, [FIRST])], ids=["with", "before", "after"]
)
def test_a_split_row_before_with_or_after_its_price_is_one_split(world, early, suspect):
    """Seen: a 2:1 in an appended file was lost, and the shadows moved by 31 %."""
    control, split = world(), world(halved(FIRST, FIRST - early))
    effect = FIRST - early if early < 0 else FIRST
    assert split.facts == [(day(effect), "split", 2.0)]
    assert split.suspect == [day(t) for t in suspect]
    assert np.abs(split.equity / control.equity - 1.0).max() < 0.01
    panel = split.closes.believed()
    adjusted = (panel.close * panel.adjustment)[:, 0]
    assert np.nanmax(np.abs(np.diff(np.log(adjusted[np.isfinite(adjusted)])))) < 0.2, "agents see no jump"
    assert split.parity["examples"] == []


@pytest.mark.slow
def test_a_split_that_only_the_file_read_again_tells_is_known_from_then_on(world):
    """The price halves without a word; two days later the vendor's whole file comes with its split row. The decisions
    before keep their view, and parity is clean."""
    silent = {t: {"raw": 0.5, "adjusted": 0.5} for t in range(FIRST, WARM_UP + DECISIONS)}
    control, late = world(), world(silent, replaced=(FIRST + 2, halved(FIRST, FIRST)))
    assert late.facts == [(day(FIRST), "split", 2.0)]
    assert late.suspect == [day(FIRST), day(FIRST + 1)]
    assert abs(late.equity[-1] / control.equity[-1] - 1.0) < 0.01
    assert late.parity["examples"] == []
    assert late.versions > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("person", "doubted"),
    [(None, 3), ((FIRST, "accepted"), 1), ((FIRST + 1, "rejected"), 4)],
    ids=["nobody", "accepted", "rejected"],
)
def test_a_fall_of_70_percent_is_believed_at_the_fourth_bar_or_when_a_person_says_so(world, person, doubted):
    fall = {t: {"raw": 0.3, "adjusted": 0.3} for t in range(FIRST, WARM_UP + DECISIONS)}
    fallen = world(fall, person=person)
    assert fallen.suspect == [day(FIRST + k) for k in range(doubted)]
    assert fallen.parity["examples"] == []


@pytest.mark.slow
def test_a_wrong_word_is_taken_back_and_what_was_decided_meanwhile_stays(world):
    """Two wrong bars, the first accepted by a person who sees on the second evening that it was wrong."""
    wrong = {t: {"raw": 0.3, "adjusted": 0.3} for t in (FIRST, FIRST + 1)}
    mended = world(wrong, person=[(FIRST, "accepted"), (FIRST + 1, "withdrawn")])
    assert mended.suspect == [day(FIRST)], "the second was decided upon, and the third is believed at once"
    assert mended.parity["examples"] == []
