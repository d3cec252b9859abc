"""`quorum check`: what a desk with these settings would turn over and pay, shown before it starts."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.cli import held_back
from agents.cli.history import open_history
from agents.cli.history_arguments import changes_of
from agents.cli.screen import Screen, new_table
from agents.core.clock import INSTANT
from agents.core.errors import DataError
from agents.core.replay_types import Run
from agents.core.settings import Settings, load_settings, with_changes
from agents.core.types import as_datetime
from agents.quant.running_costs import RunningCosts, running_costs
from agents.reports.formatting import number, percent
from agents.wiring.history import History, ReplayRequest
from agents.wiring.replay import replay_history
from agents.wiring.venue import require_one_currency

FEW_DAYS = 90.0
"""A year that is told from less says so."""
YEAR = timedelta(days=365)
ALONE = (
    "Alone, an agent would follow each change of its opinion; the desk sets agents off against each other and leaves"
    " out what is not worth its costs."
)
LITTLE = 0.0005
"""Costs below this share of equity a year are shown as none: whose they are is no news."""
DEAR = 0.001
"""A trade that costs at least this share of what a desk begins with is told of."""
NOBODY = "no agent alone causes much of it"
WHOSE = 0.25
"""An agent that caused less than this share of the costs is not named for them."""
FAR = datetime(9000, 1, 1, tzinfo=UTC)


def check(options: Namespace, screen: Screen) -> int:
    """Replay the last year under the settings, weights as they are set, and show turnover, costs and trades."""
    with ExitStack() as stack:
        changes = changes_of(options)
        opened = open_history(options, load_settings(options.settings), stack, screen, changes)
        settings = with_changes(opened.settings, changes)
        history = last_year_of(opened.history)
        require_one_currency(history.symbols)
        screen.say(f"trading {history.total_bars:,} bars of {len(history.symbols)} symbols")

        def trade(under: Settings) -> Run:
            return replay_history(history, ReplayRequest(settings=under, tuning=False)).run

        run = trade(settings)
        volatility, target = held_back.volatility_of(run), settings.combine.volatility_target
        without: dict[str, float] = {}
        if volatility < held_back.NEAR * target:
            screen.say("looking for what holds it below its volatility: the same bars without each limit")
            without = held_back.without_each(settings, trade)
    costs = running_costs(run)
    moves = {"desk": volatility, "target": target, "without": without}
    document = document_of(costs) | {"from": str(run.time[0]) + "Z", "to": str(run.time[-1]) + "Z", "volatility": moves}
    if settings.from_profile:
        document |= {"profile": settings.desk.profile, "set_by_profile": settings.from_profile}
    table = new_table(f"With these settings, {run.time[0]!s:.10} to {run.time[-1]!s:.10}, as if for a year")
    table.add_column("book", no_wrap=True, min_width=max(len(name) for name in costs.agents) + 2)
    for name in ("weight", "turned over", "trades", "costs, of equity", "alone it would turn over"):
        table.add_column(name, justify="right")
    turned = f"{number(costs.turnover)} x"
    table.add_row("the desk", "", turned, f"{costs.trades:,.0f}", percent(costs.share, 2))
    for name, part in costs.agents.items():
        table.add_row(f"  {name}", percent(part.weight), "", "", percent(part.costs, 2), f"{number(part.turnover)} x")
    said = (ALONE, sentence_of(costs), least_of(settings), held_back.sentence_of(volatility, target, without))
    screen.result(document, table, *filter(None, said))
    return 0


def last_year_of(history: History) -> History:
    """The last year of a history, or what the user asked for; what is before it stays as memory."""
    newest = history.source.window(until=history.end or FAR, count=1)
    if not len(newest.time):
        raise DataError("there are no bars yet; import some, or name a folder with --bars")
    start = history.start or as_datetime(newest.time[-1]) - YEAR
    count = len(history.source.after(start - INSTANT, limit=10**9).time)
    return replace(history, start=start, total_bars=count)


def document_of(costs: RunningCosts) -> dict[str, Any]:
    """For programs: turnover in multiples of equity a year, costs as fractions of it, fills a year."""
    agents = {name: part._asdict() for name, part in costs.agents.items()}
    desk = {"turnover": costs.turnover, "trades": costs.trades, "costs": costs.share, "days": costs.days}
    return {"desk": desk, "agents": agents, "words": sentence_of(costs)}


def least_of(settings: Settings) -> str:
    """What a trade costs at least, where that is much of what the desk begins with: its currency may be a dear one."""
    least, cash = settings.execution.minimum_commission, settings.desk.initial_cash
    if least < DEAR * cash:
        return ""
    return (
        f"Each trade costs at least {number(least)} in the currency of the prices (execution.minimum_commission), which"
        f" is {percent(least / cash)} of what the desk begins with (desk.initial_cash): set what your account pays."
    )


def sentence_of(costs: RunningCosts) -> str:
    """ "Costs take 3.1 % of equity a year; half of it is MeanReversion's." """
    few = f" That is from {costs.days:.0f} days only." if costs.days < FEW_DAYS else ""
    if costs.trades == 0.0:
        return f"Nothing was traded: no opinion was worth its costs, or none was there.{few}"
    if round(costs.share, 4) < LITTLE:
        return f"Costs take less than {percent(LITTLE, 2)} of equity a year.{few}"
    name, part = max(costs.agents.items(), key=lambda item: item[1].costs)
    share = part.costs / costs.share
    whose = f"{'half' if 0.45 <= share <= 0.55 else percent(share, 0)} of it by {name}"
    return f"Costs take {percent(costs.share, 2)} of equity a year; {whose if share >= WHOSE else NOBODY}.{few}"
