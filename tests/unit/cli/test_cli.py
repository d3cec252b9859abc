"""The command line: quick to start, one table of commands, completion, and mistakes that are one line."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from agents import __version__
from agents.cli.commands import COMMANDS
from agents.cli.main import main
from agents.cli.options import INTERVALS, JOBS, METHODS, agent_names
from agents.cli.parser import parse, parser_for
from agents.core.clock import SystemClock
from agents.core.settings import INTERVALS_S
from agents.quant.allocation import Method
from agents.trading.registry import AGENTS
from agents.tuning import job_runner
from tests.program import call

ROOT = Path(__file__).resolve().parents[3]
COMPUTING = {
    "ccxt",
    "numba",
    "scipy",
    "cvxpy",
    "daqp",
    "matplotlib",
    "pandas",
    "pyarrow",
    "optuna",
    "alembic",
    "exchange_calendars",
}
READING = {"numpy", "sqlalchemy", "psycopg", "redis", "pydantic", "rich"}


def imported_by(code: str) -> set[str]:
    """The packages that are imported once a new process has run `code`."""
    report = "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True, timeout=60, cwd=ROOT
    )
    return set(done.stderr.split())


def completed(line: str, folder: Path) -> list[str]:
    """What a shell is told may come next after `line`."""
    answer = folder / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, "-m", "agents"]
    environment = {**os.environ, **asked, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=60, capture_output=True)
    return [word.strip() for word in answer.read_text().split("\n")]


@pytest.mark.parametrize("line", ["--help", "--version", *(f"{name} --help" for name in COMMANDS)])
def test_help_waits_for_no_command_to_be_imported(line):
    code = (
        f"from agents.cli.main import main\ntry: main({line.split()!r})\nexcept SystemExit as end: assert not end.code"
    )
    assert not imported_by(code) & (COMPUTING | READING)


@pytest.mark.parametrize("module", ["status", "scorecards", "todo", "weights", "jobs"])
def test_commands_that_read_start_without_compiler_solvers_and_tables(module):
    assert not imported_by(f"import agents.cli.{module}") & (COMPUTING | {"redis"})


def test_every_command_has_its_function_and_an_example_that_parses():
    for command in COMMANDS.values():
        assert callable(getattr(importlib.import_module(f"agents.cli.{command.module}"), command.function))
        for example in (*command.examples, *(each for action in command.actions for each in action.examples)):
            if example.endswith(" --help"):
                continue
            words = shlex.split(example.removeprefix("source <(").removesuffix(" | source").rstrip(")"))
            assert words[0] == "quorum"
            assert parse(words[1:]).command is command, example


def test_help_fits_a_terminal_of_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for name in COMMANDS:
        for action in ("", *(each.name for each in COMMANDS[name].actions)):
            with pytest.raises(SystemExit):
                main([name, *action.split(), "--help"])
    with pytest.raises(SystemExit):
        main(["--help"])
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


def test_names_that_are_written_down_twice_agree():
    assert get_args(Method) == METHODS
    assert tuple(INTERVALS_S) == INTERVALS
    assert job_runner.JOBS == JOBS
    assert agent_names() == list(AGENTS)


def test_version_and_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"quorum {__version__}\n"
    assert main([]) == 2, "nothing was asked for"
    assert capsys.readouterr().out == parser_for([]).format_help()


@pytest.mark.parametrize(("word", "hint"), [("statsu", "did you mean status?"), ("xyzzy", "all commands:")])
def test_an_unknown_command_is_one_line(capsys, word, hint):
    with pytest.raises(SystemExit) as end:
        main([word])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"there is no command '{word}'" in line and hint in line


def test_ctrl_c_is_one_line_however_early_it_comes(capsys, monkeypatch):
    """A14. Seen: a traceback of argparse, a third of a second after the start."""

    def pressed():
        raise KeyboardInterrupt

    monkeypatch.setattr("agents.cli.main.answer_shell", pressed)
    assert main(["status"]) == 130
    assert capsys.readouterr().err.startswith("quorum: stopped; everything recorded so far is consistent")


def test_ctrl_c_that_meets_a_finalizer_is_not_lost(capsys, monkeypatch):
    """Python prints what is raised there and goes on."""

    class Held:
        def __del__(self):
            raise KeyboardInterrupt

    def long_work(_):
        Held()
        for _ in range(500):
            SystemClock().sleep_s(0.01)
        return 0

    monkeypatch.setattr("agents.cli.main._main", long_work)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in a shell's background ignores it
    try:
        assert main([]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().err
    assert said.startswith("quorum: stopped") and "Traceback" not in said


def test_each_action_has_its_own_help(capsys):
    """Seen: one page with the arguments of all of them."""
    pages = {}
    for line in ("data", "data list", "data remove", "data --demo gaps", "bars delist", "bars"):
        with pytest.raises(SystemExit):
            main([*line.split(), "--help"])
        pages[line] = capsys.readouterr().out
    assert all("example" in page for page in pages.values())
    assert [line for line, page in pages.items() if "--price" in page] == ["bars delist"]
    assert [line for line, page in pages.items() if "--from" in page and "--yes" in page] == ["data remove"]
    assert "take an acceptance back" in pages["bars"] and "actions (each has its own help)" in pages["data"]
    assert pages["data remove"].startswith("usage: quorum data remove [-h]")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("data remove", "quorum data remove: the following arguments are required: SYMBOL; see: quorum data remove --"),
        ("data list --from 2024-01-01", "quorum data list: unknown argument '--from'"),
        ("data gasp", "quorum data: argument ACTION: invalid choice: 'gasp'"),
        ("bars accept", "quorum bars accept: the following arguments are required: SYMBOL"),
        ("status --dmo", "quorum status: unknown argument '--dmo' (did you mean --demo?); see: quorum status --help"),
        ("--json status", "quorum status: '--json' comes after the command: quorum status --json; see: "),
        ("todo acept 3", "quorum todo: argument ACTION: invalid choice: 'acept'"),
        ("halt", "quorum halt: the following arguments are required: --reason; see: quorum halt --help"),
        ("--jsn", "quorum: the following arguments are required: COMMAND; see: quorum --help"),
    ],
)
def test_a_wrong_argument_is_one_line(capsys, line, message):
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(message)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("quorum wei", ["weights"]),
        ("quorum status --d", ["--demo", "--desk"]),
        ("quorum weights pro", ["propose"]),
        ("quorum weights propose --method m", ["max_sharpe", "min_variance"]),
        ("quorum replay --agents Breakout,Tr", ["Breakout,TrendFollower"]),
        ("quorum replay --start-weights Br", ["Breakout="]),
        ("quorum job wei", ["weight_optimizer"]),
        ("quorum import-bars pri", ["prices.csv"]),
        ("quorum halt --reason ", [""]),
    ],
)
def test_the_shell_is_told_what_may_come_next(tmp_path, line, words):
    (tmp_path / "prices.csv").touch()
    assert completed(line, tmp_path) == words


def test_all_commands_are_offered(tmp_path):
    assert set(COMMANDS) <= set(completed("quorum ", tmp_path))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed_as_it_is(capsys, shell):
    assert main(["completion", shell]) == 0
    assert "_ARGCOMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["halt", "resume"])
def test_a_persons_order_needs_a_reason(command, tmp_path):
    said = call(command, "--reason", "  ", cwd=tmp_path, environment={}, code=2).stderr
    assert "--reason is empty" in said


@pytest.fixture
def command_home(tmp_path):
    """An empty folder and the environment of a user who has nothing yet."""
    return tmp_path, {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "QUORUM_STATE_DIR": str(tmp_path / "state")}


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_typo_among_the_agents_is_refused_by_every_command(command, command_home):
    """Seen: both showed a desk, or called the settings good, that no daemon would start with."""
    folder, environment = command_home
    (folder / "quorum.toml").write_text('[agents]\nenabled = ["TrendFolower"]\n')
    done = call(command, cwd=folder, environment=environment, code=None)
    assert done.returncode in (1, 2)
    assert "agents.enabled: no agent is named 'TrendFolower'; known are TechnicalAnalyst" in done.stdout + done.stderr


def test_an_anchor_of_nobody_and_files_that_are_not_there_are_told(command_home):
    """Seen: doctor called all of it good, and status showed the desk; the daemon then did not start."""
    folder, environment = command_home
    file = folder / "quorum.toml"
    file.write_text("[agents.static_weights]\nTrendFolower = 2\n")
    for command in ("status", "doctor"):
        done = call(command, cwd=folder, environment=environment, code=None)
        assert done.returncode in (1, 2)
        assert "agents.static_weights: 'TrendFolower' is not among" in done.stdout + done.stderr
    file.write_text('[data.columns]\ncloze = "Last"\n')
    for command in ("status", "doctor", "trade"):
        done = call(command, cwd=folder, environment=environment, code=None)
        assert done.returncode in (1, 2)
        assert "data.columns: no column is named 'cloze'; known are symbol, time" in done.stdout + done.stderr
    file.write_text('[agents.own]\nMine = "mine.py:Mine"\n[agents.external]\nFund = "~/fund.csv"\n')
    said = call("doctor", cwd=folder, environment=environment, code=1).stdout
    assert "agents.own.Mine: mine.py: no such file (and 1 more)" in said


def test_a_long_heading_breaks_into_lines_that_can_be_copied():
    """Seen: spaces of no width in the headings of a search, which broke every key that was copied from there."""
    assert not [
        file for file in (ROOT / "agents").rglob("*.py") if "200b" in file.read_text() or "\u200b" in file.read_text()
    ]
