"""What a figure is: some lines of the table that are measured together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.subjects.subject import Running

Values = Mapping[str, float]
"""What one measurement found, by the lines' keys. A line that a subject has no value for is left out."""


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        key: Its name in `Values` and in the JSON.
        title: What it says.
        unit: Of its values.
        aim: What we want to reach, in words.
        more_is_better: Otherwise less is.
    """

    key: str
    title: str
    unit: str
    aim: str
    more_is_better: bool = False


@dataclass(frozen=True)
class Figure:
    """A measurement.

    Attributes:
        name: By which it is chosen.
        lines: What it finds.
        measure: Measures once.
        once: It takes long, and is measured in the first round only.
    """

    name: str
    lines: tuple[Line, ...]
    measure: Callable[[Running], Values]
    once: bool = False
