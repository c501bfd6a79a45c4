"""Compare-and-swaps a second of each store, one at a time and with many under way, beside etcd's own limit."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from aetcd import rpc

from knarr_controlplane.store.etcd import EtcdStore
from knarr_controlplane.store.opening import open_store
from knarr_controlplane.store.protocol import Put, Store

ALONE, MANY, UNDER_WAY = 200, 6000, 256
VALUE = b'{"kind":"Pod","metadata":{"name":"x"}}' + b" " * 1000


async def chain(store: Store, key: str, count: int) -> None:
    """Compare-and-swaps of one key, one after the other."""
    revision = 0
    for _ in range(count):
        (revision,) = await store.commit([Put(key, VALUE, revision)])


async def measure(name: str, directory: Path) -> None:
    opened = await open_store(name, directory)
    began = time.monotonic()
    await chain(opened.store, "/registry/core/pods/d/alone", ALONE)
    alone = ALONE / (time.monotonic() - began)
    began = time.monotonic()
    per_key = MANY // UNDER_WAY
    await asyncio.gather(*(chain(opened.store, f"/registry/core/pods/d/{i}", per_key) for i in range(UNDER_WAY)))
    many = per_key * UNDER_WAY / (time.monotonic() - began)
    print(f"{name:8} alone {alone:8.0f}/s    {UNDER_WAY} under way {many:8.0f}/s")
    if isinstance(opened.store, EtcdStore):
        own = await etcd_itself(opened.store)
        print(f"{'':8} etcd's own puts, {UNDER_WAY} under way {own:8.0f}/s    ratio {many / own:.1f}")
    await opened.close()


async def etcd_itself(store: EtcdStore) -> float:
    """Plain puts over the same channel, each a call of its own."""
    slots = asyncio.Semaphore(UNDER_WAY)

    async def put(number: int) -> None:
        async with slots:
            await store._kv.Put(rpc.PutRequest(key=f"/bench/{number}".encode(), value=VALUE))

    began = time.monotonic()
    await asyncio.gather(*(put(number) for number in range(MANY)))
    return MANY / (time.monotonic() - began)


def main() -> int:
    for name in ("memory", "sqlite", "etcd"):
        with tempfile.TemporaryDirectory() as directory:
            asyncio.run(measure(name, Path(directory)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
