"""Many writes together mean what each alone means."""

from __future__ import annotations

import msgspec

from knarr_api import errors, kinds
from knarr_api.types.core_v1 import Pod, PodStatus
from knarr_controlplane.registry import bulk
from knarr_controlplane.registry.bulk import Wanted
from knarr_controlplane.registry.decisions import Bound
from tests.unit.knarr_controlplane.registry.test_policies import counted_quota
from tests.unit.knarr_controlplane.registry.test_registry import pod

replace = msgspec.structs.replace
POD = kinds.of(Pod)


def siblings(*names):
    """Pods of one template."""
    first = pod(names[0])
    return [replace(first, metadata=replace(first.metadata, name=name)) for name in names]


def bare(entry):
    """Without what differs between any two objects."""
    obj = entry.value()
    return replace(obj, metadata=replace(obj.metadata, name="", uid="", resource_version=""))


async def test_siblings_are_stored_as_each_alone(registry):
    alone = await registry.create(pod("alone"))
    made = await bulk.create_all(registry, siblings("a", "b", "c"))
    assert [entry.name for entry in made] == ["a", "b", "c"]
    assert len({entry.uid for entry in (alone, *made)}) == 4
    assert {msgspec.json.encode(bare(entry)) for entry in (alone, *made)} == {msgspec.json.encode(bare(alone))}
    assert [registry.get(POD, "default", name).json for name in "abc"] == [entry.json for entry in made]


async def test_each_has_its_own_outcome(registry):
    await registry.create(pod("taken"))
    other = replace(pod("other"), spec=replace(pod().spec, node_selector={"disk": "ssd"}))
    bad = replace(pod("bad"), spec=replace(pod().spec, restart_policy="Sometimes"))
    made = await bulk.create_all(registry, [*siblings("a", "Not_A_Name", "taken"), other, bad])
    assert [type(each).__name__ for each in made] == ["CacheEntry", "Invalid", "AlreadyExists", "CacheEntry", "Invalid"]
    assert made[3].value().spec.node_selector == {"disk": "ssd"}


async def test_a_quota_holds_for_all_together(registry):
    await counted_quota(registry, pods="2")
    made = await bulk.create_all(registry, siblings("a", "b", "c"))
    assert sum(isinstance(each, errors.Forbidden) for each in made) == 1


async def test_bindings_each_for_itself(registry):
    made = await bulk.create_all(registry, siblings("a", "b"))
    await registry.bind("default", "b", made[1].uid, "elsewhere")
    wanted = [Wanted("default", name, Bound("", "n1", registry.now)) for name in ("a", "b", "gone")]
    done = await bulk.change_all(registry, POD, wanted)
    assert [type(each).__name__ for each in done] == ["CacheEntry", "Conflict", "NotFound"]
    assert registry.get(POD, "default", "a").read("spec.nodeName") == "n1"


async def test_two_changes_of_one_object_come_one_after_the_other(registry):
    await registry.create(pod("a"))

    def phase(name):
        return lambda old: replace(old, status=PodStatus(phase=name, message=old.status.phase))

    wanted = [Wanted("default", "a", phase("Running")), Wanted("default", "a", phase("Succeeded"))]
    done = await bulk.change_all(registry, POD, wanted)
    assert [each.value().status.phase for each in done] == ["Running", "Succeeded"]
    assert registry.get(POD, "default", "a").value().status.message == "Running"


async def test_what_changes_nothing_is_not_written(registry):
    entry = await registry.create(pod("a"))
    (same,) = await bulk.change_all(registry, POD, [Wanted("default", "a", lambda old: old)])
    assert same.revision == entry.revision
