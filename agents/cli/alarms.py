"""What `quorum status` says of alarms and of the daemons' signs of life."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from agents.adapters.database.heartbeats import HeartbeatTable
from agents.adapters.database.reader import DeskReader
from agents.cli.screen import rows_table
from agents.core.alarm_types import SILENT_AFTER
from agents.core.meta_types import Alarm, Heartbeat, OpenAlarm
from agents.reports.formatting import ago
from agents.reports.verdict import named, worst_first
from agents.tuning.alarms import absent_daemons

_OPEN = "SELECT kind, subject, severity, detail, opened_at FROM v_alarms WHERE closed_at IS NULL"


def alarms_and_daemons(reader: DeskReader, table: HeartbeatTable, at: datetime) -> dict[str, Any]:
    """The open alarms, worst first, and each daemon's last sign of life. A daemon that does not run at `at` is an alarm
    here also where it is the one that would have raised it."""
    beats = table.all()
    known = [OpenAlarm(opened_at=row.pop("opened_at"), alarm=Alarm(**row)) for row in reader.rows(_OPEN)]
    known_names = sorted(beat.daemon for beat in beats)
    names = {(open_alarm.alarm.kind, open_alarm.alarm.subject) for open_alarm in known}
    absent = [alarm for alarm in absent_daemons(beats, at, SILENT_AFTER) if (alarm.kind, alarm.subject) not in names]
    everything = worst_first([*known, *(OpenAlarm(alarm=alarm, opened_at=at) for alarm in absent)])
    return {
        "alarms": [open_alarm.as_plain() for open_alarm in everything],
        "daemons": [_daemon_row(name, beats, at) for name in dict.fromkeys(("trading", "meta", *known_names))],
    }


def alarm_tables(document: dict[str, Any], *, demo: bool = False) -> list[Table | Text]:
    """Of `alarms_and_daemons`: what is wrong, and who was heard of when; a demo has no daemons."""
    alarms = document["alarms"]
    if demo and not alarms:
        return [Text("Alarms: none (the demo is a replay: no daemon runs, none is missed)")]
    rows = [{"severity": a["severity"], "alarm": named(a["kind"], a["subject"]), "detail": a["detail"]} for a in alarms]
    shown = ("daemon", "state", "heard", "detail")
    return [
        rows_table("Alarms", rows, ("severity", "alarm", "detail")) if rows else Text(_no_alarms(document["daemons"])),
        rows_table("Daemons", document["daemons"], shown),
    ]


def _no_alarms(daemons: Sequence[dict[str, Any]]) -> str:
    """Nobody has looked for most alarms where the meta daemon does not run: that is not the same as none."""
    if any(row["daemon"] != "trading" and row["state"] == "running" for row in daemons):
        return "Alarms: none"
    return "Alarms: none on record, but the meta daemon, which looks for them, does not run (quorum meta)"


def _daemon_row(name: str, beats: Sequence[Heartbeat], at: datetime) -> dict[str, Any]:
    beat = next((beat for beat in beats if beat.daemon == name), None)
    if beat is None:
        return {"daemon": name, "state": "never ran", "heard": "never", "at": None, "detail": ""}
    state = "silent" if beat.is_silent(at, SILENT_AFTER) else beat.state
    return {"daemon": name, "state": state, "heard": ago(beat.at, at), "at": beat.at, "detail": beat.detail}
