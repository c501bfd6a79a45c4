"""What the verbs set, keep and refuse."""

from __future__ import annotations

import asyncio
import datetime
import json as plain_json

import msgspec
import pytest

from knarr_api import errors, json, kinds
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.core_v1 import (
    ConfigMap,
    Namespace,
    Node,
    Pod,
    PodStatus,
    Secret,
    Service,
    ServicePort,
    ServiceSpec,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import PatchType
from knarr_controlplane.cache.changes import ChangeType
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.pages import Wanted

replace = msgspec.structs.replace
POD, CONFIG, DEPLOYMENT, SECRET = (kinds.of(type_) for type_ in (Pod, ConfigMap, Deployment, Secret))
DATA = {"op": "add", "path": "/data/a", "value": "b"}
DEADLINE_S = 30


def meta(name="a", **fields):
    return ObjectMeta(name=name, namespace="default", **fields)


def pod(name="p", **spec):
    document = {"spec": {"containers": [{"name": "c", "image": "web:1"}], **spec}}
    return replace(json.from_builtins(document, Pod), metadata=meta(name))


def deployment(**spec):
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    document = {"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template, **spec}}
    return replace(json.from_builtins(document, Deployment), metadata=meta("web"))


def everything(kind):
    return filter_of(kind, "", "", "")


async def scheduled(registry, name="p"):
    entry = await registry.create(pod(name))
    return (await registry.bind("default", name, entry.uid, "n1")).value()


async def test_creation_sets_what_only_the_api_knows(registry, time):
    given = replace(deployment(), metadata=meta("web", uid="mine", generation=7, deletion_timestamp=time.now))
    made = (await registry.create(given)).value()
    assert made.metadata.uid not in ("", "mine")
    assert made.metadata.generation == 1
    assert made.metadata.creation_timestamp == time.now
    assert made.metadata.deletion_timestamp is None
    assert made.metadata.resource_version
    assert made.spec.replicas == 1


async def test_creation_takes_no_revision(registry):
    with pytest.raises(errors.Invalid, match="resourceVersion should not be set"):
        await registry.create(ConfigMap(metadata=meta(resource_version="5")))


async def test_a_name_is_taken_once(registry):
    await registry.create(ConfigMap(metadata=meta()))
    with pytest.raises(errors.AlreadyExists, match='configmaps "a" already exists'):
        await registry.create(ConfigMap(metadata=meta()))


async def test_generated_names_differ(registry):
    names = set()
    for _ in range(20):
        entry = await registry.create(ConfigMap(metadata=ObjectMeta(generate_name="x-", namespace="default")))
        names.add(entry.name)
    assert len(names) == 20
    assert all(name.startswith("x-") and len(name) == 7 for name in names)


async def test_the_namespace_must_exist_and_stay(registry):
    with pytest.raises(errors.NotFound, match='namespaces "nowhere" not found'):
        await registry.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="nowhere")))
    await registry.create(Namespace(metadata=ObjectMeta(name="team")))
    await registry.delete(kinds.of(Namespace), "", "team")
    with pytest.raises(errors.Forbidden, match="it is being terminated"):
        await registry.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="team")))


async def test_the_system_namespaces_stay(registry):
    present = [entry.name for entry in registry.list(kinds.of(Namespace), everything(kinds.of(Namespace))).entries]
    assert present == ["default", "kube-node-lease", "kube-public", "kube-system"]
    with pytest.raises(errors.Forbidden):
        await registry.delete(kinds.of(Namespace), "", "kube-system")


async def test_a_pod_is_born_pending_with_its_tolerations(registry):
    made = (await registry.create(replace(pod(), status=PodStatus(phase="Running")))).value()
    assert (made.status.phase, made.status.qos_class) == ("Pending", "BestEffort")
    assert [(t.key, t.toleration_seconds) for t in made.spec.tolerations] == [
        ("node.kubernetes.io/not-ready", 30),
        ("node.kubernetes.io/unreachable", 30),
    ]


async def test_tolerations_that_are_given_are_kept(registry):
    own = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    made = (await registry.create(pod(tolerations=[own]))).value()
    assert {t.key: t.toleration_seconds for t in made.spec.tolerations} == {
        "node.kubernetes.io/unreachable": 5,
        "node.kubernetes.io/not-ready": 30,
    }


