"""A HorizontalPodAutoscaler over an hour of load, in virtual time."""

from __future__ import annotations

import msgspec

from knarr_api import defaults, json
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.autoscaling_v2 import HorizontalPodAutoscaler
from knarr_api.types.core_v1 import Event

replace = msgspec.structs.replace


def requesting(given, cpu):
    document = json.to_builtins(given)
    document["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return json.from_builtins(document, Deployment)


def autoscaler():
    document = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2,
            "maxReplicas": 8,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
        },
    }
    return defaults.apply(json.from_builtins(document, HorizontalPodAutoscaler))


async def load(cluster, total_milli, duration_s):
    """Pods share so much load; told every 15 seconds."""
    until_s = cluster.clock.monotonic() + duration_s
    while cluster.clock.monotonic() < until_s:
        pods = cluster.pods()
        for pod in pods:
            await cluster.api.uses(pod, total_milli // len(pods))
        await cluster.clock.sleep(15)


def test_replicas_follow_the_load_up_at_once_and_down_after_five_minutes(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(requesting(deployment(2), "1000m"))
        await cluster.until(lambda: cluster.ready() == 2, within_s=30)
        await cluster.client.create(autoscaler())
        await load(cluster, 1000, 330)
        assert cluster.deployment().spec.replicas == 2
        await load(cluster, 2600, 60)
        assert cluster.deployment().spec.replicas in (5, 6)
        await load(cluster, 9000, 120)
        assert cluster.deployment().spec.replicas == 8
        await load(cluster, 1000, 240)
        assert cluster.deployment().spec.replicas == 8
        await load(cluster, 1000, 120)
        assert cluster.deployment().spec.replicas == 2
        await cluster.clock.sleep(5)
        sizes = {each.message.split(";")[0] for each in cluster.all(Event) if each.reason == "SuccessfulRescale"}
        assert {"New size: 2", "New size: 8"} <= sizes
        (scaler,) = cluster.all(HorizontalPodAutoscaler)
        assert {each.type: each.status for each in scaler.status.conditions}["ScalingActive"] == "True"

    play(scenario)
