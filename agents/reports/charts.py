"""series -> PNG bytes for the report; quiet pictures that read well small, on white as on dark paper."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.core.types import Floats, Times
from agents.reports.formatting import money, percent

WIDTH_INCHES, HEIGHT_INCHES, DPI = 6.0, 2.5, 150
DATES_AT_MOST = 6
PAGE_INCHES = 10.5
"""The width of a page on a desk, as against that of a mail."""
INK, MUTED, GRID, PAPER = "#1f2933", "#7b8794", "#e4e7eb", "#ffffff"
LIVE_COLOUR = "#0b6e4f"
CONTROL_COLOURS = ("#c17817", "#52606d", "#8d5fa8", "#2f80c2", "#b83a4b")
Bounds = Sequence[tuple[float, float]]
AGENT_COLOURS = (
    "#0b6e4f",
    "#2f80c2",
    "#c17817",
    "#8d5fa8",
    "#b83a4b",
    "#5c7080",
    "#3aa6a0",
    "#a68a3a",
    "#6b4f3a",
    "#d0668c",
)


def equity_chart(time: Times, live: Floats, controls: Mapping[str, Floats], *, width: float = WIDTH_INCHES) -> bytes:
    """Growth of the live book and the controls, all starting at 100; one that began later (NaN before) starts where the
    live book stood then."""
    figure, axes = _canvas(HEIGHT_INCHES if width < PAGE_INCHES else 3.4, width)
    for (name, curve), colour in zip(controls.items(), CONTROL_COLOURS, strict=False):
        start = curve[0] if np.isfinite(curve[0]) else live[0]
        axes.plot(time, 100.0 * curve / start, color=colour, linewidth=1.0, label=name.replace("_", " "))
    axes.plot(time, 100.0 * live / live[0], color=LIVE_COLOUR, linewidth=1.9, label="live")
    axes.axhline(100.0, color=MUTED, linewidth=0.6, linestyle=(0, (4, 4)))
    _legend(axes, min(len(controls) + 1, 3 if width < PAGE_INCHES else 6))
    return _png(figure)


def drawdown_chart(time: Times, live: Floats, controls: Mapping[str, Floats], *, width: float = WIDTH_INCHES) -> bytes:
    """How far below its own peak the live book stood, in percent, and controls, by name, as lines."""
    figure, axes = _canvas(1.9, width)
    fall = 100.0 * (live / np.maximum.accumulate(live) - 1.0)
    axes.fill_between(time, fall, 0.0, color=LIVE_COLOUR, alpha=0.28, linewidth=0.0)
    for (name, control), colour in zip(controls.items(), (CONTROL_COLOURS[0], *CONTROL_COLOURS[3:]), strict=False):
        below = 100.0 * (control / np.fmax.accumulate(control) - 1.0)
        axes.plot(time, below, color=colour, linewidth=1.0, label=name.replace("_", " "))
    axes.plot(time, fall, color=LIVE_COLOUR, linewidth=1.2, label="live")
    axes.yaxis.set_major_formatter(_percent)
    _legend(axes, 3)
    return _png(figure)


def weights_chart(time: Times, weights: Mapping[str, Floats], *, width: float = WIDTH_INCHES) -> bytes:
    """Weights as stacked steps over time, in percent."""
    figure, axes = _canvas(width=width)
    names = list(weights)
    axes.stackplot(
        time,
        [100.0 * weights[name] for name in names],
        labels=names,
        colors=AGENT_COLOURS[: len(names)],
        step="post",
        alpha=0.88,
        linewidth=0.0,
    )
    axes.set_ylim(0.0, 100.0)
    axes.yaxis.set_major_formatter(_percent)
    axes.margins(x=0.0)
    _legend(axes, min(4, len(names)), below=True)
    return _png(figure)


def sharpe_chart(
    names: Sequence[str], ratios: Sequence[float], low: Sequence[float], high: Sequence[float], always: Bounds = ()
) -> bytes:
    """Each agent's annual Sharpe ratio with its 90 % interval, best on top; coloured where the bounds leave out 0.
    `always` are bounds that hold at every look, one pair for each agent: they are drawn thin, and decide the colour."""
    figure, axes = _canvas(height=0.8 + 0.32 * len(names))
    order = np.argsort(ratios)
    for row, k in enumerate(order):
        least, most = always[k] if always else (low[k], high[k])
        colour = LIVE_COLOUR if least > 0 else AGENT_COLOURS[4] if most < 0 else MUTED
        axes.plot([low[k], high[k]], [row, row], color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="round")
        if np.isfinite(least) and np.isfinite(most):
            axes.plot([least, most], [row, row], color=colour, linewidth=0.8, alpha=0.45)
        axes.plot([ratios[k]], [row], "o", color=colour, markersize=6)
    axes.axvline(0.0, color=MUTED, linewidth=0.8)
    axes.set_yticks(range(len(names)), [names[k] for k in order])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(visible=True, axis="x", color=GRID, linewidth=0.7)
    axes.grid(visible=False, axis="y")
    return _png(figure)


def rolling_chart(time: Times, live: Floats, controls: Mapping[str, Floats], days: int) -> bytes:
    """Annual Sharpe ratio of the last `days` days, of the live book and of controls by name."""
    figure, axes = _canvas(height=1.9)
    for (name, control), colour in zip(controls.items(), (CONTROL_COLOURS[0], *CONTROL_COLOURS[3:]), strict=False):
        axes.plot(time, control, color=colour, linewidth=1.0, label=name.replace("_", " "))
    axes.plot(time, live, color=LIVE_COLOUR, linewidth=1.5, label=f"live, {days} days")
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    _legend(axes, 3)
    return _png(figure)


SIDE_BY_SIDE = 7
"""So many names stand side by side below a chart; more of them are slanted."""


def waterfall_chart(names: Sequence[str], amounts: Sequence[float]) -> bytes:
    """How each agent's part, one after the other, makes the whole profit."""
    figure, axes = _canvas(height=2.7)
    ends = np.cumsum(amounts)
    starts = np.concatenate([[0.0], ends[:-1]])
    colours = [LIVE_COLOUR if amount >= 0.0 else AGENT_COLOURS[4] for amount in amounts]
    places = np.arange(len(names))
    axes.bar(places, amounts, bottom=starts, color=colours, width=0.62, alpha=0.85)
    axes.bar([len(names)], [ends[-1]], color=INK, width=0.62, alpha=0.85)
    for k, start in enumerate(starts[1:]):
        axes.plot([k + 0.31, k + 0.69], [start, start], color=MUTED, linewidth=0.8)
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    labels = [*names, "whole"]
    if len(names) > SIDE_BY_SIDE:
        axes.set_xticks(range(len(labels)), labels, fontsize=7, rotation=35, ha="right", rotation_mode="anchor")
    else:
        axes.set_xticks(range(len(labels)), list(map(_broken, labels)), fontsize=7)
    axes.yaxis.set_major_formatter(lambda value, _: money(value))
    axes.use_sticky_edges = False  # bars that end at the frame look cut
    axes.margins(y=0.06)
    return _png(figure)


