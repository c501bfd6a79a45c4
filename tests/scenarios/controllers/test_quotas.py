"""Quotas follow what their namespaces hold."""

from __future__ import annotations

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Pod, ResourceQuota, ResourceQuotaSpec
from knarr_api.types.meta_v1 import ObjectMeta


def limit(cluster, **hard):
    spec = ResourceQuotaSpec(hard={name.replace("_", "/"): Quantity(amount) for name, amount in hard.items()})
    return cluster.client.create(ResourceQuota(metadata=ObjectMeta(name="q", namespace="default"), spec=spec))


def used(cluster):
    (quota,) = cluster.all(ResourceQuota)
    return {name: str(amount) for name, amount in quota.status.used.items()}


def test_use_follows_what_comes_and_goes(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=30)
        await limit(cluster, pods="10", count_replicasets="5", **{"count_deployments.apps": "5"})
        await cluster.until(lambda: used(cluster).get("pods") == "3", within_s=5)
        assert used(cluster)["count/deployments.apps"] == "1"
        web = cluster.deployment()
        await cluster.client.patch(type(web), "web", "default", patch={"spec": {"replicas": 1}})
        await cluster.until(lambda: used(cluster)["pods"] == "1", within_s=60)

    play(scenario)


def test_pods_that_end_are_free(play, deployment):
    async def scenario(cluster):
        await limit(cluster, pods="4")
        await cluster.until(lambda: "pods" in used(cluster), within_s=5)
        spec = deployment(1).spec.template.spec
        made = Pod(metadata=ObjectMeta(name="once", namespace="default"), spec=spec)
        await cluster.client.create(made)
        await cluster.until(lambda: used(cluster)["pods"] == "1", within_s=10)
        cluster.exit_code = lambda _: 0
        await cluster.until(lambda: used(cluster)["pods"] == "0", within_s=30)

    play(scenario)
