"""Nodes and pods for the scheduler's tests."""

from __future__ import annotations

from typing import Any

import pytest

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    Container,
    Node,
    NodeSpec,
    NodeStatus,
    Pod,
    PodSpec,
    ResourceRequirements,
    Taint,
)
from knarr_api.types.meta_v1 import ObjectMeta


class Make:
    """Short constructors; amounts are Kubernetes quantities."""

    @staticmethod
    def node(
        name: str,
        *,
        cpu: str = "4",
        memory: str = "8Gi",
        pods: str = "110",
        taints: tuple[Taint, ...] = (),
        **labels: str,
    ) -> Node:
        allocatable = {"cpu": Quantity(cpu), "memory": Quantity(memory), "pods": Quantity(pods)}
        return Node(
            metadata=ObjectMeta(name=name, labels={"kubernetes.io/hostname": name, **labels}),
            spec=NodeSpec(taints=taints),
            status=NodeStatus(allocatable=allocatable),
        )

    @staticmethod
    def pod(name: str, *, cpu: str = "", memory: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Pod:
        requests = {k: Quantity(v) for k, v in (("cpu", cpu), ("memory", memory)) if v}
        container = Container(name="main", image="x", resources=ResourceRequirements(requests=requests))
        return Pod(
            metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}", labels=labels or {}),
            spec=PodSpec(containers=(container,), **spec),
        )


@pytest.fixture(scope="session")
def make() -> type[Make]:
    return Make
