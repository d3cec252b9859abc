"""`quorum backup` and `quorum restore`: the desk's database as a file, and back."""

from __future__ import annotations

from argparse import Namespace

from agents.cli.screen import Screen
from agents.core.clock import SystemClock
from agents.core.settings import load_settings
from agents.wiring import backup as wiring


def backup(options: Namespace, screen: Screen) -> int:
    """One moment of the desk's database, while it trades; by default restored beside it and compared."""
    made = wiring.backup(_occasion(options, screen), options.file, verify=not options.no_verify)
    rows = sum(made["rows"].values())
    checked = "restored beside it and found equal" if made["verified"] else "not verified"
    screen.result(
        made,
        f"{made['path']}: {made['bytes'] / 1e6:,.1f} MB, {rows:,} rows, up to the decision of"
        f" {made['newest_decision'] or 'never'}; {checked}",
    )
    return 0


def restore(options: Namespace, screen: Screen) -> int:
    """The desk's database from a backup; what was there is kept as a backup of its own."""
    done = wiring.restore(_occasion(options, screen), options.file, replace=options.replace)
    kept = f"; what was there is kept in {done['kept']}" if done["kept"] else ""
    screen.result(done, f"{done['database']}: up to the decision of {done['newest_decision'] or 'never'}{kept}")
    return 0


def _occasion(options: Namespace, screen: Screen) -> wiring.Occasion:
    return wiring.Occasion(load_settings(options.settings), options.demo, SystemClock().now(), screen.say)
