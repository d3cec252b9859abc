"""`quorum walk-forward`: learn on one window of history, be judged on the next, and so on to its end."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from rich.table import Table
from rich.text import Text

from agents.cli.compiling import compile_once
from agents.cli.history import open_history
from agents.cli.history_arguments import changes_of
from agents.cli.screen import Screen, new_table
from agents.cli.search import read_space, setting_text
from agents.core.errors import UsageError
from agents.core.settings import load_settings
from agents.quant.evidence import Claim
from agents.quant.measures import plain
from agents.replay.space import Space, candidates
from agents.replay.walk_forward import Fold, OutOfSample, WalkForward, out_of_sample
from agents.replay.walk_forward import walk_forward as judge_folds
from agents.reports.formatting import number, true_minuses
from agents.wiring.trial_runner import TrialRunner, count_candidates, trials_before


def walk_forward(options: Namespace, screen: Screen) -> int:
    """The command."""
    space = read_space(options.space) if options.space else None
    points = _points(space, options)
    with ExitStack() as stack:
        opened = open_history(options, load_settings(options.settings), stack, screen, changes_of(options))
        bars, settings = opened.bars(), opened.settings
        compile_once(settings, screen)
        before = trials_before(opened.database, bars) if opened.database is not None else 0
        runner = TrialRunner(bars, settings, space.tuning if space else True)
        progress = screen.progress(stack, "folds")
        judged = judge_folds(runner.run, bars.time, _windows(options), points, progress)
        if opened.database is not None and len(points) > 1:
            count_candidates(opened.database, runner, points[1:])
    result = out_of_sample(judged, 1 + before)
    choosing_added = result.choosing_added if len(points) > 1 else None
    document = plain(
        {
            "scheme": options.scheme,
            "folds": [_fold_document(fold) for fold in result.folds],
            "tuning_added": result.tuning_added.as_plain(),
            "choosing_added": choosing_added.as_plain() if choosing_added else None,
            "figures": result.figures,
            "settings_tried": len(points),
            "tried_before": before,
            "verdict": f"out of sample, tuning {result.tuning_added.words}",
        }
    )
    screen.result(document, _folds_table(options.scheme, result.folds), *_sentences(result, choosing_added))
    return 0


def _points(space: Space | None, options: Namespace) -> list[dict[str, Any]]:
    """The settings to choose among: none changed first."""
    if space is None:
        return [{}]
    if space.method == "tpe":
        raise UsageError(
            f"{options.space}: a walk-forward needs the same settings in every fold; use method grid or random"
        )
    return [{}, *candidates(space)]


def _windows(options: Namespace) -> WalkForward:
    return WalkForward(
        anchored=options.scheme == "anchored",
        train_days=options.train_days,
        test_days=options.test_days,
        purge_days=options.purge_days,
        embargo_days=options.embargo_days,
    )


def _fold_document(fold: Fold) -> dict[str, Any]:
    return {
        "train": [time.isoformat() for time in fold.train],
        "test": [time.isoformat() for time in fold.test],
        "chosen": dict(fold.chosen),
        "train_sharpe": fold.train_sharpe,
        "test_sharpe": fold.test_sharpe,
    }


def _folds_table(scheme: str, folds: Sequence[Fold]) -> Table:
    table = new_table(f"Walk-forward, {scheme}")
    for name in ("learnt on", "judged on", "chosen", "Sharpe learning", "Sharpe judged"):
        table.add_column(name, justify="right" if name.startswith("Sharpe") else "left")
    for fold in folds:
        spans = (f"{start:%Y-%m-%d} … {end:%Y-%m-%d}" for start, end in (fold.train, fold.test))
        changes = (f"{key}={setting_text(value)}" for key, value in fold.chosen.items())
        chosen = ", ".join(changes) or "settings in use"
        table.add_row(*spans, chosen, number(fold.train_sharpe), number(fold.test_sharpe))
    return table


def _sentences(result: OutOfSample, choosing_added: Claim | None) -> list[Text]:
    """What tuning added out of sample, and choosing settings where there were any to choose among."""
    figures = result.figures
    lines = [
        f"Out of sample, tuning {result.tuning_added.words}.",
        f"{figures['days']:,} days judged: Sharpe {number(figures['sharpe'])}, with each fold's first weights"
        f" {number(figures['first_weights_sharpe'])}.",
    ]
    if choosing_added is not None:
        lines.append(f"Choosing settings in each window {choosing_added.words}, against those in use.")
    return [Text(true_minuses(line)) for line in lines]
