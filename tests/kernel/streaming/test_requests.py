"""CRI's Exec, Attach and PortForward: what is refused at once, and pods that have the node's network."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.kernel.cri.conftest import Daemon
from tests.kernel.streaming.conftest import Box, kubectl_for
from tests.kernel.streaming.test_port_forward import forwarded, listening, talk

pytestmark = pytest.mark.root
NOT_FOUND, INVALID = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
NOT_RUNNING = grpc.StatusCode.FAILED_PRECONDITION


def code(call: Callable[[], Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    found: grpc.StatusCode = caught.value.code()
    return found


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"container_id": "missing-container"}, NOT_FOUND),
        ({"cmd": []}, INVALID),
        ({"tty": True, "stderr": True}, INVALID),
        ({"stdout": False}, INVALID),
    ],
)
def test_exec_refuses_what_can_not_be(box: Box, wrong: dict[str, Any], expected: grpc.StatusCode) -> None:
    request = cri.ExecRequest(**{"container_id": box.container, "cmd": ["true"], "stdout": True, **wrong})
    assert code(lambda: box.daemon.runtime.Exec(request)) is expected


def test_exec_and_attach_need_a_container_that_has_not_ended(box: Box) -> None:
    node = box.daemon
    identifier = node.container(box.sandbox, "true", name="brief")
    exec_request = cri.ExecRequest(container_id=identifier, cmd=["true"], stdout=True)
    attach_request = cri.AttachRequest(container_id=identifier, stdout=True)
    assert code(lambda: node.runtime.Exec(exec_request)) is NOT_RUNNING
    node.runtime.Attach(attach_request)
    node.start_container(identifier)
    node.ended(identifier)
    assert code(lambda: node.runtime.Exec(exec_request)) is NOT_RUNNING
    assert code(lambda: node.runtime.Attach(attach_request)) is NOT_RUNNING


def test_port_forward_refuses_what_can_not_be(box: Box) -> None:
    forward = box.daemon.runtime.PortForward
    assert code(lambda: forward(cri.PortForwardRequest(pod_sandbox_id="missing-sandbox"))) is NOT_FOUND
    assert code(lambda: forward(cri.PortForwardRequest(pod_sandbox_id=box.sandbox[0], port=[70000]))) is INVALID
    box.daemon.runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=box.sandbox[0]))
    assert code(lambda: forward(cri.PortForwardRequest(pod_sandbox_id=box.sandbox[0]))) is NOT_RUNNING


@pytest.fixture
def host_network(node: Daemon) -> Iterator[Box]:
    subprocess.run(["nsenter", f"--net=/run/netns/{node.name}", "ip", "link", "set", "lo", "up"], check=True)
    options = cri.NamespaceOption(network=cri.NODE)
    config = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name="host", namespace="default", uid="uid-host"),
        log_directory=str(node.base / "logs/host"),
        linux=cri.LinuxPodSandboxConfig(
            cgroup_parent="kubepods/podhost",
            security_context=cri.LinuxSandboxSecurityContext(namespace_options=options),
        ),
    )
    sandbox = (node.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=config)).pod_sandbox_id, config)
    identifier = node.container(
        sandbox,
        "sleep",
        "1000",
        linux=cri.LinuxContainerConfig(security_context=cri.LinuxContainerSecurityContext(namespace_options=options)),
    )
    node.start_container(identifier)
    yield Box(node, sandbox, identifier)
    node.remove(sandbox)


def test_ports_of_a_pod_with_the_nodes_network_are_forwarded(host_network: Box) -> None:
    with (
        kubectl_for(host_network, "spdy") as kubectl,
        listening(host_network, "echo") as inside,
        forwarded(kubectl, inside) as (port, _),
    ):
        assert talk(port, b"there and back") == b"there and back"
