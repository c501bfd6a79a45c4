"""NodeMetrics and PodMetrics: read from what agents say, never stored."""

from __future__ import annotations

import datetime

import pytest

from knarr_api import errors, json, kinds
from knarr_api.types.core_v1 import Node, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.metrics_v1beta1 import NodeMetrics, PodMetrics
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.local_client import LocalClient
from knarr_proto.v1 import agent_pb2

MI = 1024 * 1024
NODES, PODS = kinds.of(NodeMetrics), kinds.of(PodMetrics)


@pytest.fixture
async def uid(registry):
    await registry.create(Node(metadata=ObjectMeta(name="n1", labels={"zone": "a"})))
    document = {
        "metadata": {"name": "p", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "web:1"}]},
    }
    made = await registry.create(json.from_builtins(document, Pod))
    return (await registry.bind("default", "p", made.uid, "n1")).uid


def usage(uid):
    amounts = agent_pb2.Amounts(cpu_nano_cores=250_000_000, memory_bytes=64 * MI)
    containers = [agent_pb2.ContainerUsage(name="c", amounts=amounts)]
    pod = agent_pb2.PodUsage(namespace="default", name="p", uid=uid, containers=containers)
    node = agent_pb2.Amounts(cpu_nano_cores=1_500_000_000, memory_bytes=512 * MI)
    return agent_pb2.Usage(window_ms=15_000, node=node, pods=[pod])


async def test_it_is_read_like_any_object(registry, uid, time):
    registry.usages.report("n1", usage(uid))
    node = registry.get(NODES, "", "n1").value()
    assert {name: str(amount) for name, amount in node.usage.items()} == {"cpu": "1500m", "memory": "512Mi"}
    assert (node.timestamp, node.window) == (time.now, "15.000s")
    page = await LocalClient(registry).list(PodMetrics, "default", label_selector="app=web")
    (pod,) = page.items
    assert {name: str(amount) for name, amount in pod.containers[0].usage.items()} == {"cpu": "250m", "memory": "64Mi"}
    assert registry.list(PODS, filter_of(PODS, "default", "app=other", "")).entries == ()
    assert registry.list(PODS, filter_of(PODS, "kube-system", "", "")).entries == ()


async def test_of_what_is_gone_or_was_not_heard_of_for_long_nothing_is_known(registry, uid, time):
    registry.usages.report("n1", usage("another uid"))
    with pytest.raises(errors.NotFound, match=r'pods.metrics.k8s.io "p" not found'):
        registry.get(PODS, "default", "p")
    registry.usages.report("n1", usage(uid))
    registry.get(PODS, "default", "p")
    time.now += datetime.timedelta(minutes=2)
    with pytest.raises(errors.NotFound):
        registry.get(PODS, "default", "p")


async def test_what_others_tell_counts_also_after_the_clock_was_set_back(registry, uid, time):
    """Else what was told before would stand for as long as the clock went back."""
    registry.usages.report("n1", usage("another uid"), age_s=1.0)
    time.now -= datetime.timedelta(hours=1)
    assert [age_s for _, age_s, _ in registry.usages.reported()] == [0.0]
    registry.usages.report("n1", usage(uid), age_s=1.0)
    registry.get(PODS, "default", "p")


async def test_another_node_may_not_speak_for_the_pod(registry, uid):
    registry.usages.report("n2", usage(uid))
    assert registry.list(PODS, filter_of(PODS, "", "", "")).entries == ()


async def test_it_can_only_be_read(registry):
    with pytest.raises(errors.Unimplemented, match="computed"):
        await registry.create(NodeMetrics(metadata=ObjectMeta(name="n1")))
    with pytest.raises(errors.Unimplemented, match="computed"):
        async for _ in registry.watch(NODES, filter_of(NODES, "", "", ""), ""):
            pass
