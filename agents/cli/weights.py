"""`quorum weights`: in force, in the past, why, what a method would choose, back to a version, and without a database."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from agents.adapters.database.reader import DeskReader
from agents.cli.options import METHODS
from agents.cli.screen import Screen, rows_table
from agents.core.errors import UsageError
from agents.core.meta_types import WeightDecision
from agents.core.settings import load_settings
from agents.core.types import WeightSet, WeightsLevel
from agents.core.weight_sets import require_usable
from agents.reports.formatting import number, percent
from agents.tuning.weight_decision import try_method
from agents.wiring import meta as meta_app
from agents.wiring.job_settings import tuning_of
from agents.wiring.returns_file import optimize_file

HISTORY_ROWS = 20


def add_weights(
    add: Callable[..., argparse.ArgumentParser], add_demo: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Register the command."""
    sub = add(
        "weights",
        weights,
        "the agents' weights: in force, in the past, why, and what a method would choose",
        "quorum weights optimize --returns returns.csv --previous weights.json --json",
    )
    sub.add_argument("action", choices=("show", "history", "why", "propose", "revert", "optimize"))
    sub.add_argument("version", nargs="?", type=int, metavar="ID", help="a version, for why and revert")
    sub.add_argument("--method", choices=METHODS, help="for propose and optimize (default: adaptive)")
    sub.add_argument("--reason", default="", help="for revert: why")
    sub.add_argument(
        "--returns",
        type=Path,
        metavar="FILE.csv",
        help="for optimize: a column of returns for each agent, oldest first",
    )
    sub.add_argument(
        "--previous", type=Path, metavar="FILE.json", help="for optimize: the present weights by agent (default: equal)"
    )
    sub.add_argument("--periods-per-year", type=float, default=252.0, metavar="N", help="for optimize (default 252)")
    sub.add_argument(
        "--trials", type=int, default=1, metavar="N", help="for optimize: configurations tried on these returns"
    )
    add_demo(sub)


def weights(options: argparse.Namespace, screen: Screen) -> int:
    """The six actions."""
    if options.action == "optimize":
        return _optimize(options, screen)
    with meta_app.meta_plane(load_settings(options.settings), demo=options.demo, say=lambda _line: None) as plane:
        actions = {"show": _show, "history": _history, "why": _why, "propose": _propose, "revert": _revert}
        return actions[options.action](options, screen, plane)


def _show(_options: argparse.Namespace, screen: Screen, plane: meta_app.MetaPlane) -> int:
    rows = DeskReader(plane.engine).weights()
    columns = ("agent_name", "weight", "version", "timestamp", "source", "reason")
    screen.result(
        rows, rows_table("Weights in force", rows, columns) if rows else "no weights yet: no decision was made"
    )
    return 0


def _history(_options: argparse.Namespace, screen: Screen, plane: meta_app.MetaPlane) -> int:
    rows = DeskReader(plane.engine).rows(
        "SELECT version, timestamp, status, method, agent_weights, sharpe_improvement, realised_improvement, sample_size, trials, reason"
        " FROM weight_history ORDER BY version DESC LIMIT :n",
        n=HISTORY_ROWS,
    )
    shown = [
        {
            **row,
            "weights": " ".join(f"{name} {percent(w, 0)}" for name, w in row["agent_weights"].items()),
            "expected": number(row["sharpe_improvement"], sign=True),
            "realised": number(row["realised_improvement"], sign=True),
        }
        for row in rows
    ]
    columns = ("version", "timestamp", "status", "weights", "expected", "realised", "reason")
    screen.result(rows, rows_table("Weight decisions", shown, columns) if rows else "no decision about weights yet")
    return 0


