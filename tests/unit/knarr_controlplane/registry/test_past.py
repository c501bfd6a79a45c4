"""Old revisions: found by time, and an object's versions back to its creation, on the stores that are in process."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from knarr_api import errors, kinds
from knarr_api.types.coordination_v1 import Lease, LeaseSpec
from knarr_api.types.core_v1 import ConfigMap
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.registry.past import Past
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store import revision
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import Delete, Put, Store
from knarr_controlplane.store.sqlite import SqliteStore

START = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
LEASE, MAP = kinds.of(Lease), kinds.of(ConfigMap)
CLOCK = LEASE.key("kube-system", "leader")


class Writing:
    """Writes a ConfigMap's versions, the leader's renewals between."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.storage = Storage(bytes(32))
        self.past = Past(store, self.storage, CLOCK)
        self.key = MAP.key("default", "m")

    async def renew(self, second: int) -> None:
        spec = LeaseSpec(renew_time=START + datetime.timedelta(seconds=second))
        lease = Lease(metadata=ObjectMeta(name="leader", namespace="kube-system"), spec=spec)
        await self.store.commit([Put(CLOCK, self.storage.encode(LEASE, CLOCK, lease))])

    async def write(self, text: str) -> int:
        obj = ConfigMap(metadata=ObjectMeta(name="m", namespace="default"), data={"text": text})
        (written,) = await self.store.commit([Put(self.key, self.storage.encode(MAP, self.key, obj))])
        return written

    async def text_at(self, second: float) -> str:
        at = await self.past.at(START + datetime.timedelta(seconds=second))
        listing = await self.store.list(self.key, at_revision=at)
        return "".join(
            self.storage.decode(MAP, entry.key, entry.value, 0).value().data["text"] for entry in listing.entries
        )


@pytest.fixture(params=["memory", "sqlite"])
async def writing(request: Any, tmp_path: Path) -> AsyncIterator[Writing]:
    store = MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "store")
    yield Writing(store)
    await store.close()


async def test_a_time_finds_what_was_there(writing: Writing) -> None:
    for second in range(0, 40, 2):
        await writing.renew(second)
        await writing.write(f"at {second}")
    assert await writing.text_at(21) == "at 20"
    assert await writing.text_at(1000) == "at 38"
    with pytest.raises(errors.Expired, match="not kept"):
        await writing.text_at(-1)


async def test_what_is_compacted_is_said_to_be_gone(writing: Writing) -> None:
    revisions = []
    for second in range(20):
        await writing.renew(second)
        revisions.append(await writing.write(f"at {second}"))
    await writing.store.compact(revision.pack(revision.store_revision(revisions[10])))
    assert await writing.text_at(15.5) == "at 15"
    with pytest.raises(errors.Expired, match="the oldest that is kept"):
        await writing.text_at(3)
    found, complete = await writing.past.versions(MAP, writing.key, 100)
    assert [entry.value().data["text"] for entry in found] == [f"at {second}" for second in range(19, 9, -1)]
    assert not complete


async def test_versions_end_where_the_object_was_made(writing: Writing) -> None:
    await writing.write("of another life")
    await writing.store.commit([Delete(writing.key)])
    for text in ("one", "two", "three"):
        await writing.write(text)
    found, complete = await writing.past.versions(MAP, writing.key, 100)
    assert [entry.value().data["text"] for entry in found] == ["three", "two", "one"] and complete
    found, complete = await writing.past.versions(MAP, writing.key, 2)
    assert len(found) == 2 and not complete
    assert await writing.past.versions(MAP, MAP.key("default", "none"), 5) == ([], False)


async def test_what_went_is_found_with_what_it_was_before(writing: Writing) -> None:
    await writing.write("one")
    await writing.renew(7)
    await writing.write("two")
    await writing.store.commit([Delete(writing.key)])
    await writing.renew(9)
    removed = await writing.past.removal(writing.key)
    found, complete = await writing.past.versions(MAP, writing.key, 5, before=removed)
    assert [entry.value().data["text"] for entry in found] == ["two", "one"] and complete
    assert await writing.past.time_of(removed) == START + datetime.timedelta(seconds=7)
    assert await writing.past.removal(MAP.key("default", "none")) == 0


async def test_what_went_long_ago_is_not_found(writing: Writing) -> None:
    await writing.write("one")
    await writing.store.commit([Delete(writing.key)])
    await writing.renew(9)
    await writing.store.compact(await writing.store.revision())
    await writing.renew(10)
    assert await writing.past.removal(writing.key) == 0
