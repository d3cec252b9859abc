"""`quorum desk`: the desks of this machine, each with a settings file, a database and bars of its own."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from sqlalchemy.exc import ProgrammingError

from agents.adapters.database.engine import Row
from agents.adapters.database.heartbeats import HeartbeatTable
from agents.adapters.database.reader import DeskReader
from agents.cli.options import DESKS_FOLDER, desk_settings
from agents.cli.screen import Screen, rows_table
from agents.core.errors import AgentsError, ServiceError, UsageError
from agents.core.settings import load_settings, settings_path
from agents.reports.formatting import money
from agents.wiring.connections import connect_as_it_is

SETTINGS = """# The desk {name}. Every key is in quorum.toml.example; what is not here has its default.
{state}log_folder = "logs/{name}"

[desk]
name = "{name}"    # part of every order's id: no two desks at one broker have the same
profile = "{profile}"

[database]
name = "{database}"    # on the embedded server, which all desks share

[data]
feed_folder = "bars/{name}"
"""
NEXT = """Say there what its bars mean ([data]), then, with --desk {name} for every command about this desk:
  quorum import-bars history/*.csv.gz --desk {name}
  ./start_trading.sh --desk {name}
  ./start_meta_agents.sh --desk {name}"""
FIGURES = """
SELECT (SELECT count(*) FROM decisions) AS decisions,
       (SELECT equity FROM decisions ORDER BY time DESC LIMIT 1) AS equity
"""


def desk(options: Namespace, screen: Screen) -> int:
    """Both actions."""
    if options.action == "new":
        _new(options, screen)
    else:
        _list(screen)
    return 0


def _new(options: Namespace, screen: Screen) -> None:
    """Write the settings of another desk; UsageError where its file or its database is another desk's."""
    name, file = options.name, desk_settings(options.name)
    database = "quorum_" + name.replace("-", "_")
    if file.exists():
        raise UsageError(f"desk new: {file} is there already; choose another name")
    taken = {each["name"]: each["database"] for each in map(_plain, _files()) if each["database"]}
    for other, theirs in taken.items():
        if theirs == database:
            raise UsageError(f"desk new: the desk {other} has the database {database}; choose another name")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        told = SETTINGS.format(name=name, profile=options.profile, database=database, state=_shared_state())
        file.write_text(told, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"desk new: {file} cannot be written: {error.strerror or error}") from None
    screen.result({"desk": name, "settings": str(file), "database": database}, f"wrote {file}", NEXT.format(name=name))


def _shared_state() -> str:
    """The line that puts this desk on the embedded server of the first one, where that is not in its usual place."""
    state_dir = load_settings(None).state_dir
    return f"state_dir = {str(state_dir.resolve())!r}    # with the embedded server of all desks\n" if state_dir else ""


def _list(screen: Screen) -> None:
    rows = [_state(file) for file in _files()]
    shown = [{**row, "equity": money(row["equity"]) if row["equity"] is not None else None} for row in rows]
    columns = ("name", "settings", "database", "state", "decisions", "equity")
    screen.result(rows, rows_table("Desks of this machine", shown, columns))


def _files() -> list[Path]:
    """The settings file of each desk, that of the one that needs no name first."""
    return [settings_path(None), *(path for path in sorted(DESKS_FOLDER.glob("*.toml")) if path != settings_path(None))]


def _plain(file: Path) -> Row:
    """What its settings say of a desk; where they are wrong, what is wrong is its state."""
    row = {"settings": str(file), "state": None, "decisions": None, "equity": None}
    try:
        settings = load_settings(file if file.exists() else None)
    except AgentsError as error:
        return {"name": file.stem, "database": None, **row, "state": str(error).splitlines()[0]}
    database = settings.database.name if settings.database_url is None else "of DATABASE_URL"
    return {"name": settings.desk.name, "database": database, **row}


def _state(file: Path) -> Row:
    """The same with what the desk's database says, if there is one."""
    row = _plain(file)
    if row["state"] is not None:
        return row
    try:
        connections = connect_as_it_is(load_settings(file if file.exists() else None))
    except ServiceError as error:
        return row | {"state": str(error)}
    try:
        reader, beats = DeskReader(connections.trader), HeartbeatTable(connections.trader).all()
        beat = next((beat for beat in beats if beat.daemon == "trading"), None)
        state = f"{beat.state}, last seen {beat.at:%Y-%m-%d %H:%M} UTC" if beat else "never traded"
        return row | {"state": state, **reader.rows(FIGURES)[0]}
    except ProgrammingError:
        return row | {"state": "never traded"}
    except ServiceError as error:
        missing = "does not exist" in str(error)
        return row | {"state": "never traded" if missing else str(error)}
    finally:
        connections.close()
