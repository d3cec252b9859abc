"""series -> SVG for a page: the same in light and dark, wide and on a phone. Pure.

Lines lie in a box that stretches with the page; labels stand at shares of its width and keep their size. Colours are
classes of the page's style sheet, so no picture has to be drawn for the dark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from agents.core.types import Floats, Times
from agents.reports.formatting import number, percent

HEIGHT = 200
BOTTOM, TOP = 22, 8
"""Room for labels, in pixels; that on the left is the style sheet's."""
WIDTH = 1000
"""Of the box that stretches."""
POINTS = 700
"""More of them no screen tells apart."""
MOST_DATES = 5
DAY_US = 86_400_000_000

Words = Callable[[float], str]
"""The label of a value."""


class Line(NamedTuple):
    """A series of a chart: what its legend says, its class in the style sheet, and values [T], NaN where none is."""

    name: str
    style: str
    values: Floats


def line_chart(time: Times, lines: Sequence[Line], words: Words, *, area: str = "", label: str = "") -> str:
    """Lines over time [T], the first one on top of the others; the one named `area` is filled down to 0. "" where there
    are fewer than two points. `label` is read to whoever does not see it."""
    if len(time) < 2:
        return ""
    kept = _thinned(len(time))
    x = _places(time)[kept]
    shown = [Line(line.name, line.style, line.values[kept]) for line in lines]
    values = np.concatenate([line.values for line in shown])
    low, high = _bounds(values, with_zero=bool(area))
    parts = []
    for line in reversed(shown):
        y = _heights(line.values, low, high)
        if line.name == area:
            parts.append(_area(x, y, float(_heights(np.zeros(1), low, high)[0]), line.style))
        parts.append(f'<path class="line {line.style}" d="{_path(x, y)}"/>')
    return _framed(_levels(low, high), _dates(time), "".join(parts), words, label) + _legend(shown)


def stack_chart(time: Times, shares: Mapping[str, Floats], *, label: str = "") -> str:
    """Shares [T] on top of each other as steps, which sum to 1 at most; "" where there are fewer than two points."""
    if len(time) < 2:
        return ""
    x, parts, below = _places(time), [], np.zeros(len(time))
    for k, (name, share) in enumerate(shares.items()):
        above = below + np.nan_to_num(share)
        upper, lower = (_heights(edge, 0.0, 1.0) for edge in (above, below))
        stepped = np.repeat(x, 2)[1:]
        outline = [f"{a:.1f},{b:.1f}" for a, b in zip(stepped, np.repeat(upper, 2)[:-1], strict=True)]
        back = [f"{a:.1f},{b:.1f}" for a, b in zip(stepped[::-1], np.repeat(lower, 2)[:-1][::-1], strict=True)]
        parts.append(f'<path class="area {agent_style(k)}" d="M{"L".join(outline + back)}Z"/>')
        below = above
        del name
    levels = ((0.0, 0.25, 0.5, 0.75, 1.0), 0.0, 1.0)
    frame = _framed(levels, _dates(time), "".join(parts), lambda v: percent(v, 0), label)
    return frame + _legend([Line(name, agent_style(k), below) for k, name in enumerate(shares)])


def interval_chart(rows: Sequence[tuple[str, float, float, float]], *, label: str = "") -> str:
    """A row for each (name, middle, low, high): a dot with its interval, around 0; coloured where that leaves 0 out."""
    if not rows:
        return ""
    ends = np.array([value for _, *values in rows for value in values] + [0.0])
    levels, low, high = _levels(*_bounds(ends, with_zero=True))
    step, top = 26, 6
    height = top + step * len(rows) + BOTTOM

    def place(value: float) -> str:
        return f"{34.0 + 64.0 * (value - low) / (high - low):.2f}%"

    parts = []
    for level in levels:
        zero = " zero" if level == 0.0 else ""
        parts.append(
            f'<line class="grid{zero}" x1="{place(level)}" x2="{place(level)}" y1="{top}" y2="{height - BOTTOM}"/>'
            f'<text class="tick" x="{place(level)}" y="{height - 6}" text-anchor="middle">{number(level, 1)}</text>'
        )
    for row, (name, middle, least, most) in enumerate(rows):
        y = top + step * row + step / 2
        style = "good" if least > 0.0 else "bad" if most < 0.0 else "open"
        parts.append(
            f'<text class="name" x="0" y="{y + 4:.1f}">{escape(name)}</text>'
            f'<line class="bar {style}" x1="{place(least)}" x2="{place(most)}" y1="{y}" y2="{y}"/>'
            f'<circle class="dot {style}" cx="{place(middle)}" cy="{y}" r="4.5"/>'
        )
    return f'<svg class="chart" role="img" aria-label="{escape(label)}" height="{height}">{"".join(parts)}</svg>'


