"""The pods' network of this node: addresses, links and ports together, for asyncio.

All of it is done by one thread, one thing after the other: a call that is cancelled has still finished its step before
the next begins, so that nobody meets another's half-made link.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from knarr_runtime.errors import Invalid, Unavailable
from knarr_runtime.kernel.bridge import Traffic
from knarr_runtime.network.addresses import Addresses
from knarr_runtime.network.links import BRIDGE, Links
from knarr_runtime.network.ports import PortMapping, Ports
from knarr_runtime.spec import NetworkConfig

T = TypeVar("T")


class PodNetwork:
    """root: where the CIDR and the addresses are kept. default_cidr: used until another one is configured."""

    def __init__(self, root: Path, default_cidr: str = "") -> None:
        self._root = root
        self._default_cidr = default_cidr
        self._cidr_file = root / "cidr"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="network")
        self._links: Links | None = None
        self._ports: Ports | None = None
        self._addresses: Addresses | None = None
        self.no_ports_because = ""

    @property
    def ready(self) -> bool:
        return self._addresses is not None

    async def load(self, sandboxes: Mapping[str, tuple[PortMapping, ...]]) -> None:
        """After a restart: the network as it was, for these sandboxes; what belongs to nobody is taken away."""
        cidr = self._cidr_file.read_text().strip() if self._cidr_file.exists() else self._default_cidr
        if cidr:
            await self.configure(cidr)
            await self._do(self._restore, sandboxes)

    async def configure(self, cidr: str) -> None:
        """The node's pod CIDR. Raises Invalid for what is no IPv4 network of at least four addresses, KernelRefused."""
        try:
            network = ipaddress.IPv4Network(cidr)
        except ValueError as error:
            raise Invalid(f"pod CIDR {cidr!r}: {error}") from error
        if network.num_addresses < 4:
            raise Invalid(f"pod CIDR {cidr!r} has no address for a pod")
        await self._do(self._configure, network)

    async def attach(self, sandbox_id: str, netns: str, ports: tuple[PortMapping, ...] = ()) -> NetworkConfig:
        """A link, an address, and the node's ports that lead there.

        Raises Unavailable before the CIDR is known or without a free address, AlreadyExists for a port that is taken.
        """
        return await self._do(self._attach, sandbox_id, netns, ports)

    async def detach(self, sandbox_id: str) -> None:
        """Idempotent."""
        await self._do(self._detach, sandbox_id)

    async def traffic(self, sandbox_id: str) -> Traffic | None:
        """What the pod has received and sent; None without a link of its own."""
        return await self._do(self._traffic, sandbox_id)

    async def close(self) -> None:
        """Lets go of the sockets; links and ports stay."""
        await self._do(self._close)
        self._thread.shutdown()

    async def _do(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _configure(self, network: ipaddress.IPv4Network) -> None:
        if self._addresses is not None and self._addresses.network == network:
            return
        addresses = Addresses(self._root / "addresses", network)
        if self._links is None:
            self._links = Links()
        self._links.make_bridge(addresses.gateway, network.prefixlen)
        if self._ports is not None:
            self._ports.close()
        try:
            self._ports = Ports(BRIDGE, network)
        except OSError as error:
            self._ports = None
            self.no_ports_because = f"nf_tables can't be used: {error}"
            structlog.get_logger("knarr.network").warning("no host ports, no masquerading", error=self.no_ports_because)
        _write(self._cidr_file, f"{network}\n")
        self._addresses = addresses

    def _restore(self, sandboxes: Mapping[str, tuple[PortMapping, ...]]) -> None:
        assert self._addresses is not None
        assert self._links is not None
        self._addresses.keep_only(set(sandboxes))
        self._links.keep_only(set(sandboxes))
        for identifier, mappings in sandboxes.items():
            address = self._addresses.address_of(identifier)
            if mappings and address and self._ports is not None:
                self._ports.open(identifier, address, mappings)

    def _attach(self, sandbox_id: str, netns: str, ports: tuple[PortMapping, ...]) -> NetworkConfig:
        if self._addresses is None or self._links is None:
            raise Unavailable("the pod network is not configured yet: the node has no pod CIDR")
        if ports and self._ports is None:
            raise Unavailable(f"port mappings can't be made: {self.no_ports_because}")
        address = self._addresses.take(sandbox_id)
        try:
            self._links.attach(sandbox_id, netns)
            if self._ports is not None:
                self._ports.open(sandbox_id, address, ports)
        except BaseException:
            self._detach(sandbox_id)
            raise
        return NetworkConfig(
            address=f"{address}/{self._addresses.network.prefixlen}",
            gateway=self._addresses.gateway,
            mtu=self._links.mtu,
        )

    def _detach(self, sandbox_id: str) -> None:
        if self._ports is not None:
            self._ports.shut(sandbox_id)
        if self._links is not None:
            self._links.detach(sandbox_id)
        if self._addresses is not None:
            self._addresses.release(sandbox_id)

    def _traffic(self, sandbox_id: str) -> Traffic | None:
        return self._links.traffic(sandbox_id) if self._links is not None else None

    def _close(self) -> None:
        for held in (self._links, self._ports):
            if held is not None:
                held.close()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    os.rename(temporary, path)
