"""`quorum verify`: is the record of the desk what was recorded?"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from rich.text import Text

from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.settings import load_settings
from agents.wiring.connections import connect_to_read
from agents.wiring.integrity import check_record

CHANGED = 1
"""The exit status where a row differs."""
SHOWN = 50


def verify(options: Namespace, screen: Screen) -> int:
    """Compute every seal of the record again; names the rows that differ."""
    connections = connect_to_read(load_settings(options.settings), demo=options.demo, say=screen.say)
    try:
        now = SystemClock().now()
        report = check_record(connections.trader, now, whole=not options.new, accepted=options.accept)
    finally:
        connections.close()
    differences = [asdict(difference) for difference in report.differences]
    document = {
        "links": report.to_seq - report.from_seq,
        "head": {"link": report.to_seq, "digest": report.digest.hex()},
        "differences": differences,
        "accepted": report.accepted,
    }
    if not differences:
        head = report.digest.hex()[:16]
        checked = f"the {document['links']:,} newest of" if options.new else "all"
        intact = Text(
            f"Nothing was changed: {checked} {report.to_seq:,} entries on record, each sealed with all before it, are"
            f" what was recorded. The newest seal is {head}...; noted elsewhere, it shows that nobody made all anew."
        )
        screen.result(document, intact if report.to_seq else Text("Nothing is on record yet."))
        return 0
    shown = rows_table("Rows that are not what was recorded", differences[:SHOWN], ("table", "key", "problem"))
    more = f"and {len(differences) - SHOWN} more; --json lists all" if len(differences) > SHOWN else ""
    way_out = "the desk does not trade on; restore a backup, or go on with them: quorum verify --accept REASON"
    said = f"accepted: {report.accepted}" if report.accepted else way_out
    screen.result(document, shown, *(line for line in (more, said) if line))
    return 0 if report.accepted else CHANGED