def calibration_chart(agents: Mapping[str, Sequence[tuple[float, float]]], *, label: str = "") -> str:
    """For each agent (stated, came true) from 0 to 1 as a line; what is stated rightly lies on the dashed one."""
    if not agents:
        return ""
    levels = (0.0, 0.25, 0.5, 0.75, 1.0)
    inner = HEIGHT - BOTTOM - TOP
    parts = [f'<path class="grid zero" d="M0,{inner}L{WIDTH},0" vector-effect="non-scaling-stroke"/>']
    lines = []
    for k, (name, points) in enumerate(agents.items()):
        x = np.array([WIDTH * stated for stated, _ in points])
        y = _heights(np.array([came for _, came in points]), 0.0, 1.0)
        parts.append(f'<path class="line dotted {agent_style(k)}" d="{_path(x, y)}"/>')
        lines.append(Line(name, agent_style(k), y))
    stated = "".join(
        f'<text class="tick" x="{100 * level:g}%" y="16" text-anchor="middle">{percent(level, 0)}</text>'
        for level in levels
    )
    return _framed((levels, 0.0, 1.0), stated, "".join(parts), lambda v: percent(v, 0), label) + _legend(lines)


def agent_style(place: int) -> str:
    """The class of the agent at a place of its list."""
    return f"s{place % 10}"


# ---------------------------------------------------------------- parts


def _framed(levels: tuple[Sequence[float], float, float], dates: str, drawn: str, words: Words, label: str) -> str:
    """Grid, labels, and what is drawn in the box that stretches."""
    ticks, low, high = levels
    parts = []
    for level in ticks:
        y = TOP + float(_heights(np.array([level]), low, high)[0])
        zero = " zero" if level == 0.0 else ""
        parts.append(f'<line class="grid{zero}" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="-6" y="{y + 4:.1f}" text-anchor="end">{words(level)}</text>')
    inner = HEIGHT - BOTTOM - TOP
    return (
        f'<svg class="chart framed" role="img" aria-label="{escape(label)}" height="{HEIGHT}">{"".join(parts)}'
        f'<svg y="{HEIGHT - BOTTOM}" height="{BOTTOM}" overflow="visible">{dates}</svg>'
        f'<svg y="{TOP}" height="{inner}" viewBox="0 0 {WIDTH} {inner}"'
        f' preserveAspectRatio="none">{drawn}</svg></svg>'
    )


def _legend(lines: Sequence[Line]) -> str:
    items = "".join(f'<li class="{line.style}">{escape(line.name)}</li>' for line in lines)
    return f'<ul class="legend">{items}</ul>'


def _thinned(count: int) -> Floats:
    """Indexes of at most POINTS of so many points, the last one among them."""
    return np.unique(np.linspace(0, count - 1, min(count, POINTS)).astype(np.int64))


def _places(time: Times) -> Floats:
    stamps = time.astype("datetime64[us]").astype(np.int64).astype(np.float64)
    return np.asarray(WIDTH * (stamps - stamps[0]) / (stamps[-1] - stamps[0]))


def _heights(values: Floats, low: float, high: float) -> Floats:
    inner = HEIGHT - BOTTOM - TOP
    return np.asarray(inner * (high - values) / (high - low))


def _path(x: Floats, y: Floats) -> str:
    """A path with a gap where a value is NaN."""
    parts, pen = [], "M"
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if b != b:
            pen = "M"
            continue
        parts.append(f"{pen}{a:.1f},{b:.1f}")
        pen = "L"
    return "".join(parts)


def _area(x: Floats, y: Floats, zero: float, style: str) -> str:
    known = np.isfinite(y)
    if not known.any():
        return ""
    a = x[known]
    return f'<path class="fill {style}" d="{_path(a, y[known])}L{a[-1]:.1f},{zero:.1f}L{a[0]:.1f},{zero:.1f}Z"/>'


def _bounds(values: Floats, *, with_zero: bool) -> tuple[float, float]:
    """What the box spans, with some room."""
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    if with_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = (high - low) * 0.04 or abs(high) * 0.01 or 1.0
    if low == high:  # a flat line lies in the middle
        return low - room, high + room
    return (low if with_zero and low == 0.0 else low - room), (high if with_zero and high == 0.0 else high + room)


def _levels(low: float, high: float) -> tuple[Sequence[float], float, float]:
    """Round values within the bounds, three to seven of them, and the bounds."""
    rough = (high - low) / 4.0
    unit = 10.0 ** np.floor(np.log10(rough))
    step = next(unit * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if unit * factor >= rough * 0.999)
    first = int(np.ceil(low / step - 1e-9))
    return [float(k * step) for k in range(first, int(np.floor(high / step + 1e-9)) + 1)], low, high


def _dates(time: Times) -> str:
    """Labels of moments at even places."""
    span = int((time[-1] - time[0]).astype("timedelta64[us]").astype(np.int64))
    unit, cut = ("Y", 4) if span > 2000 * DAY_US else ("M", 7) if span > 200 * DAY_US else ("D", 10)
    if span <= 3 * DAY_US:
        unit, cut = "m", 16
    first = time[0].astype(f"datetime64[{unit}]").astype(np.int64) + 1
    last = time[-1].astype(f"datetime64[{unit}]").astype(np.int64)
    stride = max(1, -(-(last - first + 1) // MOST_DATES))
    parts = []
    for k in range(first, last + 1, stride):
        moment = np.array(k, dtype=np.int64).astype(f"datetime64[{unit}]")
        share = float((moment.astype("datetime64[us]") - time[0]) / (time[-1] - time[0]))
        words = str(moment)[5:cut].replace("T", " ") if unit in ("D", "m") else str(moment)[:cut]
        if share <= 0.96:
            parts.append(f'<text class="tick" x="{100 * share:.2f}%" y="16" text-anchor="middle">{words}</text>')
    return "".join(parts)
