"""`quorum check`: turnover and costs of a year, before a desk starts."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest

from agents.cli.check import YEAR, document_of, last_year_of, least_of, sentence_of
from agents.cli.held_back import ALL, CAPS, LIFTED, SIZE, THIN, volatility_of, without_each
from agents.cli.held_back import sentence_of as said_of_volatility
from agents.core.errors import DataError
from agents.core.settings import AgentsSettings, Settings, with_changes
from agents.core.types import as_datetime
from agents.quant.running_costs import AgentCosts, RunningCosts, running_costs
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history
from tests.market import make_bars

BARS = make_bars(500, 3, 2)
SETTINGS = Settings(agents=AgentsSettings(enabled=("MarketHold", "MeanReversion")))


def test_the_last_year_is_traded_and_what_is_before_is_memory():
    history = last_year_of(history_of(BARS))
    assert history.first_bar() >= as_datetime(BARS.time[-1]) - YEAR
    assert history.total_bars == 366
    asked = history_of(BARS, as_datetime(BARS.time[450]))
    assert last_year_of(asked).first_bar() == as_datetime(BARS.time[450])


def test_costs_are_those_of_the_fills_and_each_agents_are_those_that_it_caused():
    run = replay_history(last_year_of(history_of(BARS)), ReplayRequest(settings=SETTINGS, tuning=False)).run
    costs = running_costs(run)
    year = (run.time[-1] - run.time[0]).astype(float) / 1e6 / 86400 / 365.25
    paid = sum(run.costs[name] for name in ("fee", "spread", "impact"))
    assert costs.share == pytest.approx(paid / run.equity[:, 0].mean() / year)
    assert costs.turnover == pytest.approx(run.turnover[:, 0].sum() / year)
    assert costs.trades == pytest.approx(run.fill_count / year)
    caused = run.agent_cost.sum(axis=0) / run.equity[:, 0].mean() / year
    assert [part.costs for part in costs.agents.values()] == pytest.approx(list(caused[:-1])), "as they are on record"
    assert sum(part.costs for part in costs.agents.values()) + caused[-1] == pytest.approx(costs.share)
    assert costs.agents["MeanReversion"].costs > costs.agents["MarketHold"].costs
    assert costs.agents["MeanReversion"].turnover > 20.0 * costs.agents["MarketHold"].turnover, "alone"
    assert document_of(costs)["agents"]["MarketHold"]["weight"] == pytest.approx(0.5)
    assert "by MeanReversion." in sentence_of(costs)


def test_the_sentence():
    parts = {"A": AgentCosts(0.5, 9.0, 0.0155), "B": AgentCosts(0.5, 9.0, 0.0155)}
    costs = RunningCosts(365.0, 20.0, 300.0, 0.031, parts)
    assert sentence_of(costs) == "Costs take 3.10 % of equity a year; half of it by A."
    little = costs._replace(share=0.0004, agents={"A": AgentCosts(1.0, 168.0, 0.0004)})
    assert sentence_of(little) == "Costs take less than 0.05 % of equity a year.", "seen: 100 % of 0.0 % by MarketHold"
    edge = costs._replace(share=0.00048)
    assert sentence_of(edge).startswith("Costs take 0.05 % of"), "seen: less than 0.05 % beside 0.05 % in the table"
    many = {str(k): AgentCosts(0.1, 9.0, 0.0031) for k in range(10)}
    assert sentence_of(costs._replace(agents=many)).endswith("; no agent alone causes much of it.")
    assert sentence_of(costs._replace(trades=0.0)).startswith("Nothing was traded")
    for few in (costs._replace(days=28.0), costs._replace(days=28.0, trades=0.0)):
        assert sentence_of(few).endswith(" That is from 28 days only."), "seen: 20 bars were a year"


def test_a_smallest_commission_that_is_much_of_the_desk_is_told_of():
    """One unit of a desk that counts in bitcoin is no dollar."""
    assert least_of(Settings()) == ""
    bitcoin = with_changes(Settings(), {"desk.initial_cash": 8.0})
    assert least_of(bitcoin) == (
        "Each trade costs at least 1.00 in the currency of the prices (execution.minimum_commission), which is 12.5 % of"
        " what the desk begins with (desk.initial_cash): set what your account pays."
    )
    assert least_of(with_changes(bitcoin, {"desk.profile": "crypto-spot"})) == ""


def test_a_history_without_bars_says_so():
    before = as_datetime(BARS.time[0]) - timedelta(days=9)
    history = history_of(BARS)
    empty = type(history)(source=history.source, symbols=BARS.symbols, total_bars=0, end=before)
    with pytest.raises(DataError, match="no bars yet"):
        last_year_of(empty)


def test_what_holds_a_desk_below_its_volatility_is_found_by_lifting_it():
    """A gross cap of 5 % holds a desk that is otherwise free; without it the same bars move as much as they may."""
    held = with_changes(SETTINGS, {"risk.gross_cap": 0.05, "execution.buffer_by_cost": False})
    history = last_year_of(history_of(BARS))

    def trade(under):
        return replay_history(history, ReplayRequest(settings=under, tuning=False)).run

    volatility, target = volatility_of(trade(held)), held.combine.volatility_target
    assert 0.0 < volatility < 0.2 * target
    without = without_each(held, trade)
    nothing = {"risk.allow_short", "execution.buffer_by_cost"}
    assert set(without) == {*LIFTED, SIZE, THIN, CAPS, ALL} - nothing, "those do nothing"
    assert without[SIZE] == pytest.approx(volatility, rel=0.02), "its size holds nothing here"
    free = with_changes(held, {"risk.gross_cap": 10.0, "execution.leverage": 10.0})
    assert without["risk.gross_cap"] == volatility_of(trade(free)) > 3.0 * volatility
    assert without["risk.reduce_drawdown"] == volatility


def test_a_desk_that_is_too_large_for_its_market_is_told_so():
    """Seen: a million bitcoin on coins of which some twenty are traded in a bar, and no limit held it."""
    large = with_changes(SETTINGS, {"desk.initial_cash": 1e9, "execution.buffer_by_cost": False})
    thin = BARS.__class__(**{f.name: getattr(BARS, f.name) for f in fields(BARS)} | {"volume": BARS.volume * 1e-3})
    history = last_year_of(history_of(thin))

    def trade(under):
        return replay_history(history, ReplayRequest(settings=under, tuning=False)).run

    volatility, target = volatility_of(trade(large)), large.combine.volatility_target
    without = without_each(large, trade)
    assert volatility < 0.2 * target < without[SIZE]
    assert max(without, key=lambda key: without[key] if key in LIFTED or key == SIZE else 0.0) == SIZE
    assert "the share of a bar's volume" in said_of_volatility(volatility, target, without)


def test_the_sentence_on_volatility():
    without = {"risk.gross_cap": 0.12, "execution.buffer_by_cost": 0.08}
    assert said_of_volatility(0.07, 0.15, without) == (
        "Its volatility was 7.0 % a year, 15.0 % is aimed at; most is held back by the cap on all positions together"
        " (risk.gross_cap): without that 12.0 %."
    )
    assert said_of_volatility(0.13, 0.15, {}) == "Its volatility was 13.0 % a year, 15.0 % is aimed at."
    both = {"risk.gross_cap": 0.07, "risk.symbol_cap": 0.075, CAPS: 0.14, ALL: 0.2}
    assert "by the caps on positions (risk.symbol_cap and risk.gross_cap): without that 14.0 %" in (
        said_of_volatility(0.07, 0.15, both)
    ), "seen: with three currencies neither cap did it alone, and no limit was named"
    thin = {"execution.buffer_by_cost": 0.0, SIZE: 0.01, CAPS: 0.0, THIN: 0.12, ALL: 0.13}
    assert "by the share of a bar's volume that it may take, and the no-trade zone" in said_of_volatility(
        0.0, 0.15, thin
    )
    assert "several limits (all of them)" in said_of_volatility(0.07, 0.15, both | {CAPS: 0.08})
    for nothing in ({}, {"risk.gross_cap": 0.075, ALL: 0.075}):
        assert "no limit holds it there" in said_of_volatility(0.07, 0.15, nothing)
