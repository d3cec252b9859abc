"""`quorum reset`: forget what the desk decided, and if wanted its data, after a backup of everything."""

from __future__ import annotations

from argparse import Namespace

from agents.adapters.database.wipe import wipe_data, wipe_desk
from agents.cli.confirm import confirmed
from agents.cli.screen import Screen
from agents.core.clock import SystemClock
from agents.core.settings import load_settings
from agents.wiring.backup import Occasion, backup
from agents.wiring.connections import connect
from agents.wiring.desk_record import desk_journal


def reset(options: Namespace, screen: Screen) -> int:
    """Nothing is forgotten before a backup is complete and compared, nor while a daemon trades the desk."""
    settings = load_settings(options.settings)
    what = "decisions, accounts, weights and reports" + (", and all bars and series" if options.data else "")
    if not confirmed(options, screen, f"forget this desk's {what}, of which a backup is kept"):
        return 1
    connections = connect(settings, demo=options.demo, say=screen.say)
    try:
        with desk_journal(connections):
            occasion = Occasion(settings, options.demo, SystemClock().now(), screen.say)
            kept = backup(occasion, None, verify=True)["path"]
            wipe_desk(connections.owner)
            if options.data:
                wipe_data(connections.owner)
    finally:
        connections.close()
    line = f"forgotten: {what}; to have them back: quorum restore {kept} --replace"
    screen.result({"forgotten": what, "backup": kept}, line)
    return 0
