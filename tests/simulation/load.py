"""A Deployment that an autoscaler keeps: what is asked of its pods together, what each of them uses for it, and how
many of them there should be in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from knarr_api.types.autoscaling_v2 import (
    CrossVersionObjectReference,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_proto.v1 import agent_pb2
from tests.simulation.moment import Event

NAME = "auto-0"
CPU_M, TARGET = 20, 50
"""What a pod asks for, and how many hundredths of it it should use."""
LEAST, MOST = 1, 5
REPORT_S, SHARE_S = 10.0, 5.0
"""How often an agent tells what is used, and control planes tell each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateAutoscaler(Event):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand(Event):
    """From now on so many thousandths of a core are used by all of its pods together."""

    cpu_m: int


DEMANDS = (0, 10, 20, 40, 80)


def wanted(demand_m: int) -> int:
    return min(max(-(-demand_m * 100 // (CPU_M * TARGET)), LEAST), MOST)


def autoscaler(event: CreateAutoscaler) -> HorizontalPodAutoscaler:
    target = MetricTarget(type="Utilization", average_utilization=TARGET)
    metric = MetricSpec(type="Resource", resource=ResourceMetricSource(name="cpu", target=target))
    return HorizontalPodAutoscaler(
        metadata=ObjectMeta(name=event.name, namespace="default"),
        spec=HorizontalPodAutoscalerSpec(
            scale_target_ref=CrossVersionObjectReference(api_version="apps/v1", kind="Deployment", name=NAME),
            min_replicas=LEAST,
            max_replicas=MOST,
            metrics=(metric,),
            behavior=HorizontalPodAutoscalerBehavior(scale_down=HPAScalingRules(stabilization_window_seconds=0)),
        ),
    )


def pods_of(containers: Any) -> list[tuple[str, str, str, str]]:
    """Namespace, name, uid, container of what runs of it."""
    labels = [(each.config.labels, each.config.metadata.name) for each in containers]
    return [
        (of["io.kubernetes.pod.namespace"], of["io.kubernetes.pod.name"], of["io.kubernetes.pod.uid"], container)
        for of, container in labels
        if of["io.kubernetes.pod.name"].startswith(NAME)
    ]


async def tell(pods: Callable[[], list[tuple[str, str, str, str]]], share_m: Callable[[], float], report: Any) -> None:
    """As an agent does: what its pods use."""
    while True:
        await asyncio.sleep(REPORT_S)
        if not (here := pods()):
            continue
        amounts = agent_pb2.Amounts(cpu_nano_cores=int(share_m() * 1e6), memory_bytes=1 << 20)
        told = [
            agent_pb2.PodUsage(
                namespace=namespace,
                name=name,
                uid=uid,
                containers=[agent_pb2.ContainerUsage(name=container, amounts=amounts)],
            )
            for namespace, name, uid, container in here
        ]
        report(agent_pb2.Usage(window_ms=int(REPORT_S * 1000), pods=told))


async def share(usages: Any, others: Callable[[], list[Any]]) -> None:
    """Control planes tell each other what their agents have said."""
    while True:
        await asyncio.sleep(SHARE_S)
        for other in others():
            for node, age_s, usage in other.reported():
                usages.report(node, usage, age_s=age_s + 0.001)
