"""The page of failures names tests that exist, and every point at which a replica may die."""

from __future__ import annotations

import ast
import re

import pytest

from tests.cluster.fault_acts import ACTS
from tests.cluster.fault_legacies import LEGACIES
from tests.meta.sources import PACKAGES, ROOT, files

PAGE = (ROOT / "docs" / "failure-modes.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
# What `reach` is given where its name is put together from that of a step.
STEPS = "persistence/steps.py"


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def rows() -> list[str]:
    """All rows of all tables, without their heads."""
    return [line for line in PAGE.splitlines() if line.startswith("| ") and "| Test |" not in line]


def test_every_row_names_one() -> None:
    assert [row for row in rows() if "::" not in row and "| grid: " not in row] == []


def test_acts_that_are_named_of_the_grid_are_tried_there() -> None:
    named = {name for row in rows() for name in re.findall(r"`([^`]+)`", row.partition("| grid: ")[2])}
    assert {name for name in named if "::" not in name} == {*ACTS, *LEGACIES}


def called_with_a_name(source: str, *functions: str) -> set[str]:
    """The plain texts that these functions are called with first."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.args)
    named = (call for call in calls if ast.unparse(call.func).rpartition(".")[2] in functions)
    first = (call.args[0] for call in named)
    return {
        argument.value for argument in first if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def points() -> set[str]:
    """All points, those before and after a step under the step's name."""
    reached = [called_with_a_name(path.read_text(), "reach") for package in PACKAGES for path in files(package)]
    steps = called_with_a_name((ROOT / STEPS).read_text(), "_step", "_end", "_raise_generation")
    return {point.rpartition(":")[2] for points in (*reached, steps) for point in points}


def test_every_point_at_which_a_replica_may_die_is_named() -> None:
    assert {point for point in points() if f"`{point}`" not in PAGE} == set()
