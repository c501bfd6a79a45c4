"""LimitRanges and ResourceQuotas where objects are written."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest

from knarr_api import errors, json, kinds
from knarr_api.types.core_v1 import LimitRange, Pod, ResourceQuota
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage

replace = msgspec.structs.replace
QUOTA, RANGE, POD = kinds.of(ResourceQuota), kinds.of(LimitRange), kinds.of(Pod)
CREATORS = 40
FITTING = 11


def pod(name):
    spec = {"containers": [{"name": "c", "image": "web:1"}]}
    return json.from_builtins({"metadata": {"name": name, "namespace": "default"}, "spec": spec}, Pod)


async def counted_quota(registry, **hard):
    document = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": hard}}
    made = (await registry.create(json.from_builtins(document, ResourceQuota))).value()
    used = {name: type(quantity)(0) for name, quantity in made.spec.hard.items()}
    status = replace(made.status, hard=made.spec.hard, used=used)
    return await registry.update(replace(made, status=status), subresource="status")


def used(registry, name="pods"):
    return str(registry.get(QUOTA, "default", "q").value().status.used[name])


async def test_pods_get_their_namespaces_defaults(registry):
    document = {
        "metadata": {"name": "l", "namespace": "default"},
        "spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "defaultRequest": {"cpu": "100m"}}]},
    }
    await registry.create(json.from_builtins(document, LimitRange))
    made = (await registry.create(pod("p"))).value()
    assert json.to_builtins(made.spec.containers[0].resources) == {"limits": {"cpu": "2"}, "requests": {"cpu": "100m"}}
    assert made.status.qos_class == "Burstable"


async def test_limits_that_are_gone_take_no_room(registry):
    for number in range(5):
        document = {"metadata": {"name": f"l{number}", "namespace": "default"}, "spec": {"limits": []}}
        await registry.create(json.from_builtins(document, LimitRange))
        await registry.create(pod(f"p{number}"))
        await registry.delete(RANGE, "default", f"l{number}")
    assert len(registry._policies._decoded) == 1


async def test_a_creation_is_counted_with_the_same_write(registry):
    await counted_quota(registry, pods="1")
    made = await registry.create(pod("p"))
    assert used(registry) == "1"
    assert registry.get(QUOTA, "default", "q").revision // 2**16 == made.revision // 2**16
    with pytest.raises(errors.Forbidden, match="exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"):
        await registry.create(pod("second"))


async def test_refused_and_rehearsed_writes_use_nothing(registry):
    await counted_quota(registry, pods="5")
    await registry.create(pod("p"))
    with pytest.raises(errors.AlreadyExists):
        await registry.create(pod("p"))
    await registry.create(pod("dry"), dry_run=True)
    assert used(registry) == "1"


async def test_concurrent_creators_in_two_processes_never_exceed_it(registry, store, tmp_path, time):
    storage = Storage.open(tmp_path / "secrets.key")
    cache = WatchCache(store, storage.decode)
    await cache.load()
    following = asyncio.create_task(cache.run())
    other = Registry(store, cache, storage, admission=Admission(), now=time, randomness=random.Random(2))
    await counted_quota(registry, pods=str(FITTING))
    await other.catch_up()

    async def create(number):
        while True:
            try:
                generated = replace(pod(""), metadata=ObjectMeta(generate_name="p-", namespace="default"))
                await (registry, other)[number % 2].create(generated if number % 3 else pod(f"p{number}"))
            except errors.Forbidden:
                return 0
            except errors.Conflict:
                continue
            return 1

    try:
        made = sum(await asyncio.gather(*(create(number) for number in range(CREATORS))))
        await registry.catch_up()
        assert made == len(registry.cache.of(POD).entries) == FITTING
        assert used(registry) == str(FITTING)
    finally:
        following.cancel()
        await asyncio.wait({following})
