"""The settings of a search, handed out to all its processes by one of Optuna's studies on the desk's PostgreSQL."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from sqlalchemy import Engine

from agents.adapters.database.trials_store import study_of
from agents.core.clock import SystemClock
from agents.replay.space import Space

Evaluate = Callable[[Mapping[str, Any], int], float]
"""(changes of settings, place in the search) -> the objective."""
Done = Callable[[int], None]
"""Hears how many settings the study has finished."""
WAIT_S = 1.0


class SharedStudy:
    """A study of this name: `points` are handed out as they are, else Optuna draws from `space`."""

    def __init__(self, owner: Engine, name: str, space: Space, points: Sequence[Mapping[str, Any]]) -> None:
        self._owner = owner
        self._name = name
        self._space = space
        self._points = points
        self._stack, self._kept = ExitStack(), None

    def enqueue(self) -> None:
        """Hand the points to the study, once."""
        study = self._study()
        queued = {t.user_attrs.get("place") for t in study.get_trials(deepcopy=False) if t.state.name != "FAIL"}
        for place, point in enumerate(self._points):
            if place not in queued:
                encoded = {key: json.dumps(value, sort_keys=True) for key, value in point.items()}
                study.enqueue_trial(encoded, user_attrs={"place": place})

    def finish(self, evaluate: Evaluate, done: Done) -> None:
        """Work until every setting is tried, by whomever. What a process left that died, or that failed elsewhere, is
        tried again here, where an error is shown."""
        import optuna  # only a search needs it

        study, clock = self._study(), SystemClock()
        while True:
            with _quiet():
                optuna.storages.fail_stale_trials(study)
            self.enqueue()
            self.work(evaluate, done)
            if self._complete(study) >= (len(self._points) or self._space.trials):
                return
            clock.sleep_s(WAIT_S)

    def work(self, evaluate: Evaluate, done: Done) -> int:
        """Try settings until none is left; how many this process tried."""
        import optuna  # only a search needs it

        study, tried = self._study(), 0

        def objective(trial: Any) -> float:
            nonlocal tried
            if self._points and "place" not in trial.user_attrs:
                study.stop()  # nothing waits any more: this would be a setting of Optuna's own
                raise optuna.TrialPruned
            value = evaluate(self._changes_of(trial), trial.number)
            tried += 1
            return value

        while not self._handed_out(study):
            with _quiet():
                study.optimize(objective, n_trials=1)
            done(self._complete(study))
        return tried

    def drawn(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(place, changes) of every finished setting that Optuna drew."""
        dimensions = self._space.dimensions
        for trial in self._study().get_trials(deepcopy=False):
            if trial.state.name == "COMPLETE":
                yield (
                    trial.number,
                    {
                        key: json.loads(value) if dimensions[key].choices else dimensions[key].value(value)
                        for key, value in trial.params.items()
                    },
                )

    def close(self) -> None:
        """Leave the study."""
        self._stack.close()
        self._kept = None

    def _study(self) -> Any:
        if self._kept is None:
            learns = self._space.method == "tpe"
            with _quiet():
                self._kept = self._stack.enter_context(
                    study_of(self._owner, self._name, seed=self._space.seed, learns=learns)
                )
        return self._kept

    def _complete(self, study: Any) -> int:
        """How many settings are tried."""
        ended = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
        return len({t.user_attrs["place"] for t in ended}) if self._points else len(ended)

    def _handed_out(self, study: Any) -> bool:
        states = [trial.state.name for trial in study.get_trials(deepcopy=False)]
        if self._points:
            return "WAITING" not in states
        return states.count("COMPLETE") + states.count("RUNNING") >= self._space.trials

    def _changes_of(self, trial: Any) -> Mapping[str, Any]:
        """What a trial changes; the study is told the values of a point that was handed to it."""
        if not self._points:
            return self._suggested(trial)
        changes: Mapping[str, Any] = self._points[trial.user_attrs["place"]]
        for key in changes:
            choices = sorted({json.dumps(point[key], sort_keys=True) for point in self._points})
            trial.suggest_categorical(key, choices)
        return changes

    def _suggested(self, trial: Any) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        for key, d in self._space.dimensions.items():
            if d.choices:
                changes[key] = json.loads(trial.suggest_categorical(key, [json.dumps(c) for c in d.choices]))
            elif d.whole:
                changes[key] = trial.suggest_int(key, int(d.low), int(d.high), step=int(d.step or 1), log=d.log)
            else:
                changes[key] = d.value(trial.suggest_float(key, d.low, d.high, step=d.step, log=d.log))
        return changes


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna warns that heartbeats are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
