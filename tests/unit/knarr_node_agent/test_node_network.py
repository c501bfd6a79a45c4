"""Telling the runtime its pods' addresses."""

from __future__ import annotations

import asyncio

from knarr_api.types.core_v1 import Node, NodeSpec
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client import virtual_time
from knarr_client.virtual_time import VirtualClock, eventually
from knarr_node_agent.memory_cri import MemoryCri
from knarr_node_agent.node_network import NodeNetwork
from knarr_node_agent.runtime import Runtime


def test_runtime_is_told_again_after_it_forgot_or_was_away() -> None:
    async def scenario(clock: VirtualClock) -> None:
        memory = MemoryCri(clock)
        memory.network_ready, memory.is_down = False, True
        changes: list[str] = []
        network = NodeNetwork(
            Runtime(memory.runtime, memory.images),
            clock,
            node_name="n1",
            address="192.0.2.1",
            overlay=False,
            nodes=lambda: (),
            changed=lambda: changes.append(network.problem),
        )
        running = asyncio.create_task(network.run())
        network.node_changed(Node(metadata=ObjectMeta(name="n1"), spec=NodeSpec(pod_cidr="10.244.1.0/24")))
        await eventually(lambda: "connection refused" in network.problem, within_s=2)
        memory.is_down = False
        await eventually(lambda: memory.network_ready and not network.problem, within_s=2)
        assert len(changes) == 2
        memory.network_ready = False
        network.runtime_forgot()
        await eventually(lambda: memory.network_ready, within_s=0.2)
        running.cancel()

    virtual_time.run(scenario)
