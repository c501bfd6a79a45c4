"""What owners mean for the owned."""

from __future__ import annotations

import pytest

from knarr_api import kinds
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_client.client import Propagation
from knarr_controlplane.controllers.garbage.collector import followed_kinds
from knarr_controlplane.controllers.garbage.decide import Delete, Disown, Keep, Owner, blockers, verdict
from knarr_controlplane.controllers.garbage.graph import Graph, item_of

PRESENT, ENDING, GONE = Owner.PRESENT, Owner.ENDING, Owner.GONE


def owner(uid, *, block=False):
    return OwnerReference(api_version="v1", kind="ConfigMap", name=uid, uid=uid, block_owner_deletion=block)


def item(uid, *owners):
    return item_of(ConfigMap(metadata=ObjectMeta(name=uid, namespace="default", uid=uid, owner_references=owners)))


def judged(*states, finalizers=(), has_dependents=False):
    owners = {str(number): state for number, state in enumerate(states)}
    return verdict([owner(uid) for uid in owners], finalizers, owners, has_dependents=has_dependents)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((), Keep()),
        ((PRESENT,), Keep()),
        ((PRESENT, PRESENT), Keep()),
        ((PRESENT, GONE), Disown(("1",))),
        ((ENDING, PRESENT, GONE), Disown(("0", "2"))),
        ((GONE,), Delete(Propagation.BACKGROUND)),
        ((GONE, GONE), Delete(Propagation.BACKGROUND)),
        ((ENDING,), Delete(Propagation.BACKGROUND)),
    ],
)
def test_an_object_lives_as_long_as_one_owner(states, expected):
    assert judged(*states) == expected


def test_foreground_goes_down_the_tree():
    assert judged(ENDING, has_dependents=True) == Delete(Propagation.FOREGROUND)
    assert judged(GONE, has_dependents=True) == Delete(Propagation.BACKGROUND)


def test_the_objects_own_wish_counts():
    assert judged(GONE, finalizers=("orphan",)) == Delete(Propagation.ORPHAN)
    assert judged(GONE, finalizers=("foregroundDeletion",)) == Delete(Propagation.FOREGROUND)


def test_only_blocking_dependents_block():
    dependents = (item("a", owner("o", block=True)), item("b", owner("o")), item("c", owner("x", block=True)))
    assert [each.uid for each in blockers(item("o"), dependents)] == ["a"]


def test_graph_follows_changes_of_ownership():
    graph = Graph()
    graph.put(item("a", owner("x"), owner("y")))
    assert [each.uid for each in graph.dependents("x")] == ["a"]
    graph.put(item("a", owner("y")))
    assert list(graph.dependents("x")) == []
    graph.remove("a")
    assert list(graph.dependents("y")) == []
    assert len(graph) == 0


def test_dependents_may_go_while_they_are_looked_at():
    graph = Graph()
    graph.put(item("a", owner("x")))
    graph.put(item("b", owner("x")))
    seen = []
    for each in graph.dependents("x"):
        seen.append(each.uid)
        graph.remove("b")
    assert seen == ["a", "b"]


def test_every_kind_is_followed_once_but_events():
    followed = followed_kinds()
    assert len({kind.key_prefix for kind in followed}) == len(followed)
    assert {kind.key_prefix for kind in kinds.KINDS if kind.kind != "Event"} == {kind.key_prefix for kind in followed}
