"""Writes through a control plane whose cache is behind: they are decided on what is stored, not on what it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from knarr_api import errors, kinds
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import (
    ConfigMap,
    Container,
    Namespace,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    ResourceQuota,
    ResourceQuotaSpec,
)
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus
from knarr_controlplane.cache.changes import Filter
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry import bulk, subresources
from knarr_controlplane.registry.applying import apply_fields
from knarr_controlplane.registry.decisions import Bound
from knarr_controlplane.registry.pages import Page, Wanted
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.memory import MemoryStore
from tests.unit.knarr_controlplane.registry.conftest import Standing

BUDGET, QUOTA = kinds.of(PodDisruptionBudget), kinds.of(ResourceQuota)
CONFIG_MAP, NAMESPACE, POD = kinds.of(ConfigMap), kinds.of(Namespace), kinds.of(Pod)
DEADLINE_S = 10.0


class Behind:
    """Another control plane of the same store: it sees nothing until it has been asked for something."""

    def __init__(self, store: MemoryStore, cache: WatchCache, registry: Registry) -> None:
        self.store = store
        self.cache = cache
        self.registry = registry
        self.following: asyncio.Task[None] | None = None

    async def asked(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What comes of it, with the cache following from when it has begun."""
        async with asyncio.timeout(DEADLINE_S):
            asking = asyncio.create_task(work)
            await asyncio.sleep(0)
            self.following = asyncio.create_task(self.cache.run())
            return await asking


@pytest.fixture
async def other(registry: Registry, store: MemoryStore, tmp_path: Path, time: Standing) -> AsyncIterator[Behind]:
    await registry.create(config_map("old"))
    storage = Storage.open(tmp_path / "secrets.key")
    cache = WatchCache(store, storage.decode)
    await cache.load()
    made = Registry(store, cache, storage, admission=Admission(), now=time, randomness=random.Random(2))
    behind = Behind(store, cache, made)
    yield behind
    if behind.following is not None:
        behind.following.cancel()
        await asyncio.wait({behind.following})


def config_map(name: str, value: str = "1") -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"a": value})


async def set_to(registry: Registry, value: str, name: str = "old") -> None:
    await registry.patch(CONFIG_MAP, "default", name, {"data": {"a": value}})


async def data_of(registry: Registry, name: str) -> dict[str, str]:
    await registry.catch_up()
    return dict(registry.get(CONFIG_MAP, "default", name).value().data)


async def test_what_it_has_not_seen_can_be_deleted(registry: Registry, other: Behind) -> None:
    """Found by the simulation: a Deployment's deletion was answered with "not found", and it stayed."""
    await registry.create(config_map("new"))
    await other.asked(other.registry.delete(CONFIG_MAP, "default", "new"))
    await registry.catch_up()
    with pytest.raises(errors.NotFound):
        registry.get(CONFIG_MAP, "default", "new")


async def test_what_is_not_there_is_not_found(other: Behind) -> None:
    with pytest.raises(errors.NotFound):
        await other.asked(other.registry.delete(CONFIG_MAP, "default", "none"))


async def test_a_change_that_only_it_takes_for_none_is_made(registry: Registry, other: Behind) -> None:
    await set_to(registry, "2")
    await other.asked(set_to(other.registry, "1"))
    assert await data_of(registry, "old") == {"a": "1"}


async def test_many_changes_at_once_as_well(registry: Registry, other: Behind) -> None:
    await set_to(registry, "2")
    changes = [bulk.Wanted("default", "old", lambda old: ConfigMap(metadata=old.metadata, data={"a": "1"}))]
    await other.asked(bulk.change_all(other.registry, CONFIG_MAP, changes))
    assert await data_of(registry, "old") == {"a": "1"}


async def test_a_revision_that_it_has_not_seen_is_no_old_one(registry: Registry, other: Behind) -> None:
    await set_to(registry, "2")
    seen = registry.get(CONFIG_MAP, "default", "old").value()
    await other.asked(other.registry.update(ConfigMap(metadata=seen.metadata, data={"a": "3"})))
    assert await data_of(registry, "old") == {"a": "3"}


