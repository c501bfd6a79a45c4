"""What every Client promises of get, list, create, update, patch, apply, delete and bind."""

from __future__ import annotations

import msgspec
import pytest

from knarr_api import errors
from knarr_api.types.apps_v1 import Deployment, DeploymentSpec, DeploymentStatus
from knarr_api.types.core_v1 import ConfigMap, Container, Namespace, Node, Pod, PodSpec, PodTemplateSpec
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_client.client import Binding, Outcome, Propagation

replace = msgspec.structs.replace


def config(name="a", namespace="default", *, labels=None, finalizers=(), **data):
    metadata = ObjectMeta(name=name, namespace=namespace, labels=labels or {}, finalizers=finalizers)
    return ConfigMap(metadata=metadata, data=data)


def pod(name="p", namespace="default"):
    spec = PodSpec(containers=(Container(name="c", image="i:1"),))
    return Pod(metadata=ObjectMeta(name=name, namespace=namespace), spec=spec)


def deployment(name="d"):
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "d"}), spec=PodSpec(containers=(Container(name="c", image="i:1"),))
    )
    spec = DeploymentSpec(replicas=1, selector=LabelSelector(match_labels={"app": "d"}), template=template)
    return Deployment(metadata=ObjectMeta(name=name, namespace="default"), spec=spec)


async def test_create_gives_identity(client):
    made = await client.create(config(k="v"))
    assert made.metadata.uid
    assert made.metadata.resource_version
    assert made.metadata.creation_timestamp is not None
    assert await client.get(ConfigMap, "a", "default") == made


async def test_create_of_a_taken_name_is_refused(client):
    await client.create(config())
    with pytest.raises(errors.AlreadyExists):
        await client.create(config())


async def test_generated_names_differ(client):
    template = ConfigMap(metadata=ObjectMeta(generate_name="x-", namespace="default"))
    names = {(await client.create(template)).metadata.name for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("x-") and len(name) == 7 for name in names)


async def test_create_in_a_missing_namespace_is_not_found(client):
    with pytest.raises(errors.NotFound):
        await client.create(config(namespace="nowhere"))


async def test_get_of_nothing_is_not_found_by_name(client):
    with pytest.raises(errors.NotFound, match='configmaps "zz" not found'):
        await client.get(ConfigMap, "zz", "default")


async def test_update_needs_the_revision_that_was_read(client):
    first = await client.create(config(k="1"))
    second = await client.update(replace(first, data={"k": "2"}))
    assert int(second.metadata.resource_version) > int(first.metadata.resource_version)
    with pytest.raises(errors.Conflict):
        await client.update(replace(first, data={"k": "3"}))
    assert (await client.get(ConfigMap, "a", "default")).data == {"k": "2"}


async def test_update_of_nothing_is_not_found(client):
    with pytest.raises(errors.NotFound):
        await client.update(config("zz"))


async def test_update_that_changes_nothing_leaves_no_trace(client):
    first = await client.create(config(k="1"))
    again = await client.update(first)
    assert again.metadata.resource_version == first.metadata.resource_version


async def test_generation_counts_changes_of_the_spec_alone(client):
    made = await client.create(deployment())
    assert made.metadata.generation == 1
    labelled = await client.update(replace(made, metadata=replace(made.metadata, labels={"x": "y"})))
    assert labelled.metadata.generation == 1
    scaled = await client.update(replace(labelled, spec=replace(labelled.spec, replicas=5)))
    assert scaled.metadata.generation == 2


async def test_status_and_the_rest_are_written_apart(client):
    made = await client.create(deployment())
    both = replace(made, spec=replace(made.spec, replicas=9), status=DeploymentStatus(replicas=7))
    written = await client.update_status(both)
    assert (written.spec.replicas, written.status.replicas) == (1, 7)
    assert written.metadata.generation == 1
    both = replace(written, spec=replace(made.spec, replicas=9), status=DeploymentStatus(replicas=3))
    written = await client.update(both)
    assert (written.spec.replicas, written.status.replicas) == (9, 7)


