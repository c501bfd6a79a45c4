"""Which pods a ReplicaSet makes and takes away."""

from __future__ import annotations

import datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from knarr_api.types.apps_v1 import ReplicaSet, ReplicaSetSpec
from knarr_api.types.core_v1 import Container, Pod, PodCondition, PodSpec, PodStatus, PodTemplateSpec
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta, OwnerReference
from knarr_controlplane.controllers.replicaset import naming
from knarr_controlplane.controllers.replicaset.decide import Failure, World, decide, deletion_order, status

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
replace = msgspec.structs.replace


def replicaset(replicas=3, **spec):
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "web"}), spec=PodSpec(containers=(Container(name="c", image="i"),))
    )
    return ReplicaSet(
        metadata=ObjectMeta(name="web", namespace="default", uid="rs-uid", generation=1),
        spec=ReplicaSetSpec(
            replicas=replicas, selector=LabelSelector(match_labels={"app": "web"}), template=template, **spec
        ),
    )


def pod(
    name, *, owner="rs-uid", labels=None, node="n1", ready=True, phase="Running", age_s=100, deleting=False, **meta
):
    references = ()
    if owner:
        references = (OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="web", uid=owner, controller=True),)
    since = NOW - datetime.timedelta(seconds=age_s)
    conditions = (PodCondition(type="Ready", status="True", last_transition_time=since),) if ready else ()
    return Pod(
        metadata=ObjectMeta(
            name=name,
            namespace="default",
            uid=f"uid-{name}",
            labels={"app": "web"} if labels is None else labels,
            owner_references=references,
            creation_timestamp=since,
            deletion_timestamp=NOW if deleting else None,
            **meta,
        ),
        spec=PodSpec(node_name=node),
        status=PodStatus(phase=phase, conditions=conditions),
    )


def plan(owner, *pods, floor=-1):
    return decide(World(replicaset=owner, pods=pods, floor=floor, now=NOW))


def names(pods):
    return [each.metadata.name for each in pods]


def test_missing_pods_are_made_with_the_template_and_an_owner():
    made = plan(replicaset(2)).create
    assert len(set(names(made))) == 2
    assert all(each.metadata.labels == {"app": "web"} for each in made)
    assert {each.metadata.owner_references[0].uid for each in made} == {"rs-uid"}
    assert all(each.metadata.owner_references[0].controller for each in made)


def test_the_same_state_gives_the_same_names():
    assert names(plan(replicaset(5)).create) == names(plan(replicaset(5)).create)


def test_names_of_pods_that_were_are_not_used_again():
    first = names(plan(replicaset(3)).create)
    again = names(plan(replicaset(3), floor=2).create)
    assert not set(first) & set(again)


def test_ended_and_terminating_pods_are_replaced():
    present = [pod("a"), pod("b", phase="Failed"), pod("c", deleting=True)]
    assert len(plan(replicaset(3), *present).create) == 2


def test_orphans_are_adopted_and_strangers_are_not():
    result = plan(replicaset(2), pod("a", owner=""), pod("b", owner="other"), pod("c", owner="", labels={"app": "db"}))
    assert names(result.adopt) == ["a"]
    assert len(result.create) == 1


def test_pod_whose_labels_changed_is_released_and_replaced():
    result = plan(replicaset(1), pod("a", labels={"app": "debug"}))
    assert names(result.release) == ["a"]
    assert len(result.create) == 1


def test_replicaset_being_deleted_does_nothing():
    owner = replicaset(3)
    owner = replace(owner, metadata=replace(owner.metadata, deletion_timestamp=NOW))
    result = plan(owner, pod("a", owner=""))
    assert not (result.create or result.delete or result.adopt or result.release)


def test_order_of_deletion():
    pods = [
        pod("old", age_s=1000),
        pod("young", age_s=10),
        pod("cheap", age_s=1000, annotations={"controller.kubernetes.io/pod-deletion-cost": "-5"}),
        pod("unready", ready=False),
        pod("pending", ready=False, phase="Pending"),
        pod("unassigned", ready=False, phase="Pending", node=""),
    ]
    assert names(deletion_order(pods, NOW)) == ["unassigned", "pending", "unready", "cheap", "young", "old"]


def test_of_equal_pods_those_on_the_fuller_node_go_first():
    pods = [pod("a", node="n1"), pod("b", node="n2"), pod("c", node="n2")]
    assert names(deletion_order(pods, NOW))[0] in ("b", "c")


def test_available_means_ready_for_long_enough():
    owner = replicaset(2, min_ready_seconds=60)
    result = plan(owner, pod("a", age_s=100), pod("b", age_s=20))
    seen = status(owner, result, None, NOW)
    assert (seen.replicas, seen.ready_replicas, seen.available_replicas) == (2, 2, 1)
    assert result.again_after_s == 40


def test_failure_is_a_condition_until_it_is_over():
    owner = replicaset(1)
    failed = status(owner, plan(owner), Failure(reason="FailedCreate", message="quota"), NOW)
    assert [(each.type, each.reason) for each in failed.conditions] == [("ReplicaFailure", "FailedCreate")]
    later = NOW + datetime.timedelta(seconds=9)
    owner = replace(owner, status=failed)
    assert status(owner, plan(owner), Failure(reason="FailedCreate", message="quota"), later) == failed
    assert status(owner, plan(owner), None, later).conditions == ()


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 10))
def test_one_plan_reaches_the_number_and_the_next_does_nothing(wanted, present, ended):
    owner = replicaset(wanted)
    pods = [pod(f"p{number}") for number in range(present)]
    pods += [pod(f"e{number}", phase="Failed") for number in range(ended)]
    first = plan(owner, *pods)
    gone = set(names(first.delete))
    pods = [each for each in pods if each.metadata.name not in gone] + list(first.create)
    second = plan(owner, *pods)
    assert len(second.active) == wanted
    assert not (second.create or second.delete)
    assert not (first.create and first.delete)


@given(st.text(max_size=60), st.uuids().map(str), st.integers(0, naming.SLOTS - 1))
def test_slot_can_be_read_from_the_name(replicaset_name, uid, slot):
    assert naming.slot_of(naming.pod_name(replicaset_name, uid, slot), replicaset_name, uid) == slot


@given(st.uuids().map(str), st.integers(0, naming.SLOTS - 500))
def test_slots_never_share_a_name(uid, first):
    assert len({naming.pod_name("web", uid, first + number) for number in range(500)}) == 500
