"""Beliefs and weights over time -> a PNG: a panel for each agent, with the band that holds its skill with 80 %."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from agents.core.types import Floats, Times
from agents.reports.belief_words import LEAST_SKILL
from agents.reports.charts import AGENT_COLOURS, INK, MUTED, PAPER, canvas_style, drawn_png
from agents.reports.formatting import number, percent

COLUMNS, PANEL_INCHES, DATES_PER_PANEL = 2, 1.5, 5
LEAST_SCALE = 1.0
"""Beliefs near 0 shall not look like much."""


class AgentPast(NamedTuple):
    """One agent over time: what was believed at `time` [T] (mean and bounds [T], annual Sharpe above the average
    agent), and its weight [W], a fraction, from each of `changed` [W] on."""

    time: Times
    mean: Floats
    low: Floats
    high: Floats
    changed: Times
    weight: Floats


def beliefs_chart(agents: Mapping[str, AgentPast], *, width: float) -> bytes:
    """A panel for each agent, all on one scale: belief with its band on the left, weight as grey steps on the right."""
    from matplotlib.figure import Figure  # takes half a second to load, and only reports draw

    columns = min(COLUMNS, len(agents))
    rows = math.ceil(len(agents) / columns)
    figure = Figure(figsize=(width, 0.3 + PANEL_INCHES * rows), dpi=150, facecolor=PAPER, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    heaviest = max(float(max(past.weight, default=0.0)) for past in agents.values())
    widest = max(
        LEAST_SCALE, *(1.05 * float(max(abs(past.low).max(), abs(past.high).max())) for past in agents.values())
    )
    panels[0].set_ylim(-widest, widest)
    for k, (name, past) in enumerate(agents.items()):
        _panel(panels[k], past, AGENT_COLOURS[k % len(AGENT_COLOURS)], heaviest, last=(k + 1) % columns == 0)
        believed = number(past.mean[-1], 1, sign=abs(past.mean[-1]) >= LEAST_SKILL)
        title = f"{name}: {believed}, weight {percent(past.weight[-1], 0)}"
        panels[k].set_title(title, fontsize=8, loc="left", color=INK)
    for panel in panels[len(agents) :]:
        panel.set_visible(False)
    return drawn_png(figure, DATES_PER_PANEL)


def _panel(axes: Any, past: AgentPast, colour: str, heaviest: float, *, last: bool) -> None:
    canvas_style(axes)
    axes.tick_params(labelsize=7)
    axes.axhline(0.0, color=MUTED, linewidth=0.6, linestyle=(0, (4, 4)))
    axes.fill_between(past.time, past.low, past.high, color=colour, alpha=0.2, linewidth=0.0)
    axes.plot(past.time, past.mean, color=colour, linewidth=1.5, marker="o" if len(past.time) < 2 else "", markersize=4)
    beside = axes.twinx()
    canvas_style(beside)
    beside.grid(visible=False)
    beside.step(past.changed, 100.0 * past.weight, where="post", color=MUTED, linewidth=1.0)
    beside.set_ylim(0.0, 100.0 * heaviest * 1.15)
    beside.yaxis.set_major_formatter(lambda value, _: percent(value / 100.0, 0))
    beside.tick_params(labelsize=7, labelright=last)
