"""Server-side apply as clients see it: who owns what, conflicts, what goes when it is wanted no longer."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from knarr_api import json, kinds
from knarr_api.errors import Conflict, Invalid, NotFound
from knarr_api.kinds import Kind
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import ConfigMap
from knarr_client.client import PatchType
from knarr_controlplane.registry import applying, subresources
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.merging import LAST_APPLIED
from knarr_controlplane.registry.registry import Registry

CONFIG_MAP, DEPLOYMENT = kinds.of(ConfigMap), kinds.of(Deployment)
ALICE, BOB = Writer(manager="alice"), Writer(manager="bob")


def config_map(**data: str) -> dict[str, Any]:
    metadata = {"name": "c", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **({"data": data} if data else {})}


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": list(containers)}},
            **spec,
        },
    }


WEB = {"name": "web", "image": "web:1"}


async def apply(
    registry: Registry, document: dict[str, Any], manager: str, **options: Any
) -> tuple[dict[str, Any], str]:
    kind = kinds.by_kind(document["apiVersion"], document["kind"])
    metadata = document["metadata"]
    entry, outcome = await applying.apply_fields(
        registry, kind, metadata["namespace"], metadata["name"], document, manager=manager, **options
    )
    return json.load(entry.json), outcome


def owners(document: dict[str, Any]) -> dict[tuple[str, str], Any]:
    entries = document["metadata"].get("managedFields", [])
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


def stored(registry: Registry, kind: Kind, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.load(registry.get(kind, "default", name).json)
    return document


async def test_an_apply_creates_and_owns_what_it_said(registry: Registry) -> None:
    made, outcome = await apply(registry, deployment(WEB, replicas=2), "alice")
    assert outcome == "created"
    (entry,) = made["metadata"]["managedFields"]
    assert entry["apiVersion"] == "apps/v1" and entry["fieldsType"] == "FieldsV1" and entry["time"]
    assert owners(made)[("alice", "Apply")] == {
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}, "f:name": {}}}},
            },
        }
    }


async def test_applying_the_same_again_writes_nothing(registry: Registry, time: Any) -> None:
    first, _ = await apply(registry, deployment(WEB), "alice")
    time.now += datetime.timedelta(hours=1)
    second, outcome = await apply(registry, deployment(WEB), "alice")
    assert outcome == "unchanged"
    assert second == first


async def test_a_conflict_names_the_owner_and_the_field(registry: Registry) -> None:
    await apply(registry, deployment(WEB, replicas=2), "alice")
    with pytest.raises(Conflict) as refused:
        await apply(registry, deployment(WEB, replicas=3), "bob")
    assert str(refused.value) == 'Apply failed with 1 conflict: conflict with "alice": .spec.replicas'
    assert [(detail.path, detail.message) for detail in refused.value.details] == [
        (".spec.replicas", 'conflict with "alice"')
    ]


async def test_several_conflicts_are_listed_by_owner(registry: Registry) -> None:
    await apply(registry, config_map(a="1"), "alice")
    await registry.patch(CONFIG_MAP, "default", "c", {"data": {"b": "1"}}, writer=BOB)
    with pytest.raises(Conflict) as refused:
        await apply(registry, config_map(a="2", b="2"), "carol")
    assert str(refused.value) == (
        'Apply failed with 2 conflicts: conflicts with "alice":\n- .data.a\nconflicts with "bob" using v1:\n- .data.b'
    )


async def test_force_takes_the_field_over(registry: Registry) -> None:
    await apply(registry, deployment(WEB, replicas=2), "alice")
    taken, _ = await apply(registry, deployment(WEB, replicas=3), "bob", force=True)
    assert taken["spec"]["replicas"] == 3
    assert "f:replicas" in owners(taken)[("bob", "Apply")]["f:spec"]
    assert "f:replicas" not in owners(taken)[("alice", "Apply")]["f:spec"]


async def test_two_that_want_the_same_own_it_together(registry: Registry) -> None:
    await apply(registry, config_map(a="1"), "alice")
    both, _ = await apply(registry, config_map(a="1"), "bob")
    assert owners(both)[("alice", "Apply")] == owners(both)[("bob", "Apply")] == {"f:data": {"f:a": {}}}
    one, _ = await apply(registry, config_map(), "alice")
    assert one["data"] == {"a": "1"}, "bob wants it still"
    none, _ = await apply(registry, config_map(), "bob")
    assert "data" not in none or none["data"] == {}


async def test_what_is_applied_no_longer_goes(registry: Registry) -> None:
    sidecar = {"name": "log", "image": "log:1"}
    await apply(registry, deployment(WEB, sidecar, replicas=4), "alice")
    less, _ = await apply(registry, deployment(WEB), "alice")
    assert [container["name"] for container in less["spec"]["template"]["spec"]["containers"]] == ["web"]
    assert less["spec"]["replicas"] == 1, "the default"


async def test_what_somebody_else_set_in_an_item_keeps_it(registry: Registry) -> None:
    await apply(registry, deployment(WEB, {"name": "log", "image": "log:1"}), "alice")
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "log", "image": "log:2"}]}}}}
    await registry.patch(DEPLOYMENT, "default", "web", patch, type_=PatchType.STRATEGIC, writer=BOB)
    left, _ = await apply(registry, deployment(WEB), "alice")
    containers = left["spec"]["template"]["spec"]["containers"]
    assert [(container["name"], container["image"]) for container in containers] == [("web", "web:1"), ("log", "log:2")]


async def test_items_of_others_keep_their_place(registry: Registry) -> None:
    await apply(registry, deployment(WEB), "alice")
    other = deployment({"name": "z", "image": "z"}, WEB)
    await apply(registry, other, "bob")
    both, _ = await apply(registry, deployment(WEB, {"name": "a", "image": "a"}), "alice")
    assert [container["name"] for container in both["spec"]["template"]["spec"]["containers"]] == ["z", "web", "a"]


async def test_finalizers_are_a_set_with_an_owner_each(registry: Registry) -> None:
    mine = config_map()
    mine["metadata"]["finalizers"] = ["example.com/a"]
    await apply(registry, mine, "alice")
    theirs = config_map()
    theirs["metadata"]["finalizers"] = ["example.com/b"]
    both, _ = await apply(registry, theirs, "bob")
    assert sorted(both["metadata"]["finalizers"]) == ["example.com/a", "example.com/b"]
    assert owners(both)[("bob", "Apply")] == {"f:metadata": {"f:finalizers": {'v:"example.com/b"': {}}}}
    left, _ = await apply(registry, config_map(), "alice")
    assert left["metadata"]["finalizers"] == ["example.com/b"]


async def test_ports_are_told_apart_by_number_and_protocol(registry: Registry) -> None:
    ports = [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]
    first, _ = await apply(registry, deployment({**WEB, "ports": ports}), "alice")
    again, outcome = await apply(registry, deployment({**WEB, "ports": ports}), "alice")
    assert outcome == "unchanged"
    assert len(first["spec"]["template"]["spec"]["containers"][0]["ports"]) == 2
    containers = owners(again)[("alice", "Apply")]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert set(containers['k:{"name":"web"}']["f:ports"]) == {
        'k:{"containerPort":53,"protocol":"TCP"}',
        'k:{"containerPort":53,"protocol":"UDP"}',
    }


async def test_an_update_takes_what_it_changes(registry: Registry, time: Any) -> None:
    await apply(registry, config_map(a="1", b="1"), "alice")
    time.now += datetime.timedelta(minutes=5)
    await registry.patch(CONFIG_MAP, "default", "c", {"data": {"a": "2"}}, writer=BOB)
    after = stored(registry, CONFIG_MAP, "c")
    assert owners(after) == {
        ("alice", "Apply"): {"f:data": {"f:b": {}}},
        ("bob", "Update"): {"f:data": {"f:a": {}}},
    }
    times = {entry["manager"]: entry["time"] for entry in after["metadata"]["managedFields"]}
    assert times == {"alice": "2026-01-31T08:00:00Z", "bob": "2026-01-31T08:05:00Z"}


async def test_creation_by_an_update_owns_everything_in_it(registry: Registry) -> None:
    obj = json.decode_strict(json.encode(config_map(a="1")), ConfigMap)
    await registry.create(obj, writer=ALICE)
    assert owners(stored(registry, CONFIG_MAP, "c")) == {("alice", "Update"): {"f:data": {".": {}, "f:a": {}}}}


async def test_a_removed_field_has_no_owner(registry: Registry) -> None:
    await apply(registry, config_map(a="1", b="1"), "alice")
    await registry.patch(CONFIG_MAP, "default", "c", {"data": {"a": None}}, writer=BOB)
    assert owners(stored(registry, CONFIG_MAP, "c")) == {("alice", "Apply"): {"f:data": {"f:b": {}}}}


async def test_status_has_managers_of_its_own(registry: Registry) -> None:
    await apply(registry, deployment(WEB), "alice")
    status = {"status": {"conditions": [{"type": "Available", "status": "True"}], "replicas": 1}}
    await registry.patch(DEPLOYMENT, "default", "web", status, subresource="status", writer=_status("bob"))
    entries = stored(registry, DEPLOYMENT, "web")["metadata"]["managedFields"]
    (entry,) = [entry for entry in entries if entry["manager"] == "bob"]
    assert entry["subresource"] == "status"
    assert entry["fieldsV1"] == {
        "f:status": {
            "f:conditions": {".": {}, 'k:{"type":"Available"}': {".": {}, "f:status": {}, "f:type": {}}},
            "f:replicas": {},
        }
    }


async def test_status_can_be_applied(registry: Registry) -> None:
    await apply(registry, deployment(WEB), "alice")
    document = {**deployment(WEB), "status": {"replicas": 3}}
    after, _ = await apply(registry, document, "bob", subresource="status")
    assert after["status"]["replicas"] == 3
    assert owners(after)[("bob", "Apply")] == {"f:status": {"f:replicas": {}}}
    with pytest.raises(NotFound):
        document["metadata"]["name"] = "other"
        await apply(registry, document, "bob", subresource="status")


async def test_scaling_owns_the_replicas_alone(registry: Registry) -> None:
    await apply(registry, deployment(WEB, replicas=2), "alice")
    writer = Writer(manager="bob", subresource="scale")
    change = lambda scale: _scaled(scale, 5)  # noqa: E731
    scale = await subresources.update_scale(registry, DEPLOYMENT, "default", "web", change, writer=writer)
    assert (scale.spec.replicas, scale.status.selector) == (5, "app=web")
    with pytest.raises(Conflict) as refused:
        await apply(registry, deployment(WEB, replicas=2), "alice")
    assert str(refused.value) == (
        'Apply failed with 1 conflict: conflict with "bob" with subresource "scale" using apps/v1: .spec.replicas'
    )


async def test_writes_of_knarrs_own_parts_are_tracked_only_where_somebody_owns_something(registry: Registry) -> None:
    quiet = Writer(manager="knarr-controlplane", quiet=True)
    await registry.create(json.decode_strict(json.encode(config_map(a="1")), ConfigMap), writer=quiet)
    assert owners(stored(registry, CONFIG_MAP, "c")) == {}
    await apply(registry, config_map(b="1"), "alice")
    await registry.patch(CONFIG_MAP, "default", "c", {"data": {"b": "2"}}, writer=quiet)
    assert owners(stored(registry, CONFIG_MAP, "c")) == {
        ("before-first-apply", "Update"): {"f:data": {"f:a": {}}},
        ("knarr-controlplane", "Update"): {"f:data": {"f:b": {}}},
    }


async def test_what_was_there_before_the_first_apply_has_an_owner(registry: Registry) -> None:
    await registry.create(json.decode_strict(json.encode(config_map(a="1")), ConfigMap))
    with pytest.raises(Conflict) as refused:
        await apply(registry, config_map(a="2"), "alice")
    assert 'conflict with "before-first-apply" using v1: .data.a' in str(refused.value)


async def test_a_client_side_apply_is_taken_over(registry: Registry) -> None:
    writer = Writer(manager="knarr-client-side-apply")
    await registry.apply(CONFIG_MAP, "default", config_map(a="1", b="1"), writer=writer)
    after, _ = await apply(registry, config_map(a="2"), "knarr")
    assert after["data"] == {"a": "2"}, "b was of the last apply"
    assert owners(after)[("knarr", "Apply")] == {"f:data": {"f:a": {}}}
    assert ("knarr-client-side-apply", "Update") not in owners(after)
    assert LAST_APPLIED in after["metadata"]["annotations"], "so that a client-side apply can go on from here"


async def test_a_record_without_managers_is_taken_over_as_well(registry: Registry) -> None:
    await registry.apply(CONFIG_MAP, "default", config_map(a="1", b="1", c="1"))
    await registry.patch(CONFIG_MAP, "default", "c", {"data": {"c": "theirs"}})
    with pytest.raises(Conflict, match=r"\.data\.c"):
        await apply(registry, config_map(a="2", c="1"), "knarr")
    after, _ = await apply(registry, config_map(a="2"), "knarr")
    assert after["data"] == {"a": "2", "c": "theirs"}


@pytest.mark.parametrize(
    ("document", "manager", "message"),
    [
        (config_map(), "", "fieldManager: Required value: is required for apply patch"),
        (config_map(), "x" * 129, "fieldManager: Too long: may not be more than 128 bytes"),
        ({**config_map(), "datas": {}}, "alice", "unknown field"),
        (
            {**config_map(), "metadata": {"name": "c", "namespace": "default", "managedFields": [{"manager": "x"}]}},
            "alice",
            "metadata.managedFields must be nil",
        ),
    ],
)
async def test_what_is_no_apply_is_refused(registry: Registry, document: Any, manager: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        await apply(registry, document, manager)


async def test_a_dry_run_changes_nothing(registry: Registry) -> None:
    shown, outcome = await apply(registry, config_map(a="1"), "alice", dry_run=True)
    assert (outcome, shown["data"]) == ("created", {"a": "1"})
    with pytest.raises(NotFound):
        registry.get(CONFIG_MAP, "default", "c")


async def test_the_oldest_of_many_updaters_become_one(registry: Registry, time: Any) -> None:
    await registry.create(json.decode_strict(json.encode(config_map(a="1")), ConfigMap), writer=ALICE)
    for number in range(12):
        time.now += datetime.timedelta(seconds=1)
        writer = Writer(manager=f"m{number}")
        await registry.patch(CONFIG_MAP, "default", "c", {"data": {f"k{number}": "1"}}, writer=writer)
    entries = stored(registry, CONFIG_MAP, "c")["metadata"]["managedFields"]
    assert len(entries) == 10
    assert entries[0]["manager"] == "ancient-changes"
    assert set(entries[0]["fieldsV1"]["f:data"]) >= {"f:a", "f:k0", "f:k1", "f:k2"}


async def test_the_record_can_be_reset(registry: Registry) -> None:
    await apply(registry, config_map(a="1"), "alice")
    await registry.patch(CONFIG_MAP, "default", "c", {"metadata": {"managedFields": [{}]}}, writer=BOB)
    assert owners(stored(registry, CONFIG_MAP, "c")) == {}


def _status(manager: str) -> Writer:
    return Writer(manager=manager, subresource="status")


def _scaled(scale: Any, replicas: int) -> Any:
    from msgspec.structs import replace

    return replace(scale, spec=replace(scale.spec, replicas=replicas))
