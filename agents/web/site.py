"""What every page has at hand, and how a page is made of a template."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from agents.core.errors import UsageError
from agents.reports import formatting
from agents.web.access import Access
from agents.web.snapshots import Snapshots
from agents.wiring.dashboard import DeskView

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "web"
STATIC = Path(__file__).parent / "static"
DIGITS = 15
WORDS = ("money", "signed_money", "percent", "number", "interval", "significant", "quantity", "cell", "ago")


@dataclass(frozen=True, slots=True)
class Site:
    """One desk's pages."""

    view: DeskView
    snapshots: Snapshots
    access: Access

    @property
    def desk(self) -> str:
        """The desk's name, as pages show it."""
        return "demo" if self.view.demo else self.view.settings.desk.name


Query = Mapping[str, str]
"""What stands behind the question mark of an address."""


def whole_number(text: str, name: str) -> int:
    """A number of an address, such as ?version=12; UsageError for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise UsageError(f"{name}={text[:20]}: expected a whole number")
    return int(text)


class Page(NamedTuple):
    """A page: its address, name, template, and what it places there."""

    path: str
    title: str
    template: str
    read: Callable[[Site, Query], dict[str, Any]]


def rendered(site: Site, template: str, **placed: Any) -> str:
    """The HTML of a template."""
    general = {"desk": site.desk, "demo": site.view.demo, "problem": site.snapshots.problem}
    return _environment().get_template(template).render(general | placed)


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update({name: getattr(formatting, name) for name in WORDS})
    made.globals["static"] = {file.name: f"/static/{file.name}?{_digest(file)}" for file in STATIC.iterdir()}
    return made


def _digest(file: Path) -> str:
    """Changes with the file, so that a browser keeps no old one."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]
