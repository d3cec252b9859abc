"""What options mean that several commands have: times, pairs, lists of names; and what a shell completes for them.

Nothing large is imported: help and completion are for everyone who waits at a prompt.
"""

from __future__ import annotations

import re
import tomllib
from argparse import Action, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from agents.core.errors import UsageError
from agents.core.profiles import OURS
from agents.core.symbols import is_symbol

METHODS = ("adaptive", "max_sharpe", "min_variance", "risk_parity", "inverse_volatility", "hrp", "equal")
"""How weights may be tuned; a test holds this equal to `agents.quant.allocation.Method`, which is slow to import."""
JOBS = ("performance_analyzer", "weight_optimizer", "parity_check", "project_manager")
"""The meta plane's jobs; a test holds this equal to theirs."""
INTERVALS = ("1m", "5m", "15m", "30m", "1h", "4h", "1d")
"""Of bars; a test holds this equal to the settings' ones."""
LENGTH_OF_A_DATE = len("2008-10-10")
MOST_MONEY = Decimal(10) ** 15
"""Above it no float knows the cents."""
DESKS_FOLDER = Path("desks")
"""Where the settings of desks with a name lie, beside quorum.toml."""
DESK_NAME = "[a-z0-9_-]{1,16}"
"""As `desk.name` allows it."""


def add_demo(parser: ArgumentParser) -> None:
    """Adds --demo: the command is about the demo's database."""
    parser.add_argument("--demo", action="store_true", help="about the demo instead of the desk")


def moment(text: str) -> datetime:
    """A time in UTC where no zone is given; a date means its beginning."""
    try:
        time_given = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"'{text}' is no ISO 8601 time such as 2008-10-10 or 2008-10-10T14:30") from None
    return time_given.replace(tzinfo=UTC) if time_given.tzinfo is None else time_given.astimezone(UTC)


def moment_after(text: str) -> datetime:
    """As `moment`; a date means its end."""
    time_given = moment(text)
    return datetime.combine(time_given.date(), time.max, UTC) if len(text) <= LENGTH_OF_A_DATE else time_given


def desk_name(text: str) -> str:
    """A name for a desk."""
    if not re.fullmatch(DESK_NAME, text):
        raise ArgumentTypeError(f"'{text}' is no name for a desk: up to 16 of a-z, 0-9, _ and -")
    return text


def desk_settings(name: str) -> Path:
    """The settings file of a desk with a name."""
    return DESKS_FOLDER / f"{name}.toml"


def desk_file(text: str) -> Path:
    """The settings file of a desk that there is."""
    file = desk_settings(desk_name(text))
    if not file.exists():
        raise ArgumentTypeError(f"there is no {file}; make it: quorum desk new {text}")
    return file


def days(text: str) -> int:
    """A whole number of days."""
    if not text.isdigit():
        raise ArgumentTypeError(f"'{text}' is no number of days")
    return int(text)


def port(text: str) -> int:
    """A port of this machine."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ArgumentTypeError(f"'{text}' is no port from 1 to 65535")
    return int(text)


def amount(text: str) -> float:
    """A positive amount of money."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (0 < value < float("inf")):
        raise ArgumentTypeError(f"'{text}' is no amount such as 1000")
    return value


def exact_amount(text: str) -> Decimal:
    """A positive amount of money, as it is written."""
    value = signed_amount(text)
    if value < 0:
        raise ArgumentTypeError(f"'{text}' is no amount such as 1000 or 250.50")
    return value


def signed_amount(text: str) -> Decimal:
    """An amount of money, as it is written, not 0, with at most eight decimals."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value == 0 or value != round(value, 8) or abs(value) >= MOST_MONEY:
        raise ArgumentTypeError(f"'{text}' is no amount such as 1000 or 250.50")
    return value


def share(text: str) -> Decimal:
    """A part of a whole, less than all of it."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not (value.is_finite() and 0 < value < 1):
        raise ArgumentTypeError(f"'{text}' is no share between 0 and 1, such as 0.2")
    return value


def names(text: str) -> tuple[str, ...]:
    """A,B as a tuple."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def symbol(text: str) -> str:
    """A symbol such as AAPL or BTC/USDT."""
    if not is_symbol(text):
        raise ArgumentTypeError(f"{text!r} is no symbol such as AAPL or BTC/USDT")
    return text


def symbols(text: str) -> tuple[str, ...]:
    """A,B as a tuple of symbols."""
    return tuple(symbol(name) for name in names(text))


def weights_by_agent(text: str) -> dict[str, float]:
    """A=0.4,B=0.6 as a dictionary."""
    weights: dict[str, float] = {}
    for pair in names(text):
        name, _, value = pair.partition("=")
        try:
            weights[name] = float(value)
        except ValueError:
            raise ArgumentTypeError(f"'{pair}' is no AGENT=WEIGHT such as TrendFollower=0.4") from None
    return weights


def columns_of(pairs: list[str]) -> dict[str, str]:
    """The values of --map, OURS=THEIRS: a column's name here -> its name in the files."""
    columns = {}
    for pair in pairs:
        ours, sign, theirs = pair.partition("=")
        if not (ours and sign and theirs):
            raise UsageError(f"--map {pair}: expected OURS=THEIRS, for example close=Last")
        columns[ours] = theirs
    return columns


# ---------------------------------------------------------------- for the shell's completion


def completed_by(action: Action, completer: Callable[..., list[str]]) -> None:
    """A shell offers what `completer` returns; without one it offers the choices, else files."""
    action.completer = completer  # type: ignore[attr-defined]  # argcomplete looks for this attribute


def nothing(**_: Any) -> list[str]:
    """For a value that only the user knows."""
    return []


def desk_names(**_: Any) -> list[str]:
    """The desks with names of their own."""
    return sorted(file.stem for file in DESKS_FOLDER.glob("*.toml"))


def job_names(**_: Any) -> list[str]:
    """The meta plane's jobs."""
    return list(JOBS)


def agent_names(prefix: str = "", **_: Any) -> list[str]:
    """Names of the registry's agents; behind a comma those that are not on the list yet."""
    before = prefix[: prefix.rfind(",") + 1]
    return [before + name for name in OURS if name not in names(before)]


def agents_to_weigh(prefix: str = "", **_: Any) -> list[str]:
    """The same with what follows a name in A=W,B=W."""
    before = prefix[: prefix.rfind(",") + 1]
    weighted = [pair.partition("=")[0] for pair in names(before)]
    return [f"{before}{name}=" for name in OURS if name not in weighted]


def add_changes(parser: ArgumentParser, examples: str) -> None:
    """The option --set, which `changed` reads."""
    text = f"change a setting, as in {examples}; repeat for more"
    setting = parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help=text)
    completed_by(setting, nothing)


def changed(pairs: Sequence[str]) -> dict[str, Any]:
    """What --set asks for, by key such as "tuning.cap"; UsageError for what is no pair."""
    changes: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise UsageError(f"--set {pair}: expected KEY=VALUE such as tuning.cap=0.3")
        changes[key.strip()] = _toml_value(value)
    return changes


def _toml_value(text: str) -> Any:
    """A TOML value, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
