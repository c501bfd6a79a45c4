"""The bridge and the veth pairs, in the network namespace of this process, by netlink. Blocking; called on a thread.

A pod's end is made directly inside its namespace by the one message that makes the pair: moving it there would cost
tens of milliseconds. Source: rtnetlink(7), veth(4).
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from knarr_runtime.errors import KernelRefused

BRIDGE, POD_INTERFACE = "kn0", "eth0"
PREFIX = "kp"
OVERLAY_OVERHEAD_BYTES = 50
DEFAULT_MTU = 1500


class Links:
    """Holds one netlink socket. Not for several threads at once."""

    def __init__(self) -> None:
        self._route = IPRoute()
        self._bridge = 0
        self.mtu = DEFAULT_MTU - OVERLAY_OVERHEAD_BYTES

    def close(self) -> None:
        self._route.close()

    def make_bridge(self, gateway: str, prefix_length: int) -> None:
        """The bridge with the pods' gateway address, forwarding on; what is there stays. Raises KernelRefused."""
        try:
            found = self._route.link_lookup(ifname=BRIDGE)
            if not found:
                self._route.link("add", ifname=BRIDGE, kind="bridge")
                found = self._route.link_lookup(ifname=BRIDGE)
            self._bridge = int(found[0])
            with _existing():
                self._route.addr("add", index=self._bridge, address=gateway, prefixlen=prefix_length)
            self.mtu = self._underlay_mtu() - OVERLAY_OVERHEAD_BYTES
            self._route.link("set", index=self._bridge, state="up", mtu=self.mtu)
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        except (NetlinkError, OSError) as error:
            raise KernelRefused(f"the pods' bridge {BRIDGE} can't be made: {error}") from error

    def attach(self, sandbox_id: str, netns: str) -> None:
        """A pair between the bridge and the namespace at the path ``netns``. Raises KernelRefused."""
        name = host_interface(sandbox_id)
        try:
            with contextlib.suppress(NetlinkError):
                self._route.link("del", ifname=name)
            descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._route.link(
                    "add",
                    ifname=name,
                    kind="veth",
                    mtu=self.mtu,
                    master=self._bridge,
                    state="up",
                    peer={"ifname": POD_INTERFACE, "net_ns_fd": descriptor, "mtu": self.mtu},
                )
            finally:
                os.close(descriptor)
            hairpin = Path(f"/sys/class/net/{name}/brport/hairpin_mode")
            with contextlib.suppress(OSError):
                hairpin.write_text("1")
        except (NetlinkError, OSError) as error:
            raise KernelRefused(f"the network of sandbox {sandbox_id} can't be made: {error}") from error

    def detach(self, sandbox_id: str) -> None:
        """The pair goes with the namespace; what is still there is removed."""
        with contextlib.suppress(NetlinkError):
            found = self._route.link_lookup(ifname=host_interface(sandbox_id))
            if found:
                self._route.link("del", index=found[0])

    def keep_only(self, sandbox_ids: set[str]) -> None:
        """Remove links of sandboxes that are no more."""
        kept = {host_interface(identifier) for identifier in sandbox_ids}
        for message in self._route.get_links():
            name = dict(message["attrs"]).get("IFLA_IFNAME", "")
            if name.startswith(PREFIX) and len(name) == len(host_interface("x" * 12)) and name not in kept:
                with contextlib.suppress(NetlinkError):
                    self._route.link("del", index=message["index"])

    def _underlay_mtu(self) -> int:
        """Of the interface the default route leaves by."""
        for message in self._route.get_default_routes(family=2):
            index = dict(message["attrs"]).get("RTA_OIF")
            if index:
                return int(dict(self._route.get_links(index)[0]["attrs"])["IFLA_MTU"])
        return DEFAULT_MTU


def host_interface(sandbox_id: str) -> str:
    """Name of the host's end, at most 15 characters."""
    return f"{PREFIX}{sandbox_id[:12]}"


def network_of(cidr: str) -> ipaddress.IPv4Network:
    """Raises ValueError."""
    return ipaddress.IPv4Network(cidr)


@contextlib.contextmanager
def _existing():  # type: ignore[no-untyped-def]
    try:
        yield
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise
