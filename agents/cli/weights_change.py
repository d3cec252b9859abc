"""`quorum weights propose`, `revert`, `resume` and `optimize`: what a method would choose, back to a version, and on
after a pause."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from contextlib import AbstractContextManager
from decimal import Decimal

from rich.table import Table
from rich.text import Text

from agents.cli.screen import Screen, rows_table
from agents.cli.weights import MOVE_LEAST, believed_cells
from agents.core.believed import Believed, believed
from agents.core.errors import UsageError
from agents.core.meta_types import IN_FORCE, WeightDecision
from agents.core.settings import load_settings
from agents.core.types import WeightSet, WeightsLevel
from agents.core.weight_sets import require_usable
from agents.quant.limits import Method
from agents.reports.belief_words import agent_sentence, whole_sentence
from agents.reports.external_words import advice_sentences
from agents.reports.formatting import percent
from agents.tuning.tuning_pause import resumed
from agents.tuning.weight_decision import try_method
from agents.wiring.job_settings import tuning_of
from agents.wiring.meta import MetaPlane, meta_plane
from agents.wiring.returns_file import ReturnsFiles, optimize_file

DEFAULT_METHOD: Method = "adaptive"


def propose(options: Namespace, screen: Screen) -> None:
    """What a method would do now; recorded as a trial, since looking at many methods is a search."""
    with _plane(options) as plane:
        method = options.method or plane.settings.tuning.method
        proposal, decision = try_method(plane.store, plane.tuning, method, plane.clock.now())
        paused = plane.store.tuning_record().paused_at
        external = plane.external_advice(plane.desk_time())
    previous, belief = decision.previous or {}, believed(decision.evidence)
    tuned = tuple(decision.evidence["candidate"])  # who is on probation stays at the floor
    left = float(sum(decision.weights[name] for name in tuned))
    weights = {name: left * float(weight) for name, weight in zip(tuned, proposal.weights, strict=True)}
    weights |= {name: float(weight) for name, weight in decision.weights.items() if name not in tuned}
    document = {
        "method": method,
        "status": proposal.status,
        "reason": proposal.reason,
        "trials": decision.trials,
        "paused_since": paused,
        "weights": weights,
        "candidate": {name: float(w) for name, w in decision.weights.items()},
        "previous": {name: float(w) for name, w in previous.items()},
        "expected_sharpe_improvement": proposal.expected_sharpe_improvement,
        "expected_return_improvement": proposal.expected_return_improvement,
        "causes": {name: dict(parts) for name, parts in zip(weights, proposal.causes, strict=False)},
        "evidence": dict(decision.evidence),
        "external": [advice.as_plain() for advice in external],
    }
    rows = [
        {
            "agent": name,
            "now": percent(previous.get(name)),
            "wish": percent(wish),
            "next": percent(weights[name]),
        }
        | believed_cells(belief, name)
        for name, wish in decision.weights.items()
    ]
    screen.result(
        document,
        Text(f"{method}: {proposal.status}. {proposal.reason}"),
        rows_table("Proposal", rows, tuple(rows[0])),
        *_moves(previous, weights, belief),
        *map(Text, advice_sentences(external)),
        f"recorded as a trial (methods tried so far: {decision.trials})",
        *(
            [f"tuning is paused since {paused:%Y-%m-%d}: none of this is done until quorum weights resume"]
            if paused
            else []
        ),
    )


def _moves(
    previous: Mapping[str, Decimal], weights: Mapping[str, float], belief: Believed | None
) -> list[Table | Text | str]:
    """A sentence for each agent whose weight would move, and what the whole is worth."""
    if belief is None:
        return []
    changed = [name for name, weight in weights.items() if abs(weight - float(previous.get(name, 0))) >= MOVE_LEAST]
    changed.sort(key=lambda name: -abs(weights[name] - float(previous.get(name, 0))))
    said = [
        agent_sentence(name, float(previous.get(name, 0)), weights[name], belief.agents[name])
        for name in changed
        if name in belief.agents
    ]
    return [Text(line) for line in (*said, whole_sentence(belief))]


def revert(options: Namespace, screen: Screen) -> None:
    """The weights of an earlier version, in force again as a new one."""
    version = options.version
    if version is None:
        raise UsageError("weights revert: name the version to go back to; see: quorum weights history")
    with _plane(options) as plane:
        weights = _weights_of(plane, version)
        reason = f"a person went back to version {version}" + (f": {options.reason}" if options.reason else "")
        now = plane.clock.now()
        decision = WeightDecision(
            at=now,
            decided_for=None,
            weights=weights,
            previous=dict(plane.store.weights_in_force(now).weights),
            method="revert",
            status="revert",
            reason=reason,
        )
        published = plane.store.publish(decision)
    screen.result(
        {"version": published, "weights": {name: float(w) for name, w in weights.items()}, "reason": reason},
        f"version {published} is in force: {reason}. The optimizer goes on from here at its next run.",
    )


def resume(options: Namespace, screen: Screen) -> None:
    """Tuning goes on after its monitor has paused it, from the weights in force; the monitor begins anew."""
    if not options.reason.strip():
        raise UsageError("weights resume: say what was wrong and is mended: --reason TEXT")
    with _plane(options) as plane:
        since = plane.store.tuning_record().paused_at
        if since is None:
            raise UsageError("weights resume: tuning is not paused; see: quorum weights history")
        now = plane.clock.now()
        version = plane.store.publish(resumed(plane.store.weights_in_force(now).weights, options.reason.strip(), now))
    screen.result(
        {"version": version, "paused_since": since.isoformat(), "reason": options.reason.strip()},
        f"version {version}: tuning, paused since {since:%Y-%m-%d}, goes on at the optimizer's next run.",
    )


def _weights_of(plane: MetaPlane, version: int) -> dict[str, Decimal]:
    """Weights that were in force once and fit today's agents; UsageError or InvalidWeightsError where they are not."""
    decision = plane.store.decision(version)
    if decision is None or decision.status not in IN_FORCE:
        raise UsageError(f"weights revert: version {version} was never in force; see: quorum weights history")
    weights = dict(decision.weights)
    now = plane.clock.now()
    weight_set = WeightSet(
        version=version, weights=weights, created_at=now, valid_until=None, level=WeightsLevel.DATABASE, reason=""
    )
    require_usable(weight_set, tuple(plane.store.weights_in_force(now).weights), now)
    return weights


def optimize(options: Namespace, screen: Screen) -> None:
    """A proposal from a file of returns, without any database."""
    if options.returns is None:
        raise UsageError(
            "weights optimize: --returns FILE.csv is needed, a column of returns for each agent, oldest first"
        )
    method: Method = options.method or DEFAULT_METHOD
    document = optimize_file(
        ReturnsFiles(options.returns, options.previous),
        method=method,
        limits=tuning_of(load_settings(options.settings)).limits,
        periods_per_year=options.periods_per_year,
        trials=options.trials,
    )
    rows = [
        {
            "agent": name,
            "previous": percent(document["previous"][name]),
            "weight": percent(weight),
            "candidate": percent(document["candidate"][name]),
        }
        for name, weight in document["weights"].items()
    ]
    table = rows_table("Weights", rows, ("agent", "previous", "weight", "candidate"))
    screen.result(document, f"{document['method']}: {document['status']}. {document['reason']}", table)


def _plane(options: Namespace) -> AbstractContextManager[MetaPlane]:
    return meta_plane(load_settings(options.settings), demo=options.demo, say=lambda _line: None)
