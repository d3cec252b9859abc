"""A person's word on a price that is not believed, and taking it back: what the next bar is held against."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from agents.adapters.database.bars_store import BarsStore
from agents.adapters.database.suspect_bars import SuspectBars
from agents.adapters.feeds.file_reading import import_file
from agents.core.errors import UsageError
from agents.core.settings import DataSettings

NOW = datetime(2024, 12, 1, tzinfo=UTC)
HEAD = "symbol,time,open,high,low,close,volume\n"
OLD, WRONG = 100.0, 30.0


@pytest.fixture
def prices(trader, tmp_path):
    """Brings one more daily bar of A at a price; what the database thinks of all."""
    days = iter(range(2, 29))

    def bring(*closes):
        for close in closes:
            file = tmp_path / "a.csv"
            file.write_text(HEAD + f"A,2024-01-{next(days):02d},{close},{close},{close},{close},1000\n")
            import_file(file, DataSettings(), BarsStore(trader), {}, NOW)
        with trader.connect() as connection:
            rows = connection.execute(text("SELECT suspect FROM bars ORDER BY time")).scalars().all()
        return "".join("?" if suspect else "." for suspect in rows)

    return bring


@pytest.fixture
def words(trader):
    return SuspectBars(trader, 3)


def reference(words) -> float:
    (suspect,), _ = words.all()
    return suspect.accepted


def newest_reason(trader) -> str:
    with trader.connect() as connection:
        return connection.execute(text("SELECT reason FROM bar_quarantine ORDER BY id DESC LIMIT 1")).scalar_one()


def test_a_wrong_acceptance_is_taken_back_at_once(prices, words):
    assert prices(OLD, WRONG) == ".?"
    words.decide("A", "accepted")
    assert [price.price for price in words.all()[1]] == [WRONG]
    assert words.take_back("A").price == WRONG
    assert reference(words) == OLD
    assert words.all()[1] == []
    assert prices(OLD) == ".?.", "seen: suspect, against the wrong price"


def test_it_is_taken_back_after_bars_were_believed_because_of_it(prices, words, trader):
    """What was believed stays so, but the next price is held against the level before the word."""
    prices(OLD, WRONG)
    words.decide("A", "accepted")
    assert prices(WRONG, WRONG) == ".?.."
    words.take_back("A")
    assert prices(WRONG) == ".?..?"
    assert f"from the last accepted {OLD:g}" in newest_reason(trader)
    assert reference(words) == OLD
    assert prices(OLD, OLD) == ".?..?.."


def test_bars_and_quarantine_name_the_same_reference(prices, words, trader):
    prices(OLD, WRONG)
    words.decide("A", "accepted")
    assert prices(OLD) == ".??"
    assert f"from the last accepted {WRONG:g}" in newest_reason(trader)
    assert reference(words) == WRONG, "seen: the one before"


def test_one_may_change_ones_mind_again(prices, words):
    prices(OLD, WRONG)
    for _ in range(2):
        words.decide("A", "accepted")
        words.take_back("A")
    words.decide("A", "accepted")
    assert prices(WRONG) == ".?."


def test_what_three_bars_agree_with_needs_no_word_and_cannot_be_taken_back(prices, words):
    prices(OLD, WRONG)
    words.decide("A", "accepted")
    prices(WRONG, WRONG, WRONG)
    assert words.all() == ([], [])
    with pytest.raises(UsageError, match="3 bars since agree with 30"):
        words.take_back("A")


def test_bars_at_the_old_level_do_not_agree(prices, words):
    prices(OLD, WRONG)
    words.decide("A", "accepted")
    assert prices(OLD, OLD, OLD) == ".????"
    words.take_back("A")
    assert prices(OLD) == ".????."


def test_a_rejection_shows_at_once(prices, words):
    assert prices(OLD, WRONG, WRONG) == ".??"
    ((before,), _) = words.all()
    assert (before.bars, before.word) == (2, "")
    words.decide("A", "rejected")
    ((after,), _) = words.all()
    assert (after.bars, after.word) == (1, "rejected"), "counted anew"
    with pytest.raises(UsageError, match="is rejected already"):
        words.decide("A", "rejected")
    assert prices(WRONG, WRONG) == ".????", "without the word the second would be believed"
    assert prices(WRONG) == ".????."


def test_there_must_be_something_to_take_back(prices, words):
    prices(OLD, OLD)
    with pytest.raises(UsageError, match="nobody has accepted"):
        words.take_back("A")
    with pytest.raises(UsageError, match="is not suspect"):
        words.decide("A", "accepted")
