"""Pods of one owner share what their template says."""

from __future__ import annotations

import datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from knarr_api import json
from knarr_api.types.core_v1 import Container, Pod, PodCondition, PodSpec, PodStatus
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_controlplane.controllers.informers import Siblings


def pod(name: str, *, owner: str = "u1", image: str = "web:1", node: str = "") -> Pod:
    """As it comes from the API: nothing is shared with any other."""
    owners = (OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="rs", uid=owner, controller=True),)
    made = Pod(
        metadata=ObjectMeta(name=name, namespace="default", labels={"app": "web"}, owner_references=owners),
        spec=PodSpec(containers=(Container(name="web", image=image),), node_name=node),
    )
    return json.decode(json.encode(made), Pod)


def test_siblings_share_their_containers_and_stay_what_they_are():
    siblings = Siblings()
    one, other = siblings.keep(pod("a")), siblings.keep(pod("b", node="n1"))
    assert other == pod("b", node="n1")
    assert other.spec.containers is one.spec.containers
    assert other.metadata.owner_references is one.metadata.owner_references


def test_nothing_is_shared_with_strangers_or_what_differs():
    siblings = Siblings()
    first = siblings.keep(pod("a"))
    for stranger in (pod("b", owner="u2"), pod("c", image="web:2")):
        kept = siblings.keep(stranger)
        assert kept == stranger
        assert kept.spec.containers is not first.spec.containers
    bare = msgspec.structs.replace(pod("d"), metadata=ObjectMeta(name="d", namespace="default"))
    assert siblings.keep(bare) is bare


def test_those_that_became_ready_in_the_same_second_share_what_says_so():
    siblings, at = Siblings(), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def ready(name: str, second: int) -> Pod:
        said = PodCondition(type="Ready", status="True", last_transition_time=at.replace(second=second))
        return json.decode(json.encode(msgspec.structs.replace(pod(name), status=PodStatus(conditions=(said,)))), Pod)

    one, other, later = (siblings.keep(each) for each in (ready("a", 1), ready("b", 1), ready("c", 2)))
    assert one.status.conditions is other.status.conditions
    assert later == ready("c", 2)


@given(
    st.lists(
        st.builds(
            lambda namespace, spec, status, owner: json.decode(
                json.encode(
                    Pod(
                        metadata=msgspec.structs.replace(pod("p", owner=owner).metadata, namespace=namespace),
                        spec=spec,
                        status=status,
                    )
                ),
                Pod,
            ),
            st.sampled_from(["default", "other"]),
            st.builds(
                PodSpec,
                node_name=st.sampled_from(["", "n1", "n2"]),
                hostname=st.sampled_from(["", "h"]),
                containers=st.sampled_from([(Container(name="a", image=image),) for image in "xy"]),
            ),
            st.builds(
                PodStatus,
                phase=st.sampled_from(["Pending", "Running"]),
                conditions=st.sampled_from([(), *((PodCondition(type="Ready", status=each),) for each in "TF")]),
            ),
            st.sampled_from(["u1", "u2"]),
        ),
        max_size=8,
    )
)
def test_whatever_came_before_a_pod_is_kept_as_it_is(pods: list[Pod]):
    siblings = Siblings()
    for each in pods:
        assert siblings.keep(each) == each
