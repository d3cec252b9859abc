"""Walk-forward: learn on one window, be judged on the next; only what was not learnt on counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from agents.core.errors import UsageError
from agents.core.types import Times, as_datetime
from agents.quant.evidence import Claim, claim_of, sharpe_difference
from agents.quant.measures import SEED, SHOWN_LEVEL
from agents.quant.moments import decay_weights
from agents.quant.returns import day_ends, sharpe_ratio
from agents.replay.trials import TrialReturns

ReplayRows = Callable[[Mapping[str, Any], int, int], TrialReturns]
"""(changes of settings, first row, row after the last) -> the returns of a replay of these rows."""


class Window(NamedTuple):
    """Days of data: (first, stop) to learn on, (first, stop) to be judged on; stops are exclusive."""

    learn: int
    learnt: int
    judge: int
    judged: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One step of a walk-forward: first and last bar to learn on and to be judged on, the setting that was chosen, and
    its annual Sharpe ratio on both."""

    train: tuple[datetime, datetime]
    test: tuple[datetime, datetime]
    chosen: Mapping[str, Any]
    train_sharpe: float
    test_sharpe: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """How to walk: windows in days of data. Between learning and judging `purge_days` + `embargo_days` are left out:
    positions of the learning window live on, and its last signals are still being scored."""

    anchored: bool = True
    train_days: int = 750
    test_days: int = 250
    purge_days: int = 5
    embargo_days: int = 5

    def folds(self, days: int) -> list[Window]:
        """The windows of `days` days of data; UsageError where history is too short for one."""
        gap = self.purge_days + self.embargo_days
        start = self.train_days + gap
        windows = []
        while start + self.test_days // 2 <= days:
            learn = 0 if self.anchored else start - gap - self.train_days
            windows.append(Window(learn, start - gap, start, min(days, start + self.test_days)))
            start += self.test_days
        if not windows:
            raise UsageError(
                f"{days} days of history hold no fold of {self.train_days} + {gap} + {self.test_days} days;"
                " give shorter windows"
            )
        return windows


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfSample:
    """The joined days that were judged: the folds, what tuning added to the weights of each fold's first day, the same
    against the settings in use, and figures (Sharpe ratios annual)."""

    folds: Sequence[Fold]
    tuning_added: Claim
    choosing_added: Claim
    figures: Mapping[str, float]


class JudgedFold(NamedTuple):
    """One fold, and the returns of its judged days: of the chosen setting, its first weights, the settings in use."""

    fold: Fold
    chosen: TrialReturns
    in_use: TrialReturns


def walk_forward(
    replay: ReplayRows,
    time: Times,
    walk: WalkForward,
    points: Sequence[Mapping[str, Any]],
    progress: Callable[[int, int], None],
) -> list[JudgedFold]:
    """In each fold the setting of `points` with the best Sharpe ratio on the learning window trades the next one."""
    edges = [0, *(day_ends(time) + 1).tolist()]
    windows = walk.folds(len(edges) - 1)
    judged = []
    for k, window in enumerate(windows):
        runs = [replay(point, edges[window.learn], edges[window.judged]) for point in points]
        split, until = window.learnt - window.learn, window.judge - window.learn
        scores = [sharpe_ratio(run.live[:split], run.per_year) for run in runs]
        best = int(np.nanargmax(scores)) if np.isfinite(scores).any() else 0
        chosen = _from(runs[best], until)
        fold = Fold(
            train=(as_datetime(time[edges[window.learn]]), as_datetime(time[edges[window.learnt] - 1])),
            test=(as_datetime(time[edges[window.judge]]), as_datetime(time[edges[window.judged] - 1])),
            chosen=dict(points[best]),
            train_sharpe=scores[best],
            test_sharpe=sharpe_ratio(chosen.live, chosen.per_year),
        )
        judged.append(JudgedFold(fold, chosen, _from(runs[0], until)))
        progress(k + 1, len(windows))
    return judged


def _from(returns: TrialReturns, day: int) -> TrialReturns:
    return TrialReturns(returns.date[day:], returns.live[day:], returns.first[day:], returns.per_year)


def out_of_sample(judged: Sequence[JudgedFold], trials: int) -> OutOfSample:
    """What the judged days of all folds together show; `trials` settings were tried on this history."""
    pace = judged[-1].chosen.per_year
    live = np.concatenate([fold.chosen.live for fold in judged])
    first = np.concatenate([fold.chosen.first for fold in judged])
    in_use = np.concatenate([fold.in_use.live for fold in judged])
    weights = decay_weights(len(live), math.inf)
    figures = {
        "days": len(live),
        "sharpe": sharpe_ratio(live, pace),
        "first_weights_sharpe": sharpe_ratio(first, pace),
        "settings_in_use_sharpe": sharpe_ratio(in_use, pace),
        "total_return": float(np.prod(1.0 + live) - 1.0),
    }
    return OutOfSample(
        folds=[fold.fold for fold in judged],
        tuning_added=claim_of(sharpe_difference(live, first, weights, pace, seed=SEED), trials, SHOWN_LEVEL),
        choosing_added=claim_of(sharpe_difference(live, in_use, weights, pace, seed=SEED), trials, SHOWN_LEVEL),
        figures=figures,
    )
