"""`quorum verify`: is the record of the desk what was recorded?"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from agents.cli.screen import Screen, rows_table
from agents.core.clock import SystemClock
from agents.core.settings import load_settings
from agents.wiring.connections import connect_to_read
from agents.wiring.integrity import check_record

CHANGED = 1
"""The exit status where a row differs."""
SHOWN = 50


def verify(options: Namespace, screen: Screen) -> int:
    """Compute every link of the journal's chain again; names the rows that differ."""
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
        screen.result(document, f"{document['links']:,} links, up to {report.to_seq:,} ({head}): nothing was changed")
        return 0
    shown = rows_table("Not what was recorded", differences[:SHOWN], ("table", "key", "problem"))
    more = f"and {len(differences) - SHOWN} more; --json lists all" if len(differences) > SHOWN else ""
    said = f"accepted: {report.accepted}" if report.accepted else ""
    screen.result(document, shown, *(line for line in (more, said) if line))
    return 0 if report.accepted else CHANGED
