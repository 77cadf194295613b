"""Writes docs/configuration.md from the settings in the code: `make docs`."""

from __future__ import annotations

from pathlib import Path

from enterprise_gateway.config.catalog import render
from enterprise_gateway.config.sections import sections

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"


def main() -> None:
    """Write the page anew."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(sections()), encoding="utf-8")


if __name__ == "__main__":
    main()
