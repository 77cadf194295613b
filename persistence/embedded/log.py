"""mongod's log: kept short, and read for the reason when mongod did not start."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

LARGEST_LOG_BYTES = 16 * 2**20
"""Above this the log is put aside as `mongod.log.1`, in the place of the one before: two such files at most."""

_TAIL_BYTES = 64 * 2**10
_LINES_TOLD = 3
_LONGEST_LINE = 400

_NEEDS_OTHER_VERSION = 62  # mongod's exit code
_FULL = ("No space left on device", "Disk quota exceeded", '"error":28,', "Writing to log file failed")
_OTHER_VERSION = ("UPGRADE PROBLEM", "unsupported WiredTiger file version", "wiredTiger release compatibility")
_IN_USE = ("DBPathInUse",)


def put_aside_if_large(log: Path) -> bool:
    """Rename a log that has grown too large; say whether mongod has to be told to open a new one.

    It has to be told too where there is no log: a supervisor may have died between the two.
    """
    try:
        if log.stat().st_size <= LARGEST_LOG_BYTES:
            return False
    except FileNotFoundError:
        return True
    log.replace(log.with_name(f"{log.name}.1"))
    return True


def read_from(log: Path, offset: int) -> str:
    """Read what was written since the log had `offset` bytes, or only the end of it if that is much."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(offset if offset <= size else 0, size - _TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def size_of(log: Path) -> int:
    """Give its size in bytes; 0 where there is none."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def reason(text: str, exit_code: int | None) -> str:
    """Say in a sentence why mongod ended, and what to do, from what it wrote and its exit code where that is known."""
    if any(mark in text for mark in _FULL):
        return "its disk is full: make room in the data directory's file system"
    if exit_code == _NEEDS_OTHER_VERSION or any(mark in text for mark in _OTHER_VERSION):
        return "its data are of another version of MongoDB: put a mongod of that version first on PATH"
    if any(mark in text for mark in _IN_USE):
        return "another mongod uses its data: stop that one, or choose another data directory"
    return "see the end of its log"


def last_lines(text: str) -> str:
    """Give the last lines that tell of trouble, or the very last ones if none does, fit for an error message."""
    entries = [line for line in text.splitlines() if line.strip()]
    told = [message for line in entries if (message := _trouble(line))] or entries
    return " | ".join(line[:_LONGEST_LINE] for line in told[-_LINES_TOLD:])


def _trouble(line: str) -> str:
    """Give message and error of a log entry that is a warning or worse; empty for all else."""
    entry = _parsed(line)
    if entry.get("s") not in ("E", "F"):
        return ""
    attributes = entry.get("attr")
    error = attributes.get("error", attributes.get("message", "")) if isinstance(attributes, dict) else ""
    return " ".join(f"{entry.get('msg', '')}: {error}".split()).rstrip(": ")


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
