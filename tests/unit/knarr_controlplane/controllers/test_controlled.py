"""Whom a pod's change concerns."""

from __future__ import annotations

from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_client.client import key_of
from knarr_client.informer import Change
from knarr_controlplane.controllers.pods.controlled import ControlledPods


def pod(controller=None, *others):
    references = [OwnerReference(kind=kind, name="o", uid=f"{kind}-1") for kind in others]
    if controller:
        references.append(OwnerReference(kind=controller, name="c", uid=f"{controller}-1", controller=True))
    return Pod(metadata=ObjectMeta(name="p", namespace="default", owner_references=tuple(references)))


def told(old, new):
    """Who hears of a change: kinds in the order of their telling, and ``orphan`` once for each that might adopt."""
    pods, heard = ControlledPods(), []
    for kind in ("Job", "ReplicaSet"):
        pods.tell(kind, lambda change, before, after, kind=kind: heard.append(kind), lambda pod: heard.append("orphan"))
    pods.changed(Change(key=key_of(old or new), old=old, new=new))
    return heard


def test_who_controls_it_hears_of_it_once():
    assert told(None, pod("Job")) == ["Job"]
    assert told(pod("Job"), pod("Job")) == ["Job"]
    assert told(pod("Job"), None) == ["Job"]
    assert told(None, pod("DaemonSet")) == []


def test_an_owner_that_does_not_control_it_hears_nothing():
    assert told(None, pod("Job", "ReplicaSet")) == ["Job"]


def test_both_hear_of_a_pod_that_changes_hands():
    assert told(pod("Job"), pod("ReplicaSet")) == ["Job", "ReplicaSet"]


def test_everybody_hears_of_an_orphan_and_who_released_it_as_well():
    assert told(None, pod()) == ["orphan", "orphan"]
    assert told(pod("Job"), pod()) == ["Job", "orphan", "orphan"]
    assert told(pod(), None) == []
