"""What a PodDisruptionBudget's status says of any pods."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.types.core_v1 import Pod, PodCondition, PodStatus
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta, OwnerReference
from knarr_api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus
from knarr_controlplane.controllers.disruption.decide import DELETION_TIMEOUT_S, Scale, World, changed, decide

NOW = datetime.datetime(2026, 1, 31, 8, 0, 0, tzinfo=datetime.UTC)


def pod(name: str, *, ready: bool = True, controller: str = "rs", going: bool = False) -> Pod:
    owners = (
        (OwnerReference(kind="ReplicaSet", name=controller, uid=controller, controller=True),) if controller else ()
    )
    metadata = ObjectMeta(name=name, owner_references=owners, deletion_timestamp=NOW if going else None)
    status = PodStatus(phase="Running", conditions=(PodCondition(type="Ready", status="True" if ready else "False"),))
    return Pod(metadata=metadata, status=status)


def budget(disrupted: dict[str, datetime.datetime] | None = None, **spec: Any) -> PodDisruptionBudget:
    return PodDisruptionBudget(
        metadata=ObjectMeta(name="b", namespace="default", generation=3),
        spec=PodDisruptionBudgetSpec(selector=LabelSelector(), **spec),
        status=PodDisruptionBudgetStatus(disrupted_pods=disrupted or {}),
    )


def world(
    given: PodDisruptionBudget, *pods: Pod, replicas: int | None = None, waited_s: dict[str, float] | None = None
) -> World:
    scales = {} if replicas is None else {"rs": Scale(uid="deployment", replicas=replicas)}
    return World(budget=given, pods=pods, scales=scales, waited_s=waited_s or {}, now=NOW)


def pods(count: int, *, unready: int = 0) -> tuple[Pod, ...]:
    return tuple(pod(f"p{number}", ready=number >= unready) for number in range(count))


@pytest.mark.parametrize(
    ("spec", "count", "unready", "replicas", "expected"),
    [
        ({"min_available": 2}, 3, 0, None, (1, 2, 3, 3)),
        ({"min_available": 2}, 3, 1, None, (0, 2, 2, 3)),
        ({"min_available": 5}, 3, 0, None, (0, 5, 3, 3)),
        ({"min_available": 0}, 3, 0, None, (3, 0, 3, 3)),
        ({"min_available": "50%"}, 3, 0, 3, (1, 2, 3, 3)),
        ({"min_available": "100%"}, 3, 0, 3, (0, 3, 3, 3)),
        ({"max_unavailable": 1}, 3, 0, 3, (1, 2, 3, 3)),
        ({"max_unavailable": 1}, 2, 0, 3, (0, 2, 2, 3)),
        ({"max_unavailable": "34%"}, 3, 0, 3, (2, 1, 3, 3)),
        ({"max_unavailable": 10}, 3, 0, 3, (3, 0, 3, 3)),
        ({"max_unavailable": 1}, 0, 0, None, (0, 0, 0, 0)),
    ],
)
def test_counts(spec: Any, count: int, unready: int, replicas: int | None, expected: Any) -> None:
    status = decide(world(budget(**spec), *pods(count, unready=unready), replicas=replicas)).status
    assert (
        status.disruptions_allowed,
        status.desired_healthy,
        status.current_healthy,
        status.expected_pods,
    ) == expected
    assert status.observed_generation == 3
    (condition,) = status.conditions
    assert (condition.type, condition.status) == ("DisruptionAllowed", "True" if expected[0] else "False")
    assert condition.reason == ("SufficientPods" if expected[0] else "InsufficientPods")


def test_a_pod_that_was_evicted_does_not_count_while_it_is_to_go() -> None:
    plan = decide(world(budget({"p0": NOW}, min_available=1), *pods(3)))
    assert (plan.status.current_healthy, plan.status.disruptions_allowed) == (2, 1)
    assert plan.status.disrupted_pods == {"p0": NOW}
    assert plan.again_after_s == DELETION_TIMEOUT_S


def test_a_pod_that_stays_counts_again() -> None:
    given = budget({"p0": NOW, "gone": NOW}, min_available=1)
    plan = decide(world(given, *pods(3), waited_s={"p0": DELETION_TIMEOUT_S, "gone": DELETION_TIMEOUT_S}))
    assert [each.metadata.name for each in plan.not_deleted] == ["p0"]
    assert plan.status.disrupted_pods == {}
    assert plan.status.current_healthy == 3


@pytest.mark.parametrize("hours", [-1, 1])
def test_by_whose_clock_it_was_noted_does_not_matter(hours: int) -> None:
    """Two were evicted for one: what another control plane had noted an hour behind was taken for late at once."""
    noted = NOW + datetime.timedelta(hours=hours)
    plan = decide(world(budget({"p0": noted}, min_available=1), *pods(3), waited_s={"p0": 1.0}))
    assert (plan.status.disrupted_pods, plan.status.current_healthy) == ({"p0": noted}, 2)
    assert plan.again_after_s == DELETION_TIMEOUT_S - 1


def test_a_pod_on_its_way_out_is_not_noted_any_more() -> None:
    plan = decide(world(budget({"p0": NOW}, min_available=1), pod("p0", going=True), pod("p1")))
    assert (plan.status.disrupted_pods, plan.status.current_healthy) == ({}, 1)


def test_pods_that_nobody_keeps_are_named() -> None:
    plan = decide(world(budget(max_unavailable=1), pod("alone", controller=""), *pods(2), replicas=2))
    assert [each.metadata.name for each in plan.unmanaged] == ["alone"]
    assert plan.status.expected_pods == 2


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=8),
    st.integers(0, 10),
    st.sampled_from(["min_available", "max_unavailable"]),
    st.one_of(st.integers(0, 10), st.integers(0, 100).map(lambda percent: f"{percent}%")),
)
def test_what_may_go_leaves_what_must_stay(states: Any, replicas: int, field: str, value: Any) -> None:
    all_pods = [pod(f"p{number}", ready=ready, going=going) for number, (ready, going) in enumerate(states)]
    given_budget = budget(**{field: value})
    status = decide(world(given_budget, *all_pods, replicas=replicas)).status
    assert status.disruptions_allowed >= 0
    if status.disruptions_allowed:
        assert status.current_healthy - status.disruptions_allowed >= status.desired_healthy
    assert status.current_healthy <= len(all_pods)
    written = changed(given_budget, status)
    again = decide(world(written or given_budget, *all_pods, replicas=replicas))
    assert changed(written or given_budget, again.status) is None, "at rest nothing is written"