async def test_another_uid_than_it_knows_is_not_refused(registry: Registry, other: Behind) -> None:
    await registry.delete(CONFIG_MAP, "default", "old")
    uid = (await registry.create(config_map("old"))).uid
    await other.asked(other.registry.delete(CONFIG_MAP, "default", "old", uid=uid))
    await registry.catch_up()
    with pytest.raises(errors.NotFound):
        registry.get(CONFIG_MAP, "default", "old")


async def test_there_can_be_objects_in_a_namespace_that_it_has_not_seen(registry: Registry, other: Behind) -> None:
    await registry.create(Namespace(metadata=ObjectMeta(name="fresh")))
    made = ConfigMap(metadata=ObjectMeta(name="first", namespace="fresh"))
    assert (await other.asked(other.registry.create(made))).namespace == "fresh"


def pod(name: str) -> Pod:
    spec = PodSpec(containers=(Container(name="main", image="web:1"),))
    return Pod(metadata=ObjectMeta(name=name, namespace="default", labels={"app": "web"}), spec=spec)


async def running(registry: Registry, name: str) -> Pod:
    """A pod that is ready."""
    await registry.create(pod(name))
    await registry.bind("default", name, "", "n1")
    status = PodStatus(phase="Running", conditions=(PodCondition(type="Ready", status="True"),))
    there = registry.get(POD, "default", name).value()
    made: Pod = (await registry.update(Pod(metadata=there.metadata, status=status), subresource="status")).value()
    return made


async def budget(registry: Registry, *, allowed: int) -> None:
    """A budget that its controller has counted."""
    spec = PodDisruptionBudgetSpec(min_available=1, selector=LabelSelector(match_labels={"app": "web"}))
    metadata = ObjectMeta(name="budget", namespace="default")
    with contextlib.suppress(errors.AlreadyExists):
        await registry.create(PodDisruptionBudget(metadata=metadata, spec=spec))
    there = registry.get(BUDGET, "default", "budget").value()
    status = PodDisruptionBudgetStatus(
        observed_generation=there.metadata.generation,
        disruptions_allowed=allowed,
        current_healthy=1,
        desired_healthy=1,
        expected_pods=1,
    )
    counted = PodDisruptionBudget(metadata=there.metadata, spec=there.spec, status=status)
    await registry.update(counted, subresource="status")


async def seen(other: Behind) -> None:
    """It sees all that there is now, and then nothing more."""
    await other.asked(other.registry.catch_up())
    assert other.following is not None
    other.following.cancel()
    await asyncio.wait({other.following})


async def test_among_many_at_once_what_it_has_not_seen_is_changed(registry: Registry, other: Behind) -> None:
    await registry.create(config_map("new"))
    changes = [bulk.Wanted("default", "new", lambda old: ConfigMap(metadata=old.metadata, data={"a": "3"}))]
    await other.asked(bulk.change_all(other.registry, CONFIG_MAP, changes))
    assert await data_of(registry, "new") == {"a": "3"}


async def test_many_that_are_not_there_are_not_found(other: Behind) -> None:
    changes = [bulk.Wanted("default", name, lambda old: old) for name in ("none", "old", "")]
    found = await other.asked(bulk.change_all(other.registry, CONFIG_MAP, changes))
    assert [type(each).__name__ for each in found] == ["NotFound", "CacheEntry", "Invalid"]


async def test_among_many_at_once_a_pod_is_bound_that_has_replaced_one(registry: Registry, other: Behind) -> None:
    await running(registry, "web")
    await seen(other)
    await registry.delete(POD, "default", "web", grace_s=0)
    uid = (await registry.create(pod("web"))).uid
    changes = [bulk.Wanted("default", "web", Bound(uid, "n2", registry.now))]
    (bound,) = await other.asked(bulk.change_all(other.registry, POD, changes))
    assert bound.value().spec.node_name == "n2"


