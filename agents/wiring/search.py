"""Many settings over one history, and what the best of them is worth.

Every worker is the same command, started by this one or by hand on any machine that reaches the database: the study
hands out settings, the table settings_tried counts them, and results do not depend on who tried what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import Engine

from agents.adapters.database.trials_store import TrialOutcome, TrialsStore, TriedHistory
from agents.core.errors import UsageError
from agents.core.settings import Settings, plain_settings, with_changes
from agents.core.types import as_datetime
from agents.quant.measures import plain
from agents.quant.returns import sharpe_ratio
from agents.replay.space import Space, candidates, period_rows
from agents.replay.trials import Conclusion, Trial, conclude
from agents.wiring.manifest import code_digest, versions
from agents.wiring.study import Done, SharedStudy
from agents.wiring.trial_runner import TrialRunner

NO_RESULT = -99.0
"""The objective of settings that cannot be measured: worse than anything."""


class Search:
    """One space on one history, in one database."""

    def __init__(self, space: Space, runner: TrialRunner, owner: Engine, meta: Engine) -> None:
        self.space = space
        self._runner = runner
        self._store = TrialsStore(meta)
        self._rows = period_rows(space.periods, runner.bars.time)
        self._points = candidates(space)
        for point in self._points:
            with_changes(runner.settings, point)  # an impossible setting is refused before anything runs
        base = json.dumps(plain_settings(runner.settings), sort_keys=True)
        self._code = code_digest(runner.settings.agents.own)
        text = "|".join((space.digest_text(), runner.data_hash, base, self._code))
        self.name = "search-" + hashlib.sha256(text.encode()).hexdigest()[:16]
        self._study = SharedStudy(owner, self.name, space, self._points)

    @property
    def size(self) -> int:
        """How many settings there are to try."""
        return len(self._points) or self.space.trials

    def enqueue(self) -> None:
        """Hand the settings of grid and random search to all processes, once."""
        self._study.enqueue()

    def finish(self, done: Done) -> None:
        """Work until every setting is tried, by whomever."""
        self._study.finish(self._objective, done)

    def work(self, done: Done) -> int:
        """Try settings until none is left; how many this process tried."""
        return self._study.work(self._objective, done)

    def close(self) -> None:
        """Leave the other processes."""
        self._study.close()

    def conclude(self) -> Conclusion:
        """What the search shows; UsageError where nothing was tried."""
        base, trials = self.evaluate({}, -1), self._finished()
        if not trials:
            raise UsageError("no setting was tried; was the search interrupted before its first one?")
        bars = self._runner.bars
        counted = len({trial.settings_hash for trial in (*trials, base)})
        on_record = self._store.tried_on(bars.symbols, as_datetime(bars.time[0]), as_datetime(bars.time[-1]))
        return conclude(trials, base, on_record - counted)

    def evaluate(self, changes: Mapping[str, Any], place: int) -> Trial:
        """Try one setting on all periods, or read what came out before; it is counted for this history either way."""
        settings = with_changes(self._runner.settings, dict(changes))
        digest = self._hash(settings)
        known = self._store.known(self._runner.data_hash, [digest]).get(digest)
        if known is None:
            known = self._replayed(changes)
            tried = {"changes": dict(changes), **versions(), **plain_settings(settings)}
            self._store.record(self._history(), digest, tried, known)
        return _trial(place, changes, digest, known)

    def _objective(self, changes: Mapping[str, Any], place: int) -> float:
        return self.evaluate(changes, place).objective

    def _replayed(self, changes: Mapping[str, Any]) -> TrialOutcome:
        runs = [self._runner.run(changes, first, stop) for first, stop in self._rows]
        sharpes = [sharpe_ratio(run.live, run.per_year) for run in runs]
        mean = float(np.mean(sharpes))
        result = {
            "sharpes": plain(sharpes),
            "objective": mean if np.isfinite(mean) else NO_RESULT,
            "per_year": runs[0].per_year,
        }
        return TrialOutcome(result, np.concatenate([run.live for run in runs]))

    def _history(self) -> TriedHistory:
        bars = self._runner.bars
        first, last = as_datetime(bars.time[self._rows[0][0]]), as_datetime(bars.time[self._rows[-1][1] - 1])
        return TriedHistory(self._runner.data_hash, bars.symbols, min(first, last), max(first, last))

    def _hash(self, settings: Settings) -> str:
        # A result of other code, an agent's above all, is not known.
        text = json.dumps([plain_settings(settings), self.space.tuning, self._rows, self._code], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _finished(self) -> list[Trial]:
        """All finished trials, by place."""
        if not self._points:
            return [self.evaluate(changes, place) for place, changes in self._study.drawn()]
        hashes = [self._hash(with_changes(self._runner.settings, point)) for point in self._points]
        known = self._store.known(self._runner.data_hash, hashes)
        return [
            _trial(place, point, digest, known[digest])
            for place, (point, digest) in enumerate(zip(self._points, hashes, strict=True))
            if digest in known
        ]


def _trial(place: int, changes: Mapping[str, Any], digest: str, outcome: TrialOutcome) -> Trial:
    result = outcome.result
    return Trial(
        place, dict(changes), digest, result["objective"], result["sharpes"], outcome.returns, result["per_year"]
    )