async def test_an_update_leaves_the_status_and_the_status_leaves_the_spec(registry):
    made = (await registry.create(deployment())).value()
    status = replace(made.status, replicas=3)
    both = replace(made, spec=replace(made.spec, replicas=5), status=status)
    updated = (await registry.update(both)).value()
    assert (updated.spec.replicas, updated.status.replicas) == (5, None)
    reported = (await registry.update(replace(both, metadata=meta("web")), subresource="status")).value()
    assert (reported.spec.replicas, reported.status.replicas) == (5, 3)


async def test_generation_counts_changes_of_the_spec_only(registry):
    made = (await registry.create(deployment())).value()
    labelled = (await registry.update(replace(made, metadata=replace(made.metadata, labels={"a": "b"})))).value()
    assert labelled.metadata.generation == 1
    reported = (
        await registry.update(replace(labelled, status=replace(made.status, replicas=1)), subresource="status")
    ).value()
    assert reported.metadata.generation == 1
    scaled = (await registry.update(replace(reported, spec=replace(made.spec, replicas=2)))).value()
    assert scaled.metadata.generation == 2


async def test_an_update_that_changes_nothing_writes_nothing(registry, store):
    made = (await registry.create(deployment())).value()
    before = await store.revision()
    again = await registry.update(made)
    assert str(again.revision) == made.metadata.resource_version
    assert await store.revision() == before


async def test_an_update_on_an_old_revision_is_a_conflict(registry):
    made = (await registry.create(ConfigMap(metadata=meta()))).value()
    await registry.update(replace(made, data={"a": "1"}))
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await registry.update(replace(made, data={"a": "2"}))


async def test_an_update_of_another_uid_is_a_conflict(registry):
    await registry.create(ConfigMap(metadata=meta()))
    with pytest.raises(errors.Conflict, match="Precondition failed: UID in precondition: other"):
        await registry.update(ConfigMap(metadata=meta(uid="other"), data={"a": "b"}))


async def test_unconditional_updates_at_the_same_time_all_succeed(registry):
    await registry.create(ConfigMap(metadata=meta()))
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*(registry.patch(CONFIG, "default", "a", {"data": {str(n): "x"}}) for n in range(15)))
    assert len(registry.get(CONFIG, "default", "a").value().data) == 15


async def test_what_was_set_at_birth_stays(registry, time):
    made = (await registry.create(deployment())).value()
    time.now += datetime.timedelta(hours=1)
    metadata = replace(made.metadata, uid="", generation=99, creation_timestamp=time.now, deletion_timestamp=time.now)
    updated = (await registry.update(replace(made, metadata=replace(metadata, labels={"a": "b"})))).value()
    kept = ("uid", "generation", "creation_timestamp", "deletion_timestamp")
    assert all(getattr(updated.metadata, name) == getattr(made.metadata, name) for name in kept)


async def test_a_selector_does_not_change(registry):
    made = (await registry.create(deployment())).value()
    template = replace(made.spec.template, metadata=ObjectMeta(labels={"app": "b"}))
    selector = replace(made.spec.selector, match_labels={"app": "b"})
    with pytest.raises(errors.Invalid, match="field is immutable"):
        await registry.update(replace(made, spec=replace(made.spec, selector=selector, template=template)))


async def test_a_patch_neither_renames_nor_retypes(registry):
    await registry.create(ConfigMap(metadata=meta()))
    with pytest.raises(errors.Invalid, match=r"metadata\.name"):
        await registry.patch(CONFIG, "default", "a", {"metadata": {"name": "b"}})
    with pytest.raises(errors.Invalid, match="kind"):
        await registry.patch(CONFIG, "default", "a", {"kind": "Secret"})
    with pytest.raises(errors.Invalid, match="unknown field"):
        await registry.patch(CONFIG, "default", "a", {"dada": {}})
    with pytest.raises(errors.Invalid, match="must be a JSON object"):
        await registry.patch(CONFIG, "default", "a", [])