async def test_status_needs_the_revision_that_was_read(client):
    made = await client.create(deployment())
    await client.update_status(replace(made, status=DeploymentStatus(replicas=1)))
    with pytest.raises(errors.Conflict):
        await client.update_status(replace(made, status=DeploymentStatus(replicas=2)))


async def test_merge_patch_changes_removes_and_keeps(client):
    await client.create(config(a="1", b="2", c="3"))
    patched = await client.patch(ConfigMap, "a", "default", patch={"data": {"a": "9", "b": None}})
    assert patched.data == {"a": "9", "c": "3"}


async def test_patch_with_an_old_revision_is_refused(client):
    made = await client.create(config(a="1"))
    await client.patch(ConfigMap, "a", "default", patch={"data": {"a": "2"}})
    body = {"metadata": {"resourceVersion": made.metadata.resource_version}, "data": {"a": "3"}}
    with pytest.raises(errors.Conflict):
        await client.patch(ConfigMap, "a", "default", patch=body)


async def test_patch_of_the_status_leaves_the_rest(client):
    await client.create(deployment())
    body = {"status": {"replicas": 4}, "spec": {"replicas": 4}}
    patched = await client.patch(Deployment, "d", "default", patch=body, subresource="status")
    assert (patched.spec.replicas, patched.status.replicas) == (1, 4)


async def test_apply_creates_then_configures_then_does_nothing(client):
    assert (await client.apply(config(k="1"))).outcome is Outcome.CREATED
    assert (await client.apply(config(k="2"))).outcome is Outcome.CONFIGURED
    again = await client.apply(config(k="2"))
    assert again.outcome is Outcome.UNCHANGED
    assert again.object.data == {"k": "2"}


async def test_list_selects_by_namespace_label_and_field(client):
    await client.create(Namespace(metadata=ObjectMeta(name="other")))
    await client.create(config("a", labels={"app": "x"}))
    await client.create(config("b", labels={"app": "y"}))
    await client.create(config("a", "other", labels={"app": "x"}))

    async def names(*args, **kwargs):
        page = await client.list(ConfigMap, *args, **kwargs)
        return [(each.metadata.namespace, each.metadata.name) for each in page.items]

    assert await names("default") == [("default", "a"), ("default", "b")]
    assert set(await names("", label_selector="app=x")) >= {("default", "a"), ("other", "a")}
    assert await names("default", label_selector="app!=x") == [("default", "b")]
    assert await names("default", field_selector="metadata.name=b") == [("default", "b")]


async def test_list_comes_in_pages_of_one_revision(client):
    for number in range(5):
        await client.create(config(f"c{number}"))
    first = await client.list(ConfigMap, "default", limit=2)
    second = await client.list(ConfigMap, "default", limit=2, continue_=first.continue_)
    third = await client.list(ConfigMap, "default", limit=2, continue_=second.continue_)
    names = [each.metadata.name for page in (first, second, third) for each in page.items]
    assert names == [f"c{number}" for number in range(5)]
    assert not third.continue_
    assert first.resource_version == second.resource_version == third.resource_version


async def test_list_revision_is_not_older_than_what_was_written(client):
    made = await client.create(config())
    page = await client.list(ConfigMap)
    assert int(page.resource_version) >= int(made.metadata.resource_version)


async def test_deleted_object_is_gone(client):
    await client.create(config())
    await client.delete(ConfigMap, "a", "default")
    with pytest.raises(errors.NotFound):
        await client.get(ConfigMap, "a", "default")
    with pytest.raises(errors.NotFound):
        await client.delete(ConfigMap, "a", "default")


async def test_deletion_checks_its_preconditions(client):
    made = await client.create(config())
    with pytest.raises(errors.Conflict):
        await client.delete(ConfigMap, "a", "default", uid="another")
    changed = await client.update(replace(made, data={"k": "v"}))
    with pytest.raises(errors.Conflict):
        await client.delete(ConfigMap, "a", "default", resource_version=made.metadata.resource_version)
    await client.delete(
        ConfigMap, "a", "default", uid=made.metadata.uid, resource_version=changed.metadata.resource_version
    )


