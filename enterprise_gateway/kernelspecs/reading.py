"""Kernelspecs as they lie on disk. All of this blocks, and is called in a thread.

One kernelspec that is broken is left out, and the log says why, once; it takes none of the others with it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from traitlets import TraitError

log = logging.getLogger(__name__)

# Files besides `logo-*` that a client loads by itself.
_RESOURCES = ("kernel.js", "kernel.css")
# Where a kernelspec's metadata names what launches it, and by what key.
_LAUNCHERS = ("process_proxy", "kernel_provisioner")
_LAUNCHER_NAMES = ("class_name", "provisioner_name")
# Copying and encoding go down level by level, and Python lets them go so far; BSON ends at a hundred.
MAX_DEPTH = 50


@dataclass(frozen=True, kw_only=True)
class FoundSpec:
    """One kernelspec: its directory, and its model as the API shows it."""

    resource_dir: str
    model: dict[str, Any]


class SpecReader:
    """Reads all kernelspecs that the manager allows. Not for two threads at once.

    Args:
        manager: Says where kernelspecs are and which are allowed.
        prefix: The `base_url`, with a slash at its end, for the addresses of the resources.
    """

    def __init__(self, manager: KernelSpecManager, prefix: str) -> None:
        self._manager = manager
        self._prefix = prefix
        self._told: dict[str, str] = {}

    def read(self) -> dict[str, FoundSpec]:
        """Return the kernelspecs by their names.

        Raises:
            OSError: A directory of kernelspecs can't be listed.
        """
        found = {name: self._read_one(name, place) for name, place in self._manager.find_kernel_specs().items()}
        return {name: spec for name, spec in found.items() if spec is not None}

    def _read_one(self, name: str, resource_dir: str) -> FoundSpec | None:
        try:
            spec = self._manager.get_kernel_spec(name).to_dict()
            # One NaN in it, or half a surrogate pair, would make the whole list unreadable to clients.
            json.dumps(spec, allow_nan=False, ensure_ascii=False).encode()
            check(spec)
        # jupyter_client expects what `check` looks for, and fails in its own ways where it is not so.
        except (NoSuchKernel, OSError, ValueError, TypeError, AttributeError, RecursionError, TraitError) as error:
            self._tell(name, resource_dir, f"{type(error).__name__}: {error}")
            return None
        self._told.pop(name, None)
        resources = _resources(resource_dir, f"{self._prefix}kernelspecs/{quote(name)}/")
        return FoundSpec(
            resource_dir=resource_dir,
            model={"name": name, "spec": spec, "resources": resources},
        )

    def _tell(self, name: str, resource_dir: str, fault: str) -> None:
        """Log a fault when it is new: kernelspecs are read again all the time."""
        if self._told.get(name) != fault:
            self._told[name] = fault
            log.warning("Kernelspec %s in %s can't be used and is left out: %s", name, resource_dir, fault)


def check(spec: Mapping[str, Any]) -> None:
    """See that a kernelspec is of a form that can be launched.

    Raises:
        ValueError: It is not; says what is wrong.
    """
    if depth(spec) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    argv = spec["argv"]
    if not argv or not all(isinstance(word, str) for word in argv):
        raise ValueError("argv must be a list of texts, the program first")
    for launcher in _LAUNCHERS:
        settings = spec["metadata"].get(launcher, {})
        if not isinstance(settings, Mapping):
            raise ValueError(f"metadata.{launcher} must be an object")
        if not all(isinstance(settings.get(name, ""), str) for name in _LAUNCHER_NAMES):
            raise ValueError(f"the name in metadata.{launcher} must be text")


def depth(value: Any) -> int:
    """Return how deep objects and lists are nested; without recursion, for that is what it is to prevent."""
    levels, level = 0, [value]
    while level := [inner for outer in level for inner in _inside(outer)]:
        levels += 1
    return levels


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _resources(resource_dir: str, address: str) -> Mapping[str, str]:
    """Return the addresses of what clients load: scripts by their file names, logos by theirs less the suffix."""
    try:
        files = sorted(os.listdir(resource_dir))
    except OSError:
        return {}
    scripts = {file: address + file for file in _RESOURCES if file in files}
    logos = {os.path.splitext(file)[0]: address + quote(file) for file in files if file.startswith("logo-")}
    return {**scripts, **logos}


def file_inside(directory: str, file: str) -> Path | None:
    """Return the path of a file below `directory`; None if there is none, or if it lies elsewhere by `..` or a link."""
    try:
        root = os.path.realpath(directory)
        path = os.path.realpath(os.path.join(root, file))
        inside = os.path.commonpath([root, path]) == root
    except (OSError, ValueError):  # names that no file can have: NUL, half a surrogate pair
        return None
    return Path(path) if inside and os.path.isfile(path) else None