@pytest.mark.parametrize("op", ["test", "add", "replace"])
async def test_a_json_patch_may_name_the_revision_that_it_is_for(registry, op):
    seen = str((await registry.create(ConfigMap(metadata=meta()))).revision)
    patch = [
        {"op": op, "path": "/metadata/resourceVersion", "value": seen},
        {"op": "add", "path": "/data", "value": {}},
    ]
    patched = await registry.patch(CONFIG, "default", "a", [*patch, DATA], type_=PatchType.JSON)
    assert patched.value().data == {"a": "b"} and str(patched.revision) != seen
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await registry.patch(CONFIG, "default", "a", patch, type_=PatchType.JSON)
    assert registry.get(CONFIG, "default", "a").value().data == {"a": "b"}


async def test_a_dry_run_changes_nothing(registry, store):
    await registry.create(ConfigMap(metadata=meta()))
    before = await store.revision()
    await registry.create(ConfigMap(metadata=meta("b")), dry_run=True)
    await registry.patch(CONFIG, "default", "a", {"data": {"k": "v"}}, dry_run=True)
    _, outcome = await registry.apply(CONFIG, "default", manifest(data={"k": "v"}), dry_run=True)
    await registry.delete(CONFIG, "default", "a", dry_run=True)
    assert outcome == "configured"
    assert await store.revision() == before


async def test_a_kind_is_kept_in_one_version(registry):
    old = kinds.by_kind("autoscaling/v1", "HorizontalPodAutoscaler")
    with pytest.raises(errors.Unimplemented, match="use autoscaling/v2"):
        await registry.create(replace(old.type(), metadata=meta()))
    with pytest.raises(errors.Unimplemented):
        registry.list(old, everything(old))


# Deletion


async def test_a_running_pod_is_given_its_time(registry, time):
    await scheduled(registry)
    marked = (await registry.delete(POD, "default", "p")).value()
    assert marked.metadata.deletion_grace_period_seconds == 30
    assert marked.metadata.deletion_timestamp == time.now + datetime.timedelta(seconds=30)
    sooner = (await registry.delete(POD, "default", "p", grace_s=5)).value()
    assert sooner.metadata.deletion_grace_period_seconds == 5
    later = (await registry.delete(POD, "default", "p", grace_s=50)).value()
    assert later.metadata.deletion_grace_period_seconds == 5
    await registry.delete(POD, "default", "p", grace_s=0)
    with pytest.raises(errors.NotFound):
        registry.get(POD, "default", "p")


async def test_a_pod_that_has_ended_goes_at_once(registry):
    made = await scheduled(registry)
    await registry.update(replace(made, status=PodStatus(phase="Succeeded")), subresource="status")
    await registry.delete(POD, "default", "p")
    with pytest.raises(errors.NotFound):
        registry.get(POD, "default", "p")


async def test_what_is_being_deleted_takes_no_new_finalizers(registry):
    await registry.create(ConfigMap(metadata=meta(finalizers=("example.com/a",))))
    marked = (await registry.delete(CONFIG, "default", "a")).value()
    with pytest.raises(errors.Invalid, match="no new finalizers can be added"):
        await registry.update(replace(marked, metadata=replace(marked.metadata, finalizers=("a/a", "example.com/a"))))


async def test_a_negative_grace_is_refused(registry):
    await registry.create(pod())
    with pytest.raises(errors.Invalid, match="gracePeriodSeconds"):
        await registry.delete(POD, "default", "p", grace_s=-1)


# Bind


async def test_binding_says_so_in_the_conditions(registry, time):
    made = await scheduled(registry)
    (condition,) = made.status.conditions
    assert made.spec.node_name == "n1"
    assert (condition.type, condition.status, condition.last_transition_time) == ("PodScheduled", "True", time.now)


async def test_a_pod_on_its_way_out_is_not_bound(registry):
    entry = await registry.create(replace(pod(), metadata=meta("p", finalizers=("example.com/a",))))
    await registry.delete(POD, "default", "p")
    with pytest.raises(errors.Conflict, match="is being deleted"):
        await registry.bind("default", "p", entry.uid, "n1")


# Apply


def manifest(name="a", kind="ConfigMap", api_version="v1", **fields):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}


