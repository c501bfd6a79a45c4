"""Pods that others make room for are not there yet: nobody is near them."""

from __future__ import annotations

import msgspec

from knarr_api.types.core_v1 import Affinity, Container, ContainerPort, Node, Pod, PodAffinity, PodAffinityTerm, PodSpec
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_api.types.scheduling_v1 import PriorityClass

WEB = LabelSelector(match_labels={"app": "web"})
NEAR = PodAffinity(
    required_during_scheduling_ignored_during_execution=(
        PodAffinityTerm(topology_key="kubernetes.io/hostname", label_selector=WEB),
    )
)


def with_port(name, **spec):
    port = ContainerPort(container_port=80, host_port=80)
    metadata = ObjectMeta(name=name, namespace="default", labels={"app": name})
    return Pod(metadata=metadata, spec=PodSpec(containers=(Container(name="main", image="x", ports=(port,)),), **spec))


def test_nobody_is_placed_near_a_pod_that_is_not_there_yet(play):
    async def scenario(world):
        await world.client.create(PriorityClass(metadata=ObjectMeta(name="high"), value=1000))
        await world.add_node("n1")
        node = await world.client.get(Node, "n1")
        metadata = msgspec.structs.replace(node.metadata, labels={"kubernetes.io/hostname": "n1"})
        await world.client.update(msgspec.structs.replace(node, metadata=metadata))
        await world.client.create(with_port("victim"))
        await world.until(lambda: bool(world.node_of("victim")))
        await world.client.create(with_port("web", priority_class_name="high"))
        await world.until(lambda: bool(world.pod("web").status.nominated_node_name))
        await world.add_pod("near", affinity=Affinity(pod_affinity=NEAR))
        await world.until(lambda: world.condition("near", "PodScheduled") is not None)
        assert not world.node_of("near") and not world.node_of("web")
        await world.until(lambda: bool(world.node_of("near") and world.node_of("web")))

    play(scenario)
