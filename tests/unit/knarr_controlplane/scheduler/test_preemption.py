"""Who has to go, and that nobody goes who need not."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.labels import Selector
from knarr_api.types.core_v1 import Affinity, Pod, PodAffinityTerm, PodAntiAffinity, Taint
from knarr_api.types.meta_v1 import LabelSelector
from knarr_controlplane.scheduler.columns import Columns
from knarr_controlplane.scheduler.framework import Placed, PodToPlace, Unschedulable, decide
from knarr_controlplane.scheduler.preemption import Budget, NoRoom, Preemption, find
from knarr_controlplane.scheduler.profile import load_plugins

PLUGINS = load_plugins()
replace = msgspec.structs.replace


def look(pod: Pod, columns: Columns, *budgets: Budget) -> Preemption | NoRoom:
    refused = decide(PodToPlace.of(pod), columns, PLUGINS, tie_break=0)
    if not isinstance(refused, Unschedulable):
        return NoRoom("it fits")
    return find(PodToPlace.of(pod), columns, PLUGINS, budgets, refused=refused, tie_break=0)


def search(pod: Pod, columns: Columns, *budgets: Budget) -> Preemption | None:
    found = look(pod, columns, *budgets)
    return found if isinstance(found, Preemption) else None


def names(preemption: Preemption | None) -> set[str]:
    return {victim.name for victim in preemption.victims} if preemption is not None else set()


@pytest.fixture
def full(make: Any) -> Columns:
    """Two nodes of 4 cores, each full of pods of 2."""
    columns = Columns()
    for node, priorities in (("n1", (10, 20)), ("n2", (10, 30))):
        columns.set_node(make.node(node, cpu="4"))
        for priority in priorities:
            columns.add_pod(make.pod(f"{node}-{priority}", cpu="2", priority=priority, labels={"app": node}), node)
    return columns


def test_only_as_many_go_as_must(make: Any, full: Columns) -> None:
    found = search(make.pod("new", cpu="2", priority=100), full)
    assert found is not None and names(found) in ({"n1-10"}, {"n2-10"})


def test_the_least_important_most_important_victim_decides(make: Any, full: Columns) -> None:
    found = search(make.pod("new", cpu="4", priority=100), full)
    assert found is not None and (found.node, names(found)) == ("n1", {"n1-10", "n1-20"})


@pytest.mark.parametrize("priority", [0, 10])
def test_equals_and_betters_stay(make: Any, full: Columns, priority: int) -> None:
    assert search(make.pod("new", cpu="2", priority=priority), full) is None


def test_what_no_ones_going_helps_is_left(make: Any, full: Columns) -> None:
    assert search(make.pod("new", cpu="5", priority=100), full) is None
    assert search(make.pod("new", cpu="2", priority=100, node_selector={"disk": "ssd"}), full) is None


def test_taints_are_not_preempted(make: Any, full: Columns) -> None:
    full.set_node(make.node("n1", cpu="4", taints=(Taint(key="dedicated", effect="NoSchedule"),)))
    found = search(make.pod("new", cpu="4", priority=100), full)
    assert found is not None and found.node == "n2"


def test_budgets_are_kept_where_another_node_will_do(make: Any, full: Columns) -> None:
    budget = Budget("default", Selector.parse("app=n1"), 0)
    found = search(make.pod("new", cpu="2", priority=100), full, budget)
    assert found is not None and (found.node, found.violations) == ("n2", 0)


def test_budgets_are_broken_before_nothing_runs(make: Any, full: Columns) -> None:
    budgets = [Budget("default", Selector.parse("app=n1"), 0), Budget("default", Selector.parse("app=n2"), 0)]
    found = search(make.pod("new", cpu="2", priority=100), full, *budgets)
    assert found is not None and found.violations == 1


def test_a_neighbour_that_keeps_it_away_can_be_preempted(make: Any) -> None:
    kept_away = LabelSelector(match_labels={"app": "new"})
    term = PodAffinityTerm(topology_key="kubernetes.io/hostname", label_selector=kept_away)
    alone = Affinity(pod_anti_affinity=PodAntiAffinity(required_during_scheduling_ignored_during_execution=(term,)))
    columns = Columns()
    columns.set_node(make.node("n1"))
    columns.add_pod(make.pod("guard", affinity=alone), "n1")
    columns.add_pod(make.pod("bystander"), "n1")
    found = search(make.pod("new", priority=5, labels={"app": "new"}), columns)
    assert names(found) == {"guard"}


def test_the_latest_started_go_first(make: Any) -> None:
    columns = Columns()
    for number, node in enumerate(("n1", "n2")):
        columns.set_node(make.node(node, cpu="2"))
        pod = make.pod(f"on-{node}", cpu="2")
        start = datetime.datetime(2030, 1, 1 + number, tzinfo=datetime.UTC)
        columns.add_pod(replace(pod, status=replace(pod.status, start_time=start)), node)
    assert names(search(make.pod("new", cpu="2", priority=1), columns)) == {"on-n2"}


@settings(max_examples=60, deadline=None)
@given(
    pods=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 5)), max_size=14),
    cpu=st.integers(1, 5),
    priority=st.integers(0, 6),
    allowed=st.integers(0, 2),
)
def test_columns_are_left_as_they_were_and_victims_suffice(
    make: Any, pods: list[tuple[int, int, int]], cpu: int, priority: int, allowed: int
) -> None:
    columns = Columns()
    for number in range(3):
        columns.set_node(make.node(f"n{number}", cpu="6", pods="5"))
    for number, (node, cores, importance) in enumerate(pods):
        pod = make.pod(f"p{number}", cpu=str(cores), priority=importance, labels={"odd": str(number % 2)})
        columns.add_pod(pod, f"n{node}")
    before = (columns.requested.copy(), dict(columns.pods))
    new = make.pod("new", cpu=str(cpu), priority=priority)
    found = search(new, columns, Budget("default", Selector.parse("odd=1"), allowed))
    assert (columns.requested == before[0]).all()
    assert {key: record.row for key, record in columns.pods.items()} == {k: r.row for k, r in before[1].items()}
    if found is None:
        return
    assert all(victim.priority < priority and victim.node == found.node for victim in found.victims)
    for victim in found.victims:
        columns.remove_pod(victim.namespace, victim.name)
    verdict = decide(PodToPlace.of(new), columns, PLUGINS, tie_break=0, first=found.node)
    assert isinstance(verdict, Placed) and verdict.node == found.node
    for victim in found.victims:  # and not one of them could have stayed
        columns.put_back(victim)
        verdict = decide(PodToPlace.of(new), columns, PLUGINS, tie_break=0, first=found.node)
        assert not (isinstance(verdict, Placed) and verdict.node == found.node)
        columns.remove_pod(victim.namespace, victim.name)


def test_it_is_said_why_nobody_goes(make: Any, full: Columns) -> None:
    full.set_node(make.node("n3", cpu="4", taints=(Taint(key="dedicated", effect="NoSchedule"),)))
    full.set_node(make.node("n4", cpu="1"))
    full.set_node(make.node("n5", cpu="2"))
    full.add_pod(make.pod("better", cpu="2", priority=1000), "n5")
    full.set_node(make.node("n6", cpu="2"))
    full.add_pod(make.pod("half", cpu="1", priority=1), "n6")
    full.add_pod(make.pod("other-half", cpu="1", priority=1000), "n6")
    said = look(make.pod("new", cpu="2", priority=1), full)
    assert isinstance(said, NoRoom)
    assert said.why == (
        "0/6 nodes are available: 2 Preemption is not helpful for scheduling, "
        "4 No preemption victims found for incoming pod."
    )
    said = look(make.pod("new", cpu="2", priority=2), full)
    assert isinstance(said, NoRoom)
    assert said.why == (
        "0/6 nodes are available: 1 Insufficient cpu, 2 Preemption is not helpful for scheduling, "
        "3 No preemption victims found for incoming pod."
    )
