"""`quorum weights`: in force, in the past, and why. What proposes or changes weights is in `weights_change`."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.table import Table
from rich.text import Text

from agents.adapters.database.engine import Row
from agents.adapters.database.reader import DeskReader
from agents.cli.performance import effective_lines
from agents.cli.screen import Screen, rows_table
from agents.core.believed import Believed, believed
from agents.core.clock import SystemClock
from agents.core.effective import EffectiveWeight
from agents.core.errors import UsageError
from agents.core.external import ExternalAdvice
from agents.core.settings import Settings, load_settings
from agents.reports.belief_words import bounds, mark, moved, skill, whole_sentence
from agents.reports.external_words import advice_sentences
from agents.reports.formatting import number, percent, true_minuses
from agents.wiring.alarm_limits import fresh_since
from agents.wiring.connections import Connections, connect_to_read

Advice = Callable[[datetime], Sequence[ExternalAdvice]]
HISTORY_ROWS = 20
MOVES_NAMED, MOVE_LEAST = 3, 0.0005
CAUSES_TITLE = (
    "Changes in points, by cause (mean, volatility, correlation, cap: what each moves the target away from the anchor;"
    " step: from there to what was done; agents: who came or went)"
)
CAUSES = ("mean", "volatility", "correlation", "cap", "step", "agents")
"""In the order in which they are told; others (of textbook methods) follow."""
STILL = 0.00005
"""A cause that moved no weight by so much is not shown."""
HISTORY = (
    "SELECT version, timestamp, status, method, agent_weights, previous_weights, sharpe_improvement,"
    " realised_improvement, sample_size, trials, reason, evidence FROM weight_history ORDER BY version DESC LIMIT :n"
)
NEWEST_BELIEF = (
    "SELECT evidence FROM weight_history WHERE jsonb_typeof(evidence -> 'beliefs') = 'object'"
    " ORDER BY version DESC LIMIT 1"
)
DECISION = (
    "SELECT * FROM weight_history"
    " WHERE version = coalesce(CAST(:version AS integer), (SELECT max(version) FROM weight_history))"
)


def weights(options: Namespace, screen: Screen) -> int:
    """The seven actions."""
    if options.action in ("propose", "revert", "resume", "optimize"):
        from agents.cli import (
            weights_change,  # here: the solvers take longer to import than the other actions to answer
        )

        change = {
            "propose": weights_change.propose,
            "revert": weights_change.revert,
            "resume": weights_change.resume,
            "optimize": weights_change.optimize,
        }
        change[options.action](options, screen)
        return 0
    settings = load_settings(options.settings)
    connections = connect_to_read(settings, demo=options.demo, say=screen.say)
    external = partial(_external, settings, connections)
    try:
        reader = DeskReader(connections.meta)
        if options.action == "show":
            fresh = None if options.demo else fresh_since(settings, SystemClock().now())
            _show(reader, screen, external, fresh)
        elif options.action == "history":
            _history(reader, screen)
        else:
            _why(reader, options.version, screen, external)
    finally:
        connections.close()
    return 0


def _external(settings: Settings, connections: Connections, at: datetime) -> Sequence[ExternalAdvice]:
    """What is advised, as of a time, about strategies that trade elsewhere."""
    if not settings.agents.external:
        return ()
    from agents.wiring.meta import MetaPlane  # here: what advises takes longer to import than weights to show

    return MetaPlane(settings, connections, SystemClock()).external_advice(at)


def _show(reader: DeskReader, screen: Screen, external: Advice, fresh: datetime | None) -> None:
    rows = reader.weights()
    if not rows:
        screen.result(rows, "no weights yet: no decision was made")
        return
    one, belief, effective = rows[0], newest_belief(reader), reader.effective_weights(fresh)
    since = _minute(one["timestamp"])
    weights = [
        {"agent": row["agent_name"], "weight": percent(row["weight"])}
        | _effective_cells(effective.get(row["agent_name"]))
        | believed_cells(belief, row["agent_name"])
        for row in rows
    ]
    screen.result(
        [
            row | _believed_numbers(belief, row["agent_name"]) | _effective_numbers(effective.get(row["agent_name"]))
            for row in rows
        ],
        rows_table("Weights in force", weights, tuple(weights[0])),
        Text(f"version {one['version']}, in force since {since} UTC, from {one['source']}: {one['reason']}"),
        *([Text(whole_sentence(belief))] if belief else []),
        *effective_lines({name: own._asdict() | {"why": own.why} for name, own in sorted(effective.items())}),
        *map(Text, advice_sentences(external(one["timestamp"]))),
    )


def _effective_cells(own: EffectiveWeight | None) -> Row:
    return {} if own is None else {"in effect": percent(own.effective)}


def _effective_numbers(own: EffectiveWeight | None) -> Row:
    return {"effective": None if own is None else own.effective, "effective_why": "" if own is None else own.why}


def newest_belief(reader: DeskReader) -> Believed | None:
    """Of the newest decision that has one."""
    rows = reader.rows(NEWEST_BELIEF)
    return believed(rows[0]["evidence"]) if rows else None


def believed_cells(belief: Believed | None, name: str) -> Row:
    """What is believed of one agent, for a table: skill above the average agent, its 80 % bounds, and the chance to be
    better than the average one; no cells where nothing is believed."""
    if belief is None:
        return {}
    view = belief.agents.get(name)
    words = ("", "", "") if view is None else (skill(view) + mark(belief), bounds(view), percent(view.better, 0))
    return dict(zip(("believed", "80 %", "better"), words, strict=True))


def _believed_numbers(belief: Believed | None, name: str) -> Row:
    view = belief.agents.get(name) if belief else None
    return {"believed": None if view is None else view._asdict()}


def _history(reader: DeskReader, screen: Screen) -> None:
    rows = reader.rows(HISTORY, n=HISTORY_ROWS)
    lines = [
        {
            "version": row["version"],
            "decided": _minute(row["timestamp"]),
            "status": row["status"],
            "what": change_words(row),
        }
        for row in rows
    ]
    columns = ("version", "decided", "status", "what")
    screen.result(rows, rows_table("Weight decisions", lines, columns) if rows else "no decision about weights yet")


def change_words(decision: Row) -> str:
    """The weights that were moved, what was expected of it and at which price, and what came; or why nothing moved."""
    before, belief = decision["previous_weights"] or {}, believed(decision["evidence"] or {})
    moves = [(name, float(before.get(name, 0.0)), float(weight)) for name, weight in decision["agent_weights"].items()]
    moves = sorted((m for m in moves if abs(m[2] - m[1]) >= MOVE_LEAST), key=lambda m: -abs(m[2] - m[1]))
    if not moves or decision["status"] not in ("apply", "revert"):
        return true_minuses(str(decision["reason"]))
    words = [", ".join(f"{name} {moved(old, new)}" for name, old, new in moves[:MOVES_NAMED])]
    if belief is not None:
        gain, price = percent(belief.expected_gain, sign=True), number(belief.price)
        words.append(f"over the anchor {gain} a year expected, price {price} Sharpe")
    elif decision["sharpe_improvement"] is not None:
        words.append(f"Sharpe expected {number(decision['sharpe_improvement'], sign=True)}")
    if decision["realised_improvement"] is not None:
        came = number(decision["realised_improvement"], sign=True)
        words.append(f"came to {came} Sharpe in the weeks after, too few days to judge by")
    return "; ".join([*words, decision["reason"]] if decision["status"] == "revert" else words)


def _minute(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _why(reader: DeskReader, version: int | None, screen: Screen, external: Advice) -> None:
    """One decision (None: the newest): what is believed of each agent, what changed, by cause, and the evidence."""
    rows = reader.rows(DECISION, version=version)
    if not rows:
        there_is = "there is no decision yet" if version is None else f"there is no version {version}"
        raise UsageError(f"weights why: {there_is}{'' if version is None else '; see: quorum weights history'}")
    decision = rows[0]
    line = (
        f"version {decision['version']}, {_minute(decision['timestamp'])} UTC, {decision['method']}:"
        f" {decision['status']}. {decision['reason']}"
    )
    advice = external(decision["timestamp"])
    document = decision | {"external": [one.as_plain() for one in advice]} if advice else decision
    screen.result(document, Text(line), *why_tables(decision), *map(Text, advice_sentences(advice)))


def why_tables(decision: Row) -> list[Table | Text]:
    """What a decision believed and what it changed, for people; largest weight first."""
    evidence: dict[str, Any] = decision["evidence"] or {}
    belief, causes, previous = believed(evidence), decision["causes"] or {}, decision["previous_weights"] or {}
    weights = sorted(decision["agent_weights"].items(), key=lambda named: (-float(named[1]), named[0]))
    rows = [
        {"agent": name, "before": percent(previous.get(name)), "after": percent(weight)} | believed_cells(belief, name)
        for name, weight in weights
    ]
    moved = {cause for own in causes.values() for cause, part in own.items() if abs(part) >= STILL}
    told = [*(cause for cause in CAUSES if cause in moved), *sorted(moved - {*CAUSES})]
    parts = [
        {"agent": name, **{cause: number(100 * causes[name].get(cause, math.nan), sign=True) for cause in told}}
        for name, _ in weights
        if told and name in causes
    ]
    tables: list[Table | Text] = [
        rows_table("Weights, and the Sharpe ratio believed above the average agent", rows, tuple(rows[0]))
    ]
    if parts:
        tables.append(rows_table(CAUSES_TITLE if belief else "Changes in points, by cause", parts, tuple(parts[0])))
    if belief is not None:
        return [*tables, Text(whole_sentence(belief))]
    facts = [f"{k.replace('_', ' ')} {v}" for k, v in evidence.items() if isinstance(v, (int, float, str))]
    return [*tables, Text(f"evidence: {', '.join(facts)}" if facts else "")]
