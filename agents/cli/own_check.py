"""`quorum agent check`: one page about a strategy of a user's own, before it trades."""

from __future__ import annotations

from argparse import Namespace
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from agents.adapters.own.notes import notes_of
from agents.cli.history import OpenHistory, open_history
from agents.cli.screen import Screen, new_table
from agents.core.errors import UsageError
from agents.core.own_strategies import Kind, Strategy, name_of, strategy_of
from agents.core.profiles import OURS
from agents.core.settings import load_settings
from agents.pipeline.market import panel_of
from agents.quant.measures import plain
from agents.reports.formatting import interval, number, percent
from agents.wiring.own_check import ASKED_TWICE, Checked, Said, Speed, Worth, check_strategy

PASSED, FAILED = 0, 1
SURVIVORS = "the demo's five stocks are survivors, picked by hindsight: whatever is long looks good on them"


def check(options: Namespace, screen: Screen) -> int:
    """The command; exit status 1 where anything is wrong with the strategy."""
    file: Path = options.file.expanduser()
    if not file.is_file():
        raise UsageError(f"{file}: no such file")
    if name_of(file) in OURS:
        raise UsageError(f"{file}: an agent that comes with Quorum is named {name_of(file)}; rename the file")
    strategy = strategy_of(file)
    options.demo = options.demo or options.bars is None
    with ExitStack() as stack:
        opened = open_history(options, load_settings(options.settings), stack, screen, {})
        notes = notes_of(strategy, opened.settings.data.interval)
        if strategy.kind is Kind.RETURNS:
            from agents.cli.own_returns import check_returns

            return check_returns(file, opened, screen)
        page = _checked(file, opened, screen)
    if options.demo and page.worth is not None:
        notes.append(SURVIVORS)
    screen.result(_plain(page, strategy, notes), *_shown(page, strategy, notes))
    return FAILED if page.problem or page.offences or page.differs else PASSED


def _checked(file: Path, opened: OpenHistory, screen: Screen) -> Checked:
    panel = panel_of(opened.bars())
    screen.say(f"asking {file.name} about {len(panel.time):,} bars of {len(panel.symbols)} symbols")
    with ExitStack() as stack:
        return check_strategy(file, opened.settings, opened.history, panel, screen.progress(stack, "look-ahead"))


def _plain(page: Checked, strategy: Strategy, notes: list[str]) -> dict[str, Any]:
    """For programs: the page as it is."""
    offences = [
        {"check": o.check, "time": o.time.isoformat() if o.time else None, "symbol": o.symbol, "detail": o.detail}
        for o in page.offences
    ]
    worth = None if page.worth is None else {name: _figures(value) for name, value in page.worth._asdict().items()}
    return {
        "agent": page.name,
        "kind": str(strategy.kind),
        "ok": not (page.problem or page.offences or page.differs),
        "problem": page.problem,
        "bars": page.bars,
        "bars_needed": page.bars_needed,
        "lookahead": offences,
        "differs": [*page.differs],
        "said": None if page.said is None else page.said._asdict(),
        "speed": None if page.speed is None else page.speed._asdict(),
        "worth": worth,
        "notes": notes,
    }


def _figures(value: Any) -> Any:
    return plain(value if isinstance(value, float) else asdict(value))


# ---------------------------------------------------------------- for people


def _shown(page: Checked, strategy: Strategy, notes: list[str]) -> list[Table | Text]:
    table = new_table(f"{page.name}: {strategy.kind}, remembers {page.bars_needed:,} bars, tried on {page.bars:,}")
    table.add_column("what")
    table.add_column("", no_wrap=True)
    table.add_column("in words")
    for row in _rows(page):
        table.add_row(*row)
    lines = [Text(f"note: {note}") for note in notes]
    if page.worth is not None:
        lines.append(Text(_sentence(page.worth)))
    return [table, *lines]


def _rows(page: Checked) -> list[tuple[str, str, str]]:
    if page.problem and page.speed is None:
        return [("answer", "FAILS", page.problem)]
    assert page.speed is not None and page.said is not None, "it answered"
    rows = [
        ("answer", "ok", f"the newest bar in {page.speed.newest_ms:.0f} ms"),
        ("positions", percent(page.said.long, 0), _positions(page.said)),
        ("look-ahead", *_lookahead(page)),
        (
            "same answers",
            "FAILS" if page.differs else "ok",
            "; ".join(page.differs) or "again, elsewhere, turned round",
        ),
        ("speed", f"{page.speed.ns_a_bar:,.0f} ns", _speed(page.speed)),
    ]
    if page.problem:
        rows.append(("replay", "FAILS", page.problem))
    elif page.worth is None:
        rows.append(("replay", "not tried", "of what looks ahead or never says the same, a replay would tell nothing"))
    if page.worth is not None:
        rows += _worth_rows(page.worth)
    return rows


def _lookahead(page: Checked) -> tuple[str, str]:
    if ASKED_TWICE in page.differs:
        return "not tried", "what never says the same cannot be asked with less"
    if not page.offences:
        tried = page.bars_needed <= page.bars
        alone = ", and from its memory alone" if tried else "; its memory is longer than this history"
        return "ok", f"says the same without the future{alone}"
    first = page.offences[0]
    time = f"{first.time:%Y-%m-%d %H:%M} {first.symbol}: " if first.time else ""
    words = {
        "prefix": "it looks ahead",
        "poison": "it looks ahead",
        "start": "it hangs on where its data begin: give it more bars_needed",
        "years": "it knows the year, by heart or from data of its own",
        "answer": "it gives no answer",
    }
    return "FAILS", f"{words[first.check]}: {time}{first.detail}"


def _positions(said: Said) -> str:
    """How much there was to look at."""
    if not said.long and not said.short:
        return "long; it never took a position on this history, so little was tried of it"
    return f"long, {percent(said.short, 0)} short, {percent(said.silent, 0)} without an opinion"


def _speed(speed: Speed) -> str:
    """Beside the quickest and the slowest of ours."""
    named = sorted(speed.ours, key=lambda name: speed.ours[name])
    if not named:
        return "a bar of a symbol"
    quick, slow = named[0], named[-1]
    return f"a bar of a symbol; ours {speed.ours[quick]:,.0f} ({quick}) to {speed.ours[slow]:,.0f} ({slow})"


def _worth_rows(worth: Worth) -> list[tuple[str, str, str]]:
    alone, hold, added = worth.alone, worth.hold, worth.added
    return [
        (
            "alone: Sharpe",
            number(alone.sharpe),
            f"{interval(alone.sharpe_low, alone.sharpe_high)}; hold {number(hold.sharpe)}",
        ),
        ("a year", percent(alone.annual_return), f"hold {percent(hold.annual_return)}"),
        ("worst fall", percent(alone.max_drawdown), f"hold {percent(hold.max_drawdown)}"),
        (
            "turnover a year",
            number(worth.turnover_a_year, 1),
            f"costs {percent(worth.costs_a_year, 2)} of equity a year",
        ),
        (
            "adds to the desk",
            percent(added.return_a_year, sign=True),
            f"a year, 90 % {percent(added.return_low, sign=True)} to {percent(added.return_high, sign=True)};"
            f" Sharpe {number(added.sharpe_difference, sign=True)}",
        ),
    ]


def _sentence(worth: Worth) -> str:
    """What it comes to."""
    return (
        f"Beside our agents at equal weights, {worth.added.verdict} ({worth.added.days_differing:,} days). One history"
        " tried once more is no proof: the desk gives it a weight by what it does from now on."
    )
