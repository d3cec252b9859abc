"""`quorum import-bars` and `import-series`: files into the desk's database."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from agents.adapters.database.engine import Row
from agents.adapters.database.stored_data import StoredData
from agents.adapters.files.series_files import SeriesFile
from agents.cli.options import columns_of
from agents.cli.screen import Screen, rows_table
from agents.cli.stored_data import without_bars
from agents.core.clock import SystemClock
from agents.core.errors import AgentsError
from agents.core.settings import Settings, load_settings
from agents.wiring import imports
from agents.wiring.connections import Connections, connect

BAD_ROWS_SHOWN = 20
REPORT_COLUMNS = ("file", "loaded", "equal", "corrected", "quarantined", "not_closed", "rows_per_second")


def import_bars(options: Namespace, screen: Screen) -> int:
    """Every file by itself: one that cannot be read does not stop the others, but the exit status is 1."""
    settings = load_settings(options.settings)
    columns = columns_of(options.map)
    connections = connect(settings, demo=False, say=screen.say)
    try:
        reports = [_import_one(settings, connections, file, columns, screen) for file in options.files]
    finally:
        connections.close()
    counted = [{**report, "quarantined": len(report["quarantined"])} for report in reports if not report["error"]]
    tables = [rows_table("Bars", counted, REPORT_COLUMNS)]
    bad = [{"file": report["file"], **row} for report in reports for row in report["quarantined"]]
    if bad:
        more = "" if len(bad) <= BAD_ROWS_SHOWN else f" ({BAD_ROWS_SHOWN} of {len(bad)}; all: quorum data quarantine)"
        bad_columns = ("file", "row", "reason", "content")
        tables.append(rows_table("Quarantined rows" + more, bad[:BAD_ROWS_SHOWN], bad_columns))
    screen.result(reports, *tables)
    return 1 if any(report["error"] for report in reports) else 0


def _import_one(
    settings: Settings, connections: Connections, file: Path, columns: dict[str, str], screen: Screen
) -> Row:
    clock = SystemClock()
    started_s = clock.monotonic_s()
    screen.say(f"reading {file}")
    try:
        report = imports.import_bars(settings, connections, file, columns)
    except AgentsError as error:
        screen.err.print(f"quorum: {error}", markup=False)
        return {"file": str(file), "error": str(error), "quarantined": []}
    rows = report.loaded + report.equal + len(report.quarantined) + len(report.corrections)
    return {
        "file": str(file),
        "loaded": report.loaded,
        "equal": report.equal,
        "corrected": len(report.corrections),
        "not_closed": report.not_closed,
        "splits_inferred": report.splits_inferred,
        "rows_per_second": round(rows / max(clock.monotonic_s() - started_s, 1e-9)),
        "quarantined": [{"row": b.row_number, "reason": b.reason, "content": b.content} for b in report.quarantined],
        "error": "",
    }


def import_series(options: Namespace, screen: Screen) -> int:
    """On-chain figures, fear-and-greed indexes, or dated texts, which are scored."""
    columns = columns_of(options.map)
    settings = load_settings(options.settings)
    connections = connect(settings, demo=False, say=screen.say)
    lag = timedelta(hours=options.lag_hours)
    rows: list[Row] = []
    try:
        for path in options.files:
            file = SeriesFile(path=path, columns=columns, symbol=options.symbol)
            report = imports.import_series(settings, connections, file, lag=lag, texts=options.texts)
            rows.append({**asdict(report), "names": ", ".join(report.names)})
        lonely = StoredData(connections.trader).series_without_bars()
    finally:
        connections.close()
    if lonely:
        screen.say(without_bars(lonely))
    screen.result(rows, rows_table("Series", rows, ("file", "names", "stored", "known", "left_out")))
    return 0
