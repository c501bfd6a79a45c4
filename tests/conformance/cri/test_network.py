"""What a pod's network promises: addresses, names, DNS, host files, host ports, the host's network."""

from __future__ import annotations

from typing import Any

import pytest

from knarr_proto.cri import api_pb2 as cri


def host_network() -> Any:
    options = cri.NamespaceOption(network=cri.NODE)
    return cri.LinuxPodSandboxConfig(security_context=cri.LinuxSandboxSecurityContext(namespace_options=options))


def test_dns_is_what_was_asked_for(runtime: Any) -> None:
    dns = cri.DNSConfig(servers=["10.10.10.10", "10.10.10.11"], searches=["a.test", "b.test"], options=["ndots:8"])
    container = runtime.sleeper(runtime.pod(dns_config=dns))
    lines = runtime.output(container, "cat", "/etc/resolv.conf").splitlines()
    assert {"search a.test b.test", "options ndots:8"} <= set(lines)
    assert [line for line in lines if line.startswith("nameserver")] == [
        "nameserver 10.10.10.10",
        "nameserver 10.10.10.11",
    ]


def test_the_hosts_file_knows_the_machine_itself(runtime: Any) -> None:
    container = runtime.sleeper(runtime.pod())
    assert "localhost" in runtime.output(container, "cat", "/etc/hosts")


def test_a_pod_is_reached_by_its_address(runtime: Any) -> None:
    pod = runtime.pod(port_mappings=[cri.PortMapping(container_port=80)])
    runtime.started(pod, image="web:1")
    assert runtime.server.get(runtime.pod_status(pod).network.ip, 80) == b"served by the pod\n"


def test_a_pod_is_reached_by_its_host_port(runtime: Any) -> None:
    pod = runtime.pod(port_mappings=[cri.PortMapping(container_port=80, host_port=12000)])
    runtime.started(pod, image="web:1")
    assert runtime.server.get("127.0.0.1", 12000) == b"served by the pod\n"


def test_pods_reach_each_other(runtime: Any) -> None:
    server, client = runtime.pod(), runtime.pod()
    runtime.started(server, image="web:1")
    address = runtime.pod_status(server).network.ip
    script = f"until wget -q -O - http://{address}/; do usleep 50000; done"
    assert "served by the pod\n" in runtime.output(runtime.sleeper(client), "sh", "-c", script)


def test_addresses_differ_and_are_free_again(runtime: Any) -> None:
    pods = [runtime.pod() for _ in range(3)]
    assert len({runtime.pod_status(pod).network.ip for pod in pods}) == 3
    container = runtime.sleeper(pods[0])
    assert runtime.pod_status(pods[0]).network.ip in runtime.output(container, "ip", "addr", "show", "eth0")


def test_on_the_host_network_the_hosts_interfaces_are_seen(runtime: Any) -> None:
    own, shared = runtime.pod(), runtime.pod(linux=host_network(), hostname="")
    links = runtime.output(runtime.sleeper(own), "ls", "/sys/class/net").split()
    assert sorted(links) == ["eth0", "lo"]
    linux = cri.LinuxContainerConfig(
        security_context=cri.LinuxContainerSecurityContext(namespace_options=cri.NamespaceOption(network=cri.NODE))
    )
    links = runtime.output(runtime.sleeper(shared, linux=linux), "ls", "/sys/class/net").split()
    assert "lo" in links and "eth0" not in links and len(links) > 1


def test_a_server_on_the_host_network_listens_on_the_host(runtime: Any) -> None:
    pod = runtime.pod(linux=host_network(), hostname="")
    linux = cri.LinuxContainerConfig(
        security_context=cri.LinuxContainerSecurityContext(namespace_options=cri.NamespaceOption(network=cri.NODE))
    )
    runtime.started(pod, image="web:1", args=["12003"], linux=linux)
    assert runtime.server.get("127.0.0.1", 12003) == b"served by the pod\n"


@pytest.mark.knarr_only
def test_two_pods_do_not_get_one_host_port(runtime: Any) -> None:
    mapping = cri.PortMapping(container_port=80, host_port=12001)
    runtime.pod(port_mappings=[mapping])
    config = runtime.pod_config(port_mappings=[mapping])
    error = runtime.refused(lambda: runtime.run_pod(config))
    assert "12001" in error.details()
