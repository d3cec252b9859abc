"""Many settings over one history: workers that share a study, and what the best of them is worth; and walk-forward.

Every worker is the same command, started by this one or by hand on any machine that reaches the database: the study hands out
settings, the table settings_tried counts them, and results do not depend on who tried what.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine

from agents.adapters.database.trials_store import TrialOutcome, TrialsStore, TriedHistory, study_of
from agents.core.clock import SystemClock
from agents.core.errors import UsageError
from agents.core.settings import Settings, plain_settings, with_changes
from agents.core.types import Bars, Floats, Signals, as_datetime
from agents.quant.evidence import Claim, claim_of, sharpe_difference
from agents.quant.measures import SEED, SHOWN_LEVEL, daily_of, day_ends, plain
from agents.quant.moments import decay_weights
from agents.quant.returns import sharpe_ratio
from agents.quant.selection import select
from agents.replay.simulate import SignalSource
from agents.replay.space import Space, candidates, period_rows
from agents.trading.registry import make_agents
from agents.wiring import desk as app
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.manifest import DataDigest, versions
from agents.wiring.replay import asking, replay_history

ACCEPT_LEVEL = 0.05
NO_RESULT = -99.0
"""The objective of settings that cannot be measured: worse than anything."""


@dataclass
class Laboratory:
    """One history in memory with what all agents say about it, and settings to start from."""

    bars: Bars
    settings: Settings
    tuning: bool = True
    _signals: dict[str, Signals] = field(default_factory=dict)
    _digest: str = ""

    @property
    def data_hash(self) -> str:
        """Of all bars."""
        if not self._digest:
            digest = DataDigest()
            digest.add(self.bars, 0)
            self._digest = digest.hexdigest()
        return self._digest

    def signal_source(self, names: Sequence[str]) -> SignalSource:
        """What agents of these names said, asked once for the whole history: they are causal, and no setting reaches them."""
        missing = [name for name in names if name not in self._signals]
        if missing:
            panel = app.agents_of(
                with_changes(self.settings, {"agents.enabled": missing, "agents.static_weights": {}}), SystemClock()
            )
            self._signals |= dict(zip(panel.names, asking(panel)(self.bars), strict=True))

        def speak(chunk: Bars) -> list[Signals]:
            first = int(np.searchsorted(self.bars.time, chunk.time[0]))
            rows = slice(first, first + len(chunk.time))
            return [
                Signals(strength=s.strength[rows], confidence=s.confidence[rows], abstained=s.abstained[rows])
                for s in (self._signals[name] for name in names)
            ]

        return speak

    def run(self, changes: Mapping[str, Any], first: int, stop: int) -> Outcome:
        """A replay of rows `first` to `stop` (exclusive) under changed settings; what is before is memory."""
        settings = with_changes(self.settings, dict(changes))
        names = tuple(agent.name for agent in make_agents(settings.agents.enabled))
        history = history_of(self.bars, as_datetime(self.bars.time[first]), as_datetime(self.bars.time[stop - 1]))
        request = ReplayRequest(settings=settings, tuning=self.tuning, optimizer_only=True)
        daily = daily_of(replay_history(history, request, signal_source=self.signal_source(names)).run)
        return Outcome(daily.date, daily.returns(0), daily.returns(2), daily.per_year)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Daily returns of the live book, and of the control that keeps the first weights."""

    date: np.ndarray[Any, np.dtype[np.datetime64]]
    live: Floats
    first: Floats
    per_year: float


