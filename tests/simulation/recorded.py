"""What a search has found to break without each rule, step by step: as `tests.simulation.record` prints it.

Where a change of the code or of the machines makes one of these break nothing any more, have it searched for anew.
"""

from __future__ import annotations

from tests.simulation.acts_machine import Gateways
from tests.simulation.machine import Deployment


def claim_without_activity_seq(state: Deployment) -> None:
    state.begin(seed=0, replicas=1, who=0)
    state.a_claim_of_the_leader_is_on_its_way_for_long(meanwhile="it is used", seconds=6.0, who=0)


def takeover_without_raising_activity_seq(state: Deployment) -> None:
    state.begin(seed=400, replicas=1, who=0)
    state.a_claim_of_a_leader_that_is_cut_off_arrives_when_another_leads()


def renewal_without_beat(state: Deployment) -> None:
    state.begin(seed=0, replicas=2, who=0)


def deadline_from_the_acknowledgement(state: Deployment) -> None:
    state.begin(seed=540, replicas=1, who=0)
    state.the_leader_hears_late_of_a_renewal_and_is_cut_off(seconds=8.0, slow=4.0)


def expiry_by_wall_clock(state: Deployment) -> None:
    state.begin(seed=0, replicas=2, who=0)


def culling_at_once_after_an_outage(state: Deployment) -> None:
    state.begin(seed=121, replicas=2, who=0)
    state.a_lease_passes()
    state.kill(who=580)
    state.a_kernel_is_used_where_it_cant_be_written(seconds=4.0, who=661)


def culling_by_what_is_written_alone(state: Deployment) -> None:
    state.begin(replicas=2, who=0, seed=1801)
    state.a_kernel_is_used_where_it_cant_be_written(seconds=5.0, who=804)
    state.almost_a_timeout_passes()


def deaths_observed_across_an_outage(state: Deployment) -> None:
    state.begin(seed=410, replicas=3, who=2)
    state.a_kernel_is_used_where_it_cant_be_written(seconds=5.3, who=247)
    state.a_kernel_is_used_in_an_outage(seconds=11.4, who=302)


def restart_that_filters_on_the_owner_only(state: Gateways) -> None:
    state.begin(replicas=3, seed=8337)
    state.a_kernel_dies_and_is_restarted_at_once(late=2.8, which=397)


def takeover_of_what_an_earlier_read_named(state: Gateways) -> None:
    state.begin(seed=9295, replicas=3)
    state.who_launches_is_held_up(at=1, late=0.45, who=589)
    state.who_launches_is_held_up(at=2, late=0.45, who=454)


def sweep_of_what_it_reads_first(state: Gateways) -> None:
    state.begin(replicas=2, seed=112)
    state.restart(which=262, who=157)
    state.a_lease_passes()
    state.who_launches_is_held_up(at=2, late=0.9, who=999)


def flush_over_a_newer_count(state: Deployment) -> None:
    state.begin(replicas=1, who=0, seed=97)
    state.a_client_goes_and_comes_back(at=1, seconds=73.8, who=759)


def death_that_is_no_activity(state: Deployment) -> None:
    state.begin(who=2, seed=9877, replicas=3)
    state.the_replica_of_a_client_is_cut_off(seconds=52.1, who=112)
