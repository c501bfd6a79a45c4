"""Which pods are removed because nobody else will."""

from __future__ import annotations

import datetime

from knarr_api.types.core_v1 import Pod, PodCondition, PodSpec, PodStatus
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.controllers.podcollection.decide import removals
from knarr_controlplane.controllers.pods import state

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


def pod(name, *, node="n1", phase="Running", deleting=False, age_s=0, reason=""):
    created = NOW - datetime.timedelta(seconds=age_s)
    return Pod(
        metadata=ObjectMeta(name=name, creation_timestamp=created, deletion_timestamp=NOW if deleting else None),
        spec=PodSpec(node_name=node),
        status=PodStatus(phase=phase, reason=reason),
    )


def removed(*pods, nodes=("n1",), missing_s=None, out_of_service=(), ended_max=100):
    found = removals(
        pods,
        nodes=nodes,
        missing_s=missing_s or {},
        out_of_service=out_of_service,
        quarantine_s=5,
        ended_max=ended_max,
    )
    return {each.pod.metadata.name: each.check_node for each in found}


def test_pods_of_a_missing_node_go_after_quarantine_and_a_look():
    assert removed(pod("a", node="gone"), missing_s={"gone": 4.9}) == {}
    assert removed(pod("a", node="gone"), missing_s={"gone": 5}) == {"a": "gone"}


def test_pods_that_never_had_a_node_go_when_deleted():
    assert removed(pod("a", node=""), pod("b", node="", deleting=True)) == {"b": ""}


def test_terminating_pods_stay_on_a_silent_node_until_it_is_declared_dead():
    assert removed(pod("a", deleting=True), pod("b")) == {}
    assert removed(pod("a", deleting=True), pod("b"), out_of_service=("n1",)) == {"a": ""}


def test_of_many_ended_pods_the_oldest_go():
    pods = [pod(f"p{age}", phase="Succeeded", age_s=age) for age in (1, 5, 3)]
    assert removed(*pods, pod("alive", age_s=100), ended_max=2) == {"p5": ""}


def test_of_many_ended_pods_those_that_were_evicted_go_first():
    evicted = pod("evicted", phase="Failed", age_s=1, reason="Evicted")
    assert removed(pod("old", phase="Failed", age_s=9), evicted, ended_max=1) == {"evicted": ""}


def test_availability_counts_from_the_last_time_it_became_ready():
    condition = PodCondition(type="Ready", status="True", last_transition_time=NOW)
    ready = Pod(status=PodStatus(phase="Running", conditions=(condition,)))
    assert state.available_in_s(ready, 0, NOW) == 0
    assert state.available_in_s(ready, 30, NOW + datetime.timedelta(seconds=10)) == 20
    assert state.available_in_s(ready, 30, NOW + datetime.timedelta(seconds=31)) == 0
    assert state.available_in_s(pod("a"), 0, NOW) is None


def test_marking_unready_changes_that_condition_alone_and_once():
    condition = PodCondition(type="Ready", status="True", last_transition_time=NOW)
    other = PodCondition(type="Initialized", status="True")
    ready = Pod(status=PodStatus(phase="Running", conditions=(other, condition)))
    status = state.unready(ready, "NodeNotReady", NOW)
    assert [(each.type, each.status, each.reason) for each in status.conditions] == [
        ("Initialized", "True", ""),
        ("Ready", "False", "NodeNotReady"),
    ]
    again = Pod(status=status)
    assert state.unready(again, "NodeNotReady", NOW) is status
