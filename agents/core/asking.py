"""Asking an agent: the question, what counts as an answer, and the words of its reasons. The same rules hold where an
agent works inside Quorum's process and where it works in one of its own.

Everything that an agent returns is hostile until it has passed `checked` or `clean_text`: arrays are copied, so that
the agent cannot change them later; words are short and plain, so that no table, terminal or mail minds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agents.core.errors import AgentsError
from agents.core.market import Panel
from agents.core.ports import Agent
from agents.core.types import Signals

Kind = TypeVar("Kind", bound=np.generic)
TEXT_CHARACTERS = 300
"""The longest reason and the longest description of a failure."""
EVIDENCE_NAMES = 100
LATE = "no answer in time"
"""The problem of an agent that did not answer before the deadline."""
ROUNDING = 1e-12
"""A strength or confidence that leaves its range by no more is the rounding of a sum, and is cut to the range; one
that leaves it by more is a mistake, and the agent abstains."""


@dataclass(frozen=True)
class Question:
    """What agents are asked about a panel: every row of it (`whole`), or the newest bar alone, then also why.

    Each asking makes a new one, by which an answer and a written panel are recognised.
    """

    panel: Panel
    whole: bool
    worded: bool = True
    """Reasons may be asked for; else nobody keeps the evidence for them, the larger part of a history's answer."""

    def first_row(self, bars_needed: int) -> int:
        """Where the rows begin that an agent with this memory is shown."""
        return 0 if self.whole else max(0, len(self.panel.time) - bars_needed)

    def answered_shape(self) -> tuple[int, int]:
        """(rows, symbols) of the opinions that are wanted."""
        return (len(self.panel.time) if self.whole else 1, len(self.panel.symbols))

    @cached_property
    def sealed(self) -> Panel:
        """The panel on arrays that nobody can write."""
        return read_only(self.panel)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `signals` of the rows that were asked about, None where `problem` says what was wrong; the
    `reasons` of the newest bar by symbol where they were asked for; and how long the agent thought."""

    signals: Signals | None
    reasons: tuple[str, ...] = ()
    problem: str = ""
    spent_ms: float = 0.0


def read_only(panel: Panel) -> Panel:
    """The same panel on arrays that cannot be written, nor made writable: they lie in immutable bytes, so that no agent
    can change what another sees."""

    return Panel(
        time=_sealed(panel.time),
        symbols=panel.symbols,
        open=_sealed(panel.open),
        high=_sealed(panel.high),
        low=_sealed(panel.low),
        close=_sealed(panel.close),
        volume=_sealed(panel.volume),
        exogenous={name: _sealed(series) for name, series in panel.exogenous.items()},
    )


def _sealed(array: NDArray[Kind]) -> NDArray[Kind]:
    return np.frombuffer(array.tobytes(), dtype=array.dtype).reshape(array.shape)


# ---------------------------------------------------------------- opinions


def checked(answer: object, shape: tuple[int, ...]) -> Signals | str:
    """An agent's answer on arrays of our own, or what is wrong with it: type, shape, dtype, finiteness, range.

    Where the agent abstained its strength and confidence are 0, whatever it wrote there. Evidence is checked, not
    copied: only the agent's own reasons are made of it.
    """
    if type(answer) is not Signals:
        return f"returned {type(answer).__name__} instead of Signals"
    for name, kinds in (("strength", "fiu"), ("confidence", "fiu"), ("abstained", "b")):
        problem = _array_problem(name, getattr(answer, name), shape, kinds)
        if problem:
            return problem
    abstained = answer.abstained.copy()
    values = {}
    for name, low in (("strength", -1.0), ("confidence", 0.0)):
        array = np.array(getattr(answer, name), dtype=np.float64, order="C")
        np.copyto(array, 0.0, where=abstained)
        least, most = (array.min(), array.max()) if array.size else (0.0, 0.0)  # NaN where one of them is
        if not (np.isfinite(least) and np.isfinite(most)):
            return f"{name} is not finite where the agent did not abstain"
        if least < low - ROUNDING or most > 1.0 + ROUNDING:
            return f"{name} leaves [{low:g}, 1]: {least:g} to {most:g}"
        values[name] = array if least >= low and most <= 1.0 else np.clip(array, low, 1.0)
    evidence = answer.evidence
    return _evidence_problem(evidence, shape) or Signals(**values, abstained=abstained, evidence=dict(evidence))


def newest_opinions(agent: Agent, panel: Panel) -> Signals | str:
    """`checked` opinions on the panel's last bar alone, [1, S]; by the agent's own shorter way, where it has one."""
    shorter = getattr(agent, "newest_signals", None)
    if callable(shorter):
        return checked(shorter(panel), (1, len(panel.symbols)))
    answer = checked(agent.signals(panel), panel.close.shape)
    return answer if isinstance(answer, str) else last_row(answer)


def _array_problem(name: str, array: object, shape: tuple[int, ...], kinds: str) -> str:
    if type(array) is not np.ndarray:
        return f"{name} is a {type(array).__name__}, expected an array of shape {shape}"
    if array.shape != shape:
        return f"{name} has shape {array.shape}, expected {shape}"
    if array.dtype.kind not in kinds:
        return f"{name} has dtype {array.dtype}"
    return ""


def _evidence_problem(evidence: object, shape: tuple[int, ...]) -> str:
    if not isinstance(evidence, Mapping):
        return f"evidence is a {type(evidence).__name__}, expected names with arrays"
    if len(evidence) > EVIDENCE_NAMES:
        return f"evidence has {len(evidence)} names, at most {EVIDENCE_NAMES} are taken"
    problems = (_array_problem(f"evidence {name!r}", array, shape, "fiub") for name, array in evidence.items())
    return next((problem for problem in problems if problem), "")


def silence(shape: tuple[int, ...]) -> Signals:
    """Abstention everywhere."""
    return Signals(strength=np.zeros(shape), confidence=np.zeros(shape), abstained=np.ones(shape, dtype=bool))


def last_row(signals: Signals) -> Signals:
    """The opinions on the newest bar alone, [1, S]."""
    return Signals(
        strength=signals.strength[-1:],
        confidence=signals.confidence[-1:],
        abstained=signals.abstained[-1:],
        evidence={name: values[-1:] for name, values in signals.evidence.items()},
    )


# ---------------------------------------------------------------- words


def reasons_of(agent: Agent, signals: Signals, row: int) -> tuple[str, ...]:
    """Why the agent said what it did of each symbol at one row; an agent without wording gets its numbers.

    Raises what the agent raises, and TypeError where its words are no text.
    """
    word = getattr(agent, "reason_of", None)
    return tuple(
        _worded(word(signals, row, column)) if callable(word) else _numbers(signals, row, column)
        for column in range(signals.strength.shape[1])
    )


def _worded(reason: object) -> str:
    if type(reason) is not str:
        raise TypeError(f"reason_of returned {type(reason).__name__} instead of a text")
    return clean_text(reason)


def _numbers(signals: Signals, row: int, column: int) -> str:
    if signals.abstained[row, column]:
        return "abstains"
    return f"strength {signals.strength[row, column]:+.2f}, confidence {signals.confidence[row, column]:.2f}"


def clean_text(text: str) -> str:
    """One line of at most TEXT_CHARACTERS printable characters: no NUL, line feeds, escape codes or half characters."""
    begin = text[: 4 * TEXT_CHARACTERS]
    if begin.isprintable():
        return " ".join(begin.split())[:TEXT_CHARACTERS]
    return " ".join("".join(c if c.isprintable() else " " for c in begin).split())[:TEXT_CHARACTERS]


def problem_of(error: BaseException) -> str:
    """What an agent raised, in a clean line; its own wording may fail too."""
    try:
        words = str(error)
    except BaseException:  # anything may happen in a user's __str__
        words = "an error that cannot be worded"
    if isinstance(error, AgentsError):
        return clean_text(words)  # ours are whole sentences
    return clean_text(f"{type(error).__name__}: {words}".removesuffix(": "))
