"""What is made of one pod holds for another only where nothing but the name tells them apart."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from knarr_api import errors, json
from knarr_api.types.core_v1 import LimitRange, ServiceAccount
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.scheduling_v1 import PriorityClass
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.siblings import TEMPLATE_BYTES_MAX, TEMPLATES_MAX
from tests.unit.knarr_controlplane.registry.test_registry import pod

replace = msgspec.structs.replace
ANN = Writer(manager="ann")


def asking(name, cpu):
    container = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    return pod(name, containers=[container])


async def created(registry, obj, writer=ANN):
    return (await registry.create(obj, writer=writer)).value()


async def test_the_next_one_is_made_as_the_first(registry, time):
    first = await created(registry, pod("a"))
    time.now += datetime.timedelta(seconds=90)
    second = await created(registry, pod("b"))
    assert second.metadata.creation_timestamp == time.now
    assert [entry.time for entry in second.metadata.managed_fields] == [time.now]
    assert second.metadata.uid != first.metadata.uid
    same = {"name": "", "uid": "", "resource_version": "", "creation_timestamp": None, "managed_fields": ()}
    assert [replace(each, metadata=replace(each.metadata, **same)) for each in (first, second)] == [
        replace(first, metadata=replace(first.metadata, **same))
    ] * 2


async def test_each_has_its_own_manager_and_labels(registry):
    await created(registry, pod("a"))
    other = pod("b")
    other = replace(other, metadata=replace(other.metadata, labels={"app": "b"}))
    assert (await created(registry, other)).metadata.labels == {"app": "b"}
    bobs = await created(registry, pod("c"), Writer(manager="bob"))
    assert [each.manager for each in bobs.metadata.managed_fields] == ["bob"]
    assert (await created(registry, pod("d"), Writer(manager="x", quiet=True))).metadata.managed_fields == ()


async def test_quantities_stay_as_they_were_written(registry):
    made = [await created(registry, asking(f"p{number}", cpu)) for number, cpu in enumerate(("1Ki", "1024", "1Ki"))]
    assert [str(each.spec.containers[0].resources.requests["cpu"]) for each in made] == ["1Ki", "1024", "1Ki"]


async def test_a_name_that_is_none_is_refused_each_time(registry):
    await created(registry, pod("a"))
    with pytest.raises(errors.Invalid, match=r"metadata\.name"):
        await created(registry, pod("Not_A_Name"))


async def test_limits_that_come_later_hold(registry):
    await created(registry, asking("a", "2"))
    limits = {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}}
    ranges = json.from_builtins(limits, LimitRange)
    await registry.create(replace(ranges, metadata=ObjectMeta(name="small", namespace="default")))
    with pytest.raises(errors.Forbidden, match="maximum cpu usage per Container is 1"):
        await created(registry, asking("b", "2"))


async def test_a_priority_class_that_comes_later_holds(registry):
    assert (await created(registry, pod("a"))).spec.priority == 0
    await registry.create(PriorityClass(metadata=ObjectMeta(name="high"), value=1000, global_default=True))
    assert (await created(registry, pod("b"))).spec.priority == 1000


async def test_an_account_that_has_changed_holds(registry):
    assert (await created(registry, pod("a"))).spec.volumes
    account = ServiceAccount(
        metadata=ObjectMeta(name="default", namespace="default"), automount_service_account_token=False
    )
    await registry.update(account)
    assert not (await created(registry, pod("b"))).spec.volumes


async def test_only_so_many_are_remembered(registry):
    for number in range(TEMPLATES_MAX + 10):
        await created(registry, asking(f"p{number}", f"{number + 1}m"))
    large = pod("large")
    large = replace(large, metadata=replace(large.metadata, annotations={"a": "x" * TEMPLATE_BYTES_MAX}))
    await created(registry, large)
    assert len(registry.newborns.siblings) == TEMPLATES_MAX
