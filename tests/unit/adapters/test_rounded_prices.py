"""The same prices with other digits are no corrections, and other prices are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.adapters.database.bar_corrections import ENOUGH_PRICES, same_numbers

PRICES = st.lists(st.floats(0.5, 5000.0), min_size=ENOUGH_PRICES, max_size=40)


def rows(prices) -> np.ndarray:
    """One price for each bar, with a volume."""
    return np.column_stack([*[np.array(prices)] * 4, np.full(len(prices), 1000.0)])


@given(PRICES, st.integers(0, 4), st.integers(1, 4))
def test_what_rounds_to_the_stored_price_at_its_digits_is_equal(prices, digits, more):
    """Whichever file came first."""
    exact = np.round(prices, digits + more)
    rounded = np.round(exact, digits)
    assert same_numbers(rows(rounded), rows(exact)).all()
    assert same_numbers(rows(exact), rows(rounded)).all()


@given(PRICES, st.integers(2, 4), st.data())
def test_a_price_that_differs_in_the_last_digit_is_a_correction(prices, digits, data):
    """Where not all are round: some last digit must be seen."""
    stored = np.round(prices, digits)
    stored[:2] = 10.0 + 10.0**-digits
    row = data.draw(st.integers(0, len(prices) - 1))
    other = stored.copy()
    other[row] += 10.0**-digits
    same = same_numbers(rows(stored), rows(np.round(other, digits)))
    assert not same[row] or 10.0**-digits <= 1e-6 * stored[row]
    assert same.sum() >= len(prices) - 1


def test_few_round_prices_say_nothing_of_digits():
    """Seen in thought: 10 and 10.40 are not the same because 10 was written without digits."""
    assert not same_numbers(rows([10.0]), rows([10.4]))[0]
    assert same_numbers(rows([10.0]), rows([10.0049]))[0]
    assert not same_numbers(rows([10.0]), rows([10.006]))[0]


def test_volumes_are_not_rounded():
    stored, other = rows([10.12]), rows([10.1234])
    other[0, 4] = 1001.0
    assert not same_numbers(stored, other)[0]
