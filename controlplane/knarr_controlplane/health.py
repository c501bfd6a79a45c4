"""Whether a control plane is well, part by part: each check says how it is, or raises why it is not."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from knarr_api import kinds
from knarr_api.errors import Unavailable
from knarr_api.types.coordination_v1 import Lease
from knarr_client.observing import Check
from knarr_controlplane import leader
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.server.hub import AgentHub
from knarr_controlplane.store.protocol import Store

LEADER_SILENT_S = 10.0
TIMEOUT_S = 2.0


def checks(
    store: Store, cache: WatchCache, registry: Registry, hub: AgentHub, now: Callable[[], datetime.datetime]
) -> dict[str, Check]:
    async def of_store() -> str:
        return f"at revision {await store.revision()}"

    async def of_cache() -> str:
        await cache.catch_up(timeout_s=TIMEOUT_S)
        return f"at revision {cache.revision}"

    async def of_leader() -> str:
        lease: Lease = registry.get(kinds.of(Lease), leader.NAMESPACE, leader.NAME).value()
        since = lease.spec.renew_time
        if not lease.spec.holder_identity or since is None or (now() - since).total_seconds() > LEADER_SILENT_S:
            raise Unavailable("no control plane leads: nothing is scheduled or controlled")
        return f"{lease.spec.holder_identity} leads"

    async def of_agents() -> str:
        return f"{len(hub.connections)} connected"

    return {"store": of_store, "cache": of_cache, "leader": of_leader, "agents": of_agents}
