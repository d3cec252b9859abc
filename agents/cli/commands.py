"""The table of commands, and the parser made of it: only the command on the line adds its arguments, and no command's
own module is imported before it runs. So help and completion answer at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from agents import __version__
from agents.cli import arguments, history_arguments
from agents.cli.options import add_demo

EXAMPLES = """examples:
  quorum demo                                   thirteen years of five stocks, traded by every agent
  quorum import-bars prices.csv --map close=Last
  quorum trade                                  the daemon, as quorum.toml says
  quorum status
  quorum meta                                   the scheduled jobs: analyzer, optimizer, project manager
  quorum report --demo --open
  quorum weights why --demo
  quorum why AAPL --at 2008-10-10 --demo
  quorum replay --demo --set tuning.step=0.10 --out replay/
  quorum psql --demo -- -c 'SELECT * FROM v_agent_scorecard'
  quorum doctor
"""
SPACE_EXAMPLE = """
example of SPACE.toml:
  [search]
  method = "random"        # grid, random, or tpe (Optuna's, which learns on the way)
  trials = 200
  periods = 4              # equal parts of history, or [["2000-01-01", "2004-12-31"], ...]
  [space]
  "combine.volatility_target" = { low = 0.05, high = 0.3, log = true }
  "execution.buffer" = [0.05, 0.1, 0.2]
"""
WHERE_COMPLETION_GOES = """
  bash   quorum completion bash > ~/.local/share/bash-completion/completions/quorum
  zsh    quorum completion zsh > ~/.zfunc/_quorum     (~/.zshrc: fpath+=~/.zfunc; autoload -Uz compinit; compinit)
  fish   quorum completion fish > ~/.config/fish/completions/quorum.fish
"""


class Command(NamedTuple):
    """A command: its name, the module of `agents.cli` whose function of that name runs it, what it is for (starts small,
    no full stop), how it adds its arguments, an example, and what else its help says."""

    name: str
    module: str
    purpose: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    example: str
    more: str = ""

    @property
    def function(self) -> str:
        """The name of the function that runs it."""
        return self.name.replace("-", "_")


COMMANDS = (
    Command(
        "trade",
        "trading",
        "run the trading daemon in the foreground",
        arguments.no_arguments,
        "quorum trade --settings quorum.toml",
    ),
    Command("demo", "trading", "trade real market history through all agents", arguments.demo, "quorum demo --restart"),
    Command(
        "halt",
        "trading",
        "let positions only shrink from the next decision on",
        arguments.reason,
        "quorum halt --reason 'exchange trouble'",
    ),
    Command(
        "resume",
        "trading",
        "leave the halted state",
        arguments.reason,
        "quorum resume --reason 'checked the fills by hand'",
    ),
    Command(
        "services",
        "trading",
        "start, stop or show the embedded PostgreSQL and Redis",
        arguments.services,
        "quorum services status",
    ),
    Command(
        "import-bars",
        "data",
        "load bar files into the desk's database",
        arguments.import_bars,
        "quorum import-bars data/*.csv.gz --map close=Last --map adj_close='Adj Close'",
    ),
    Command(
        "import-series",
        "data",
        "load on-chain figures, fear-and-greed indexes or dated texts",
        arguments.import_series,
        "quorum import-series headlines.csv --texts --symbol AAPL",
    ),
    Command(
        "status",
        "status",
        "performance, positions and health of the desk",
        add_demo,
        "quorum status --demo",
    ),
    Command(
        "why",
        "status",
        "who said what about a symbol, with which weight, and what became of it",
        arguments.why,
        "quorum why AAPL --at 2008-10-10 --demo",
    ),
    Command(
        "psql",
        "status",
        "open psql on the desk's database",
        arguments.psql,
        "quorum psql --demo -- -c 'SELECT * FROM v_equity LIMIT 5'",
    ),
    Command(
        "doctor",
        "doctor",
        "check this machine; each line says ok or what to do",
        arguments.no_arguments,
        "quorum doctor --json",
    ),
    Command(
        "meta",
        "meta",
        "run the scheduled jobs: analyzer, optimizer, project manager",
        arguments.meta,
        "quorum meta --once --only weight_optimizer",
    ),
    Command(
        "job",
        "meta",
        "run one job for a due time, as the daemon does",
        arguments.job,
        "quorum job weight_optimizer --json",
    ),
    Command("jobs", "meta", "what ran, what is due, what failed", add_demo, "quorum jobs --json"),
    Command(
        "agents",
        "scorecards",
        "scorecards: how good each agent is, and whether that is shown",
        arguments.agents,
        "quorum agents --window 90 --demo",
    ),
    Command(
        "weights",
        "weights",
        "the agents' weights: in force, in the past, why, and what a method would choose",
        arguments.weights,
        "quorum weights optimize --returns returns.csv --previous weights.json --json",
    ),
    Command(
        "todo",
        "todo",
        "what the reports suggest, and tasks: list, accept, dismiss, add, done",
        arguments.todo,
        "quorum todo accept 3",
    ),
    Command(
        "report",
        "report",
        "the report that would be mailed, on the screen or in a file",
        arguments.report,
        "quorum report --demo --out report.html",
    ),
    Command(
        "replay",
        "replay",
        "what the desk would have done on some history, under any settings",
        history_arguments.replay,
        "quorum replay --demo --set tuning.step=0.10 --start-weights TrendFollower=0.4,Breakout=0.6 --out replay/",
    ),
    Command(
        "search",
        "search",
        "try many settings on a history, and say whether the best is more than luck",
        history_arguments.search,
        "quorum search SPACE.toml --demo --workers 2",
        SPACE_EXAMPLE,
    ),
    Command(
        "walk-forward",
        "walk_forward",
        "learn on one window, be judged on the next: what tuning adds out of sample",
        history_arguments.walk_forward,
        "quorum walk-forward --demo --train-days 750 --test-days 250",
    ),
    Command(
        "lookahead",
        "lookahead",
        "does an agent look into the future, or hang on where its data begin?",
        history_arguments.lookahead,
        "quorum lookahead --agent my_agent.py:MyAgent --demo",
    ),
    Command(
        "completion",
        "completion",
        "print the script that completes commands in your shell",
        arguments.completion,
        "source <(quorum completion bash)",
        WHERE_COMPLETION_GOES,
    ),
)
"""In the order of the help."""


def command_on(words: Sequence[str]) -> str | None:
    """The first word that is no option: what should be a command's name; None where there is none."""
    return next((word for word in words if not word.startswith("-")), None)


def parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of this command line: every command with its purpose, and the arguments of the one that is named."""
    layout = argparse.RawDescriptionHelpFormatter
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    common.add_argument("--settings", type=Path, metavar="FILE", help="settings file (default: quorum.toml)")
    parser = argparse.ArgumentParser(
        prog="quorum", description="A self-tuning trading desk.", epilog=EXAMPLES, formatter_class=layout
    )
    parser.add_argument("--version", action="version", version=f"quorum {__version__}")
    parsers = parser.add_subparsers(metavar="COMMAND", required=True)
    named = command_on(words)
    for command in COMMANDS:
        purpose = command.purpose
        own = parsers.add_parser(
            command.name,
            parents=[common],
            help=purpose,
            description=f"{purpose[0].upper()}{purpose[1:]}{'' if purpose.endswith('?') else '.'}",
            epilog=f"example:\n  {command.example}\n{command.more}",
            formatter_class=layout,
        )
        if command.name == named:
            command.add_arguments(own)
            own.set_defaults(command=command)
    return parser
