"""The array replay: chunks, listings and actions, determinism, figures against a peer, and the command line."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from agents.adapters.twins.in_memory import MemoryBars
from agents.cli.main import main
from agents.core.errors import DataError, SettingsError
from agents.core.settings import Settings, with_changes
from agents.core.types import Bars, Signals, as_datetime
from agents.quant.measures import book_figures, daily_of, judged_days, monthly, value_added
from agents.quant.replay_summary import summary_of
from agents.replay.simulate import chunks_of
from agents.trading.registry import make_agents
from agents.wiring import replay as replay_app
from agents.wiring.history import History, ReplayRequest, history_of
from agents.wiring.replay import replay_history
from tests.market import make_bars

SETTINGS = Settings()
BARS = make_bars(500, 3, 3, gaps=0.02, actions=True)
STILL = ReplayRequest(settings=SETTINGS, tuning=False)


def constant(strength: np.ndarray):
    """SignalSource of all agents that say the same [S] on every bar that exists."""

    def speak(bars: Bars) -> list[Signals]:
        there = np.isfinite(bars.close)
        said = np.where(there, np.broadcast_to(strength, bars.close.shape), 0.0)
        return [Signals(strength=said, confidence=np.where(there, 1.0, 0.0), abstained=~there) for _ in make_agents([])]

    return speak


# ---------------------------------------------------------------- chunks


def test_chunks_change_nothing(monkeypatch):
    """Orders, fills and decisions of small chunks are those of the whole; equity to 1e-9, since recursive means only forget."""
    plan = ReplayRequest(settings=SETTINGS)
    whole = replay_history(history_of(BARS), plan)
    monkeypatch.setattr(replay_app, "LEAST_ROWS", 40)
    monkeypatch.setattr(replay_app, "lead_of", lambda _settings, needed: max(needed, 43))
    for cells in (1, 900, 2000):  # in one test: the whole, which all are held to, is computed once
        monkeypatch.setattr(replay_app, "CHUNK_CELLS", cells)
        parts = replay_history(history_of(BARS), plan)
        np.testing.assert_array_equal(parts.run.fills.quantity, whole.run.fills.quantity, err_msg=str(cells))
        np.testing.assert_allclose(parts.run.equity, whole.run.equity, rtol=1e-9, err_msg=str(cells))
        assert [(d.at, d.status, d.weights) for d in parts.decisions] == [
            (d.at, d.status, d.weights) for d in whole.decisions
        ], cells
        assert parts.manifest == whole.manifest, "the data's digest does not hang on chunks"
        for name in ("signals", "hits", "calls", "trades"):
            np.testing.assert_array_equal(getattr(parts.days, name), getattr(whole.days, name), err_msg=name)
        np.testing.assert_allclose(parts.days.correlation_sums, whole.days.correlation_sums, rtol=1e-7, atol=1e-9)


class Counting(MemoryBars):
    """Notes how much is asked for at once."""

    largest = 0

    def after(self, time, *, limit):
        found = super().after(time, limit=limit)
        self.largest = max(self.largest, len(found.time))
        return found


def test_memory_is_bounded_by_the_chunk_not_by_the_history(monkeypatch):
    monkeypatch.setattr(replay_app, "CHUNK_CELLS", 180)
    monkeypatch.setattr(replay_app, "LEAST_ROWS", 1)
    monkeypatch.setattr(replay_app, "lead_of", lambda _settings, _needed: 60)
    source = Counting(BARS)
    replay_history(History(source=source, symbols=BARS.symbols, total_bars=len(BARS.time)), STILL)
    assert source.largest == 60
    assert max(len(chunk.bars.time) for chunk in chunks_of(MemoryBars(BARS), 60, 60)) == 120


def test_history_before_the_start_is_memory():
    """From a later start the agents say what they say in the whole history, and the desk starts with cash."""
    start = as_datetime(BARS.time[300])
    seen = []
    late = replay_history(history_of(BARS, start), STILL, observers=[seen.append])
    assert as_datetime(late.run.time[0]) == start
    whole = []
    replay_history(history_of(BARS), STILL, observers=[whole.append])
    ours, theirs = seen[0], whole[0]
    for said, then in zip(ours.signals, theirs.signals, strict=True):
        np.testing.assert_allclose(said.strength[ours.first :], then.strength[300:], atol=1e-9)
    np.testing.assert_allclose(ours.forecast[ours.first :], theirs.forecast[300:], atol=1e-7)
    assert late.days.date[0] == BARS.time[300].astype("datetime64[D]")
    with pytest.raises(DataError, match="no bars from"):
        history_of(BARS, datetime(2050, 1, 1, tzinfo=UTC))


def test_jobs_that_fall_due_at_a_bars_very_close_run_after_it():
    """Bars of a market that never closes end exactly when jobs are due."""
    midnight = BARS.time.astype("datetime64[D]") + np.timedelta64(1, "D")
    bars = replace(
        BARS,
        time=midnight.astype("datetime64[us]"),
        opened=(midnight - np.timedelta64(1, "D")).astype("datetime64[us]"),
    )
    replayed = replay_history(history_of(bars), ReplayRequest(settings=SETTINGS))
    assert len(replayed.decisions) == len(bars.time) - 1, "one a day; what is due with the last bar would run after it"
    assert [d.at for d in replayed.decisions] == [as_datetime(t) for t in bars.time[:-1]]
    assert replayed.decisions[60].sample_size == 60, (
        "whole days only: the bar that closes at midnight belongs to the new day"
    )
    late = replay_history(history_of(BARS), ReplayRequest(settings=SETTINGS))
    assert abs(len(late.decisions) - len(replayed.decisions)) <= 1


# ---------------------------------------------------------------- what happens to symbols


def quiet_market(bars: int = 200) -> Bars:
    """Two symbols with some movement and no gaps."""
    return make_bars(bars, 2, 9)


def test_a_listing_inside_the_period_is_traded_from_its_warm_up_on():
    bars = quiet_market()
    for name in ("open", "high", "low", "close", "volume"):
        getattr(bars, name)[:100, 1] = np.nan
    seen = []
    run = replay_history(
        history_of(bars), STILL, signal_source=constant(np.array([0.5, 0.5])), observers=[seen.append]
    ).run
    first = run.fills.bar[run.fills.symbol == 1].min()
    assert 100 < first <= 100 + SETTINGS.combine.volatility_window_bars + 1
    assert (seen[0].out.order[:100, 1] == 0.0).all()
    assert np.isfinite(run.equity).all()


def test_a_delisting_freezes_the_position_at_its_last_price():
    bars = quiet_market()
    for name in ("open", "high", "low", "close", "volume"):
        getattr(bars, name)[150:, 1] = np.nan
    seen = []
    run = replay_history(
        history_of(bars), STILL, signal_source=constant(np.array([0.5, 0.5])), observers=[seen.append]
    ).run
    out = seen[0].out
    assert out.position[149, 1] > 0.0
    assert (out.position[150:, 1] == out.position[149, 1]).all()
    assert (out.mark[149:, 1] == bars.close[149, 1]).all()
    assert not ((run.fills.symbol == 1) & (run.fills.bar >= 150)).any()
    assert np.isfinite(run.equity).all()


def test_a_halt_lets_orders_expire_and_trading_resume():
    bars = quiet_market()
    for name in ("open", "high", "low", "close", "volume"):
        getattr(bars, name)[120:130, 0] = np.nan
    run = replay_history(history_of(bars), STILL, signal_source=constant(np.array([0.5, 0.5]))).run
    mine = run.fills.bar[run.fills.symbol == 0]
    assert not ((mine >= 120) & (mine < 130)).any()
    assert (mine >= 130).any()


def test_a_split_changes_no_money_and_a_dividend_is_paid_once():
    """The same market, once as it is and once with a 2:1 split written into it: equal equity but for whole lots."""
    bars = quiet_market()
    free = with_changes(
        SETTINGS,
        {
            "execution.commission_bps": 0.0,
            "execution.minimum_commission": 0.0,
            "execution.half_spread_bps": 0.0,
            "execution.impact": 0.0,
            "execution.lot_size": 1e-6,
        },
    )
    plan, signal_source = ReplayRequest(settings=free, tuning=False), constant(np.array([0.4, 0.4]))
    plain = replay_history(history_of(bars), plan, signal_source=signal_source).run
    split, factor = np.ones(bars.close.shape), np.ones(bars.close.shape)
    split[90, 0] = 2.0
    factor[90:, 0] = 2.0
    halved = {name: getattr(bars, name) / factor for name in ("open", "high", "low", "close")}
    with_split = replace(bars, **halved, volume=bars.volume * factor, split=split, adjustment=factor)
    run = replay_history(history_of(with_split), plan, signal_source=signal_source).run
    np.testing.assert_allclose(run.equity[:, 0], plain.equity[:, 0], rtol=1e-7)
    dividend = np.zeros(bars.close.shape)
    dividend[120, 1] = 1.5
    seen = []
    paid = replay_history(
        history_of(replace(bars, dividend=dividend)), plan, signal_source=signal_source, observers=[seen.append]
    ).run
    held = seen[0].out.position[119, 1]
    assert held > 0.0
    assert paid.equity[120, 0] - plain.equity[120, 0] == pytest.approx(1.5 * held, rel=1e-9)


def test_an_agent_that_appears_late_has_no_days_of_opinions_before():
    def late(bars: Bars) -> list[Signals]:
        said = constant(np.array([0.5, 0.5]))(bars)
        silent = said[2].abstained.copy()
        silent[:120] = True
        said[2] = Signals(
            strength=np.where(silent, 0.0, said[2].strength),
            confidence=np.where(silent, 0.0, said[2].confidence),
            abstained=silent,
        )
        return said

    replayed = replay_history(history_of(quiet_market()), ReplayRequest(settings=SETTINGS), signal_source=late)
    assert (replayed.days.signals[:120, 2] == 0).all() and (replayed.days.signals[121:, 2] > 0).all()
    assert (replayed.run.shadow_return[:120, 2] == 0.0).all()
    assert np.abs(replayed.run.shadow_return[121:, 2]).sum() > 0.0
    name = replayed.run.agents[2]
    assert replayed.run.contribution[:121, 2] == pytest.approx(0.0)
    assert all(d.weights[name] >= 0 for d in replayed.decisions)


# ---------------------------------------------------------------- figures


def test_books_and_contributions_add_up():
    run = replay_history(history_of(BARS), STILL).run
    summary = summary_of(run)
    assert sum(summary.contributions.values()) == pytest.approx(run.equity[-1, 0] - run.initial_cash, abs=1e-4)
    for parts in (summary.by_agent, summary.by_symbol, summary.by_side):
        assert sum(part.net for part in parts.values()) == pytest.approx(run.equity[-1, 0] - run.initial_cash, abs=1e-3)
        paid = sum(part.costs for part in parts.values())
        assert paid == pytest.approx(summary.costs.fees + summary.costs.spread + summary.costs.impact, rel=1e-9)
    costs = np.array([part.costs for part in summary.by_agent.values()])
    np.testing.assert_allclose(costs, run.agent_cost.sum(axis=0), rtol=0.0, atol=1e-3)
    assert {n: part.net for n, part in summary.by_agent.items()} == summary.contributions
    assert set(summary.by_side) == {"long", "short"} and set(summary.by_symbol) == set(run.symbols)
    daily = daily_of(run)
    spent = summary.costs
    assert spent.fills == run.fill_count
    assert spent.fees > 0 and spent.spread > 0 and spent.impact > 0
    years, table = monthly(daily)
    assert math.prod(1.0 + v for v in table[:, 12] if np.isfinite(v)) == pytest.approx(
        run.equity[-1, 0] / run.initial_cash
    )
    for row in table:
        assert math.prod(1.0 + v for v in row[:12] if np.isfinite(v)) == pytest.approx(1.0 + row[12])
    assert years[0] == 2001
    assert value_added(daily)["first"].words == "changed nothing", "live trades with the first weights"
    assert value_added(daily, judged=judged_days(run))["first"].words == "nothing to judge yet"


def test_a_summary_in_plain_values_is_json_without_nan():
    summary = summary_of(replay_history(history_of(BARS.rows(0, 45)), STILL).run)
    assert math.isnan(summary.agents["OnChainAnalyst"].sharpe), "it abstains: no movement, no ratio"
    text = json.dumps(summary.as_plain(), allow_nan=False)
    assert json.loads(text)["agents"]["OnChainAnalyst"]["sharpe"] is None
    assert summary.as_plain()["verdict"] == ("fewer than 60 days: nothing can be said of tuning, or against holding")


def test_figures_equal_quantstats_on_the_same_returns():
    stats = pytest.importorskip("quantstats").stats
    daily = daily_of(replay_history(history_of(BARS), STILL).run)
    ours, series = book_figures(daily, 0), pd.Series(daily.returns(0), index=pd.DatetimeIndex(daily.date))
    pace = daily.per_year
    assert ours.sharpe == pytest.approx(stats.sharpe(series, periods=pace), rel=1e-6)
    assert ours.sortino == pytest.approx(stats.sortino(series, periods=pace), rel=1e-6)
    assert ours.volatility == pytest.approx(stats.volatility(series, periods=pace), rel=1e-6)
    assert ours.max_drawdown == pytest.approx(-stats.max_drawdown(series), rel=1e-6)
    assert ours.total_return == pytest.approx(stats.comp(series), rel=1e-9)
    assert ours.annual_return == pytest.approx(stats.cagr(series, periods=pace), rel=2e-2), (
        "quantstats counts calendar days"
    )
    assert ours.best_day == pytest.approx(stats.best(series), rel=1e-9)
    assert ours.skew == pytest.approx(stats.skew(series), rel=0.02), "quantstats corrects for the sample's size"


# ---------------------------------------------------------------- determinism and the command line


def csv_folder(folder: Path) -> Path:
    lines = ["symbol,time,open,high,low,close,volume"]
    for t in range(300):
        for s, symbol in enumerate(BARS.symbols):
            if np.isfinite(BARS.close[t, s]):
                values = ",".join(
                    repr(float(getattr(BARS, n)[t, s])) for n in ("open", "high", "low", "close", "volume")
                )
                lines.append(f"{symbol},{str(BARS.time[t])[:10]},{values}")
    (folder / "bars").mkdir()
    (folder / "bars" / "a.csv").write_text("\n".join(lines[:400]) + "\n")
    (folder / "bars" / "b.csv").write_text("\n".join([lines[0], *lines[400:]]) + "\n")
    return folder / "bars"


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.mark.slow
def test_same_inputs_same_bytes_whatever_the_clock_and_the_order(tmp_path):
    bars = csv_folder(tmp_path)
    found = []
    for k, (zone, agents) in enumerate(
        (
            ("Asia/Tokyo", "TrendFollower,Breakout,MeanReversion"),
            ("America/New_York", "MeanReversion,TrendFollower,Breakout"),
        )
    ):
        out = tmp_path / f"out{k}"
        command = [
            sys.executable,
            "-m",
            "agents",
            "replay",
            "--bars",
            str(bars),
            "--agents",
            agents,
            "--out",
            str(out),
            "--json",
        ]
        done = subprocess.run(
            command, env={**os.environ, "TZ": zone}, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found.append(digests(out))
    assert found[0] == found[1]
    assert set(found[0]) == {
        "decisions.parquet",
        "equity.parquet",
        "fills.parquet",
        "weights.parquet",
        "manifest.json",
        "summary.json",
        "tear_sheet.html",
    }
    out = tmp_path / "out0"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["agents"] == ["TrendFollower", "MeanReversion", "Breakout"]
    assert len(manifest["data_sha256"]) == 32
    page = (out / "tear_sheet.html").read_text()
    assert manifest["data_sha256"] in page and not re.search("https?:", page), "one file, nothing from elsewhere"
    fills, decisions = pq.read_table(out / "fills.parquet"), pq.read_table(out / "decisions.parquet")
    assert decisions.num_rows == 300 * 3
    equity = pq.read_table(out / "equity.parquet").to_pandas()
    live = equity[equity["book"] == "live"]
    summary = json.loads((out / "summary.json").read_text())
    assert live["equity"].iloc[-1] == summary["books"]["live"]["equity"]
    assert fills["fee"].to_numpy().sum() == pytest.approx(summary["costs"]["fees"])
    assert str(decisions.schema.field("time").type) == "timestamp[us, tz=UTC]"


def test_changed_settings_change_the_result_and_are_in_the_manifest(tmp_path, capsys):
    bars = csv_folder(tmp_path)
    arguments = ["replay", "--bars", str(bars), "--no-tuning", "--json"]
    assert main(arguments) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (
        main(
            [
                *arguments,
                "--set",
                "execution.commission_bps=50",
                "--start-weights",
                "TrendFollower=1",
                "--symbols",
                "S0,S1",
            ]
        )
        == 0
    )
    changed = json.loads(capsys.readouterr().out)
    assert changed["manifest"]["settings"]["execution"]["commission_bps"] == 50.0
    assert changed["symbols"] == ["S0", "S1"]
    assert changed["final_weights"]["TrendFollower"] == 1.0
    assert changed["costs"]["fees"] != plain["costs"]["fees"]
    assert plain["verdict"].startswith("tuning changed no weights: nothing to judge yet; against holding")


def test_the_interval_of_a_replay_can_be_set_on_its_command_line(tmp_path, capsys):
    """Seen: it was ignored, and hourly bars were replayed as days."""
    file, rng = tmp_path / "A.csv", np.random.default_rng(1)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, 400)))
    times = np.datetime64("2023-01-02T00:00") + np.arange(400) * np.timedelta64(1, "h")
    rows = [f"{t}Z,{c:.2f},{c * 1.01:.2f},{c * 0.99:.2f},{c:.2f},1000" for t, c in zip(times, close, strict=True)]
    file.write_text("\n".join(["time,open,high,low,close,volume", *rows, ""]))
    line = ["replay", "--bars", str(file), "--no-tuning", "--json", "--set", "data.time_means=open"]
    assert main([*line, "--set", "data.interval=1h"]) == 0
    assert json.loads(capsys.readouterr().out)["bars"] == 400
    for interval, found in (("1d", "1h"), ("5m", "1h")):
        assert main([*line, "--set", f"data.interval={interval}"]) == 1
        assert f"A.csv: its bars are {found} apart, but data.interval is {interval}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bars", "nowhere"], "nowhere: no bar files there"),
        (["--demo", "--set", "tuning.capp=0.3"], "unknown key 'tuning.capp' (did you mean cap?)"),
        (["--demo", "--set", "tuning.cap=3"], "key 'tuning.cap'"),
        (["--demo", "--set", "cap"], "expected KEY=VALUE"),
        (["--demo", "--set", "cap=3"], "names no setting"),
        (["--demo", "--agents", "Nobody"], "no agent is named 'Nobody'"),
        (["--demo", "--from", "2030-01-01"], "no bars from 2030-01-01"),
        (["--demo", "--symbols", "XYZ"], "no bars of XYZ"),
        (["--demo", "--start-weights", "TrendFollower=0"], "give"),
    ],
)
def test_mistakes_are_one_clear_line(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["replay", *arguments]) != 0
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_the_demos_history_from_its_file_is_the_demos_history(capsys):
    """The figure that the demo itself ends with; see test_demo.py."""
    assert main(["replay", "--demo", "--no-tuning", "--to", "2002-12-31", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["symbols"] == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]
    assert found["period"][1].startswith("2002-12-31")


def test_settings_with_changes_are_validated():
    assert with_changes(SETTINGS, {"risk.gross_cap": 0.5}).risk.gross_cap == 0.5
    with pytest.raises(SettingsError, match="halt_drawdown"):
        with_changes(SETTINGS, {"risk.reduce_drawdown": 0.9})


def test_a_replay_loads_no_database_and_no_page():
    """40 MB and half a second of what it never asks; numba and scipy it needs."""
    code = "import sys, agents.wiring.replay; print(*(n for n in %r if n in sys.modules))"
    unneeded = ("sqlalchemy", "psycopg", "redis", "jinja2", "pandas", "matplotlib", "cvxpy", "optuna")
    said = subprocess.run([sys.executable, "-c", code % (unneeded,)], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []
