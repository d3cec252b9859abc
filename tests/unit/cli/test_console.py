"""What the commands show."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.table import Table

from agents.cli import search
from agents.cli.compiling import compile_once, told_meanwhile
from agents.cli.jobs import DUE_COLUMNS, JOB_COLUMNS
from agents.cli.main import main
from agents.cli.replay_output import _agents_table as replayed_agents
from agents.cli.replay_output import _books_table, demo_line
from agents.cli.scorecards import _cells, card_table
from agents.cli.screen import Screen, rows_table
from agents.cli.status import _agents_table, health_table, summary_tables
from agents.core.clock import SystemClock
from agents.core.codes import NoTrade
from agents.core.errors import UsageError
from agents.core.settings import Settings
from agents.core.settings_sections import MetaSettings
from agents.quant.compiled import is_compiled
from agents.quant.leave_one_out import Added
from agents.reports.formatting import sentence, true_minuses
from agents.reports.why_words import _why_no_order
from agents.wiring import first_compilation

FIGURES = {"equity": 1.0, "total_return": 0.1, "annual_return": 0.1, "sharpe": 1.0, "max_drawdown": 0.1}
DOCUMENT = {
    "period": ["2020-01-01T21:00:00Z", "2021-01-01T21:00:00Z"],
    "book": "paper",
    "live": FIGURES,
    "controls": {"equal": FIGURES},
    "value_added": {
        "Breakout": {
            "return_a_year": 0.012,
            "return_low": -0.01,
            "return_high": 0.034,
            "verdict": "not shown either way",
        }
    },
    "effective": {
        "Breakout": {"earned": 0.2, "effective": 0.25, "why": "others are silent: it has their part"},
        "TrendFollower": {"earned": 0.3, "effective": 0.3, "why": ""},
        "OnChainAnalyst": {"earned": 0.2, "effective": 0.0, "why": "failed: [Errno 2] [red]x[/red]"},
    },
    "benchmark": {
        "hold": {
            "since": "2001-01-01",
            "excess_return": 0.01,
            "low": -0.02,
            "high": 0.04,
            "beta": 0.3,
            "information_ratio": None,
        }
    },
    "agents": [
        {"agent_name": name, "weight": 0.5, "contribution": 1.0, "shadow_sharpe": 0.5, "hit_rate": 0.5, "signals": 3}
        for name in ("Breakout", "remainder")
    ],
    "counts": {
        "decisions": 1,
        "orders": 1,
        "unfilled_orders": 0,
        "open_orders": 0,
        "fills": 1,
        "trades": 1,
        "winning_trades": 0.5,
        "fees": 1.0,
        "slippage": 1.0,
    },
}


def test_tables_show_words_not_their_markup(capsys):
    tables = summary_tables(DOCUMENT)
    assert any(isinstance(table, Table) for table in tables)
    Screen(as_json=False).result(DOCUMENT, *tables)
    shown = capsys.readouterr().out
    assert "paper" in shown and "remainder" in shown
    assert "+1.2 %" in shown and "+3.4 %" in shown
    assert "Against hold, since 2001-01-01: +1.0 % a year [−2.0 %, +4.0 %], beta 0.30" in " ".join(shown.split())
    words = " ".join(shown.split())
    assert "In effect: Breakout 20 % -> 25 %: others are silent: it has their part" in words
    assert "In effect: OnChainAnalyst 20 % -> 0 %: failed: [Errno 2] [red]x[/red]" in words
    assert "TrendFollower" not in shown
    shown = shown.replace("[red]x[/red]", "")
    assert "[bold]" not in shown and "[dim]" not in shown and "[/" not in shown


def test_brackets_in_a_table_are_shown_as_they_are(capsys):
    """Seen: a backslash before each."""
    row = {"reason": "set [data.columns], [red]x[/red]"}
    Screen(as_json=False).result({}, rows_table("T", [row], ("reason",)))
    assert "set [data.columns], [red]x[/red]" in capsys.readouterr().out


def in_80_columns(table):
    """The lines that a terminal of 80 columns shows of a table."""
    file = StringIO()
    Console(file=file, width=80).print(table)
    return file.getvalue()


def test_no_figure_of_a_replay_is_cut_in_80_columns():
    book = SimpleNamespace(
        equity=1_651_544.0,
        total_return=-0.348,
        annual_return=-0.032,
        sharpe=-0.36,
        sharpe_low=-0.84,
        sharpe_high=-0.12,
        max_drawdown=0.394,
    )
    books = {"live": book, "control:inverse_volatility": book}
    shown = in_80_columns(_books_table(SimpleNamespace(period=("2000-03-01", "2013-03-01"), books=books)))
    for text in ("1,651,544", "−34.8 %", "−3.2 %", "−0.36", "−0.84 … −0.12", "39.4 %"):
        assert shown.count(text) == 2
    assert shown.count("…") == 2  # those between the bounds of the intervals
    assert all(word in shown for word in ("control:", "inverse", "volatility", "max", "drawdown"))


def test_no_figure_of_a_replayed_agent_is_cut_in_80_columns():
    """Seen: "final we…", "SentimentAna…" and intervals that ended in the middle."""
    added = Added(
        days=3270,
        days_differing=3000,
        return_a_year=-0.0123,
        return_low=-0.026,
        return_high=-0.003,
        sharpe_difference=-0.1,
        sharpe_low=-0.2,
        sharpe_high=0.0,
    )
    summary = SimpleNamespace(
        contributions={"SentimentAnalyst": -1_606_499.0, "OnChainAnalyst": 0.0, "remainder": 12_622.0},
        final_weights={"SentimentAnalyst": 0.374, "OnChainAnalyst": 0.0},
        agents={
            "SentimentAnalyst": SimpleNamespace(sharpe=-0.36, low=-0.84, high=-0.12),
            "OnChainAnalyst": SimpleNamespace(sharpe=math.nan, low=math.nan, high=math.nan),
        },
        agents_added={
            "SentimentAnalyst": added,
            "OnChainAnalyst": replace(added, days_differing=12, return_low=math.nan),
        },
    )
    lines = in_80_columns(replayed_agents(summary)).splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["shadow"],
        ["agent", "weight", "earned", "Sharpe", "90", "%", "adds", "%", "a", "year"],
    ]
    shown = "SentimentAnalyst 37.4 % −1,606,499 −0.36 −0.84 … −0.12 −1.2 [−2.6, −0.3]"
    assert " ".join(lines[4].split()) == shown
    assert [line.split()[-1] for line in lines[5:7]] == ["of", "days"], "words break, figures do not"
    assert len(lines) == 8


def test_a_size_is_in_megabytes_and_the_desks_book_says_where_it_trades():
    """Seen: "database bytes 112080563", and a desk that was called "paper"."""
    shown = in_80_columns(health_table({"open_orders": 2, "database_bytes": 112_080_563, "risk_state": "active"}))
    assert "112 MB" in shown and "bytes" not in shown and "open orders" in shown
    for book, words in (("paper", "the desk, on paper"), ("live", "the desk, its account")):
        assert words in in_80_columns(summary_tables(DOCUMENT | {"book": book})[0])


def test_signs_in_sentences_are_those_of_the_tables():
    said = "tuning cost 0.12 Sharpe (difference -0.12 [-0.31, 0.05]): not shown"
    assert sentence(said) == "Tuning cost 0.12 Sharpe (difference −0.12 [−0.31, 0.05]): not shown."
    assert true_minuses("-1.2 % and -0.5") == "−1.2 % and −0.5"
    for same in ("2000-03-01 to 22:00-07:00", "1e-05", "10 -> 12 %", "--port 1", "--set x=-0.1", "A-1", ""):
        assert true_minuses(same) == same


def test_a_replay_and_a_search_say_why_their_figures_differ():
    """Seen: a replay of the demo's history that ended 3 % above the demo; a search that gave the settings in use
    another Sharpe ratio than a replay; four trials that were three settings."""
    meta = MetaSettings(demo_every_days=7.0, optimizer_hours=36.0)
    assert "about weights every 7 days, a replay every 36 h" in demo_line(meta)
    assert search._mean_lines(1) == []
    assert "the mean of the 4 periods" in search._mean_lines(4)[0].plain
    assert "trials = 4, but [space] gave only 3 different settings" in search.fewer_line(4 - 1, 4)


def test_no_figure_of_an_agent_is_cut_or_broken_in_80_columns():
    """Seen: "contribut…", and each interval on three lines; `quorum agents` cut its headers to three letters."""
    agent = {
        "weight": 0.374,
        "contribution": -1_606_499.0,
        "shadow_sharpe": -0.03,
        "hit_rate": 0.521,
        "signals": 112_151,
    }
    added = DOCUMENT["value_added"]["Breakout"]
    shown = in_80_columns(_agents_table([{"agent_name": "SentimentAnalyst"} | agent], {"SentimentAnalyst": added}))
    assert "SentimentAnalyst  37.4 %  −1,606,499" in shown and "+1.2 % [−1.0, +3.4 %]" in shown
    card = {
        "agent_name": "SentimentAnalyst",
        "total_signals": 112_151,
        "sharpe_ratio": -0.03,
        "sharpe_low": -0.32,
        "sharpe_high": -0.01,
        "value_added": added,
        "win_rate": 0.483,
        "profit_factor": 0.99,
        "information_coefficient": -0.021,
        "verdict": "under: Sharpe 0.40, not significant",
    }
    for width in range(80, 131):
        file = StringIO()
        Console(file=file, width=width).print(card_table("Agents", [_cells(card, None)], width))
        lines = file.getvalue().splitlines()
        assert len(lines) == 4, "each agent on one line"
        for text in ("SentimentAnalyst", "−0.32..−0.01", "+1.2 % [−1.0, +3.4 %]", "under, not shown"):
            assert text in lines[-1], (width, lines[-1])
        assert "Sharpe" in lines[1] and "adds a year" in lines[1] and "verdict" in lines[1]


def test_no_job_is_cut_in_80_columns():
    moment = datetime(2026, 11, 21, 15, 37, tzinfo=UTC)
    row = {"job": "performance_analyzer", "every": "24 h", "last": moment, "status": "succeeded", "next_due": moment}
    shown = in_80_columns(rows_table("Jobs", [row], JOB_COLUMNS + DUE_COLUMNS))
    assert all(word in shown for word in ("performance_analyzer", "every", "succeeded", "next due"))
    assert shown.count("2026-11-21 15:37") == 2


@pytest.mark.parametrize("due", [True, False])
def test_a_first_start_says_what_takes_a_minute(due, capsys, monkeypatch):
    """Seen: seventy seconds without a line, and no progress on a terminal either."""
    compiled = []
    monkeypatch.setattr(first_compilation, "is_due", lambda: due)
    monkeypatch.setattr(first_compilation, "compile_desk", lambda settings, show: compiled.append(show(0, 8)))
    compile_once(Settings(), Screen(as_json=False))
    said = capsys.readouterr().err
    assert ("compiling the step for this machine, once: 2 to 5 minutes" in said) is due
    assert len(compiled) == due


def test_compiling_shows_that_it_goes_on_where_nobody_sees_a_bar(capsys):
    """Seen: one still line for five minutes in a log."""
    said = ""
    with told_meanwhile(Screen(as_json=False), 0.02):
        until = SystemClock().monotonic_s() + 60.0
        while said.count("still compiling, 0 s so far") < 3:
            assert SystemClock().monotonic_s() < until
            said += capsys.readouterr().err
    capsys.readouterr()
    SystemClock().sleep_s(0.1)
    assert capsys.readouterr().err == "", "nothing is told once it is over"


def test_machine_code_of_a_copy_elsewhere_does_not_count(tmp_path, monkeypatch):
    """Seen: in a second copy of the project nothing was said of the minute that its first start takes."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path / "cache"))
    functions = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        file = tmp_path / place / "made.py"
        file.write_text("from agents.quant.compiled import compiled\n\n\n@compiled\ndef twice(x):\n    return x + x\n")
        spec = importlib.util.spec_from_file_location(f"made_{place}", file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        functions.append(module.twice)
    assert [is_compiled(f) for f in functions] == [False, False]
    assert functions[0](2.0) == 4.0
    assert [is_compiled(f) for f in functions] == [True, False]


@pytest.mark.parametrize("words", ["replay --demo", "search {space} --demo", "walk-forward --demo"])
def test_whatever_compiles_first_says_so(words, tmp_path, capsys, monkeypatch):
    """Seen: a minute without a word where the first command on a machine was a replay or a search."""

    def compile_desk(_settings, _show):
        raise UsageError("compiled here")  # and nothing after it

    monkeypatch.setattr(first_compilation, "is_due", lambda: True)
    monkeypatch.setattr(first_compilation, "compile_desk", compile_desk)
    monkeypatch.setattr(search, "connect", lambda *_, **__: SimpleNamespace(close=lambda: None))
    space = tmp_path / "space.toml"
    space.write_text('[search]\nmethod = "grid"\n[space]\n"execution.buffer" = [0.1, 0.2]\n')
    assert main(words.format(space=space).split()) == UsageError.exit_code
    said = capsys.readouterr().err
    assert "compiling the step for this machine, once: 2 to 5 minutes" in said
    assert said.endswith("quorum: compiled here\n")


@pytest.mark.parametrize(
    ("raw", "target", "held", "clamps", "no_trade", "said"),
    [
        (0.2, 0.0, 0, "", NoTrade.BUFFER, "not worth what its trades would cost"),
        (-0.2, 0.0, 0, "no shorts", NoTrade.BUFFER, "the target is no position, and there is none"),
        (0.0, 0.0, 0, "", NoTrade.BUFFER, "the target is no position, and there is none"),
        (0.2, 0.1, 5, "", NoTrade.BUFFER, "inside the buffer"),
        (0.2, 0.0, 0, "", NoTrade.STOPPED, "stopped out: waits"),
        (0.2, 0.0, 5, "", NoTrade.SUSPECT, "price suspect: position held"),
    ],
)
def test_why_names_what_kept_it_from_an_order(raw, target, held, clamps, no_trade, said):
    decision = {"raw_weight": raw, "target_weight": target, "position": held, "clamps": clamps}
    assert said in _why_no_order(decision | {"no_trade": str(no_trade)})
