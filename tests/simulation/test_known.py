"""Plans that have broken a promise once, as small as they got."""

from __future__ import annotations

import pytest

from tests.simulation import life, plan, troubles
from tests.simulation.moment import Event

DEPLOYMENT = plan.CreateDeployment(at_s=9.0, name="web-0", replicas=7, max_surge=1, max_unavailable=2, cpu_m=100)
KNOWN: dict[str, tuple[Event, ...]] = {
    "a leader that stood still wrote in the term of the next": (
        DEPLOYMENT,
        plan.SetImage(at_s=15.0, name="web-0", image="web:1"),
        plan.SetImage(at_s=18.80, name="web-0", image="web:2"),
        troubles.LeaderStandsStill(at_s=18.88, for_s=12.0),
    ),
    "a pod that had succeeded failed when its node forgot it": (
        plan.CreateJob(at_s=13.2, name="work", completions=5, parallelism=4),
        *(troubles.PowerLoss(at_s=16.5 + 0.1 * node, node=node, down_s=12.0, forgets=True) for node in range(4)),
    ),
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("seed", range(3))
def test_what_was_broken_once_holds(name: str, seed: int) -> None:
    life.be_quiet()
    known = plan.Plan(seed=seed, control_planes=2, nodes=4, writers=1, ends_s=36.0, events=KNOWN[name])
    outcome = life.simulate(known)
    assert not outcome.violation, outcome.violation
