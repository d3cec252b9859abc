"""How the step goes about its work changes no bit: how many bars a block has, which thread takes a book through it, and
whether a book that is like another is computed or copied."""

from __future__ import annotations

import numpy as np
import pytest

from agents.core.books import FIRST, FIRST_BENCHMARK, FIRST_SHADOW, LIVE
from agents.pipeline import twins
from agents.pipeline.bar import BrokerFills
from agents.pipeline.desk import desk_of
from agents.pipeline.state import Outputs, State, new_state
from agents.pipeline.step import run_rows, run_rows_on_threads
from tests.unit.pipeline.desks import DESKS, MadeDesk, made_desk


def digests(desk: MadeDesk, at_once: int, run=run_rows) -> dict[str, str]:
    return desk.traded(run, lambda state, parameters: desk_of(state, parameters, at_once)).digests()


@pytest.mark.parametrize("name", DESKS)
def test_blocks_and_threads_change_no_bit(name):
    """Blocks of 1 bar, of 7, of 512, and a second thread that is a block of 16 ahead."""
    desk = made_desk(**DESKS[name])
    one_by_one = digests(desk, 1)
    assert digests(desk, 7) == one_by_one
    assert digests(desk, 512) == one_by_one
    assert digests(desk, 16, run_rows_on_threads) == one_by_one


@pytest.mark.parametrize("name", ["one agent", "six agents", "beside", "short allowed", "stops of one agent"])
def test_a_copied_book_is_what_computing_it_gives(name):
    """Whose live book's fills a broker made, has none that is copied from it: told the same fills, all other books are
    the same."""
    desk = made_desk(**DESKS[name])
    copied = desk.traded(run_rows, lambda state, parameters: desk_of(state, parameters, 64))
    alone = desk._replace(inputs=desk.inputs._replace(external=True, **_told(copied.out)))
    computed = alone.traded(run_rows, lambda state, parameters: desk_of(state, parameters, 64))
    controls, beside = np.arange(1, FIRST_BENCHMARK), FIRST_SHADOW + desk.inputs.forecast.shape[2]
    books = [*controls, *range(beside, copied.out.equity.shape[1])]
    for field in ("equity", "cash", "turnover"):
        ours, theirs = (getattr(run.out, field) for run in (copied, computed))
        np.testing.assert_array_equal(ours[:, books], theirs[:, books], field)
        np.testing.assert_array_equal(ours[:, LIVE], theirs[:, LIVE], field)
    for field in ("position", "pending", "heard", "moves", "wanted", "followed", "worth", "highs", "peak", "stops"):
        ours, theirs = (getattr(run.state, field) for run in (copied, computed))
        np.testing.assert_array_equal(ours[books], theirs[books], field)


def _told(out: Outputs) -> dict[str, BrokerFills]:
    return {
        "broker_fills": BrokerFills(out.fill_quantity, out.fill_price, out.fill_fee),
        "broker_stops": BrokerFills(out.stop_quantity, out.stop_price, out.stop_fee),
    }


@pytest.mark.parametrize("field", [name for name in State._fields if len(getattr(new_state(2, 3, 1e6), name)) == 8])
def test_books_that_differ_in_anything_are_no_twins(field):
    """Whatever of a book the next bar depends on; `ordered` and the like are the whole desk's."""
    same_past = getattr(twins._same_past, "py_func", twins._same_past)
    state = new_state(2, 3, 1e6)
    assert same_past(state, FIRST, LIVE)
    row = getattr(state, field)
    place = (FIRST, *(size - 1 for size in row.shape[1:]))
    row[place] = 5.0
    assert not same_past(state, FIRST, LIVE)
