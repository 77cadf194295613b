"""`make bench`: measures our gateway beside its peers, and writes the table."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from benchmarks import grown, machine
from benchmarks.figures import gigabyte, growth, idle, leader, relay, scale, single, starts
from benchmarks.runner import measure
from benchmarks.subjects.floor import Floor
from benchmarks.subjects.ours import Ours
from benchmarks.subjects.peers import EnterpriseGateway, JupyterServer
from benchmarks.subjects.straight import Straight
from benchmarks.subjects.subject import Subject
from benchmarks.table import OURS, Run, markdown

RESULTS = Path(__file__).parent / "results"
PLOT = Path(__file__).parents[1] / "docs" / "images" / "growth.svg"
FIGURES = {
    figure.name: figure
    for module in (relay, gigabyte, starts, single, idle, leader, scale, growth)
    for figure in module.FIGURES
}
SUBJECTS: dict[str, type[Subject]] = {
    subject.name: subject for subject in (Ours, JupyterServer, EnterpriseGateway, Straight, Floor)
}
USUAL = [name for name in SUBJECTS if name != Floor.name]


def main() -> None:
    """Measure what the command line asks for."""
    asked = _parser().parse_args()
    signal.signal(signal.SIGTERM, _stop)
    run = Run(machine.describe(), asked.subjects)
    figures = [FIGURES[name] for name in asked.only]
    try:
        measure(run, figures, [SUBJECTS[name]() for name in asked.subjects], rounds=asked.rounds, say=_say)
    finally:
        _write(run)
        print(_report(run))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES), help="which figures")
    parser.add_argument("--subjects", nargs="+", choices=SUBJECTS, default=USUAL, help="of whom")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)  # so that what was started is ended


def _report(run: Run) -> str:
    return "\n".join(filter(None, (markdown(run), grown.table(run.medians(OURS)))))


def _write(run: Run) -> None:
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.md").write_text(_report(run))
    if plot := grown.picture(run.medians(OURS)):
        PLOT.write_text(plot)
    (RESULTS / "latest.json").write_text(json.dumps(asdict(run), indent=1))


if __name__ == "__main__":
    main()
