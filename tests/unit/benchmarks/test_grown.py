from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from benchmarks.grown import SIZES, beyond, key, picture, power, table
from benchmarks.plot import svg
from benchmarks.process import Spent

FOUND = {key("beat", size): 2.0 for size in SIZES} | {key("look", size): size / 4 for size in SIZES}


@pytest.mark.parametrize(("last", "grown"), [(100.0, 1.0), (10.0, 0.0), (1000.0, 2.0)])
def test_the_power_is_that_of_the_last_growth(last: float, grown: float) -> None:
    assert power({10: 10.0, 100: 10.0, 1_000: last}) == pytest.approx(grown)


def test_what_a_replica_does_at_rest_is_no_cost_of_a_work() -> None:
    at_rest = Spent(seconds=10.0, cpu_seconds=0.5)
    assert beyond(at_rest, Spent(seconds=4.0, cpu_seconds=1.2)) == pytest.approx(1_000)


def test_of_one_size_there_is_no_growth() -> None:
    assert power({10: 10.0}) is None


def test_the_table_tells_each_work_by_size_and_how_it_grows() -> None:
    assert table(FOUND).splitlines()[2:] == [
        "| look at the records of all: gateway CPU, ms | 2.5 | 25 | 250 | 1.0 |",
        "| beat: gateway CPU, ms | 2 | 2 | 2 | 0.0 |",
    ]


def test_a_size_that_was_not_measured_is_left_open() -> None:
    assert table({key("beat", 10): 2.0}).splitlines()[2:] == ["| beat: gateway CPU, ms | 2 | - | - | - |"]


def test_of_nothing_there_is_neither_table_nor_picture() -> None:
    assert table({"round_trip": 1.0}) == picture({"round_trip": 1.0}) == ""


def steepness(line: ElementTree.Element) -> float:
    (left, low), (right, high) = (map(float, place.split(",")) for place in line.attrib["points"].split())
    return (low - high) / (right - left)


def test_what_is_linear_is_as_steep_as_the_guide() -> None:
    drawn = svg("t", {"linear": {10: 3.0, 1_000: 300.0}}, across="kernels", up="ms")
    *_, guide, line = ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}polyline")
    assert steepness(line) == pytest.approx(steepness(guide), rel=0.01)


def test_names_never_lie_on_one_another() -> None:
    drawn = svg("t", {name: {10: 1.0, 100: 1.0} for name in "abc"}, across="kernels", up="ms")
    texts = ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    heights = sorted(float(text.attrib["y"]) for text in texts if text.text in list("abc"))
    assert min(after - before for before, after in pairwise(heights)) >= 14


def test_a_name_may_hold_what_xml_does_not() -> None:
    assert "a &lt; b" in svg("t", {"a < b": {10: 1.0, 100: 5.0}}, across="kernels", up="ms")
