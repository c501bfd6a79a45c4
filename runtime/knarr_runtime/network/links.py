"""The bridge and the veth pairs, in the network namespace of this process. Blocking for moments; not for several
threads at once.

A pod's end is made directly inside its namespace by the one message that makes the pair: moving it there would cost
tens of milliseconds.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from knarr_runtime.errors import KernelRefused
from knarr_runtime.kernel.bridge import BridgeNetlink, Traffic, mac_of

BRIDGE, POD_INTERFACE = "kn0", "eth0"
PREFIX = "kp"
NAME_LENGTH = len(PREFIX) + 12
OVERLAY_OVERHEAD_BYTES = 50
DEFAULT_MTU = 1500


class Links:
    """Holds one netlink socket."""

    def __init__(self) -> None:
        self._netlink = BridgeNetlink()
        self._bridge = 0
        self.mtu = DEFAULT_MTU - OVERLAY_OVERHEAD_BYTES

    def close(self) -> None:
        self._netlink.__exit__()

    def make_bridge(self, gateway: str, prefix_length: int) -> None:
        """The bridge with the pods' gateway address, forwarding on; what is there stays. Raises KernelRefused."""
        try:
            found = self._netlink.find(BRIDGE)
            if found is None:
                self._netlink.add_bridge(BRIDGE, mac_of(gateway))
                found = self._netlink.find(BRIDGE)
                assert found is not None
            elif found.address != mac_of(gateway):
                self._netlink.set_address(found.index, mac_of(gateway))
            self._bridge = found.index
            self._netlink.add_address(found.index, gateway, prefix_length)
            self.mtu = (self._netlink.default_link_mtu() or DEFAULT_MTU) - OVERLAY_OVERHEAD_BYTES
            self._netlink.link_up(found.index, self.mtu)
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            # So that a packet the node sends to its own loopback address can be redirected to a pod; packets from
            # outside to loopback addresses are dropped by the table of ports.
            Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet").write_text("1")
        except OSError as error:
            raise KernelRefused(f"the pods' bridge {BRIDGE} can't be made: {error}") from error

    def attach(self, sandbox_id: str, netns: str) -> None:
        """A pair between the bridge and the namespace at the path ``netns``. Raises KernelRefused."""
        name = host_interface(sandbox_id)
        try:
            descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._add(name, descriptor)
            finally:
                os.close(descriptor)
            made = self._netlink.find(name)
            if made is not None:
                self._netlink.set_hairpin(made.index)
        except OSError as error:
            raise KernelRefused(f"the network of sandbox {sandbox_id} can't be made: {error}") from error

    def _add(self, name: str, namespace: int) -> None:
        """Makes the pair anew where a half-made one is left of a call that was killed."""
        pair = functools.partial(
            self._netlink.add_pair, name, master=self._bridge, mtu=self.mtu, peer=POD_INTERFACE, namespace=namespace
        )
        try:
            pair()
        except FileExistsError:
            self._netlink.remove(name)
            pair()

    def detach(self, sandbox_id: str) -> None:
        """The pair goes with the namespace; what is still there is removed. Raises OSError."""
        self._netlink.remove(host_interface(sandbox_id))

    def keep_only(self, sandbox_ids: set[str]) -> None:
        """Remove links of sandboxes that are no more. Raises OSError."""
        kept = {host_interface(identifier) for identifier in sandbox_ids}
        for link in self._netlink.links():
            if link.master == self._bridge and _is_pod_link(link.name) and link.name not in kept:
                self._netlink.remove(link.name)

    def traffic(self, sandbox_id: str) -> Traffic | None:
        """Seen from the pod's side; None without a link."""
        ours = self._netlink.traffic(host_interface(sandbox_id))
        return None if ours is None else ours.from_the_other_side()


def host_interface(sandbox_id: str) -> str:
    """Name of the host's end, at most 15 characters."""
    return f"{PREFIX}{sandbox_id[:12]}"


def _is_pod_link(name: str) -> bool:
    return name.startswith(PREFIX) and len(name) == NAME_LENGTH
