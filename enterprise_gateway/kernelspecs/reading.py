"""Kernelspecs as they lie on disk. All of this blocks, and is called in a thread.

One kernelspec that is broken is left out, and the log says why, once; it takes none of the others with it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from traitlets import TraitError

log = logging.getLogger(__name__)

# Files besides `logo-*` that a client loads by itself.
_RESOURCES = ("kernel.js", "kernel.css")


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
            json.dumps(spec, allow_nan=False)  # else one NaN in it would make the whole list unreadable to clients
        except (NoSuchKernel, OSError, ValueError, TypeError, TraitError) as error:
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