async def test_object_with_finalizers_stays_until_the_last_is_removed(client):
    await client.create(config(finalizers=("example.com/one", "example.com/two")))
    await client.delete(ConfigMap, "a", "default")
    marked = await client.get(ConfigMap, "a", "default")
    assert marked.metadata.deletion_timestamp is not None
    marked = await client.update(replace(marked, metadata=replace(marked.metadata, finalizers=("example.com/two",))))
    await client.update(replace(marked, metadata=replace(marked.metadata, finalizers=())))
    with pytest.raises(errors.NotFound):
        await client.get(ConfigMap, "a", "default")


@pytest.mark.parametrize(
    ("propagation", "finalizer"), [(Propagation.FOREGROUND, "foregroundDeletion"), (Propagation.ORPHAN, "orphan")]
)
async def test_propagation_is_left_to_garbage_collection_as_a_finalizer(client, propagation, finalizer):
    await client.create(config())
    await client.delete(ConfigMap, "a", "default", propagation=propagation)
    marked = await client.get(ConfigMap, "a", "default")
    assert marked.metadata.finalizers == (finalizer,)
    assert marked.metadata.deletion_timestamp is not None


async def test_pod_without_a_node_goes_at_once(client):
    await client.create(pod())
    await client.delete(Pod, "p", "default")
    with pytest.raises(errors.NotFound):
        await client.get(Pod, "p", "default")


async def test_pod_on_a_node_stays_until_its_end_is_confirmed(client):
    await client.create(Node(metadata=ObjectMeta(name="n1")))
    made = await client.create(pod())
    await client.bind(namespace="default", name="p", uid=made.metadata.uid, node="n1")
    await client.delete(Pod, "p", "default", grace_period_s=20)
    marked = await client.get(Pod, "p", "default")
    assert marked.metadata.deletion_timestamp is not None
    assert marked.metadata.deletion_grace_period_seconds == 20
    await client.delete(Pod, "p", "default", grace_period_s=0)
    with pytest.raises(errors.NotFound):
        await client.get(Pod, "p", "default")


async def test_a_pod_is_bound_once(client):
    await client.create(Node(metadata=ObjectMeta(name="n1")))
    await client.create(Node(metadata=ObjectMeta(name="n2")))
    made = await client.create(pod())
    with pytest.raises(errors.Conflict):
        await client.bind(namespace="default", name="p", uid="another", node="n1")
    await client.bind(namespace="default", name="p", uid=made.metadata.uid, node="n1")
    with pytest.raises(errors.Conflict):
        await client.bind(namespace="default", name="p", uid=made.metadata.uid, node="n2")
    assert (await client.get(Pod, "p", "default")).spec.node_name == "n1"


async def test_namespace_ends_when_its_finalizer_is_removed(client):
    await client.create(Namespace(metadata=ObjectMeta(name="team")))
    await client.delete(Namespace, "team")
    ending = await client.get(Namespace, "team")
    assert ending.status.phase == "Terminating"
    with pytest.raises(errors.Forbidden):
        await client.create(config(namespace="team"))
    await client.update(replace(ending, spec=replace(ending.spec, finalizers=())))
    with pytest.raises(errors.NotFound):
        await client.get(Namespace, "team")


async def test_many_are_created_and_bound_each_for_itself(client):
    await client.create(pod("taken"))
    made = await client.create_all([pod("a"), pod("taken"), pod("b")])
    assert [type(each).__name__ for each in made] == ["Pod", "AlreadyExists", "Pod"]
    wanted = [Binding("default", "a", made[0].metadata.uid, "n1"), Binding("default", "b", "another", "n1")]
    first, second = await client.bind_all(wanted)
    assert first is None and isinstance(second, errors.Conflict)
    assert (await client.get(Pod, "a", "default")).spec.node_name == "n1"
