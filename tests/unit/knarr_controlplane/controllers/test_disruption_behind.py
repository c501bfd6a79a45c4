"""A budget's counts while informers are not equally far."""

from __future__ import annotations

import asyncio

import msgspec

from knarr_api.types.apps_v1 import Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec
from knarr_api.types.core_v1 import Pod, PodCondition
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetSpec
from knarr_client import virtual_time
from knarr_client.client import Key
from knarr_client.event_recorder import EventRecorder
from knarr_client.memory import MemoryApi, MemoryClient
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.disruption.controller import DisruptionController
from knarr_controlplane.controllers.informers import SharedInformers

replace = msgspec.structs.replace
SELECTOR = LabelSelector(match_labels={"app": "web"})


def metadata(name, *owners):
    return ObjectMeta(name=name, namespace="default", labels={"app": "web"}, owner_references=owners)


def test_replicas_are_as_new_as_the_pods_that_are_counted():
    """A Deployment grew from 5 to 7; its watch is late, its pods' is not: only one of them may go."""

    async def scenario(clock):
        client = MemoryClient(MemoryApi(clock=clock))
        deployment = await client.create(
            Deployment(metadata=metadata("web"), spec=DeploymentSpec(replicas=5, selector=SELECTOR))
        )
        above = ownership.controller_reference(deployment)
        replicaset = await client.create(
            ReplicaSet(metadata=metadata("web-1", above), spec=ReplicaSetSpec(replicas=5, selector=SELECTOR))
        )
        await client.create(
            PodDisruptionBudget(
                metadata=metadata("web"), spec=PodDisruptionBudgetSpec(selector=SELECTOR, max_unavailable=1)
            )
        )
        informers = SharedInformers(client, clock)
        recorder = EventRecorder(client, component="test", clock=clock).named("test")
        controller = DisruptionController(client, informers, recorder, clock, WorkQueue())
        late = [informers.of(Deployment), informers.of(ReplicaSet)]
        running = [asyncio.create_task(informer.run()) for informer in late]
        for informer in late:
            await informer.synced.wait()
        for task in running:  # from here on they hear of nothing
            task.cancel()
        await client.update(replace(deployment, spec=replace(deployment.spec, replicas=7)))
        for number in range(7):
            pod = await client.create(
                Pod(metadata=metadata(f"web-{number}", ownership.controller_reference(replicaset)))
            )
            ready = replace(pod.status, phase="Running", conditions=(PodCondition(type="Ready", status="True"),))
            await client.update_status(replace(pod, status=ready))
        running = [asyncio.create_task(informers.of(type_).run()) for type_ in (Pod, PodDisruptionBudget)]
        for type_ in (Pod, PodDisruptionBudget):
            await informers.of(type_).synced.wait()
        await controller.reconcile(Key("default", "web"))
        status = (await client.get(PodDisruptionBudget, "web", "default")).status
        assert (status.expected_pods, status.desired_healthy, status.current_healthy) == (7, 6, 7)
        assert status.disruptions_allowed == 1
        for task in running:
            task.cancel()

    virtual_time.run(scenario)
