"""Runs cases one after the other in a world of their own, and says what came of each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.board.cases import Case, NotSurvivedError, Run
from tests.board.world import ROOT, Desk, World

Verdict = Literal["PASS", "FAIL", "INVALID"]


@dataclass
class Result:
    """One try of a case. `survived`: the program came back by itself; `kept`: every oracle holds."""

    id: str
    severity: int
    seed: int
    verdict: Verdict
    survived: bool
    kept: bool
    seconds: float
    proofs: list[str] = field(default_factory=list)
    recovered_s: list[float] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    detail: str = ""


def run_case(case: Case, world: World, seed: int) -> Result:
    """One try; an error of the case's own is a FAIL that shows where."""
    begun = time.monotonic()
    result = _run_tests(case, seed) if case.body is None else _run_body(case, world, seed)
    result.seconds = time.monotonic() - begun
    return result


def _run_body(case: Case, world: World, seed: int) -> Result:
    assert case.body is not None
    folder = Path(tempfile.mkdtemp(prefix=f"board-{case.id}-"))
    survived, kept, detail = True, True, ""
    with world.servers.database() as database:
        run = Run(world, Desk(world, folder, database), seed)
        try:
            case.body(run)
        except NotSurvivedError as error:
            survived = kept = False
            detail = str(error)
        except AssertionError as error:
            kept, detail = False, str(error) or traceback.format_exc(limit=-2)
        except Exception:
            kept, detail = False, traceback.format_exc(limit=-3)
        finally:
            said = run.desk.said() + run.desk.said("meta")
            run.alarms |= set(re.findall(r"msg=ALARM kind=(\w+)", said))
            run.desk.close()
            world.mend()
    shutil.rmtree(folder, ignore_errors=True)
    verdict: Verdict = "FAIL" if not (survived and kept) else "PASS" if run.proofs else "INVALID"
    return Result(
        case.id,
        case.severity,
        seed,
        verdict,
        survived,
        kept,
        0.0,
        run.proofs,
        run.recovered_s,
        sorted(run.alarms),
        detail,
    )


def _run_tests(case: Case, seed: int) -> Result:
    """The tests of the suite that answer a row; each must be there and pass."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "--no-header", *case.tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr[-300:]
    passed = done.returncode == 0 and "passed" in last
    verdict: Verdict = (
        "PASS" if passed else "INVALID" if "no tests ran" in last or "not found" in done.stderr else "FAIL"
    )
    detail = "" if passed else done.stdout[-1500:] + done.stderr[-500:]
    return Result(case.id, case.severity, seed, verdict, passed, passed, 0.0, [last], detail=detail)