# ---------------------------------------------------------------- search


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting tried: its place in the search, changes, mean Sharpe ratio of the periods, and daily returns of them all."""

    place: int
    changes: Mapping[str, Any]
    settings_hash: str
    objective: float
    sharpes: Sequence[float]
    returns: Floats
    per_year: float


class Search:
    """One space on one history, in one database."""

    def __init__(self, space: Space, laboratory: Laboratory, owner: Engine, meta: Engine) -> None:
        self.space = space
        self._laboratory = laboratory
        self._owner = owner
        self._trials = TrialsStore(meta)
        self._opened, self._kept = ExitStack(), None
        self._rows = period_rows(space.periods, laboratory.bars.time)
        self._points = candidates(space)
        for point in self._points:
            with_changes(laboratory.settings, point)  # an impossible setting is refused before anything runs
        base = json.dumps(plain_settings(laboratory.settings), sort_keys=True)
        text = "|".join((space.digest_text(), laboratory.data_hash, base))
        self.name = "search-" + hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def size(self) -> int:
        """How many settings there are to try."""
        return len(self._points) or self.space.trials

    def enqueue(self) -> None:
        """Hand the settings of grid and random search to the study, once."""
        study = self._study()
        queued = {t.user_attrs.get("place") for t in study.get_trials(deepcopy=False) if t.state.name != "FAIL"}
        for place, point in enumerate(self._points):
            if place not in queued:
                study.enqueue_trial(_encoded(point), user_attrs={"place": place})

    def finish(self, done: Callable[[int], None]) -> None:
        """Work until every setting is tried, by whomever: what a process left that died, or that failed elsewhere, is tried again
        here, where an error is shown."""
        import optuna  # only a search needs it

        study, clock = self._study(), SystemClock()
        while True:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                optuna.storages.fail_stale_trials(study)
            self.enqueue()
            self.work(done)
            if self._complete(study) >= self.size:
                return
            clock.sleep_s(1.0)

    def work(self, done: Callable[[int], None]) -> int:
        """Try settings until none is left; how many this process tried. `done` hears how many the study has finished."""
        import optuna  # only a search needs it

        study, tried = self._study(), 0

        def objective(trial: Any) -> float:
            nonlocal tried
            if self._points and "place" not in trial.user_attrs:
                study.stop()  # nothing waits any more: this would be a setting of Optuna's own
                raise optuna.TrialPruned
            changes = self._points[trial.user_attrs["place"]] if self._points else self._suggested(trial)
            for key in changes:
                self._register(trial, key, changes)
            found = self.evaluate(changes, trial.number)
            tried += 1
            return found.objective

        while not self._finished(study):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # heartbeats are called experimental
                study.optimize(objective, n_trials=1)
            done(self._complete(study))
        return tried

    def close(self) -> None:
        """Leave the study."""
        self._opened.close()
        self._kept = None

    def _study(self) -> Any:
        if self._kept is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                learns = self.space.method == "tpe"
                self._kept = self._opened.enter_context(
                    study_of(self._owner, self.name, seed=self.space.seed, learns=learns)
                )
        return self._kept

    def _complete(self, study: Any) -> int:
        """How many settings are tried."""
        ended = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
        return len({t.user_attrs["place"] for t in ended}) if self._points else len(ended)

    def _finished(self, study: Any) -> bool:
        states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
        if self._points:
            return "WAITING" not in states
        return states.count("COMPLETE") + states.count("RUNNING") >= self.space.trials

    def _suggested(self, trial: Any) -> dict[str, Any]:
        found = {}
        for key, d in self.space.dimensions.items():
            if d.choices:
                found[key] = json.loads(trial.suggest_categorical(key, [json.dumps(c) for c in d.choices]))
            elif d.whole:
                found[key] = trial.suggest_int(key, int(d.low), int(d.high), step=int(d.step or 1), log=d.log)
            else:
                found[key] = d.value(trial.suggest_float(key, d.low, d.high, step=d.step, log=d.log))
        return found

    def _register(self, trial: Any, key: str, changes: Mapping[str, Any]) -> None:
        """Tell the study which values an enqueued trial has."""
        if not self._points:
            return
        choices = sorted({json.dumps(point[key], sort_keys=True) for point in self._points})
        trial.suggest_categorical(key, choices)
        assert key in changes

    def evaluate(self, changes: Mapping[str, Any], place: int) -> Trial:
        """Try one setting on all periods, or read what came out before; it is counted for this history either way."""
        settings = with_changes(self._laboratory.settings, dict(changes))
        digest = self._hash(settings)
        known = self._trials.known(self._laboratory.data_hash, [digest]).get(digest)
        if known is None:
            runs = [self._laboratory.run(changes, first, stop) for first, stop in self._rows]
            sharpes = [sharpe_ratio(run.live, run.per_year) for run in runs]
            mean = float(np.mean(sharpes))
            result = {
                "sharpes": plain(sharpes),
                "objective": mean if np.isfinite(mean) else NO_RESULT,
                "per_year": runs[0].per_year,
            }
            bars = self._laboratory.bars
            first, last = as_datetime(bars.time[self._rows[0][0]]), as_datetime(bars.time[self._rows[-1][1] - 1])
            history = TriedHistory(self._laboratory.data_hash, bars.symbols, min(first, last), max(first, last))
            known = TrialOutcome(result, np.concatenate([run.live for run in runs]))
            self._trials.record(
                history, digest, {"changes": dict(changes), **versions(), **plain_settings(settings)}, known
            )
        return _trial(place, changes, digest, known)

    def _hash(self, settings: Settings) -> str:
        text = json.dumps([plain_settings(settings), self.space.tuning, self._rows], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def conclude(self) -> dict[str, Any]:
        """What the search shows: every setting by objective, the best against the settings in use, and whether it is accepted."""
        base = self.evaluate({}, -1)
        trials = self._tried()
        if not trials:
            raise UsageError("no setting was tried; was the search interrupted before its first one?")
        matrix = np.column_stack([trial.returns for trial in trials])
        bars = self._laboratory.bars
        counted = len({trial.settings_hash for trial in (*trials, base)})
        first, last = as_datetime(bars.time[0]), as_datetime(bars.time[-1])
        before = self._trials.tried_on(bars.symbols, first, last) - counted
        found = select(matrix, base.returns, base.per_year, tried_before=before, seed=SEED)
        best = trials[found.best]
        accepted = found.p < ACCEPT_LEVEL and best.objective > base.objective
        ranked = sorted(trials, key=lambda trial: (-trial.objective, trial.place))
        said = f"Sharpe {found.gain:+.2f} over the settings in use, {found.t:.1f} standard errors; the best of {len(trials):,} without merit"
        verdict = f"{'accepted' if accepted else 'no setting is accepted'}: {said} would look as good with probability {found.p:.2g}"
        if before > 0:
            verdict += f" ({before:,} more were tried on this history before)"
        document: dict[str, Any] = plain(
            {
                "search": self.name,
                "data_sha256": self._laboratory.data_hash,
                "tried": len(trials),
                "tried_before": before,
                "base": {"objective": base.objective, "sharpes": list(base.sharpes)},
                "best": {"changes": dict(best.changes), "objective": best.objective, "sharpes": list(best.sharpes)},
                "gain": found.gain,
                "t": found.t,
                "p": found.p,
                "overfitting": found.overfitting,
                "accepted": accepted,
                "verdict": verdict,
                "trials": [
                    {"place": t.place, "objective": t.objective, "sharpes": list(t.sharpes), "changes": dict(t.changes)}
                    for t in ranked
                ],
            }
        )
        return document

    def _tried(self) -> list[Trial]:
        """All finished trials, by place."""
        if self._points:
            hashes = [self._hash(with_changes(self._laboratory.settings, point)) for point in self._points]
            known = self._trials.known(self._laboratory.data_hash, hashes)
            return [
                _trial(k, point, digest, known[digest])
                for k, (point, digest) in enumerate(zip(self._points, hashes, strict=True))
                if digest in known
            ]
        found = []
        for trial in self._study().get_trials(deepcopy=False):
            if trial.state.name == "COMPLETE":
                changes = {
                    k: json.loads(v) if self.space.dimensions[k].choices else self.space.dimensions[k].value(v)
                    for k, v in trial.params.items()
                }
                found.append(self.evaluate(changes, trial.number))
        return found


def _trial(place: int, changes: Mapping[str, Any], digest: str, outcome: TrialOutcome) -> Trial:
    result = outcome.result
    return Trial(
        place, dict(changes), digest, result["objective"], result["sharpes"], outcome.returns, result["per_year"]
    )


def _encoded(point: Mapping[str, Any]) -> dict[str, Any]:
    return {key: json.dumps(value, sort_keys=True) for key, value in point.items()}


# ---------------------------------------------------------------- walk-forward


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One step of a walk-forward: rows to learn on, rows to be judged on, and what was chosen with which Sharpe ratios."""

    train: tuple[datetime, datetime]
    test: tuple[datetime, datetime]
    chosen: Mapping[str, Any]
    train_sharpe: float
    test_sharpe: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """How to walk: windows in days of data; between learning and judging `purge_days` + `embargo_days` are left out: positions of the
    learning window live on, and its last signals are still being scored."""

    anchored: bool = True
    train_days: int = 750
    test_days: int = 250
    purge_days: int = 5
    embargo_days: int = 5

    def folds(self, days: int) -> list[tuple[int, int, int, int]]:
        """(first, stop) to learn and (first, stop) to judge, in days; UsageError where history is too short for one."""
        gap, found = self.purge_days + self.embargo_days, []
        start = self.train_days + gap
        while start + self.test_days // 2 <= days:
            learn = 0 if self.anchored else start - gap - self.train_days
            found.append((learn, start - gap, start, min(days, start + self.test_days)))
            start += self.test_days
        if not found:
            raise UsageError(
                f"{days} days of history hold no fold of {self.train_days} + {gap} + {self.test_days} days; give shorter windows"
            )
        return found


