"""What many cases have in common: the control, waiting for deaths, and the way to the end of the bars."""

from __future__ import annotations

import tempfile
import time
from functools import cache
from pathlib import Path

from tests.board.cases import NotSurvivedError, Run
from tests.board.oracles import equals, record, sound
from tests.board.world import BARS, Desk, Supervisor, World

BARS_IN_ALL = len(BARS.time)


@cache
def control(world: World, **changes: str) -> dict[str, list[tuple[object, ...]]]:
    """The record of a desk to which nothing happens, made once by the same daemon on the same bars under the same
    settings (`changes` as in `Desk`)."""
    with world.servers.database() as database:
        desk = Desk(world, Path(tempfile.mkdtemp(prefix="board-control-")), database, **changes)
        try:
            desk.feed(0, BARS_IN_ALL)
            desk.start()
            desk.wait(BARS_IN_ALL)
            assert desk.trading is not None
            assert desk.trading.stop() == 0
            sound(desk)
            return record(desk)
        finally:
            desk.close()


def until_dead(run: Run, supervisor: Supervisor, times: int, within_s: float = 120.0) -> None:
    """Wait until the daemon has ended so often."""
    run.desk.wait_until(lambda: len(supervisor.codes) >= times, f"the daemon to end {times} times", within_s)


def finish(run: Run, *, wait_only: bool = False, within_s: float = 120.0) -> None:
    """The desk reaches the last bar by itself, stops cleanly, and every oracle holds."""
    desk, begun = run.desk, time.monotonic()
    reached = desk.decisions() or 0
    try:
        if not wait_only and reached < BARS_IN_ALL:
            desk.wait(reached + 1, within_s)
            run.recovered_s.append(time.monotonic() - begun)
        desk.wait(BARS_IN_ALL, within_s)
    except AssertionError as error:
        raise NotSurvivedError(str(error)) from None
    assert desk.trading is not None
    code = desk.trading.stop(within_s=15.0)
    assert code == 0, f"the daemon ended with {code}: {desk.said()[-800:]}"
    sound(desk)


def same_but_for_unsent(run: Run, deaths: int = 1, **changes: str) -> None:
    """As the control under the same settings; or, where a death fell between a decision and its sending, with the orders
    of so many decisions never placed, and from there on a life of its own."""
    lost = run.desk.rows("SELECT DISTINCT decision_time FROM orders WHERE state = 'not_placed'")
    if not lost:
        equals(run.desk, control(run.world, **changes))
        return
    assert len(lost) <= deaths, f"orders of {len(lost)} decisions were not placed, after {deaths} deaths"
    run.proof(f"orders of {len(lost)} decision were never placed")


def equities(record: dict[str, list[tuple[object, ...]]]) -> list[float]:
    """The live book's equity bar by bar: the rows of its book in `equity`, of which it is the first number."""
    rows = sorted((row for row in record["equity"] if "paper" in row), key=lambda row: str(row[0]))
    return [next(float(value) for value in row if isinstance(value, float)) for row in rows]
