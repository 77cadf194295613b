"""Logs of the replicas are shown with a failure, as in tests/cluster."""

from __future__ import annotations

from tests.cluster.conftest import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]
