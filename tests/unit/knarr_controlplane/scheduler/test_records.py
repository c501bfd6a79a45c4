"""What a pod asks for is worked out once for pods of one template, and never taken for another's."""

from __future__ import annotations

import itertools

import msgspec

from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Container, ContainerPort, Pod, PodSpec, ResourceRequirements
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.scheduler import requests
from knarr_controlplane.scheduler.records import Records

replace = msgspec.structs.replace


def container(cpu: str, port: int | None = None) -> Container:
    ports = (ContainerPort(container_port=80, host_port=port),) if port else ()
    return Container(
        name="main", image="i", ports=ports, resources=ResourceRequirements(requests={"cpu": Quantity(cpu)})
    )


ONE = PodSpec(containers=(container("1"),))
SPECS = (
    ONE,
    replace(ONE, node_name="n"),
    PodSpec(containers=(container("2", 80),)),
    replace(ONE, overhead={"cpu": Quantity("100m")}),
    replace(ONE, resources=ResourceRequirements(requests={"cpu": Quantity("3")})),
    replace(ONE, init_containers=(container("4"),)),
)


def test_it_is_the_same_whichever_pod_was_asked_about_before() -> None:
    records = Records()
    for before, spec in itertools.product(SPECS, SPECS):
        records.of(Pod(metadata=ObjectMeta(name="a"), spec=before), "n")
        pod = Pod(metadata=ObjectMeta(name="b"), spec=spec)
        record = records.of(pod, "n")
        assert dict(record.requests) == requests.of_pod(pod)
        assert record.nonzero == requests.nonzero_of_pod(pod)
        assert record.host_ports == requests.host_ports(pod)


def test_pods_of_one_template_share_it() -> None:
    records = Records()
    first, second = (records.of(Pod(metadata=ObjectMeta(name=name), spec=ONE), "n") for name in "ab")
    assert first.requests is second.requests
