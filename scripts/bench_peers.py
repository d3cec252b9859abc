#!/usr/bin/env python3
"""The same work through this project and through other backtesters.

    scripts/bench_peers.py [--venvs DIR] [--only NAME ...] [--shape 20x2520] [--json]

The work: 20 symbols x 10 years of daily bars (or another --shape, symbols x bars), SMA(20/50) with RSI(14). The rule,
for all: hold 100 shares of a symbol while its 20-day mean is above its 50-day mean and RSI(14) is below 70, else none;
decided at the close, traded at the next open, 1 basis point of fee, no slippage.

Each program runs in a process of its own, by the interpreter DIR/NAME/bin/python where there is one (make it with
`python3 -m venv DIR/vectorbt && DIR/vectorbt/bin/pip install vectorbt psutil`), else by this one; what is not
installed is left out. Figures: bars a second of the run alone (indicators and trading, best of some, after a warm-up
where the program compiles) by the clock, on all cores that a program uses, and by processor time; seconds to import,
peak memory, orders, and final equity, which must be the floor's to what the fill models differ.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from peers import by_bars, by_events, floors, on_exchanges, on_frames, quorum
from peers.work import make_market

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 900.0
PROGRAMS: dict[str, Callable] = {
    "floor_numba": floors.floor_numba,
    "floor_python": floors.floor_python,
    "quorum_1": quorum.quorum_1,
    "quorum_6": quorum.quorum_6,
    "quorum_10": quorum.quorum_10,
    "quorum_replay": quorum.quorum_replay,
    "quorum_replay_jobs": quorum.quorum_replay_jobs,
    "vectorbt": on_frames.vectorbt,
    "bt": on_frames.bt,
    "backtesting": on_frames.backtesting,
    "backtrader": by_bars.backtrader,
    "zipline": by_bars.zipline,
    "nautilus": by_events.nautilus,
    "freqtrade": on_exchanges.freqtrade,
}
OURS = ("quorum_1", "quorum_6", "quorum_10", "quorum_replay", "quorum_replay_jobs")
IMPORTS = {
    **{name: name for name in PROGRAMS},
    **dict.fromkeys(OURS, "agents.wiring.replay"),
    "floor_numba": "numba",
    "floor_python": "pandas",
    "nautilus": "nautilus_trader.backtest.engine",
    "freqtrade": "freqtrade.optimize.backtesting",
}


def run_one(name: str, data: Path) -> None:
    """In a process of its own: import, run, and say what it cost."""
    started = time.perf_counter()
    import numpy as np

    market = dict(np.load(data))
    wall = time.perf_counter()
    found = PROGRAMS[name](market)
    found |= {"total_s": time.perf_counter() - started, "after_numpy_s": time.perf_counter() - wall}
    found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    print("RESULT " + json.dumps(found))


def import_s(python: str, name: str) -> float | None:
    """Median seconds to start the interpreter and import the program; None where it is not installed."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        if subprocess.run(
            [python, "-c", f"import {IMPORTS[name]}"], cwd=ROOT, capture_output=True, check=False
        ).returncode:
            return None
        times.append(time.perf_counter() - start)
    return sorted(times)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venvs", type=Path, metavar="DIR", help="a folder of environments named as the programs")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, metavar="NAME", help=f"some of {', '.join(PROGRAMS)}")
    parser.add_argument("--shape", default="20x2520", help="symbols x bars (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", choices=PROGRAMS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_one(options.run, options.data)
        return
    results: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "market.npz"
        make_market(data, *map(int, options.shape.split("x")))
        for name in options.only or PROGRAMS:
            own = options.venvs / name / "bin" / "python" if options.venvs else None
            python = str(own) if own is not None and own.exists() else sys.executable
            start_s = import_s(python, name)
            if start_s is None:
                print(f"· {name}: not installed, left out", file=sys.stderr)
                continue
            print(f"· {name}", file=sys.stderr)
            command = [python, __file__, "--run", name, "--data", str(data)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
            line = next((text for text in done.stdout.splitlines() if text.startswith("RESULT ")), None)
            if line is None:
                print(f"· {name} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                continue
            results[name] = json.loads(line.removeprefix("RESULT ")) | {"import_s": start_s}
    print(json.dumps(results, indent=1) if options.json else table(results, options.shape))


def table(results: dict[str, dict], shape: str) -> str:
    floor = results.get("floor_numba", {})
    lines = [
        f"{'program':<20}{'bars/s':>14}{'by processor':>14}{'x quorum_1':>12}{'import s':>10}{'peak MB':>9}"
        f"{'orders':>8}{'equity - floor':>16}"
    ]
    for name, r in sorted(results.items(), key=lambda item: -item[1]["bars_per_s"]):
        ratio = results["quorum_1"]["bars_per_s"] / r["bars_per_s"] if "quorum_1" in results else float("nan")
        gap = f"{r['equity'] - floor['equity']:,.2f}" if r.get("equity") is not None and floor else ""
        lines.append(
            f"{name:<20}{r['bars_per_s']:>14,.0f}{r['processor_bars_per_s']:>14,.0f}{ratio:>12,.2f}"
            f"{r['import_s']:>10.2f}{r['peak_mb']:>9,.0f}{r['orders']:>8,}{gap:>16}"
            + (f"  {r['remark']}" if "remark" in r else "")
        )
    if "quorum_replay_jobs" in results:
        lines.append(f"{shape} with all jobs: {results['quorum_replay_jobs']['seconds']:.2f} s")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
