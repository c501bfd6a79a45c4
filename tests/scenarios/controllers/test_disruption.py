"""Budgets and evictions: what is evicted never leaves fewer pods than the budget says."""

from __future__ import annotations

from typing import Any

import msgspec

from knarr_api.errors import NotFound, ResourceExhausted
from knarr_api.types.core_v1 import Event
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetSpec
from knarr_controlplane.registry import subresources

replace = msgspec.structs.replace


def budget(**spec: Any) -> PodDisruptionBudget:
    selector = LabelSelector(match_labels={"app": "web"})
    return PodDisruptionBudget(
        metadata=ObjectMeta(name="web", namespace="default"), spec=PodDisruptionBudgetSpec(selector=selector, **spec)
    )


def status(cluster: Any) -> Any:
    return cluster.all(PodDisruptionBudget)[0].status


def test_a_budget_follows_its_deployment(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(budget(max_unavailable=1))
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: status(cluster).disruptions_allowed == 1, within_s=10)
        assert (status(cluster).current_healthy, status(cluster).desired_healthy) == (3, 2)
        present = cluster.deployment()
        await cluster.client.update(replace(present, spec=replace(present.spec, replicas=6)))
        await cluster.until(lambda: status(cluster).current_healthy == 6, within_s=10)
        assert (status(cluster).expected_pods, status(cluster).desired_healthy) == (6, 5)

    play(scenario)


def test_a_budget_without_pods_says_so(play):
    async def scenario(cluster):
        await cluster.client.create(budget(min_available=1))
        await cluster.until(lambda: status(cluster).observed_generation == 1, within_s=5)
        await cluster.clock.sleep(2)
        assert any(event.reason == "NoPods" for event in cluster.all(Event))
        await cluster.writes_nothing(after_s=0)

    play(scenario)


def test_evicting_all_at_once_keeps_the_budget(play, deployment):
    async def scenario(cluster):
        registry = getattr(cluster.api, "_registry", None)
        if registry is None:
            return  # evictions are the registry's: there are none in memory
        await cluster.client.create(deployment(5))
        await cluster.client.create(budget(min_available=3))
        await cluster.until(lambda: status(cluster).disruptions_allowed == 2, within_s=15)
        waiting = [pod.metadata.name for pod in cluster.pods()]
        refused = 0
        while waiting:
            for name in list(waiting):
                try:
                    await subresources.evict(registry, "default", name)
                except ResourceExhausted as error:
                    refused += 1
                    assert str(error) == "Cannot evict pod as it would violate the pod's disruption budget."
                    (cause,) = error.details
                    assert cause.kind == "DisruptionBudget"
                    continue
                except NotFound:
                    pass
                waiting.remove(name)
            assert cluster.ready() >= 3
            await cluster.clock.sleep(0.1)
            assert cluster.clock.monotonic() < 120
        assert refused > 0
        await cluster.until(lambda: cluster.ready() == 5 and status(cluster).disruptions_allowed == 2, within_s=15)
        assert status(cluster).disrupted_pods == {}

    play(scenario)
