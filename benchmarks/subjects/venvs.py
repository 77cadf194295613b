"""Peers from PyPI, each in an environment of its own below `.bench/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.subjects.subject import Missing

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
_SAID = 300  # characters of pip's complaint that are shown


def python_with(requirement: str) -> Path:
    """Return the interpreter of an environment that has `requirement`, such as "name==1.2"; it is made if need be.

    Raises:
        Missing: It can't be installed.
    """
    folder = FOLDER / requirement
    python = folder / "bin" / "python"
    made = folder / "made"
    if not made.exists():
        print(f"Installing {requirement} into {folder}", flush=True)
        try:
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            _run([str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", requirement])
        except subprocess.CalledProcessError as error:
            raise Missing(f"{requirement} can't be installed: {error.stderr.strip()[-_SAID:]}") from error
        made.touch()
    return python


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
