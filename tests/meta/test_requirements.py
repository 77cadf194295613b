from pathlib import Path

import pytest

from tests import requirements


@pytest.fixture
def nothing_found(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = requirements.Missing("no nginx was found: `apt-get install nginx`")
    monkeypatch.setattr(requirements, "_find", lambda name: missing)


def test_what_is_there_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_find", lambda name: Path("/usr/sbin/nginx"))
    assert requirements.require("nginx") == Path("/usr/sbin/nginx")


@pytest.mark.usefixtures("nothing_found")
def test_what_is_missing_skips_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_DEMANDED", frozenset())
    with pytest.raises(pytest.skip.Exception, match=r"not tested without nginx: .*apt-get install nginx"):
        requirements.require("nginx")


@pytest.mark.usefixtures("nothing_found")
def test_what_is_missing_and_demanded_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_DEMANDED", frozenset({"nginx"}))
    with pytest.raises(pytest.fail.Exception, match=r"asks for nginx, but no nginx was found"):
        requirements.require("nginx")


def test_a_demand_for_something_unknown_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_DEMANDED", frozenset({"ngnix"}))
    known = "mongod, chromium, nginx, cc, tmpfs, cgroup, ptrace, mounts"
    with pytest.raises(pytest.UsageError, match=f"names ngnix; known are {known}"):
        requirements.check_demands()


def test_the_summary_counts_the_tests_of_each_missing_program() -> None:
    reason = "Skipped: not tested without nginx: no nginx was found"
    assert requirements.summary([reason, "Skipped: only on Sundays", reason]) == [
        "2 tests not tested without nginx: no nginx was found"
    ]


def test_the_summary_is_empty_where_nothing_was_missing() -> None:
    assert requirements.summary(["Skipped: only on Sundays"]) == []
