"""One compare-and-set on a kernel's record, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """A filter and an update of one kernel's record, and the name by which `StaleWrite` tells that it lost.

    The filter holds whatever the step rests on (source phases, act, owner, generation, activity_seq); the store adds
    the id. The update may carry sealed values: it is kept out of every repr.
    """

    name: str
    kernel_id: str
    where: Mapping[str, Any]
    update: Mapping[str, Any] = field(repr=False)
