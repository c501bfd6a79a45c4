"""The overlay between two network namespaces, in the kernel."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from pyroute2 import IPRoute

from knarr_node_agent.overlay import DEVICE, Overlay, Peer

pytestmark = pytest.mark.root
NODES = (("192.0.2.1", "10.244.1.0/24", "10.244.1.9"), ("192.0.2.2", "10.244.2.0/24", "10.244.2.9"))


def join(left: Any, right: Any) -> None:
    """A cable between two namespaces, and a pod's address in each."""

    def make() -> None:
        with IPRoute() as route:
            route.link("add", ifname="eth0", kind="veth", peer={"ifname": "eth0", "net_ns_fd": right.descriptor})

    def configure(address: str, pod: str) -> None:
        with IPRoute() as route:
            route.link("set", index=1, state="up")
            index = route.link_lookup(ifname="eth0")[0]
            route.addr("add", index=index, address=address, prefixlen=24)
            route.link("set", index=index, state="up")
            route.addr("add", index=1, address=pod, prefixlen=32)

    left.run(make)
    for namespace, (address, _, pod) in zip((left, right), NODES, strict=True):
        namespace.run(lambda a=address, p=pod: configure(a, p))


def receive(address: str) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.settimeout(5)
    listening.bind((address, 4000))
    return listening


def send(source: str, target: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.bind((source, 0))
        sending.sendto(b"ahoy", (target, 4000))


def index_of() -> int:
    with IPRoute() as route:
        return int(route.link_lookup(ifname=DEVICE)[0])


def test_pods_of_two_nodes_reach_each_other_over_the_overlay(a_netns: Callable[[], Any]) -> None:
    left, right = a_netns(), a_netns()
    join(left, right)
    peers = [frozenset({Peer(address, cidr)}) for address, cidr, _ in reversed(NODES)]
    overlays = [Overlay(address, cidr) for address, cidr, _ in NODES]
    left.run(lambda: overlays[0].apply(peers[0]))
    right.run(lambda: overlays[1].apply(peers[1]))
    with right.run(lambda: receive(NODES[1][2])) as listening:
        left.run(lambda: send(NODES[0][2], NODES[1][2]))
        data, (source, _) = listening.recvfrom(100)
    assert (data, source) == (b"ahoy", NODES[0][2])


def test_applying_again_changes_nothing_even_after_a_restart(a_netns: Callable[[], Any]) -> None:
    left, right = a_netns(), a_netns()
    join(left, right)
    address, cidr, _ = NODES[0]
    wanted = frozenset({Peer(NODES[1][0], NODES[1][1]), Peer("192.0.2.3", "10.244.3.0/24")})
    first = left.run(lambda: Overlay(address, cidr).apply(wanted))
    assert len(first.added.routes) == 2
    before = left.run(index_of)
    again = left.run(lambda: Overlay(address, cidr).apply(wanted))
    assert not any((again.added.routes, again.added.neighbours, again.added.forwards))
    assert not any((again.removed.routes, again.removed.neighbours, again.removed.forwards))
    assert left.run(index_of) == before


def test_only_differences_are_written_and_damage_is_mended(a_netns: Callable[[], Any]) -> None:
    left, right = a_netns(), a_netns()
    join(left, right)
    address, cidr, _ = NODES[0]
    two, three = Peer(NODES[1][0], NODES[1][1]), Peer("192.0.2.3", "10.244.3.0/24")
    overlay = Overlay(address, cidr)
    left.run(lambda: overlay.apply(frozenset({two, three})))
    gone = left.run(lambda: overlay.apply(frozenset({two})))
    assert gone.removed.routes == {(three.cidr, three.gateway)}
    assert gone.removed.forwards == {(three.mac, three.address)}
    assert not gone.added.routes

    def damage() -> None:
        with IPRoute() as route:
            route.route("del", dst=two.cidr)

    left.run(damage)
    assert left.run(lambda: overlay.apply(frozenset({two}))).added.routes == {(two.cidr, two.gateway)}

    def lose_the_device() -> None:
        with IPRoute() as route:
            route.link("del", index=route.link_lookup(ifname=DEVICE)[0])

    left.run(lose_the_device)
    assert left.run(lambda: overlay.apply(frozenset({two}))).added.routes == {(two.cidr, two.gateway)}
    left.run(overlay.remove)
    with pytest.raises(IndexError):
        left.run(index_of)


def test_address_that_is_not_the_nodes_is_said(a_netns: Callable[[], Any]) -> None:
    alone = a_netns()
    with pytest.raises(OSError, match=r"no interface has the node's address 192\.0\.2\.1"):
        alone.run(lambda: Overlay("192.0.2.1", "10.244.1.0/24").apply(frozenset()))
