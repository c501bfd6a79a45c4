"""What a newer control plane has stored is still there after this one has written."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from knarr_api import kinds
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import Secret
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.clock import SystemClock
from knarr_controlplane.cache.unknown_fields import lost, restored
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore
from knarr_controlplane.store.protocol import Put

NEWER: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default", "uid": "u", "futureMeta": {"a": [1, 2]}},
    "spec": {
        "futureSpec": "kept",
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {"name": "one", "image": "a", "futureField": {"deep": True}},
                    {"name": "two", "image": "b"},
                ],
                "futureList": [{"x": 1}],
            },
        },
    },
    "status": {"futureStatus": 7},
}

NAMES = st.sampled_from("abcd")
DOCUMENTS = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(st.dictionaries(NAMES, inner, max_size=4), st.lists(inner, max_size=3)),
    max_leaves=15,
)


@given(DOCUMENTS, st.randoms())
def test_what_was_lost_is_put_back_where_it_was(stored: Any, random: Any) -> None:
    def forget(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: forget(each) for name, each in value.items() if random.random() < 0.6}
        return [forget(each) for each in value] if isinstance(value, list) else value

    known = forget(stored)
    before = copy.deepcopy(known)
    assert restored(known, lost(stored, known)) == stored
    assert known == before
    assert not lost(stored, stored)


def test_it_follows_items_by_name_and_goes_with_them() -> None:
    known = {"containers": [{"name": "one"}, {"name": "two"}]}
    stored = {"containers": [{"name": "one", "new": 1}, {"name": "two", "new": 2}]}
    unknown = lost(stored, known)
    assert restored({"containers": [{"name": "zero"}, {"name": "two"}]}, unknown) == {
        "containers": [{"name": "zero"}, {"name": "two", "new": 2}]
    }
    assert restored({}, unknown) == {}


async def _registry(store: MemoryStore, storage: Storage) -> tuple[Registry, asyncio.Task[None]]:
    cache = WatchCache(store, storage.decode)
    await cache.load()
    registry = Registry(store, cache, storage, admission=Admission(), now=SystemClock().now)
    return registry, asyncio.create_task(cache.run())


async def test_writes_of_an_older_control_plane_keep_it(tmp_path: Path) -> None:
    store, storage, kind = MemoryStore(), Storage.open(tmp_path / "key"), kinds.of(Deployment)
    key = kind.key("default", "web")
    await store.commit([Put(key, json.dumps(NEWER).encode())])
    registry, running = await _registry(store, storage)
    for number in range(3):
        deployment: Deployment = registry.get(kind, "default", "web").value()
        spec = msgspec.structs.replace(deployment.spec, replicas=number + 2)
        await registry.update(msgspec.structs.replace(deployment, spec=spec))
        status = msgspec.structs.replace(deployment.status, replicas=number + 2)
        await registry.update(
            msgspec.structs.replace(deployment, metadata=_plain(deployment), status=status), subresource="status"
        )
        stored = await store.get(key)
        assert stored is not None
        document = json.loads(stored.value)
        assert document["spec"]["replicas"] == document["status"]["replicas"] == number + 2
        assert document["metadata"]["futureMeta"] == {"a": [1, 2]}
        assert document["spec"]["futureSpec"] == "kept" and document["status"]["futureStatus"] == 7
        pod = document["spec"]["template"]["spec"]
        assert pod["containers"][0]["futureField"] == {"deep": True} and pod["futureList"] == [{"x": 1}]
        assert b"future" not in registry.get(kind, "default", "web").json
    running.cancel()


def _plain(deployment: Deployment) -> Any:
    return msgspec.structs.replace(deployment.metadata, resource_version="")


async def test_also_in_secrets(tmp_path: Path) -> None:
    store, storage, kind = MemoryStore(), Storage.open(tmp_path / "key"), kinds.of(Secret)
    key = kind.key("default", "s")
    unknown = lost({"future": 1}, {})
    made = Secret(
        metadata=msgspec.convert({"name": "s", "namespace": "default", "uid": "u"}, ObjectMeta), type="Opaque"
    )
    await store.commit([Put(key, storage.encode(kind, key, made, unknown))])
    registry, running = await _registry(store, storage)
    present: Secret = registry.get(kind, "default", "s").value()
    await registry.update(msgspec.structs.replace(present, data={"a": b"b"}))
    entry = registry.get(kind, "default", "s")
    assert entry.unknown is not None and entry.unknown.fields == {"future": 1}
    assert json.loads(entry.json)["data"] == {"a": base64.b64encode(b"b").decode()}
    running.cancel()


async def test_what_this_version_has_written_is_not_looked_at_twice(tmp_path: Path) -> None:
    store, storage, kind = MemoryStore(), Storage.open(tmp_path / "key"), kinds.of(Deployment)
    key = kind.key("default", "web")
    deployment = msgspec.json.decode(json.dumps(NEWER), type=Deployment)
    value = storage.encode(kind, key, deployment)
    assert storage.decode(kind, key, value, 1234567).unknown is None
    await store.close()
