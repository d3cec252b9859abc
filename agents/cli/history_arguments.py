"""The arguments of the commands that go through a history: replay, check, search, walk-forward, lookahead."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from agents.cli.options import (
    METHODS,
    add_changes,
    agent_names,
    agents_to_weigh,
    changed,
    completed_by,
    days,
    moment,
    moment_after,
    names,
    nothing,
    symbols,
    weights_by_agent,
)
from agents.core.errors import UsageError

SPACE_EXAMPLE = """
example of SPACE.toml:
  [search]
  method = "random"   # grid, random, or tpe (Optuna's, which learns on the way)
  trials = 200
  periods = 4         # equal parts, or [["2000-01-01", "2004-12-31"], ...]
  [space]
  "combine.volatility_target" = { low = 0.05, high = 0.3, log = true }
  "execution.buffer" = [0.05, 0.1, 0.2]
"""


def replay(parser: ArgumentParser) -> None:
    """`quorum replay`."""
    _add_source(parser, own_past=True)
    _add_settings(parser)
    parser.add_argument("--no-tuning", action="store_true", help="keep the start weights for ever")
    text = "how often the report's rules run: weekly (default) or live, as the settings say"
    parser.add_argument("--reports", default="weekly", choices=("weekly", "live"), metavar="PACE", help=text)
    text = "write Parquet files, manifest.json and the tear sheet there"
    parser.add_argument("--out", type=Path, metavar="DIR", help=text)
    text = "record it all in a database of its own, for SQL as on a live desk"
    completed_by(parser.add_argument("--persist", metavar="URL|NAME", help=text), nothing)


def check(parser: ArgumentParser) -> None:
    """`quorum check`."""
    _add_source(parser)
    _add_settings(parser)


def search(parser: ArgumentParser) -> None:
    """`quorum search`."""
    parser.add_argument("space", type=Path, metavar="SPACE.toml", help="which settings to try; see the example")
    _add_source(parser)
    _add_settings(parser)
    text = "processes to start here (default: one for each core)"
    cores = os.cpu_count() or 1
    completed_by(parser.add_argument("--workers", type=int, default=cores, metavar="N", help=text), nothing)
    text = "only help a search that runs elsewhere on the same database, until nothing is left"
    parser.add_argument("--worker", action="store_true", help=text)


def walk_forward(parser: ArgumentParser) -> None:
    """`quorum walk-forward`."""
    _add_source(parser)
    _add_settings(parser)
    text = "choose among these settings in each learning window (grid or random)"
    parser.add_argument("--space", type=Path, metavar="SPACE.toml", help=text)
    text = "anchored: learn on all that was before (default); rolling: on the last window"
    parser.add_argument("--scheme", choices=("anchored", "rolling"), default="anchored", metavar="SCHEME", help=text)
    for name, value, text in (
        ("train", 750, "to learn on"),
        ("test", 250, "to be judged on"),
        ("purge", 5, "left out before a test: open positions"),
        ("embargo", 5, "left out beside them: outcomes still to come"),
    ):
        text = f"days {text} (default {value})"
        completed_by(parser.add_argument(f"--{name}-days", type=days, default=value, metavar="N", help=text), nothing)


def lookahead(parser: ArgumentParser) -> None:
    """`quorum lookahead`."""
    _add_source(parser)
    text = "a name of ours, FILE.py:CLASS or module:CLASS; repeat for more (default: all of ours)"
    agent = parser.add_argument("--agent", action="append", default=[], metavar="AGENT", help=text)
    completed_by(agent, agent_names)


def agent_check(parser: ArgumentParser) -> None:
    """`quorum agent check`."""
    text = "a strategy's file: my_agents/cross.py, my_agents/signals.csv, my_agents/fund.returns.csv"
    parser.add_argument("file", type=Path, metavar="FILE", help=text)
    _add_source(parser, required=False)


def _add_source(parser: ArgumentParser, *, own_past: bool = False, required: bool = True) -> None:
    """Options that name a history (the demo's, where none need be named); with `own_past` also the desk's."""
    where = parser.add_mutually_exclusive_group(required=required)
    where.add_argument("--demo", action="store_true", help="the demo's history: five US stocks, 2000 to 2013")
    text = "a folder of bar files (or one file), or 'db': the desk's database"
    where.add_argument("--bars", metavar="DIR|db", help=text)
    if own_past:
        text = (
            "the desk's own past: its recorded signals under other settings; with none changed, checked decision by"
            " decision"
        )
        where.add_argument("--history", action="store_true", help=text)
    text = "first bar; what is before is memory for the agents"
    completed_by(parser.add_argument("--from", dest="start", type=moment, metavar="TIME", help=text), nothing)
    text = "last bar (a date means its end)"
    completed_by(parser.add_argument("--to", dest="end", type=moment_after, metavar="TIME", help=text), nothing)
    text = "a column's name in the files"
    completed_by(parser.add_argument("--map", action="append", default=[], metavar="OURS=THEIRS", help=text), nothing)
    text = "these symbols only"
    completed_by(parser.add_argument("--symbols", type=symbols, default=(), metavar="A,B", help=text), nothing)


def _add_settings(parser: ArgumentParser) -> None:
    """Options that change settings."""
    add_changes(parser, "tuning.cap=0.3 or combine.volatility_target=0.2")
    text = "these agents only"
    completed_by(parser.add_argument("--agents", type=names, default=(), metavar="A,B", help=text), agent_names)
    text = f"how weights are tuned: {', '.join(METHODS)}"
    parser.add_argument("--method", choices=METHODS, metavar="METHOD", help=text)
    text = "weights before the first change (default: as set)"
    start = parser.add_argument("--start-weights", type=weights_by_agent, metavar="A=W,B=W", help=text)
    completed_by(start, agents_to_weigh)


def changes_of(options: Namespace) -> dict[str, Any]:
    """The settings that the options change, by key such as "tuning.cap"; UsageError for what cannot be meant."""
    changes = changed(options.changes)
    if options.agents:
        changes["agents.enabled"] = options.agents
    if options.method:
        changes["tuning.method"] = options.method
    if options.start_weights is not None and not sum(options.start_weights.values()) > 0.0:
        raise UsageError("--start-weights give the agents nothing to share")
    if options.start_weights:
        changes["agents.static_weights"] = options.start_weights
    return changes