def walk_forward(
    laboratory: Laboratory,
    walk: WalkForward,
    points: Sequence[Mapping[str, Any]],
    trials: int,
    progress: Callable[[int, int], None],
) -> tuple[list[Fold], Claim, Claim, dict[str, Any]]:
    """Out-of-sample results only: in each fold the setting with the best Sharpe ratio on the learning window trades the next one. Returns
    the folds, what tuning added to the weights of the fold's first day, the same against the settings in use (where several were
    tried), and figures of the joined out-of-sample days."""
    time = laboratory.bars.time
    edges = [0, *(day_ends(time) + 1).tolist()]
    folds, live, first, used, pace = [], [], [], [], 252.0
    plans = walk.folds(len(edges) - 1)
    for k, (learn, learnt, judge, judged) in enumerate(plans):
        runs = [laboratory.run(point, edges[learn], edges[judged]) for point in points]
        split, until = learnt - learn, judge - learn
        scores = [sharpe_ratio(run.live[:split], run.per_year) for run in runs]
        best = int(np.nanargmax(scores)) if np.isfinite(scores).any() else 0
        chosen, pace = runs[best], runs[best].per_year
        live.append(chosen.live[until:])
        first.append(chosen.first[until:])
        used.append(runs[0].live[until:])
        folds.append(
            Fold(
                train=(as_datetime(time[edges[learn]]), as_datetime(time[edges[learnt] - 1])),
                test=(as_datetime(time[edges[judge]]), as_datetime(time[edges[judged] - 1])),
                chosen=dict(points[best]),
                train_sharpe=scores[best],
                test_sharpe=sharpe_ratio(chosen.live[until:], pace),
            )
        )
        progress(k + 1, len(plans))
    joined, kept, base = np.concatenate(live), np.concatenate(first), np.concatenate(used)
    weights = decay_weights(len(joined), math.inf)
    added = claim_of(sharpe_difference(joined, kept, weights, pace, seed=SEED), trials, SHOWN_LEVEL)
    against = claim_of(sharpe_difference(joined, base, weights, pace, seed=SEED), trials, SHOWN_LEVEL)
    figures = {
        "days": len(joined),
        "sharpe": sharpe_ratio(joined, pace),
        "first_weights_sharpe": sharpe_ratio(kept, pace),
        "settings_in_use_sharpe": sharpe_ratio(base, pace),
        "total_return": float(np.prod(1.0 + joined) - 1.0),
    }
    return folds, added, against, figures


def count_candidates(engine: Engine, laboratory: Laboratory, points: Sequence[Mapping[str, Any]]) -> None:
    """Put settings that a walk-forward chose among on record as tried on its history."""
    bars, store = laboratory.bars, TrialsStore(engine)
    first, last = as_datetime(bars.time[0]), as_datetime(bars.time[-1])
    for point in points:
        settings = {
            "changes": dict(point),
            **versions(),
            **plain_settings(with_changes(laboratory.settings, dict(point))),
        }
        digest = hashlib.sha256(
            json.dumps(["walk-forward", settings], sort_keys=True, default=str).encode()
        ).hexdigest()[:32]
        history = TriedHistory(laboratory.data_hash, bars.symbols, first, last)
        store.record(history, digest, settings, TrialOutcome({"by": "walk-forward"}, np.empty(0)))


def trials_before(engine: Engine, bars: Bars) -> int:
    """Settings on record for histories that overlap this one."""
    return TrialsStore(engine).tried_on(bars.symbols, as_datetime(bars.time[0]), as_datetime(bars.time[-1]))
