"""`quorum demo`: a desk's whole life, and what came of it."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.reader import DeskReader
from agents.cli.compiling import compile_once
from agents.cli.performance import summary
from agents.cli.screen import Progress as Shown
from agents.cli.screen import Screen, remark_on
from agents.cli.status import summary_tables, tuning_line
from agents.cli.weights import change_words
from agents.core.log import configure_logging
from agents.core.settings import load_settings
from agents.replay.timeline import Progress
from agents.reports.formatting import sentence, true_minuses
from agents.wiring.connections import connect

CHANGES = "SELECT * FROM weight_history WHERE status = 'apply' ORDER BY version"
HINDSIGHT = (
    "These five stocks are survivors, picked by hindsight: to hold what is known to have won is hard to beat, and says"
    " little about what comes next. What the demo shows is how the desk judges its agents, not what they will earn."
)


def demo(options: Namespace, screen: Screen) -> int:
    """Thirteen years of five stocks through both planes, on a simulated clock and in a database of their own."""
    from agents.wiring.demo import Watching, run_demo  # here: `--help` should not wait for agents and compiled code

    settings = load_settings(options.settings)
    configure_logging(settings.log_folder / "demo.log", level=settings.log_level, console=False)

    @contextmanager
    def parts(names: Sequence[str]) -> Iterator[Sequence[Progress]]:
        with ExitStack() as stack:
            yield [_with_remark(show) for show in screen.progresses(stack, names, "bars")]

    connections = connect(settings, demo=True, say=screen.say)
    try:
        compile_once(settings, screen)
        done = run_demo(settings, connections, mode=options.mode, watching=Watching(screen.say, parts))
        psql, tuning = shlex.join(connections.psql), done.reader.tuning()
        document = summary(done.reader) | {"psql": psql, "report": str(done.report), "tuning": tuning}
        document |= {"verdict": done.verdict, "weight_changes": told_changes(done.reader)}
    finally:
        connections.close()
    program = _program()
    screen.result(
        document,
        *summary_tables(document),
        Text(sentence(done.verdict)),
        tuning_line(tuning),
        *(Text(true_minuses(line)) for line in document["weight_changes"]),
        Text(HINDSIGHT),
        f"look around:\n  {psql}\n  {program} why AAPL --at 2008-10-10 --demo\n  {program} weights history --demo\n"
        f"  {program} status --demo\nin a browser: {program} web --demo\n"
        f"the report, as it would be mailed: {done.report}",
    )
    return 0


def _with_remark(show: Shown) -> Progress:
    def progress(done: int, total: int, at: datetime, equity: float) -> None:
        show(done, total, remark_on(at, equity))

    return progress


def told_changes(reader: DeskReader) -> list[str]:
    """The first, the largest and the newest change of weights, in words; fewer where there were fewer."""
    changes = reader.rows(CHANGES)
    told = {
        "the first": changes[:1],
        "the largest": sorted(changes, key=_largest_move)[-1:],
        "the newest": changes[-1:],
    }
    lines: dict[int, str] = {}
    for which, rows in told.items():
        for row in rows:
            words = f"{which} change, {row['timestamp']:%Y-%m-%d}: {change_words(row)}"
            lines.setdefault(row["version"], words[0].upper() + words[1:])
    return [lines[version] for version in sorted(lines)]


def _largest_move(change: Row) -> float:
    before = change["previous_weights"] or {}
    return max(abs(float(weight) - float(before.get(name, 0.0))) for name, weight in change["agent_weights"].items())


def _program() -> str:
    """How this user calls us: the path as it was typed, or `quorum` where it is on PATH."""
    return sys.argv[0] if "/" in sys.argv[0] and not sys.argv[0].endswith(".py") else "quorum"
