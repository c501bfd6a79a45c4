"""Whatever fails on the way, the cluster ends up as it was asked for, and with nothing twice."""

from __future__ import annotations

import random

import msgspec
import pytest

from knarr_api import errors
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import Node

replace = msgspec.structs.replace


class Faults:
    """Calls that are slow, that fail before they did anything, and that fail after they did it."""

    def __init__(self, seed, clock):
        self._random = random.Random(seed)
        self._clock = clock
        self.injected = 0

    async def __call__(self):
        if self._random.random() < 0.3:
            await self._clock.sleep(self._random.random() * 0.3)
        if self._random.random() < 0.15:
            self.injected += 1
            raise errors.Unavailable("injected")


def settled(cluster, replicas, image):
    deployment = cluster.deployment()
    status = deployment.status
    active = [pod for pod in cluster.pods() if pod.metadata.labels.get("app") == "web"]
    return (
        len(active) == replicas
        and cluster.ready(app="web") == replicas
        and {pod.spec.containers[0].image for pod in active} <= {image}
        and (status.observed_generation, status.available_replicas or 0, status.replicas or 0)
        == (deployment.metadata.generation, replicas, replicas)
    )


@pytest.mark.parametrize("seed", range(8))
def test_controllers_converge_through_lost_calls_broken_watches_and_restarts(play, deployment, image, seed):
    async def scenario(cluster):
        chance = random.Random(seed)
        faults = Faults(seed, cluster.clock)
        await cluster.client.create(deployment(4))
        cluster.controllers.fault = faults
        asked, newest, most = 4, "web:1", 4
        for step in range(12):
            what = chance.choice(["scale", "image", "watch", "restart", "kill", "wait"])
            present = cluster.deployment()
            if what == "scale":
                asked = chance.randrange(0, 9)
                most = max(most, asked)
                await cluster.client.update(replace(present, spec=replace(present.spec, replicas=asked)))
            elif what == "image":
                newest = f"web:{step + 2}"
                await cluster.client.update(image(present, newest))
            elif what == "watch":
                cluster.controllers.break_watches()
            elif what == "restart":
                await cluster.stop_controllers()
                cluster.start_controllers()
            elif what == "kill" and cluster.pods():
                pod = chance.choice(cluster.pods())
                await cluster.client.delete(type(pod), pod.metadata.name, "default")
            for _ in range(int(chance.random() * 100)):
                assert len(cluster.pods()) <= most + -(-most // 4)
                await cluster.clock.sleep(0.05)
        await cluster.until(lambda: settled(cluster, asked, newest), within_s=300)
        assert faults.injected > 10
        assert len(cluster.all(Node)) == len({node.spec.pod_cidr for node in cluster.all(Node)}) == 3

        await cluster.client.delete(Deployment, "web", "default")
        await cluster.until(lambda: not cluster.pods(active=False) and not cluster.replicasets(), within_s=300)

    play(scenario)


@pytest.mark.parametrize("seed", range(4))
def test_lost_nodes_are_replaced_through_an_api_that_fails(play, deployment, seed):
    async def scenario(cluster):
        faults = Faults(seed, cluster.clock)
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        cluster.controllers.fault = faults
        await cluster.nodes["n2"].kill()
        await cluster.until(lambda: cluster.ready() == 6 and not cluster.pods(node="n2"), within_s=90)
        assert len(cluster.pods()) == 6

    play(scenario)
