"""A: kill -9 at named points, power cuts, signals, crash loops."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

from agents.core.stopping import FORCED
from tests.board.cases import NotSurvivedError, Run, case
from tests.board.oracles import equals, sound
from tests.board.scenes import BARS_IN_ALL, control, finish, same_but_for_unsent, until_dead

LAST = BARS_IN_ALL
IN_PARTS = {"execution__participation": "0.001"}
"""So small a part of a bar's volume may be ours that most orders are filled in part."""
SLOW_SECOND_FILL = """
CREATE FUNCTION slow_second_fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT count(*) FROM fills WHERE time = NEW.time) = 1 THEN PERFORM pg_sleep(5); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER slow_second_fill BEFORE INSERT ON fills FOR EACH ROW EXECUTE FUNCTION slow_second_fill()
"""
IN_SECOND_FILL = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'
"""


def killed_at(run: Run, point: str) -> None:
    """The daemon kills itself at a named point and its supervisor starts it again."""
    run.desk.feed(0, LAST)
    supervisor = run.desk.start(KILLPOINT=point)
    until_dead(run, supervisor, 1)
    assert supervisor.codes[0] == -signal.SIGKILL, f"exit {supervisor.codes[0]} instead of SIGKILL"
    run.proof(f"SIGKILL at {point} after {run.desk.decisions()} decisions")
    finish(run)


@case(
    "A01",
    1,
    "killed after the decision is computed, before its commit",
    "no order; the decision is made once",
    quick=True,
)
def _(run: Run) -> None:
    killed_at(run, f"decision.before_commit:{30 + run.seed % 60}")
    equals(run.desk, control(run.world))


@case(
    "A02",
    1,
    "killed after the commit, before the order is sent",
    "looked up, not placed, never sent blindly",
    quick=True,
)
def _(run: Run) -> None:
    killed_at(run, f"order.before_send:{20 + run.seed % 20}")
    lost = run.desk.rows("SELECT DISTINCT decision_time FROM orders WHERE state = 'not_placed'")
    assert len(lost) == 1, f"orders of {len(lost)} decisions were not placed; one decision died"


@case("A03", 1, "killed after the broker accepted, before its answer is read", "adopted by id; exactly one order")
def _(run: Run) -> None:
    killed_at(run, f"order.after_accept:{20 + run.seed % 20}")
    equals(run.desk, control(run.world))


@case(
    "A04", 1, "killed after the broker's answer, before it is committed", "adopted by id; exactly one order", quick=True
)
def _(run: Run) -> None:
    killed_at(run, f"order.before_ack_commit:{20 + run.seed % 20}")
    equals(run.desk, control(run.world))


@case("A05", 1, "killed between the first and the second fill of orders that are filled in part", "each fill once")
def _(run: Run) -> None:
    desk = run.desk
    desk.set(**IN_PARTS)
    desk.feed(0, 40 + run.seed % 20)
    supervisor = desk.start()
    desk.wait(40 + run.seed % 20)
    with desk.session() as session:
        session.execute(SLOW_SECOND_FILL)
    desk.feed(40 + run.seed % 20, LAST)
    desk.wait_until(lambda: desk.scalar(IN_SECOND_FILL) == 1, "the second fill of a bar to be on its way")
    assert supervisor.process is not None
    before = desk.scalar("SELECT count(*) FROM fills")
    os.kill(supervisor.process.pid, signal.SIGKILL)
    until_dead(run, supervisor, 1)
    with desk.session() as session:
        session.execute("DROP FUNCTION slow_second_fill() CASCADE")
    run.proof(f"SIGKILL while the second fill of a bar was written, {before} fills before")
    finish(run)
    parts = desk.scalar(
        "SELECT count(*) FROM orders o WHERE quantity > (SELECT sum(quantity) FROM fills f"
        " WHERE f.client_order_id = o.client_order_id)"
    )
    assert parts, "no order was filled in part"
    run.proof(f"{parts} orders filled in part")
    twice = desk.rows("SELECT time, symbol FROM fills GROUP BY 1, 2 HAVING count(*) > 1")
    assert not twice, f"O1: filled twice: {twice[:3]}"
    # What follows the fills up to the COMMIT may have been on its way already: then the bar is settled, once, and what
    # was decided on it is known not to be placed.
    same_but_for_unsent(run, **IN_PARTS)


@case("A06", 1, "killed while fills of a bar are settled and attributed", "sums are exact after the restart")
def _(run: Run) -> None:
    killed_at(run, f"fill.before_attribution:{20 + run.seed % 20}")
    equals(run.desk, control(run.world))


@case("A07", 1, "killed during recovery, three times in a row", "as an undisturbed run", seeds=3)
def _(run: Run) -> None:
    run.desk.feed(0, LAST)
    supervisor = run.desk.start(KILLPOINT="order.before_ack_commit:30")
    until_dead(run, supervisor, 1)
    rng = random.Random(run.seed)
    for k in range(3):
        time.sleep(rng.uniform(0.5, 2.5))
        assert supervisor.process is not None
        before = len(supervisor.codes)
        os.kill(supervisor.process.pid, signal.SIGKILL)
        until_dead(run, supervisor, before + 1)
        run.proof(f"kill {k + 1} of a process that was starting")
    finish(run)
    same_but_for_unsent(run, deaths=4)


@case(
    "A12",
    1,
    "daemon and database killed at once, as by a power cut",
    "what was committed is there; nothing doubled",
    seeds=3,
)
def _(run: Run) -> None:
    run.desk.feed(0, 80)
    supervisor = run.desk.start(restart_after_s=1.0)
    run.desk.wait(20 + run.seed % 30)
    assert supervisor.process is not None
    committed = run.desk.rows("SELECT time FROM decisions ORDER BY time")
    os.kill(supervisor.process.pid, signal.SIGKILL)
    os.kill(run.world.postmaster(), signal.SIGQUIT)  # what `pg_ctl stop -m immediate` sends
    until_dead(run, supervisor, 1)
    run.proof(f"SIGKILL and SIGQUIT after {len(committed)} decisions")
    run.world.mend()
    begun = time.monotonic()
    after = run.desk.rows("SELECT time FROM decisions ORDER BY time")
    assert after[: len(committed)] == committed, "O3: a committed decision is gone"
    run.desk.wait(len(after) + 1)
    run.recovered_s.append(time.monotonic() - begun)
    run.desk.feed(80, LAST)
    finish(run, wait_only=True)


@case("A13", 3, "SIGTERM under load", "ends within 10 s, no order after the signal")
def _(run: Run) -> None:
    run.desk.feed(0, LAST)
    supervisor = run.desk.start()
    run.desk.wait(30)
    begun = time.monotonic()
    code = supervisor.stop(signal.SIGTERM, within_s=10.0)
    run.proof(f"SIGTERM at work; exit {code} after {time.monotonic() - begun:.1f} s")
    assert code == 0, f"exit {code}"
    open_orders = run.desk.rows("SELECT client_order_id FROM orders WHERE state IN ('intent', 'unknown')")
    assert not open_orders, f"orders that nobody knows of after a clean stop: {open_orders}"
    run.desk.start()
    finish(run)
    equals(run.desk, control(run.world))


@case("A14", 3, "SIGTERM twice, SIGINT during start, SIGHUP", "a clean end each time, no half state")
def _(run: Run) -> None:
    run.desk.feed(0, 60)
    for number, after_s in ((signal.SIGINT, 0.3), (signal.SIGINT, 1.5), (signal.SIGHUP, 2.5)):
        process = run.desk.start()
        time.sleep(after_s)
        code = process.stop(number, within_s=20.0)
        run.proof(f"signal {number} after {after_s} s: exit {code}")
    supervisor = run.desk.start()
    run.desk.feed(60, LAST)
    run.desk.wait(61)
    assert supervisor.process is not None
    os.kill(supervisor.process.pid, signal.SIGTERM)
    code = supervisor.stop(signal.SIGTERM, within_s=10.0)
    assert code in (0, FORCED, -signal.SIGTERM), f"SIGTERM twice: exit {code}"  # the second one ends it at once
    said = run.desk.said()
    assert "Traceback" not in said, said[max(0, said.find("Traceback") - 300) :][:1500]
    run.desk.start()
    finish(run)
    equals(run.desk, control(run.world))


@case("A15", 2, "a setting that is wrong: a crash loop", "one clear line each time, no order, no traceback")
def _(run: Run) -> None:
    run.desk.feed(0, LAST)
    run.desk.set(risk__gross_cap='"much"')
    supervisor = run.desk.start()
    until_dead(run, supervisor, 3)
    run.proof(f"exits {supervisor.codes[:3]}")
    said = run.desk.said()
    assert "gross_cap" in said and "Traceback" not in said, said[-800:]
    assert not run.desk.decisions(), "decided with a setting that is wrong"
    run.desk.set()
    finish(run)
    equals(run.desk, control(run.world))


@case("A08", 2, "the optimizer is killed after its commit, before Redis has the copy", "the database's version wins")
def _(run: Run) -> None:
    _optimizer_killed(run, "weights.before_redis", versions=1)


@case(
    "A09",
    2,
    "the optimizer is killed before its commit",
    "the weights before stay in force; the next run makes it good",
)
def _(run: Run) -> None:
    _optimizer_killed(run, "weights.before_commit", versions=0)


def _optimizer_killed(run: Run, point: str, versions: int) -> None:
    desk = run.desk
    desk.set(tuning__method='"inverse_volatility"', tuning__minimum_signals="2", meta__own_process="false")
    desk.feed(0, LAST)
    desk.start()
    desk.wait(LAST)
    assert desk.trading is not None
    desk.trading.stop()
    killed = subprocess.run(
        [*_program(), "meta", "--once", "--only", "weight_optimizer"],
        cwd=desk.folder,
        env={**desk.environment, "KILLPOINT": point},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, (
        f"exit {killed.returncode}: {killed.stdout[-300:]}{killed.stderr[-600:]}"
    )
    run.proof(f"SIGKILL at {point}")
    active = "SELECT count(*) FROM weight_history"
    assert desk.scalar(active) == versions, f"{desk.scalar(active)} versions after the kill, expected {versions}"
    desk.command("meta", "--once", "--only", "weight_optimizer")
    seen = desk.scalar("SELECT count(DISTINCT version) FROM v_weights_current")
    if seen == 0 and versions == 0:
        raise NotSurvivedError("the next run published nothing")
    assert seen == 1, f"{seen} versions are in force"
    sound(desk)


def _program() -> list[str]:
    return [sys.executable, "-m", "agents"]
