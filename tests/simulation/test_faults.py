"""What a plan breaks does break: a fault that strikes nothing would prove nothing."""

from __future__ import annotations

import itertools

import pytest

from tests.simulation import life, plan, troubles
from tests.simulation.moment import Event

DEPLOYMENT = plan.CreateDeployment(at_s=9.0, name="web-0", replicas=8, max_surge=1, max_unavailable=2, cpu_m=100)
NODES, CONTROL_PLANES = 5, 3
EVERYTHING: tuple[Event, ...] = (
    DEPLOYMENT,
    troubles.LeaderStandsStill(at_s=9.05, for_s=4.0),
    *(
        troubles.BadNetwork(
            at_s=15.0,
            node=node,
            for_s=20.0,
            longest_delay_s=0.3,
            lost_request=0.2,
            lost_answer=0.2,
            late_copy=0.5,
        )
        for node in (0, 1)
    ),
    plan.SetImage(at_s=16.0, name="web-0", image="web:1"),
    troubles.BadAccess(at_s=15.0, for_s=10.0, longest_delay_s=0.3, lost_request=0.2, lost_answer=0.2),
    *(
        troubles.BadStore(at_s=10.0, number=number, for_s=8.0, longest_delay_s=0.1, lost_request=0.2, lost_answer=0.5)
        for number in range(CONTROL_PLANES)
    ),
    troubles.StoreFull(at_s=18.0, for_s=3.0),
    troubles.Partition(at_s=50.0, node=2, for_s=20.0),
    troubles.KillControlPlane(at_s=24.0, number=1, down_s=2.0),
    troubles.KillAgent(at_s=24.5, node=3, down_s=2.0),
    troubles.StandStill(at_s=25.0, number=-1, for_s=2.5),
    troubles.ClockJump(at_s=26.0, number=2, by_s=90.0),
    plan.SetImage(at_s=27.0, name="web-0", image="web:2"),
    *(troubles.LoseLease(at_s=28.0, number=number, for_s=8.0) for number in range(CONTROL_PLANES)),
    troubles.Isolate(at_s=32.5, number=0, for_s=5.0),
    troubles.BreakStreams(at_s=33.0, node=4),
    troubles.BreakStoreWatch(at_s=34.0, number=0),
    troubles.Compact(at_s=35.0, break_watches=True),
    troubles.RuntimeDown(at_s=36.0, node=4, for_s=2.0),
    troubles.CrashContainers(at_s=39.0, node=4),
    troubles.StoreDown(at_s=40.0, number=-1, for_s=3.0),
    troubles.PowerLoss(at_s=44.0, node=3, down_s=4.0, forgets=True),
)


def test_everything_that_can_break_breaks() -> None:
    life.be_quiet()
    events = tuple(sorted(EVERYTHING, key=lambda event: event.at_s))
    made = plan.Plan(seed=4, control_planes=CONTROL_PLANES, nodes=NODES, writers=2, ends_s=75.0, events=events)
    outcome = life.simulate(made)
    assert not outcome.violation, outcome.violation
    assert [name for name in troubles.FAULTS if not outcome.fired[name]] == []


def test_what_computes_without_end_is_ended() -> None:
    with pytest.raises(life.OutOfTime, match=r"not over after 0\.1 s"), life.limited(0.1):
        for _ in itertools.count():
            pass


@pytest.mark.parametrize("fault", troubles.KINDS)
def test_seeds_have_every_fault(fault: type[Event]) -> None:
    plans = map(plan.make, range(100))
    found = (event for made in plans for event in made.events if isinstance(event, fault))
    assert len(list(itertools.islice(found, 10))) == 10
