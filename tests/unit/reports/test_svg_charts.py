"""Pictures of a page: what lies where, and words that stay words."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from agents.reports.formatting import number
from agents.reports.svg_charts import (
    POINTS,
    Line,
    calibration_chart,
    interval_chart,
    line_chart,
    stack_chart,
)

TIME = np.datetime64("2020-01-01", "us") + np.arange(900) * np.timedelta64(1, "D")
EVIL = "<script>&\"'"


def parsed(drawn: str) -> ElementTree.Element:
    """Well-formed, or an error."""
    return ElementTree.fromstring(f"<x>{drawn}</x>")


def points(drawn: str, style: str) -> list[tuple[float, float]]:
    path = next(p for p in parsed(drawn).iter("path") if style in p.attrib["class"].split())
    return [tuple(map(float, pair.split(","))) for pair in re.findall(r"-?[\d.]+,-?[\d.]+", path.attrib["d"])]


def test_a_line_goes_from_edge_to_edge_and_higher_is_higher():
    drawn = line_chart(TIME, [Line(EVIL, "live", np.linspace(1.0, 9.0, 900))], number)
    found = points(drawn, "live")
    assert len(found) == POINTS and found[0][0] == 0.0 and found[-1][0] == 1000.0
    assert found[0][1] > found[-1][1] > 0.0 and "<script" not in drawn
    assert [t.text for t in parsed(drawn).iter("text")][:3] == ["2.50", "5.00", "7.50"]


def test_what_is_not_known_is_a_gap_and_nothing_is_no_picture():
    values = np.array([1.0, np.nan, 3.0, 4.0])
    drawn = line_chart(TIME[:4], [Line("a", "live", values)], number)
    assert len(points(drawn, "live")) == 3 and drawn.count("M0.0") == 1 and "nan" not in drawn
    assert line_chart(TIME[:1], [], number) == "" and interval_chart([]) == "" and calibration_chart({}) == ""
    flat = line_chart(TIME[:3], [Line("a", "live", np.zeros(3))], number, area="a")
    assert "nan" not in flat and "inf" not in flat
    assert "nan" not in line_chart(TIME[:3], [Line("a", "live", np.full(3, np.nan))], number)


def test_shares_stack_to_the_whole_and_step():
    shares = {"a": np.array([0.25, 0.5, 0.5]), "b": np.array([0.75, 0.5, 0.5])}
    drawn = stack_chart(TIME[:3], shares)
    top = min(y for _, y in points(drawn, "s1"))
    assert top == 0.0 and max(y for _, y in points(drawn, "s0")) == pytest.approx(170.0)
    assert points(drawn, "s0")[:4] == [(0.0, 127.5), (500.0, 127.5), (500.0, 85.0), (1000.0, 85.0)]


def test_an_interval_is_coloured_where_it_leaves_out_zero():
    drawn = interval_chart([("good one", 1.0, 0.5, 1.5), ("bad", -1.0, -2.0, -0.1), (EVIL, 0.1, -1.0, 1.0)])
    styles = [dot.attrib["class"] for dot in parsed(drawn).iter("circle")]
    assert styles == ["dot good", "dot bad", "dot open"] and "<script" not in drawn