def _broken(name: str) -> str:
    """A long name on two lines, before its last capital."""
    capitals = [k for k, letter in enumerate(name) if letter.isupper() and k > 2]
    return f"{name[: capitals[-1]]}\n{name[capitals[-1] :]}" if capitals and len(name) > 9 else name


def exposure_chart(time: Times, gross: Floats, net: Floats) -> bytes:
    """Gross and net exposure as a share of equity, in percent."""
    figure, axes = _canvas(height=1.9)
    axes.fill_between(time, 100.0 * gross, 0.0, color=CONTROL_COLOURS[1], alpha=0.22, linewidth=0.0, label="gross")
    axes.plot(time, 100.0 * net, color=LIVE_COLOUR, linewidth=1.1, label="net")
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.yaxis.set_major_formatter(_percent)
    _legend(axes, 2)
    return _png(figure)


def load_drawing() -> None:
    """Load what drawing needs, for whoever has to wait anyway before a report: a picture that nobody sees."""
    figure, _ = _canvas()
    _png(figure)


def _percent(value: float, _position: int | None = None) -> str:
    """The label of an axis in percent."""
    return percent(value / 100.0, 0)


def _canvas(height: float = HEIGHT_INCHES, width: float = WIDTH_INCHES) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # takes half a second to load, and only reports draw

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout="constrained")
    axes = figure.add_subplot()
    canvas_style(axes)
    return figure, axes


def canvas_style(axes: Any) -> None:
    """The quiet frame of all pictures."""
    axes.set_facecolor(PAPER)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.tick_params(colors=MUTED, labelsize=8, length=0)
    axes.grid(visible=True, axis="y", color=GRID, linewidth=0.7)


def _legend(axes: Any, columns: int, *, below: bool = False) -> None:
    place = (
        {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12)}
        if below
        else {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0)}
    )
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, ncols=columns, handlelength=1.2, columnspacing=1.0, **place)


def _png(figure: Any) -> bytes:
    return drawn_png(figure, DATES_AT_MOST)


def drawn_png(figure: Any, dates: int) -> bytes:
    """The figure as PNG, with at most so many dates on an axis."""
    from matplotlib.dates import AutoDateLocator

    for axes in figure.axes:
        locator = axes.xaxis.get_major_locator()
        if isinstance(locator, AutoDateLocator):  # whole dates are long: more of them run into each other
            locator.maxticks = dict.fromkeys(locator.maxticks, dates)
            locator.minticks = 2  # so that each span has an interval with so few dates
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