def _why(options: argparse.Namespace, screen: Screen, plane: meta_app.MetaPlane) -> int:
    reader = DeskReader(plane.engine)
    version = options.version or next(
        iter(r["version"] for r in reader.rows("SELECT max(version) AS version FROM weight_history")), None
    )
    row = plane.store.decision(version) if version is not None else None
    if row is None:
        known = (
            "there is no decision yet"
            if version is None
            else f"there is no version {version}; see: quorum weights history"
        )
        raise UsageError(f"weights why: {known}")
    causes, previous = row["causes"] or {}, row["previous_weights"] or {}
    shown = [
        {
            "agent": name,
            "before": percent(previous.get(name)),
            "after": percent(weight),
            **{cause: number(100 * part, sign=True) for cause, part in causes.get(name, {}).items()},
        }
        for name, weight in row["agent_weights"].items()
    ]
    line = f"version {row['version']}, {row['timestamp']:%Y-%m-%d %H:%M} UTC, {row['method']}: {row['status']}. {row['reason']}"
    facts = ", ".join(
        f"{k.replace('_', ' ')} {v}" for k, v in (row["evidence"] or {}).items() if isinstance(v, (int, float, str))
    )
    columns = tuple(shown[0]) if shown else ()
    screen.result(
        row, line, rows_table("Changes in points, by cause", shown, columns), f"evidence: {facts}" if facts else ""
    )
    return 0


def _propose(options: argparse.Namespace, screen: Screen, plane: meta_app.MetaPlane) -> int:
    """What a method would do now; recorded as a trial, since looking at many methods is a search."""
    method = options.method or plane.settings.tuning.method
    proposal, decision = try_method(plane.store, plane.tuning, method, plane.clock.now())
    document = {
        "method": method,
        "status": proposal.status,
        "reason": proposal.reason,
        "trials": decision.trials,
        "candidate": {name: float(w) for name, w in decision.weights.items()},
        "previous": {name: float(w) for name, w in (decision.previous or {}).items()},
        "expected_sharpe_improvement": proposal.expected_sharpe_improvement,
        "evidence": dict(proposal.evidence),
    }
    rows = [
        {"agent": n, "now": percent((decision.previous or {}).get(n)), "candidate": percent(w)}
        for n, w in decision.weights.items()
    ]
    remark = f"recorded as a trial ({decision.trials} methods tried so far): later changes need that much more evidence"
    screen.result(
        document,
        f"{method}: {proposal.status}. {proposal.reason}",
        rows_table("Proposal", rows, ("agent", "now", "candidate")),
        remark,
    )
    return 0


def _revert(options: argparse.Namespace, screen: Screen, plane: meta_app.MetaPlane) -> int:
    if options.version is None:
        raise UsageError("weights revert: name the version to go back to; see: quorum weights history")
    row = plane.store.decision(options.version)
    if row is None or row["status"] not in ("apply", "revert", "initial"):
        raise UsageError(f"weights revert: version {options.version} was never in force; see: quorum weights history")
    now = plane.clock.now()
    wanted = {name: Decimal(str(weight)) for name, weight in row["agent_weights"].items()}
    require_usable(
        WeightSet(
            version=options.version,
            weights=wanted,
            created_at=now,
            valid_until=None,
            level=WeightsLevel.DATABASE,
            reason="",
        ),
        plane.agents,
        now,
    )
    reason = f"a person went back to version {options.version}" + (f": {options.reason}" if options.reason else "")
    before = plane.store.weights_in_force(now)
    made = plane.store.publish(
        WeightDecision(
            at=now,
            decided_for=None,
            weights=wanted,
            previous=dict(before.weights),
            method="revert",
            status="revert",
            reason=reason,
        )
    )
    screen.result(
        {"version": made, "weights": {n: float(w) for n, w in wanted.items()}, "reason": reason},
        f"version {made} is in force: {reason}. The optimizer goes on from here at its next run.",
    )
    return 0


def _optimize(options: argparse.Namespace, screen: Screen) -> int:
    if options.returns is None:
        raise UsageError(
            "weights optimize: --returns FILE.csv is needed, a column of returns for each agent, oldest first"
        )
    limits = tuning_of(load_settings(options.settings)).limits
    document = optimize_file(
        options.returns,
        options.previous,
        method=options.method or "adaptive",
        limits=limits,
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
    return 0
