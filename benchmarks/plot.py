"""Costs by size as a small SVG with logarithmic axes: what is linear is as steep as the dashed guide. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 460
LEFT, RIGHT, TOP, BOTTOM = 70, 250, 40, 60
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#b83280", "#6b46c1", "#975a16", "#2c7a7b", "#4a5568")
LABEL_GAP = 17

Points = Mapping[int, float]
"""Cost by size; all above 0."""


@dataclass(frozen=True)
class Axes:
    """From sizes and costs to places in the picture.

    Attributes:
        sizes: The least and the largest.
        costs: The least and the largest power of ten.
    """

    sizes: tuple[float, float]
    costs: tuple[float, float]

    @classmethod
    def around(cls, lines: Sequence[Points]) -> Axes:
        """Have room for all."""
        sizes = [size for points in lines for size in points]
        costs = [cost for points in lines for cost in points.values()]
        lowest, highest = math.floor(math.log10(min(costs))), math.ceil(math.log10(max(costs)))
        return cls((min(sizes), max(sizes)), (10.0**lowest, 10.0 ** max(highest, lowest + 1)))

    def x(self, size: float) -> float:
        """The place of a size."""
        return LEFT + _part(size, self.sizes) * (WIDTH - LEFT - RIGHT)

    def y(self, cost: float) -> float:
        """The place of a cost."""
        return HEIGHT - BOTTOM - _part(cost, self.costs) * (HEIGHT - TOP - BOTTOM)


def svg(title: str, lines: Mapping[str, Points], *, across: str, up: str) -> str:
    """Draw the lines.

    Args:
        title: What it is about.
        lines: By their names.
        across: What the sizes are.
        up: What the costs are.
    """
    axes = Axes.around(list(lines.values()))
    drawn = [_text(WIDTH / 2, 22, title, anchor="middle", weight="bold"), *_grid(axes, lines, across, up), _guide(axes)]
    labels = _spread([axes.y(points[max(points)]) for points in lines.values()])
    for (name, points), colour, label in zip(lines.items(), _colours(len(lines)), labels, strict=True):
        drawn += _line(axes, points, colour)
        drawn.append(_text(WIDTH - RIGHT + 12, label + 5, name, colour=colour))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    font = 'font-family="Helvetica, Arial, sans-serif" font-size="14">'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="#ffffff"/>'
    return "\n".join([f"{head} {font}", f"<title>{escape(title)}</title>", ground, *drawn, "</svg>", ""])


def _part(value: float, ends: tuple[float, float]) -> float:
    least, most = (math.log10(end) for end in ends)
    return (math.log10(value) - least) / (most - least)


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def _spread(wanted: Sequence[float]) -> list[float]:
    """Move labels down where they would lie on one another."""
    placed = dict[int, float]()
    last = -math.inf
    for index in sorted(range(len(wanted)), key=lambda index: wanted[index]):
        last = placed[index] = max(wanted[index], last + LABEL_GAP)
    return [placed[index] for index in range(len(wanted))]


def _grid(axes: Axes, lines: Mapping[str, Points], across: str, up: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    drawn = []
    for size in sorted({size for points in lines.values() for size in points}):
        drawn.append(_path([(axes.x(size), TOP), (axes.x(size), bottom)], "#e2e8f0"))
        drawn.append(_text(axes.x(size), bottom + 20, f"{size:,}", anchor="middle"))
    for power in range(round(math.log10(axes.costs[0])), round(math.log10(axes.costs[1])) + 1):
        at = axes.y(10.0**power)
        drawn.append(_path([(LEFT, at), (right, at)], "#e2e8f0"))
        drawn.append(_text(LEFT - 8, at + 5, f"{10.0**power:,g}", anchor="end"))
    drawn.append(_text((LEFT + right) / 2, HEIGHT - 16, across, anchor="middle"))
    drawn.append(_text(LEFT - 50, TOP - 14, up))
    return drawn


def _guide(axes: Axes) -> str:
    """What is linear, from the lower left corner as far as there is room."""
    least, most = axes.sizes
    growth = min(most / least, axes.costs[1] / axes.costs[0])
    ends = [(axes.x(least), axes.y(axes.costs[0])), (axes.x(least * growth), axes.y(axes.costs[0] * growth))]
    return _path(ends, "#a0aec0", dashes="6 5")


def _line(axes: Axes, points: Points, colour: str) -> list[str]:
    places = [(axes.x(size), axes.y(cost)) for size, cost in sorted(points.items())]
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in places]
    return [_path(places, colour, width=2), *dots]


def _path(places: Sequence[tuple[float, float]], colour: str, *, width: float = 1, dashes: str = "none") -> str:
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}"/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", colour: str = "#1a202c"
) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
