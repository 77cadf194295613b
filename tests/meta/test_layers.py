"""What may know what. import-linter holds the layers in `make check`; this holds them for who runs the tests alone."""

from __future__ import annotations

import pytest

from tests.meta.sources import PACKAGES, ROOT, files, imported_packages, uses

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "os.putenv", "os.unsetenv"}


def test_the_environment_is_read_in_one_module_alone() -> None:
    found = {path: lines for package in PACKAGES for path, lines in uses(package, ENVIRONMENT).items()}

    assert set(found) == {"enterprise_gateway/config/environment.py"}, found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("persistence", {"culling", "enterprise_gateway", "tornado", "zmq", "jupyter_client"}),
        ("culling", {"enterprise_gateway", "tornado", "zmq", "jupyter_client", "pymongo", "motor", "mongomock"}),
        ("enterprise_gateway", {"pymongo", "motor", "mongomock", "bson"}),
    ],
)
def test_a_package_knows_only_what_is_below_it(package: str, forbidden: set[str]) -> None:
    known = {str(path.relative_to(ROOT)): imported_packages(path) & forbidden for path in files(package)}

    assert {path: names for path, names in known.items() if names} == {}


def test_the_packages_never_import_the_tests() -> None:
    assert [path for package in PACKAGES for path in files(package) if "tests" in imported_packages(path)] == []