async def test_a_budget_that_it_has_not_seen_forbids_an_eviction(registry: Registry, other: Behind) -> None:
    await running(registry, "web")
    await seen(other)
    await budget(registry, allowed=0)
    with pytest.raises(errors.ResourceExhausted):
        await other.asked(subresources.evict(other.registry, "default", "web"))


async def test_an_eviction_is_not_forbidden_for_what_a_budget_has_said_before(
    registry: Registry, other: Behind
) -> None:
    await running(registry, "web")
    await budget(registry, allowed=0)
    await seen(other)
    await budget(registry, allowed=1)
    await other.asked(subresources.evict(other.registry, "default", "web"))
    await registry.catch_up()
    assert registry.get(POD, "default", "web").value().metadata.deletion_timestamp is not None


async def test_a_quota_that_has_room_again_admits_what_is_new(registry: Registry, other: Behind) -> None:
    spec = ResourceQuotaSpec(hard={"pods": Quantity("1")})
    metadata = ObjectMeta(name="quota", namespace="default")
    await registry.create(ResourceQuota(metadata=metadata, spec=spec))
    full: dict[str, Any] = {"hard": {"pods": "1"}, "used": {"pods": "1"}}
    await registry.patch(QUOTA, "default", "quota", {"status": full}, subresource="status")
    await seen(other)
    await registry.patch(QUOTA, "default", "quota", {"status": {"used": {"pods": "0"}}}, subresource="status")
    assert (await other.asked(other.registry.create(pod("web")))).name == "web"


@pytest.mark.parametrize("many", [False, True])
async def test_nothing_is_made_in_a_namespace_that_is_gone(registry: Registry, other: Behind, many: bool) -> None:
    """Else it would stay for ever: nobody looks for what is in no namespace."""
    await registry.create(Namespace(metadata=ObjectMeta(name="short")))
    await seen(other)
    await registry.delete(NAMESPACE, "", "short")
    there = registry.get(NAMESPACE, "", "short").value()
    await registry.update(Namespace(metadata=there.metadata, status=there.status))
    made = ConfigMap(metadata=ObjectMeta(name="late", namespace="short"))
    with pytest.raises(errors.NotFound):
        if many:
            (outcome,) = await other.asked(bulk.create_all(other.registry, [made]))
            raise outcome
        await other.asked(other.registry.create(made))


async def test_what_it_takes_for_present_is_made_by_an_apply(registry: Registry, other: Behind) -> None:
    await registry.delete(CONFIG_MAP, "default", "old")
    document = {"metadata": {"name": "old", "namespace": "default"}, "data": {"a": "5"}}
    _, outcome = await other.asked(other.registry.apply(CONFIG_MAP, "", document))
    assert outcome == "created"
    assert await data_of(registry, "old") == {"a": "5"}


async def test_and_by_a_server_side_apply(registry: Registry, other: Behind) -> None:
    await registry.delete(CONFIG_MAP, "default", "old")
    document = {"metadata": {"name": "old", "namespace": "default"}, "data": {"a": "5"}}
    applying = apply_fields(other.registry, CONFIG_MAP, "default", "old", document, manager="me")
    assert (await other.asked(applying))[1] == "created"


async def test_a_page_goes_on_as_another_server_with_more_in_its_cache_began(registry: Registry, other: Behind) -> None:
    for name in ("new", "newer"):
        await registry.create(config_map(name))
    everything = Filter(namespace="default")
    first = registry.list(CONFIG_MAP, everything, Wanted(limit=1))

    async def go_on() -> Page:
        wanted = Wanted(continue_=first.continue_)
        await other.registry.ready_for(wanted)
        return other.registry.list(CONFIG_MAP, everything, wanted)

    rest = await other.asked(go_on())
    assert [entry.name for entry in (*first.entries, *rest.entries)] == ["new", "newer", "old"]
    assert rest.revision == first.revision
