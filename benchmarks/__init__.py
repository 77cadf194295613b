"""Measurements: run by hand (`make bench`, `make profile`), never by the tests."""
