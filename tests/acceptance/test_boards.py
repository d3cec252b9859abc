"""The short forms of the slow boards: the commands run, their tables are whole, and a broken filter is seen."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.quant.allocation import propose

ROOT = Path(__file__).resolve().parents[2]
LEAST_SHARE = {"star": 0.55, "spread": 0.48, "drift": 0.42, "death": 0.36, "switch": 0.21}
"""Of the oracle's gain, in 40 draws: three standard errors below what 300 draws show."""


def board(name, *arguments):
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_short_tournament():
    """The default learns what there is to learn in each world of known truth, and leaves equal agents alone."""
    worlds = "equal,star,spread,drift,death,switch"
    found = board("tournament.py", "--worlds", worlds, "--methods", "adaptive", "--seeds", "40", "--first-seed", "5000")
    rows = {row["world"]: row for row in found["rows"]}
    assert list(rows) == worlds.split(",")
    assert -rows["equal"]["gain"] < 0.05
    assert rows["equal"]["turnover"] < 1.0
    shares = {world: rows[world]["share"] for world in LEAST_SHARE}
    assert all(share > LEAST_SHARE[world] for world, share in shares.items()), shares


def test_a_textbook_optimizer_pays_for_chasing_noise():
    found = board("tournament.py", "--worlds", "equal,star", "--seeds", "4", "--first-seed", "5000", "--days", "500")
    rows = {(row["world"], row["method"]): row for row in found["rows"]}
    assert len(rows) == 4
    assert rows["equal", "max_sharpe"]["turnover"] > 5 * rows["equal", "adaptive"]["turnover"]
    assert rows["equal", "adaptive"]["ahead_of_max_sharpe"][0] > 0.0
    assert any("ahead of max_sharpe" in line for line in found["verdicts"])


def test_a_short_calibration_of_the_price():
    """What equal agents cost is near what is stated: 20 desks of each kind, three standard errors of their mean."""
    found = board("calibrate_guard.py", "--seeds", "20", "--first-seed", "5000")
    rows = found["rows"]
    assert len(rows) == 12
    assert all(-row["gain"] < 0.03 + 3 * row["error"] for row in rows if row["agents"] <= 6)
    assert all(row["turnover"] < 2.0 for row in rows)


@pytest.fixture(scope="module")
def scripts():
    """The modules of the boards."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        yield importlib.import_module("players"), importlib.import_module("worlds")
    finally:
        sys.path.remove(str(ROOT / "scripts"))


@pytest.mark.parametrize("world", ["star", "abstaining", "silent"])
@pytest.mark.parametrize("agents", [3, 6])
def test_the_desk_that_plays_is_the_one_that_proposes(scripts, world, agents):
    """The tournament's compiled loop holds the very weights that `propose` decides on day by day."""
    players, worlds = scripts
    drawn = worlds.draw(world, agents, 250, 5001)
    held = players.held_by("adaptive", drawn)
    weights, state = np.full(agents, 1.0 / agents), None
    for t in range(250):
        np.testing.assert_allclose(held[t], weights, atol=1e-9, err_msg=str(t))
        made = propose(drawn.returns[t : t + 1], weights, periods_per_year=252.0, state=state)
        weights, state = made.weights, made.state
    assert agents == 3 or np.ptp(held) > 0.02


def test_a_short_calibration_of_the_monitor():
    """No sound desk of 60 is stopped; of those whose beliefs have their sign turned, some are where skills differ."""
    rows = {row["world"]: row for row in board("calibrate_monitor.py", "--seeds", "10", "--first-seed", "5000")}
    assert sum(row["false"] for row in rows.values()) == 0
    assert rows["spread"]["caught"] >= 0.3
