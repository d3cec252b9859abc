"""Numbers, money and times as words, in one style for console, mail and page: a true minus, none before a zero,
"12.3 %", and "n/a" where there is no value (None, NaN, infinite).

Only the standard library is imported, so that every command can afford it.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

MISSING = "n/a"
MINUS = "−"
_HYPHEN_OF_A_NUMBER = re.compile(r"(?<![^\s\[(])-(?=\d)")
AGO = ((172800.0, 86400.0, "days"), (5400.0, 3600.0, "h"), (90.0, 60.0, "min"))
"""From so many seconds on, a time is given in units of so many seconds, with this name."""


def money(value: object) -> str:
    """1,234,568 or −1,235."""
    amount = _finite(value)
    return MISSING if amount is None else _with_true_minus(f"{amount:z,.0f}")


def signed_money(value: object) -> str:
    """+1,234 or −1,234."""
    amount = _finite(value)
    return MISSING if amount is None else _with_true_minus(f"{amount:+z,.0f}")


def percent(value: object, digits: int = 1, *, sign: bool = False) -> str:
    """12.3 % of the share 0.123; with `sign` +12.3 %."""
    share = _finite(value)
    return MISSING if share is None else f"{number(100.0 * share, digits, sign=sign)} %"


def number(value: object, digits: int = 2, *, sign: bool = False) -> str:
    """1.23; with `sign` +1.23."""
    amount = _finite(value)
    return MISSING if amount is None else _with_true_minus(f"{amount:{'+' if sign else ''}z.{digits}f}")


def interval(low: object, high: object) -> str:
    """[−0.20, 1.00]; "" where there is none."""
    return "" if low is None else f"[{number(low)}, {number(high)}]"


def significant(value: object, digits: int = 4) -> str:
    """0.1235, 12.35 or 1.235e+06: so many significant digits."""
    amount = _finite(value)
    return MISSING if amount is None else _with_true_minus(f"{amount:.{digits}g}")


def quantity(value: object) -> str:
    """1,234.5 shares or coins, with six digits at most."""
    amount = _finite(value)
    return MISSING if amount is None else _with_true_minus(f"{amount:,.6g}")


def exact(value: Decimal) -> str:
    """A Decimal with all its digits and without trailing zeros."""
    text = f"{value:f}"
    return _with_true_minus(text.rstrip("0").rstrip(".") if "." in text else text)


def cell(value: object) -> str:
    """A value of any kind, for a table of the console: times in UTC, to the minute; floats with four digits."""
    if value is None:
        return MISSING
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, float):
        return _with_true_minus(f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.2f}")
    return str(value)


def ago(moment: datetime | None, at: datetime) -> str:
    """How long before `at` a moment was: "3 h ago", "just now", or "never" where there was none."""
    if moment is None:
        return "never"
    seconds = (at - moment).total_seconds()
    for least, size, unit in AGO:
        if seconds >= least:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"


def literal(text: str) -> str:
    """`text` for a console table or line, with nothing in it taken for colours."""
    return text.replace("[", "\\[")


def sentence(text: str) -> str:
    """ "cost 0.1 Sharpe [-0.2, 0.1]" as a sentence for people: a capital, a full stop, true minuses. Dates, options and
    exponents keep their hyphens."""
    return f"{true_minuses(text[:1].upper() + text[1:])}."


def true_minuses(text: str) -> str:
    """The signs of the numbers in `text`: a minus stands at its beginning, or behind a space or a bracket."""
    return _HYPHEN_OF_A_NUMBER.sub(MINUS, text)


def _finite(value: object) -> float | None:
    if value is None:
        return None
    converted = float(str(value))
    return converted if math.isfinite(converted) else None


def _with_true_minus(text: str) -> str:
    """The sign only: an exponent such as that of 1e-05 keeps its own."""
    return MINUS + text[1:] if text.startswith("-") else text
