"""Which bar times may be decided upon, in tables of who is there and in random orders of arrival."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.clock import SimulatedClock
from agents.core.ports import Arrival
from agents.core.types import Bars
from agents.orchestrator.attendance import Attendance, Waiting, attendance_of, complete_bars
from agents.orchestrator.patience import Patience

DAY = timedelta(days=1)
START = np.datetime64("2024-01-01T21:00", "us")


def days(count: int, first: int = 0) -> np.ndarray:
    return START + np.arange(first, first + count) * np.timedelta64(1, "D")


def before(*newest: int | None, missed: tuple[int, ...] = ()) -> Attendance:
    """Newest bars as days from START, None for a symbol that never had one."""
    times = [np.datetime64("NaT", "us") if day is None else START + np.timedelta64(day, "D") for day in newest]
    return Attendance(np.array(times), np.array(missed or (0,) * len(newest)))


def nobody(present: np.ndarray) -> np.ndarray:
    """No symbol is taken off the market."""
    return np.zeros(present.shape, dtype=bool)


# who was there before (day of the newest bar), who is there now (a column for each symbol), overdue -> decided
SCENARIOS = {
    "all there": (before(-1, -1), ["11"], "0", 1),
    "one is missing": (before(-1, -1), ["10"], "0", 0),
    "the wait is over": (before(-1, -1), ["10"], "1", 1),
    "a newer bar of the missing one gives it up": (before(-1, -1), ["10", "11"], "00", 2),
    "a newer bar of the others does not": (before(-1, -1), ["10", "10", "10"], "000", 0),
    "ten rows of one file wait for the other's": (before(-1, -1), ["10"] * 10, "0" * 10, 0),
    "the first may be overdue before the second": (before(-1, -1), ["10", "10"], "10", 1),
    "never had a bar: not due": (before(-1, None), ["10"], "0", 1),
    "a newcomer is due from its first bar on": (before(-1, None), ["11", "10"], "00", 1),
    "missed three in a row: has left": (before(-1, -4, missed=(0, 3)), ["10"], "0", 1),
    "missed two: still waited for": (before(-1, -3, missed=(0, 2)), ["10"], "0", 0),
    "one that left and is back is waited for": (before(-1, -9, missed=(0, 3)), ["11", "10"], "00", 1),
    "nobody is due on a new desk": (before(None, None), ["10"], "0", 1),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenarios(name):
    attendance, rows, overdue, decided = SCENARIOS[name]
    present = np.array([[cell == "1" for cell in row] for row in rows])
    waits = np.array([cell == "1" for cell in overdue])
    waiting = Waiting(days(len(rows)), present, nobody(present), np.zeros(len(rows), dtype=bool), waits)
    assert len(complete_bars(attendance, waiting, DAY)) == decided


def test_a_delisted_symbol_is_not_waited_for_until_it_has_a_bar_again():
    """Seen: it was waited for at three bars."""
    present = np.array([[True, False], [True, False], [True, True], [True, False]])
    delisted = np.array([[False, True], [False, False], [False, False], [False, False]])
    no = np.zeros(4, dtype=bool)
    steps = complete_bars(before(-1, -1), Waiting(days(4), present, delisted, no, no), DAY)
    assert len(steps) == 3, "the fourth waits for the one that came back"
    assert steps[2].missed.tolist() == [0, 0]


def test_after_a_restart_a_delisting_is_known_from_the_window():
    close, told = np.full((3, 2), 1.0), np.full((3, 2), np.nan)
    close[1:, 1], told[2, 1] = np.nan, 12.5
    numbers = dict.fromkeys(("open", "high", "low", "close", "volume", "adjustment", "split", "dividend"), close)
    window = Bars(time=days(3), opened=days(3, -1), symbols=("A", "B"), delisting=told, **numbers)
    seen = attendance_of(window)
    assert seen.due(days(1, 3)[0], DAY, regular=True).tolist() == [True, False]


def test_markets_that_close_at_other_hours_wait_for_their_own_only():
    """Two shares (21:00) and a coin (00:00): at the shares' close the coin's bar is 21 hours old and not due."""
    close = np.array(["2024-01-02T21:00", "2024-01-03T00:00", "2024-01-03T21:00"], dtype="datetime64[us]")
    attendance = Attendance(
        np.array(["2024-01-01T21:00", "2024-01-01T21:00", "2024-01-02T00:00"], "M8[us]"), np.zeros(3)
    )
    rows = {"shares": [True, True, False], "coin": [False, False, True], "one share": [True, False, False]}
    present = np.array([rows["shares"], rows["coin"], rows["one share"]])
    no = np.zeros(3, dtype=bool)
    assert len(complete_bars(attendance, Waiting(close, present, nobody(present), no, no), DAY)) == 2, (
        "the second share is due"
    )


def test_a_session_after_the_clocks_went_forward_and_one_that_closes_early_are_due():
    """23 hours count as a day; 21 hours do only where the calendar says that this is a close."""
    for hours, regular, decided in ((23, False, 0), (21, False, 1), (21, True, 0)):
        time = START + np.timedelta64(hours, "h")
        waiting = Waiting(
            np.array([time]), np.array([[True, False]]), np.zeros((1, 2), bool), np.array([regular]), np.array([False])
        )
        assert len(complete_bars(before(0, 0), waiting, DAY)) == decided, hours


ARRIVALS = st.lists(st.lists(st.floats(0.0, 50.0), min_size=3, max_size=3), min_size=1, max_size=8)


@given(ARRIVALS, st.randoms(use_true_random=False))
def test_in_any_order_of_arrival_within_the_limit_each_decision_sees_every_bar(delays, random):
    """Each bar of three symbols comes up to 50 s after its day's first look; the limit is 60 s of quiet."""
    limit = 60.0
    events = sorted(
        (day * 86400.0 + delay, day, symbol) for day, row in enumerate(delays) for symbol, delay in enumerate(row)
    )
    clock = SimulatedClock(datetime(2024, 1, 1, 21, tzinfo=UTC))
    patience = Patience(clock, limit, 86400.0)
    present = np.zeros((len(delays), 3), dtype=bool)
    attendance, decided, polls = before(-1, -1, -1), 0, 0
    while decided < len(delays):
        now = clock.monotonic_s()
        fresh = [event for event in events if event[0] <= now]
        events = events[len(fresh) :]
        for _, day, symbol in fresh:
            present[day, symbol] = True
        patience.note(Arrival(len(fresh), now - fresh[-1][0] if fresh else None))
        there = present.any(axis=1)
        rows = np.nonzero(there[decided:])[0] + decided
        overdue = patience.overdue(days(len(delays))[rows])
        steps = complete_bars(
            attendance,
            Waiting(days(len(delays))[rows], present[rows], nobody(present[rows]), overdue & False, overdue),
            DAY,
        )
        for row in rows[: len(steps)]:
            assert present[row].all(), "as on complete data"
        decided += len(steps)
        attendance = steps[-1] if steps else attendance
        polls += 1
        clock.sleep_s(random.uniform(0.5, 30.0) if now % 86400.0 < 200.0 else 86400.0 - now % 86400.0)
        assert polls < 1000


def test_a_feed_that_is_never_quiet_holds_no_bar_for_ever():
    clock = SimulatedClock(datetime(2024, 1, 1, tzinfo=UTC))
    patience = Patience(clock, 60.0, 86400.0)
    for _ in range(30):
        patience.note(Arrival(0, 0.0))
        assert not patience.overdue(days(1)).any()
        clock.sleep_s(10.0)
    assert patience.overdue(days(1)).all(), "five times the quiet"
