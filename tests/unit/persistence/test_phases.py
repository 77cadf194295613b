from __future__ import annotations

from itertools import product

import pytest

from persistence.phases import Phase, allowed, live, sources

# Rows are where a kernel is, columns where it would go; "t" is a takeover of work under a new act.
TABLE = """
              queued  launching  running  restarting  stopping  ended
queued        -       yes        -        -           yes       yes
launching     -       t          yes      -           yes       yes
running       -       -          -        yes         yes       yes
restarting    -       -          yes      t           yes       yes
stopping      -       -          -        -           t         yes
ended         yes     -          -        -           -         -
"""
COLUMNS, *ROWS = (line.split() for line in TABLE.strip().splitlines())
CELLS = {(row[0], column): cell for row in ROWS for column, cell in zip(COLUMNS, row[1:], strict=True)}


def test_the_table_names_every_pair_of_phases() -> None:
    assert set(CELLS) == set(product(map(str, Phase), repeat=2))


@pytest.mark.parametrize(("source", "destination"), CELLS)
def test_a_step_is_allowed_exactly_where_the_table_says_so(source: str, destination: str) -> None:
    assert allowed(source, destination) is (CELLS[source, destination] != "-")


@pytest.mark.parametrize("destination", Phase)
def test_sources_are_the_allowed_steps_without_takeovers(destination: Phase) -> None:
    assert set(sources(destination)) == {s for (s, d), cell in CELLS.items() if d == destination and cell == "yes"}


@pytest.mark.parametrize("phase", [*Phase, "hibernating"])
def test_no_step_leads_from_or_to_a_newer_replicas_phase(phase: str) -> None:
    assert not allowed("hibernating", phase)
    assert not allowed(phase, "hibernating")


@pytest.mark.parametrize("phase", [*Phase, "hibernating"])
def test_all_but_ended_is_live(phase: str) -> None:
    assert live(phase) is (phase != "ended")


def test_every_live_phase_leads_to_its_end_and_only_a_revival_leads_back() -> None:
    assert all(allowed(phase, Phase.ENDED) for phase in Phase if live(phase))
    assert [phase for phase in Phase if allowed(Phase.ENDED, phase)] == [Phase.QUEUED]
