"""The short forms of the slow boards: the commands run, their tables are whole, and the plainest aims hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


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
    """The default method leaves equal agents alone and gains where one is a star; daily max-Sharpe pays for chasing noise."""
    found = board(
        "tournament.py",
        "--worlds",
        "equal,star",
        "--methods",
        "adaptive,max_sharpe",
        "--seeds",
        "6",
        "--years",
        "4",
        "--every",
        "5",
    )
    rows = {(r["world"], r["method"]): r for r in found["rows"]}
    assert len(rows) == 8
    assert rows["equal", "adaptive"]["against_equal"] > -0.05
    assert rows["equal", "adaptive"]["turnover"] < 2.0
    assert rows["equal", "max_sharpe"]["against_equal"] < rows["equal", "adaptive"]["against_equal"]
    assert rows["star", "adaptive"]["against_equal"] > 0.0
    assert rows["star", "oracle"]["sharpe"] > rows["star", "adaptive"]["sharpe"]


def test_a_short_calibration():
    """Few false changes in a first year; a Sharpe ratio of 4 among zeros is found."""
    rows = board("calibrate_guard.py", "--seeds", "8", "--years", "1.2")
    false = [r["false_changes_per_year"] for r in rows if "stated" in r]
    assert len(false) == 6
    assert sum(false) / len(false) < 0.25
    assert rows[-1]["moved_rightly"] >= 0.5
