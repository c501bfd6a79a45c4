"""Pods' network: ports of the node lead to them, they reach themselves through them, and nothing stays behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.kernel.cri.conftest import Daemon
from tests.kernel.daemon import until
from tests.processes import running

pytestmark = pytest.mark.root
SAY_WHO = """
import sys, urllib.request
with urllib.request.urlopen(f"http://{sys.argv[1]}:{sys.argv[2]}/name", timeout=5) as answer:
    sys.stdout.write(answer.read().decode())
"""


def inside(daemon: Daemon, program: str, *arguments: str) -> str:
    """Run Python in the node's network namespace."""
    command = ["nsenter", f"--net=/run/netns/{daemon.name}", sys.executable, "-I", "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def table(daemon: Daemon) -> Any:
    command = ["nsenter", f"--net=/run/netns/{daemon.name}", "nft", "-j", "list", "table", "ip", "knarr-pods"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["nftables"]


def mapped(daemon: Daemon) -> int:
    """How many elements the maps have."""
    return sum(len(entry["map"].get("elem", ())) for entry in table(daemon) if "map" in entry)


def serving(daemon: Daemon, name: str, *ports: cri.PortMapping) -> tuple[str, Any]:
    """A pod whose port 7000 says who it is."""
    config = cri.PodSandboxConfig(
        metadata=cri.PodSandboxMetadata(name=name, namespace="default", uid=f"uid-{name}"),
        hostname=name,
        log_directory=str(daemon.base / "logs" / name),
        linux=cri.LinuxPodSandboxConfig(cgroup_parent=f"kubepods/pod{name}"),
        port_mappings=ports,
    )
    answer = daemon.runtime.RunPodSandbox(cri.RunPodSandboxRequest(config=config))
    sandbox = (str(answer.pod_sandbox_id), config)
    program = f"mkdir /www; echo {name} > /www/name; exec httpd -f -p 7000 -h /www"
    identifier = daemon.container(sandbox, "sh", "-c", program)
    daemon.start_container(identifier)
    address = address_of(daemon, sandbox[0])
    until(lambda: answers(daemon, address, 7000), "its port")
    return sandbox


def answers(daemon: Daemon, address: str, port: int) -> bool:
    try:
        return bool(inside(daemon, SAY_WHO, address, str(port)))
    except subprocess.CalledProcessError:
        return False


def address_of(daemon: Daemon, identifier: str) -> str:
    request = cri.PodSandboxStatusRequest(pod_sandbox_id=identifier)
    return str(daemon.runtime.PodSandboxStatus(request).status.network.ip)


def test_a_port_of_the_node_leads_to_the_pod_from_every_local_address(daemon: Daemon) -> None:
    sandbox = serving(daemon, "web", cri.PortMapping(container_port=7000, host_port=8080))
    subprocess.run(
        ["nsenter", f"--net=/run/netns/{daemon.name}", "ip", "link", "set", "lo", "up"], check=True, timeout=10
    )
    for address in ("127.0.0.1", "10.244.7.1"):
        assert inside(daemon, SAY_WHO, address, "8080") == "web\n"
    daemon.remove(sandbox)
    assert mapped(daemon) == 0
    assert daemon.left() == []


def test_a_pod_reaches_itself_through_the_port_of_the_node(daemon: Daemon) -> None:
    sandbox = serving(daemon, "own", cri.PortMapping(container_port=7000, host_port=8081))
    identifier = daemon.container(
        sandbox, "sh", "-c", "printf 'GET /name HTTP/1.0\\r\\n\\r\\n' | nc -w 5 10.244.7.1 8081", name="asker"
    )
    daemon.start_container(identifier)
    assert daemon.ended(identifier).exit_code == 0
    log = Path(sandbox[1].log_directory) / "asker/0.log"
    until(lambda: " F own\n" in log.read_text(), "the answer")


def test_a_port_with_an_address_leads_there_only(daemon: Daemon) -> None:
    serving(daemon, "one", cri.PortMapping(container_port=7000, host_port=8082, host_ip="10.244.7.1"))
    assert inside(daemon, SAY_WHO, "10.244.7.1", "8082") == "one\n"
    subprocess.run(
        ["nsenter", f"--net=/run/netns/{daemon.name}", "ip", "link", "set", "lo", "up"], check=True, timeout=10
    )
    assert not answers(daemon, "127.0.0.1", 8082)


def test_a_taken_port_is_refused_and_nothing_is_left_of_the_pod(daemon: Daemon) -> None:
    sandbox = serving(daemon, "first", cri.PortMapping(container_port=7000, host_port=8083))
    with pytest.raises(grpc.RpcError) as refused:
        serving(daemon, "second", cri.PortMapping(container_port=7000, host_port=8083))
    assert "host port 8083/tcp is in use" in refused.value.details()
    assert mapped(daemon) == 1
    daemon.remove(sandbox)
    assert daemon.left() == []


def test_a_port_leads_to_one_port_of_the_pod(daemon: Daemon) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        serving(daemon, "both", *(cri.PortMapping(container_port=port, host_port=8086) for port in (7000, 7001)))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "host port 8086/tcp is to lead to several ports" in refused.value.details()
    assert daemon.left() == []
    same = cri.PortMapping(container_port=7000, host_port=8086)
    serving(daemon, "same", same, same, cri.PortMapping(container_port=7000, host_port=8086, protocol=cri.UDP))
    assert inside(daemon, SAY_WHO, "10.244.7.1", "8086") == "same\n" and mapped(daemon) == 2


ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
    own.bind(("", 7000))
    while True:
        data, sender = own.recvfrom(100)
        own.sendto(data, sender)
"""
ASK_LONG = """
import socket, sys, time
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
    own.settimeout(0.2)
    own.connect(("10.244.7.1", 8087))
    print("asking", flush=True)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            own.send(b"there?")
            sys.exit(print(own.recv(100).decode()))
        except OSError:
            time.sleep(0.05)
"""


def test_who_asked_before_the_pod_was_there_is_answered_by_it(daemon: Daemon) -> None:
    """The kernel remembers where datagrams of one sender went, as long as they keep coming."""
    command = ["nsenter", f"--net=/run/netns/{daemon.name}", "ip", "link", "set", "lo", "up"]
    subprocess.run(command, check=True, timeout=10)
    serving(daemon, "first")
    enter = ["nsenter", f"--net=/run/netns/{daemon.name}", sys.executable, "-I", "-c", ASK_LONG]
    with running(enter, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None and client.stdout.readline() == "asking\n"
        port = cri.PortMapping(container_port=7000, host_port=8087, protocol=cri.UDP)
        sandbox = serving(daemon, "late", port)
        request = cri.ListContainersRequest(filter=cri.ContainerFilter(pod_sandbox_id=sandbox[0]))
        (container,) = daemon.runtime.ListContainers(request).containers
        join = ["nsenter", f"--net=/proc/{daemon.pid(container.id)}/ns/net", sys.executable, "-I", "-c", ECHO]
        with running(join):
            assert client.stdout.read() == "there?\n"


def test_ports_lead_to_the_pod_after_the_daemon_was_killed(daemon: Daemon) -> None:
    sandbox = serving(daemon, "kept", cri.PortMapping(container_port=7000, host_port=8084))
    daemon.kill()
    daemon.start()
    assert inside(daemon, SAY_WHO, "10.244.7.1", "8084") == "kept\n"
    daemon.remove(sandbox)
    assert mapped(daemon) == 0


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (cri.PortMapping(container_port=0, host_port=80), "container_port 0 must be from 1 to 65535"),
        (cri.PortMapping(container_port=80, host_port=70000), "host_port 70000 must be from 1 to 65535"),
        (cri.PortMapping(container_port=80, host_port=80, host_ip="here"), "host_ip 'here' is no IPv4 address"),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(daemon: Daemon, mapping: Any, said: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        serving(daemon, "wrong", mapping)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in refused.value.details()
    assert daemon.left() == []


def test_the_bridge_keeps_its_address_whatever_pods_come_and_go(daemon: Daemon) -> None:
    def mac() -> str:
        command = ["nsenter", f"--net=/run/netns/{daemon.name}", "ip", "-j", "link", "show", "kn0"]
        return str(json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]["address"])

    before = mac()
    sandboxes = [daemon.sandbox(f"pod{number}") for number in range(3)]
    assert mac() == before == "0a:58:0a:f4:07:01"
    for sandbox in sandboxes:
        daemon.remove(sandbox)
    assert mac() == before
