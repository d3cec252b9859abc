"""`quorum search`: many settings on one history, tried by several processes, and whether the best is more than luck."""

from __future__ import annotations

import math
import subprocess
import sys
import tomllib
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path

from rich.table import Table
from rich.text import Text

from agents.cli.compiling import compile_once
from agents.cli.extras import SEARCH, require
from agents.cli.history import open_history
from agents.cli.history_arguments import changes_of
from agents.cli.screen import Screen, new_table
from agents.core.errors import SettingsError
from agents.core.settings import load_settings, worker_environment
from agents.replay.space import Space, space_of
from agents.replay.trials import Conclusion, Trial
from agents.reports.formatting import number, percent, sentence
from agents.wiring.connections import connect
from agents.wiring.search import Search
from agents.wiring.trial_runner import TrialRunner

TRIALS_SHOWN = 12
END_WAIT_S = 10.0


def search(options: Namespace, screen: Screen) -> int:
    """The leader starts workers, which are this command with --worker, takes part itself, and concludes."""
    space, settings = read_space(options.space), load_settings(options.settings)
    require(SEARCH)
    with ExitStack() as stack:
        connections = connect(settings, demo=options.demo, say=screen.say)
        stack.callback(connections.close)
        opened = open_history(options, settings, stack, screen, changes_of(options))
        compile_once(opened.settings, screen)  # before the workers start, who would each do it
        runner = TrialRunner(opened.bars(), opened.settings, space.tuning)
        job = Search(space, runner, connections.owner, connections.meta)
        stack.callback(job.close)
        if options.worker:
            tried = job.work(lambda _done: None)
            screen.result({"search": job.name, "tried": tried}, f"tried {tried:,} settings of {job.name}")
            return 0
        _lead(job, options.workers - 1, stack, screen)
        conclusion = job.conclude()
    document = {"search": job.name, "data_sha256": runner.data_hash, **conclusion.as_plain()}
    screen.result(document, *_tables(conclusion))
    return 0


def read_space(path: Path) -> Space:
    """A SPACE.toml; SettingsError where it is none."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    return space_of(document, str(path))


def _lead(job: Search, workers: int, stack: ExitStack, screen: Screen) -> None:
    """Hand out all settings, start workers, and take part until everything is tried."""
    if job.size < job.space.trials and job.space.method == "random":
        screen.say(fewer_line(job.size, job.space.trials))
    job.enqueue()  # before the workers start, which only take what waits
    screen.say(
        f"{job.name}: {job.size:,} settings; any machine that reaches the database can help with the same command and"
        " --worker"
    )
    processes = [_start_worker(stack) for _ in range(max(0, workers))]
    show = screen.progress(stack, "settings tried")
    show(0, job.size)
    job.finish(lambda done: show(done, job.size))
    for process in processes:
        process.wait()
    show(job.size, job.size)


def _start_worker(stack: ExitStack) -> subprocess.Popen[bytes]:
    """The same command as a worker; it is ended with this one."""
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "agents", *arguments, "--worker"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=worker_environment(),
    )
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(END_WAIT_S)


def _tables(conclusion: Conclusion) -> list[Table | Text]:
    """The best settings, those in use, and the verdict."""
    keys = list(conclusion.best.changes)
    table = new_table(f"Best of {len(conclusion.trials):,} settings")
    for column in ("place", *(key.replace(".", ".\n") for key in keys), "Sharpe", "by period"):
        table.add_column(column, justify="right")
    table.add_row(*_cells("in use", conclusion.base, keys), end_section=True)
    for trial in conclusion.trials[:TRIALS_SHOWN]:
        table.add_row(*_cells(str(trial.place), trial, keys))
    lines = [*_mean_lines(len(conclusion.base.sharpes)), Text(sentence(conclusion.verdict))]
    overfitting = conclusion.selection.overfitting
    if math.isfinite(overfitting):
        lines.append(
            Text(
                f"Probability of overfitting {percent(overfitting)}: so often the best on one half of history was below"
                " the median on the other."
            )
        )
    return [table, *lines]


def fewer_line(size: int, trials: int) -> str:
    """Why fewer settings are tried than were asked for."""
    return f"trials = {trials:,}, but [space] gave only {size:,} different settings; none is tried twice"


def _mean_lines(periods: int) -> list[Text]:
    """What the column Sharpe is, where it is not that of a replay."""
    words = (
        f"Sharpe is the mean of the {periods} periods, each begun anew with cash and the first weights; that of"
        " quorum replay is of the whole history in one."
    )
    return [Text(words)] if periods > 1 else []


def _cells(place: str, trial: Trial, keys: list[str]) -> list[str]:
    values = [setting_text(trial.changes.get(key, "")) for key in keys]
    return [place, *values, number(trial.objective), " ".join(number(sharpe) for sharpe in trial.sharpes)]


def setting_text(value: object) -> str:
    """A setting's value in a table: four digits of a float."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