async def test_apply_creates_changes_and_leaves_alone(registry, store):
    outcomes = []
    for data in ({"a": "1"}, {"a": "1"}, {"a": "2"}):
        _, outcome = await registry.apply(CONFIG, "default", manifest(data=data))
        outcomes.append(outcome)
    before = await store.revision()
    _, outcome = await registry.apply(CONFIG, "default", manifest(data={"a": "2"}))
    assert [*outcomes, outcome] == ["created", "unchanged", "configured", "unchanged"]
    assert await store.revision() == before


async def test_apply_removes_what_it_applied_before_and_keeps_what_others_wrote(registry):
    await registry.apply(CONFIG, "default", manifest(data={"mine": "1", "gone": "1"}))
    await registry.patch(CONFIG, "default", "a", {"data": {"theirs": "1"}})
    entry, _ = await registry.apply(CONFIG, "default", manifest(data={"mine": "2"}))
    assert entry.value().data == {"mine": "2", "theirs": "1"}


async def test_apply_records_what_was_applied(registry):
    entry, _ = await registry.apply(CONFIG, "default", manifest(data={"a": "1"}))
    recorded = entry.value().metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]
    assert plain_json.loads(recorded) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "namespace": "default"},
        "data": {"a": "1"},
    }


async def test_a_pod_is_applied_twice_without_change(registry):
    document = manifest(
        "p",
        "Pod",
        spec={"containers": [{"name": "c", "image": "web:1"}], "tolerations": [{"operator": "Exists", "key": "x"}]},
    )
    await registry.apply(POD, "default", document)
    _, outcome = await registry.apply(POD, "default", document)
    assert outcome == "unchanged"


async def test_apply_from_rolling_update_to_recreate(registry):
    document = json.to_builtins(deployment())
    await registry.apply(DEPLOYMENT, "default", document)
    document["spec"]["strategy"] = {"type": "Recreate"}
    entry, outcome = await registry.apply(DEPLOYMENT, "default", document)
    assert outcome == "configured"
    assert entry.value().spec.strategy.rolling_update is None


async def test_apply_on_a_given_revision_is_a_conflict_when_it_is_old(registry):
    entry, _ = await registry.apply(CONFIG, "default", manifest(data={"a": "1"}))
    await registry.patch(CONFIG, "default", "a", {"data": {"b": "1"}})
    document = manifest(data={"a": "2"})
    document["metadata"]["resourceVersion"] = str(entry.revision)
    with pytest.raises(errors.Conflict):
        await registry.apply(CONFIG, "default", document)


@pytest.mark.parametrize("metadata", ["x", {"name": "a", "annotations": "x"}])
async def test_apply_of_a_misshapen_manifest(registry, metadata):
    with pytest.raises(errors.Invalid, match="metadata"):
        await registry.apply(CONFIG, "default", {**manifest(), "metadata": metadata})


# Lists and watches


async def test_pages_are_of_one_revision_whatever_happens_meanwhile(registry):
    for number in range(6):
        await registry.create(ConfigMap(metadata=meta(f"c{number}")))
    first = registry.list(CONFIG, everything(CONFIG), Wanted(limit=2))
    await registry.delete(CONFIG, "default", "c3")
    await registry.patch(CONFIG, "default", "c4", {"data": {"new": "x"}})
    await registry.create(ConfigMap(metadata=meta("c2b")))
    rest = registry.list(CONFIG, everything(CONFIG), Wanted(continue_=first.continue_))
    assert [entry.name for entry in (*first.entries, *rest.entries)] == [f"c{number}" for number in range(6)]
    assert all(not entry.value().data for entry in rest.entries)
    assert (first.remaining, first.revision) == (4, rest.revision)


async def test_a_page_of_forgotten_revisions_expires(registry):
    for number in range(3):
        await registry.create(ConfigMap(metadata=meta(f"c{number}")))
    first = registry.list(CONFIG, everything(CONFIG), Wanted(limit=1))
    await registry.create(ConfigMap(metadata=meta("d")))
    registry.cache.forget(registry.cache.revision)
    with pytest.raises(errors.Expired):
        registry.list(CONFIG, everything(CONFIG), Wanted(continue_=first.continue_))


@pytest.mark.parametrize("token", ["x", "eA==", "9" * 5000, "é"])
async def test_a_continue_token_of_somebody_else(registry, token):
    with pytest.raises(errors.Invalid, match="continue"):
        registry.list(CONFIG, everything(CONFIG), Wanted(continue_=token))


