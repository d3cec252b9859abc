"""`quorum agent new`: a strategy of a user's own that works at once."""

from __future__ import annotations

import re
from argparse import Namespace

from rich.text import Text

from agents.adapters.own.templates import file_name, template
from agents.cli.screen import Screen
from agents.core.errors import UsageError
from agents.core.own_folder import NAME, read_folder
from agents.core.own_strategies import Kind
from agents.core.profiles import OURS
from agents.core.settings import load_settings

NEXT = "change it, then: quorum agent check {file}. It trades from the desk's next start on"
NEXT_RETURNS = "change it, then: quorum agent check {file}. It gets an advised weight and is never traded"


def new(options: Namespace, screen: Screen) -> None:
    """Write the template of a kind into the folder; UsageError for a name that is taken or none."""
    kind, name, agents = Kind(options.kind), options.name, load_settings(options.settings).agents
    if not re.fullmatch(NAME, name):
        raise UsageError(f"agent new: '{name}' is no name for an agent: letters, digits, _ and - only")
    if name in OURS or name in agents.own or name in agents.external:
        raise UsageError(f"agent new: an agent named {name} is there already; choose another name")
    file = agents.folder / file_name(kind, name)
    if file.exists() or name in read_folder(agents.folder).agents:
        raise UsageError(f"agent new: {file} is there already; choose another name")
    try:
        agents.folder.mkdir(parents=True, exist_ok=True)
        file.write_text(template(kind, name, str(file)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"agent new: {file} cannot be written: {error.strerror or error}") from None
    said = (NEXT_RETURNS if kind is Kind.RETURNS else NEXT).format(file=file)
    screen.result({"agent": name, "kind": str(kind), "file": str(file)}, f"wrote {file}", Text(said))
