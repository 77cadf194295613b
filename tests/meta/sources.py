"""The project's own source files, read as syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("enterprise_gateway", "culling", "persistence")


def files(folder: str) -> list[Path]:
    """All Python files under a folder of the project."""
    return sorted((ROOT / folder).rglob("*.py"))


def dotted_names(path: Path) -> Iterator[tuple[int, str]]:
    """Every `a.b.c` that a file uses, and `a.b` for `from a import b`, each with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Attribute):
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def imported_packages(path: Path) -> set[str]:
    """The top-level packages that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def uses(folder: str, banned: set[str]) -> dict[str, list[str]]:
    """Where files under `folder` use a banned name: `file:line` lists, by file."""
    found: dict[str, list[str]] = {}
    for path in files(folder):
        lines = [f"{path.name}:{line} {name}" for line, name in dotted_names(path) if name in banned]
        if lines:
            found[str(path.relative_to(ROOT))] = lines
    return found
