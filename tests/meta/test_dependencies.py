"""setup.py names all that is imported, and constraints.txt holds the tested version of all that setup.py names."""

from __future__ import annotations

import re
import sys
from importlib.metadata import packages_distributions, requires

from tests.meta.sources import PACKAGES, ROOT, files, imported_packages

OWN = {*PACKAGES, "tests", "scripts", "benchmarks"}
# Imported where they are, and not needed where they are not: the drivers and the private mongod are extras.
OPTIONAL = {"motor", "mongomock", "fiftyone"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: bool) -> set[str]:
    """Names in setup.py: of the dependencies alone, or with those of all extras."""
    lines = requires("enterprise-gateway") or []
    wanted = [line for line in lines if extra or "extra ==" not in line]
    return {normal(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in wanted}


def imported(folders: tuple[str, ...]) -> set[str]:
    """Third-party packages that the files import."""
    found = {name for folder in folders for path in files(folder) for name in imported_packages(path)}
    return found - OWN - set(sys.stdlib_module_names)


def undeclared(names: set[str], known: set[str]) -> set[str]:
    distributions = packages_distributions()
    return {name for name in names if not known.intersection(map(normal, distributions.get(name, [name])))}


def test_what_the_packages_import_is_a_dependency() -> None:
    assert undeclared(imported(PACKAGES) - OPTIONAL, declared(extra=False)) == set()


def test_what_tests_and_benchmarks_import_is_in_an_extra() -> None:
    assert undeclared(imported(("tests", "benchmarks")), declared(extra=True)) == set()


def test_every_dependency_has_a_tested_version() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normal(line.partition("==")[0]) for line in lines if "==" in line}

    assert declared(extra=True) - pinned == {"types-pyyaml"}
