"""ReplicationControllers: what they share with ReplicaSets they share in deed."""

from __future__ import annotations

from typing import Any

from knarr_api.types.core_v1 import (
    Container,
    Event,
    PodSpec,
    PodTemplateSpec,
    ReplicationController,
    ReplicationControllerSpec,
)
from knarr_api.types.meta_v1 import ObjectMeta


def web(replicas: int = 3) -> ReplicationController:
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "web"}), spec=PodSpec(containers=(Container(name="main", image="web:1"),))
    )
    return ReplicationController(
        metadata=ObjectMeta(name="web", namespace="default"),
        spec=ReplicationControllerSpec(replicas=replicas, template=template),
    )


def status(cluster: Any) -> Any:
    return next(iter(cluster.all(ReplicationController))).status


def test_it_keeps_its_number(play):
    async def scenario(cluster):
        await cluster.client.create(web())
        await cluster.until(lambda: status(cluster).available_replicas == 3, within_s=10)
        (owner,) = {pod.metadata.owner_references[0] for pod in cluster.pods()}
        assert (owner.api_version, owner.kind, owner.name, owner.controller) == (
            "v1",
            "ReplicationController",
            "web",
            True,
        )
        pod = cluster.pods()[0]
        await cluster.client.delete(type(pod), pod.metadata.name, "default")
        await cluster.until(lambda: cluster.ready() == 3, within_s=10)
        await cluster.client.patch(ReplicationController, "web", "default", patch={"spec": {"replicas": 1}})
        await cluster.until(lambda: status(cluster).replicas == 1 and len(cluster.pods()) == 1, within_s=10)
        await cluster.clock.sleep(1)
        about = {each.involved_object.kind for each in cluster.all(Event) if each.reason == "SuccessfulCreate"}
        assert about == {"ReplicationController"}
        await cluster.client.delete(ReplicationController, "web", "default")
        await cluster.until(lambda: cluster.pods(active=False) == (), within_s=20)

    play(scenario)


def test_one_at_rest_writes_nothing(play):
    async def scenario(cluster):
        await cluster.client.create(web())
        await cluster.until(lambda: status(cluster).available_replicas == 3, within_s=10)
        await cluster.writes_nothing()

    play(scenario)
