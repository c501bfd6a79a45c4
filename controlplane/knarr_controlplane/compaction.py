"""Forgetting what is older than the retention."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from knarr_api.errors import KnarrError
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.store.protocol import Store

INTERVAL_S = 30.0


async def compact(store: Store, cache: WatchCache, retention_s: float) -> None:
    """Forget revisions older than the retention, by looking at the store's revision now and then."""
    log = structlog.get_logger("knarr")
    seen: deque[tuple[float, int]] = deque()
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(INTERVAL_S, retention_s))
        try:
            seen.append((loop.time(), await store.revision()))
            old = 0
            while seen and seen[0][0] <= loop.time() - retention_s:
                old = seen.popleft()[1]
            if old:
                cache.forget(old)
                await store.compact(old)
        except KnarrError as error:
            log.warning("compaction failed", error=str(error))
