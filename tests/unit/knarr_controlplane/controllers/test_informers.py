"""Pods of one owner share what their template says."""

from __future__ import annotations

import msgspec

from knarr_api import json
from knarr_api.types.core_v1 import Container, Pod, PodSpec
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
