"""The node's part in the pod network: tells the runtime its pods' addresses and keeps the way to other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from knarr_api.errors import KnarrError
from knarr_api.types.core_v1 import Node
from knarr_client.clock import Clock
from knarr_node_agent.overlay import Overlay, Peer, peers
from knarr_node_agent.runtime import Runtime

ROUND_S = 30.0
RETRY_S = 1.0


class NodeNetwork:
    """nodes: all that are known now. changed: called when ``problem`` has changed or the runtime was configured."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        *,
        node_name: str,
        address: str,
        overlay: bool,
        nodes: Callable[[], Iterable[Node]],
        changed: Callable[[], None],
    ) -> None:
        self.problem = ""
        """Why the network is not complete, or empty."""
        self._runtime = runtime
        self._clock = clock
        self._node_name = node_name
        self._address = address
        self._has_overlay = overlay
        self._nodes = nodes
        self._changed = changed
        self._wake = asyncio.Event()
        self._cidr = ""
        self._configured = ""
        self._overlay: Overlay | None = None
        self._log = structlog.get_logger("knarr.network")

    def node_changed(self, node: Node | None) -> None:
        """A Node appeared, changed or went away (None)."""
        if node is not None and node.metadata.name == self._node_name and node.spec.pod_cidr:
            if node.spec.pod_cidr != self._cidr:
                self._overlay = None
            self._cidr = node.spec.pod_cidr
        self._wake.set()

    def runtime_forgot(self) -> None:
        """The runtime says that its network is not configured: it was started anew."""
        self._configured = ""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            wait_s = ROUND_S
            if self._cidr:
                before = (self.problem, self._configured)
                try:
                    await self._apply()
                    self.problem = ""
                except (OSError, KnarrError) as error:
                    self.problem = f"the pod network is not complete: {error}"
                    wait_s = RETRY_S
                if before[0] != self.problem and self.problem:
                    self._log.warning("the pod network is not complete", error=self.problem)
                if before != (self.problem, self._configured):
                    self._changed()
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _apply(self) -> None:
        cidr = self._cidr
        if self._configured != cidr:
            await self._runtime.set_pod_cidr(cidr)
            self._configured = cidr
        if not self._has_overlay:
            return
        wanted: frozenset[Peer] = peers(self._nodes(), self._node_name)
        if not wanted and self._overlay is None:
            return  # alone: no device is needed
        if self._overlay is None:
            self._overlay = Overlay(self._address, cidr)
        await asyncio.to_thread(self._overlay.apply, wanted)