async def test_selecting_by_fields(registry):
    await scheduled(registry, "a")
    await registry.create(pod("b"))
    chosen = filter_of(POD, "", "", "spec.nodeName=n1")
    assert [entry.name for entry in registry.list(POD, chosen).entries] == ["a"]
    unbound = filter_of(POD, "", "", "spec.nodeName=,status.phase=Pending")
    assert [entry.name for entry in registry.list(POD, unbound).entries] == ["b"]
    with pytest.raises(errors.Invalid, match=r"field label not supported: spec\.color"):
        filter_of(POD, "", "", "spec.color=red")


async def test_watching_a_node_sees_pods_come_to_it(registry):
    batches = registry.watch(POD, filter_of(POD, "", "", "spec.nodeName=n1"), "0")
    assert [change.type for change in await anext(batches)] == [ChangeType.BOOKMARK]
    await scheduled(registry)
    async with asyncio.timeout(DEADLINE_S):
        (change,) = await anext(batches)
    assert (change.type, change.entry.name) == (ChangeType.ADDED, "p")
    await batches.aclose()


async def test_a_watch_that_fell_behind_expires(registry):
    batches = registry.watch(CONFIG, everything(CONFIG), "0")
    await anext(batches)
    await registry.create(ConfigMap(metadata=meta("first")))
    async with asyncio.timeout(DEADLINE_S):
        await anext(batches)
    for number in range(3):
        await registry.create(ConfigMap(metadata=meta(f"c{number}")))
    registry.cache.forget(registry.cache.revision)
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(errors.Expired):
            await anext(batches)


async def test_a_watch_goes_back_to_the_store_for_what_the_cache_forgot(registry):
    start = registry.cache.revision
    made = await registry.create(ConfigMap(metadata=meta("a", labels={"x": "y"})))
    await registry.create(Secret(metadata=meta("s")))
    await registry.patch(CONFIG, "default", "a", {"metadata": {"labels": None}})
    await registry.delete(CONFIG, "default", "a")
    registry.cache.forget(registry.cache.revision)

    async def changes(filter_, after):
        batches = registry.watch(CONFIG, filter_, str(after))
        async with asyncio.timeout(DEADLINE_S):
            found = await anext(batches)
        await batches.aclose()
        return [change.type.value for change in found]

    assert await changes(everything(CONFIG), start) == ["ADDED", "MODIFIED", "DELETED"]
    assert await changes(filter_of(CONFIG, "", "x=y", ""), start) == ["ADDED", "DELETED"]
    assert await changes(everything(CONFIG), made.revision) == ["MODIFIED", "DELETED"]


@pytest.mark.parametrize("version", ["x", "-1", "1.5", "9" * 30])
async def test_a_revision_that_is_none(registry, version):
    with pytest.raises(errors.Invalid, match="resourceVersion"):
        await anext(registry.watch(CONFIG, everything(CONFIG), version))


# Storage


async def test_secrets_are_not_readable_in_the_store(registry, store):
    await registry.create(Secret(metadata=meta("s"), data={"password": b"hunter2"}))
    stored = (await store.get(SECRET.key("default", "s"))).value
    assert b"hunter2" not in stored
    assert b"aHVudGVyMg" not in stored
    assert plain_json.loads(stored)["metadata"] == {"namespace": "default", "name": "s"}
    assert registry.get(SECRET, "default", "s").value().data == {"password": b"hunter2"}


async def test_other_kinds_are_stored_as_their_own_json(registry, store):
    await registry.create(Service(metadata=meta("s"), spec=ServiceSpec(ports=(ServicePort(port=80),))))
    stored = plain_json.loads((await store.get(kinds.of(Service).key("default", "s"))).value)
    assert stored["kind"] == "Service"
    assert "resourceVersion" not in stored["metadata"]


async def test_a_node_may_come_with_its_status(registry):
    node = json.from_builtins({"metadata": {"name": "n1"}, "status": {"capacity": {"cpu": "2"}}}, Node)
    assert str((await registry.create(node)).value().status.capacity["cpu"]) == "2"
