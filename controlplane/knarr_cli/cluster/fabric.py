"""The network under a local cluster's nodes: one namespace with a bridge, one namespace per node on it.

    knarr-<id>            bridge "fabric", FABRIC_ADDRESS; the control plane listens here too
    knarr-<id>-<node>     eth0, one address each; the node's own bridge, VXLAN and pods come from its agent and runtime

Nothing is added to the machine's own network namespace, so nothing there can collide or stay behind. Namespaces are
bound below /run/netns, where ``ip netns exec`` finds them. Source: network_namespaces(7), veth(4), ip-netns(8).
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pyroute2.netns
from pyroute2 import NetlinkError, NetNS

NETNS_DIR = Path("/run/netns")
UNDERLAY = ipaddress.IPv4Network("10.240.0.0/16")
FABRIC_ADDRESS = str(UNDERLAY[1])
BRIDGE = "fabric"


def path(name: str) -> str:
    """Where the namespace of that name is bound."""
    return str(NETNS_DIR / name)


def node_address(ordinal: int) -> str:
    """Fabric address of the n-th node, counted from 0. Raises IndexError beyond the underlay."""
    return str(UNDERLAY[10 + ordinal])


def make_fabric(name: str) -> None:
    """Make the fabric's namespace with its bridge; what is there already stays."""
    _make_namespace(name)
    with NetNS(name, flags=0) as ns:
        ns.link("set", index=1, state="up")
        if not ns.link_lookup(ifname=BRIDGE):
            ns.link("add", ifname=BRIDGE, kind="bridge")
        index = ns.link_lookup(ifname=BRIDGE)[0]
        with _already_there():
            ns.addr("add", index=index, address=FABRIC_ADDRESS, prefixlen=UNDERLAY.prefixlen)
        ns.link("set", index=index, state="up")


def attach_node(fabric: str, name: str, address: str) -> None:
    """Make a node's namespace and join it to the fabric by a veth pair; what is there already stays."""
    _make_namespace(name)
    port = f"port{int(ipaddress.IPv4Address(address)) - int(UNDERLAY[0])}"
    with NetNS(fabric, flags=0) as ns:
        if not ns.link_lookup(ifname=port):
            ns.link("add", ifname=port, kind="veth", peer={"ifname": "eth0", "net_ns_fd": path(name)})
        bridge = ns.link_lookup(ifname=BRIDGE)[0]
        ns.link("set", index=ns.link_lookup(ifname=port)[0], master=bridge, state="up")
    with NetNS(name, flags=0) as ns:
        index = ns.link_lookup(ifname="eth0")[0]
        ns.link("set", index=1, state="up")
        with _already_there():
            ns.addr("add", index=index, address=address, prefixlen=UNDERLAY.prefixlen)
        ns.link("set", index=index, state="up")
        with _already_there():
            ns.route("add", dst="default", gateway=FABRIC_ADDRESS)


def remove(cluster_name: str) -> None:
    """Remove the cluster's namespaces and with them every interface, route and rule in them."""
    if not NETNS_DIR.is_dir():
        return
    for entry in NETNS_DIR.iterdir():
        if entry.name == cluster_name or entry.name.startswith(f"{cluster_name}-"):
            with contextlib.suppress(FileNotFoundError):  # another process ends the same cluster
                pyroute2.netns.remove(entry.name)


def _make_namespace(name: str) -> None:
    if not (NETNS_DIR / name).exists():
        pyroute2.netns.create(name)


@contextlib.contextmanager
def _already_there() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise
