#!/usr/bin/env python
"""A desk with a profile's defaults over many histories, one after the other: what it made beside the plainest ways.

    scripts/walk_histories.py DATA              the table below, as Markdown
    scripts/walk_histories.py DATA --only us_daily,btcusdt_1h --json

DATA is a folder with the files named in HISTORIES (any other vendor's files under these names will do); one that is not
there is left out and named. Every bar is decided on with what was known before it, weights are tuned on the way, and
nothing is chosen by what comes out: the settings are a profile, and what a file's bars mean.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from agents.adapters.files.bar_folder import read_folder
from agents.core.clock import SystemClock
from agents.core.errors import AgentsError
from agents.core.settings import Settings, load_settings
from agents.quant.measures import BookFigures
from agents.quant.replay_summary import ReplaySummary, summary_of
from agents.reports.formatting import number, percent
from agents.wiring.history import ReplayRequest, history_of
from agents.wiring.replay import replay_history

BOOKS = {"desk": "", "equal weights": "control:equal", "hold": "control:hold"}
BOOKS |= {"hold at the desk's volatility": "control:hold_at_volatility"}
"""What is shown, and the book of that name; "" is the live one."""
YEAR_S = 365.25 * 86400


class History(NamedTuple):
    """A file of bars, the profile of the desk that trades them, and what their rows mean."""

    file: str
    profile: str
    data: str


HISTORIES = (
    History("equities/us_daily.csv.gz", "stocks", 'interval = "1d"'),
    History("equities/us_etf_daily.csv.gz", "stocks", 'interval = "1d"'),
    History("equities/us_hourly.csv.gz", "stocks", 'interval = "1h"\ntime_means = "open"'),
    History("macro/spx_daily_1990_2018.csv.gz", "stocks", 'interval = "1d"'),
    History("macro/ixic_daily_1999_2018.csv.gz", "stocks", 'interval = "1d"'),
    History("india/lean_nse_daily_cccl.csv.gz", "stocks", 'interval = "1d"\ncalendar = "XNSE"'),
    History("crypto/btc_eth_daily.csv.gz", "crypto-spot", 'interval = "1d"\ntime_means = "open"'),
    History("crypto/kraken_daily_2013_2019.csv.gz", "crypto-spot", 'interval = "1d"\ntime_means = "open"'),
    History("crypto/btcusdt_1h.csv.gz", "crypto-spot", 'interval = "1h"\ntime_means = "open"'),
    History("crypto/ethusdt_1h_2023H1.csv.gz", "crypto-spot", 'interval = "1h"\ntime_means = "open"'),
    History("crypto/btc_eth_usdt_5m_2023H1.csv.gz", "crypto-spot", 'interval = "5m"\ntime_means = "open"'),
    History("crypto/alts_btc_5m_2018.csv.gz", "crypto-spot", 'interval = "5m"\ntime_means = "open"'),
    History("crypto/btcperp_1m_2022-01.csv.gz", "futures", 'interval = "1m"\ntime_means = "open"\ncalendar = "24/7"'),
    History("fx/fx_gold_daily.csv.gz", "futures", 'interval = "1d"\ntime_means = "open"\ncalendar = "24/7"'),
    History("fx/eurusd_1h_2011_2014.csv.gz", "futures", 'interval = "1h"\ntime_means = "open"\ncalendar = "24/7"'),
    History("fx/gbpusd_1m_2012-02.csv.gz", "futures", 'interval = "1m"\ntime_means = "open"\ncalendar = "24/7"'),
    History("dirty/gold_future_daily_2000_2018.csv.gz", "futures", 'interval = "1d"'),
)
"""Series of a few days, of closes only, and of single sessions are left out: nothing could be judged by them."""


class Walked(NamedTuple):
    """What a desk made of one history."""

    history: History
    symbols: int
    bars: int
    years: float
    summary: ReplaySummary


def settings_of(history: History) -> Settings:
    """As a user's file would say it."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(f'[desk]\nprofile = "{history.profile}"\n\n[data]\n{history.data}\n')
        file.flush()
        return load_settings(Path(file.name))


def walk(history: History, folder: Path) -> Walked:
    """Replay one history under its profile; AgentsError where it cannot be read."""
    settings = settings_of(history)
    bars = read_folder(folder / history.file, settings.data, {}, SystemClock().now()).bars
    run = replay_history(history_of(bars), ReplayRequest(settings=settings)).run
    seconds = float((run.time[-1] - run.time[0]).astype("timedelta64[s]").astype(float))
    return Walked(history, len(bars.symbols), len(run.time), seconds / YEAR_S, summary_of(run))


def walk_all(folder: Path, only: list[str]) -> Iterator[Walked]:
    """Every history that is there; what is left out is said on stderr."""
    for history in HISTORIES:
        name = Path(history.file).name.partition(".")[0]
        if only and name not in only:
            continue
        if not (folder / history.file).is_file():
            print(f"{history.file}: not there, left out", file=sys.stderr)
            continue
        print(f"{history.file} ...", file=sys.stderr, flush=True)
        try:
            yield walk(history, folder)
        except AgentsError as error:
            print(f"{history.file}: left out: {error}", file=sys.stderr)


def figures_of(summary: ReplaySummary) -> dict[str, BookFigures]:
    """The shown books' figures, by the name they are shown by."""
    live = next(name for name in summary.books if ":" not in name)
    return {shown: summary.books[book or live] for shown, book in BOOKS.items() if (book or live) in summary.books}


def cells(figures: BookFigures) -> str:
    """A year's growth, and the Sharpe ratio with its interval."""
    interval = f"[{number(figures.sharpe_low)}, {number(figures.sharpe_high)}]"
    return f"{percent(figures.annual_return)}, {number(figures.sharpe)} {interval}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DATA")
    parser.add_argument("--only", default="", help="names of files, without folder and ending, joined by commas")
    parser.add_argument("--json", action="store_true", help="one document instead of the table")
    options = parser.parse_args()
    walked = walk_all(options.folder, [name for name in options.only.split(",") if name])
    if options.json:
        print(json.dumps([document(w) for w in walked], indent=2))
        return
    titles = ("history", "profile", "symbols", "bars", "years", *BOOKS, "turnover a year", "costs a year")
    print("| " + " | ".join(titles) + " |\n|" + "---|" * len(titles), flush=True)
    for w in walked:
        shown = [cells(figures) for figures in figures_of(w.summary).values()]
        costs = w.summary.costs
        row = [Path(w.history.file).name.partition(".")[0], w.history.profile, str(w.symbols), f"{w.bars:,}"]
        row += [number(w.years, 1), *shown, number(costs.turnover_a_year, 1), percent(costs.of_equity_a_year, 2)]
        print("| " + " | ".join(row) + " |", flush=True)


def document(w: Walked) -> dict[str, Any]:
    """One history for programs."""
    return {"file": w.history.file, "profile": w.history.profile, "summary": w.summary.as_plain()}


if __name__ == "__main__":
    main()
