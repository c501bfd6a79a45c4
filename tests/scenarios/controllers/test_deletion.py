"""What goes with what: owners and owned, namespaces and their content."""

from __future__ import annotations

import msgspec

from knarr_api.types.apps_v1 import Deployment, ReplicaSet
from knarr_api.types.core_v1 import ConfigMap, Event, Namespace, Pod, Secret
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_client.client import Propagation

replace = msgspec.structs.replace


def owned(name, *owners, finalizers=()):
    references = tuple(
        OwnerReference(
            api_version="v1",
            kind="ConfigMap",
            name=each.metadata.name,
            uid=each.metadata.uid,
            block_owner_deletion=True,
        )
        for each in owners
    )
    return ConfigMap(
        metadata=ObjectMeta(name=name, namespace="default", owner_references=references, finalizers=finalizers)
    )


def names(cluster):
    return {each.metadata.name for each in cluster.all(ConfigMap)}


def test_deleting_a_deployment_takes_its_replicasets_and_pods(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=10)
        await cluster.client.delete(Deployment, "web", "default")
        assert not cluster.all(Deployment)
        await cluster.until(lambda: not cluster.replicasets(), within_s=1)
        await cluster.until(lambda: not cluster.pods(active=False), within_s=5)

    play(scenario)


def test_foreground_deletion_keeps_the_owner_until_the_last_pod_is_gone(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=10)
        await cluster.client.delete(Deployment, "web", "default", propagation=Propagation.FOREGROUND)
        while cluster.pods(active=False):
            assert cluster.all(Deployment)
            assert cluster.replicasets()
            await cluster.clock.sleep(0.05)
            assert cluster.clock.monotonic() < 60
        await cluster.until(lambda: not cluster.replicasets() and not cluster.all(Deployment), within_s=1)

    play(scenario)


def test_orphaned_pods_go_on_and_are_adopted_again(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=10)
        before = {pod.metadata.uid for pod in cluster.pods()}
        await cluster.client.delete(Deployment, "web", "default", propagation=Propagation.ORPHAN)
        await cluster.until(lambda: not cluster.all(Deployment), within_s=1)
        await cluster.clock.sleep(30)
        assert {pod.metadata.uid for pod in cluster.pods(active=False)} == before
        assert not cluster.replicasets()[0].metadata.owner_references
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: bool(cluster.replicasets()[0].metadata.owner_references), within_s=1)
        await cluster.clock.sleep(10)
        assert len(cluster.replicasets()) == 1
        assert {pod.metadata.uid for pod in cluster.pods(active=False)} == before

    play(scenario)


def test_object_with_two_owners_lives_as_long_as_one_does(play):
    async def scenario(cluster):
        first = await cluster.client.create(owned("first"))
        second = await cluster.client.create(owned("second"))
        await cluster.client.create(owned("shared", first, second))
        await cluster.client.delete(ConfigMap, "first", "default")
        await cluster.clock.sleep(3)
        shared = await cluster.client.get(ConfigMap, "shared", "default")
        assert [each.name for each in shared.metadata.owner_references] == ["second"]
        await cluster.client.delete(ConfigMap, "second", "default")
        await cluster.until(lambda: not names(cluster), within_s=1)

    play(scenario, nodes=())


def test_owner_of_the_same_name_but_another_uid_is_no_owner(play):
    async def scenario(cluster):
        first = await cluster.client.create(owned("first"))
        await cluster.client.delete(ConfigMap, "first", "default")
        await cluster.client.create(owned("first"))
        await cluster.client.create(owned("stale", first))
        await cluster.until(lambda: names(cluster) == {"first"}, within_s=3)

    play(scenario, nodes=())


def test_owner_of_an_unknown_kind_keeps_the_object(play):
    async def scenario(cluster):
        reference = OwnerReference(api_version="example.com/v1", kind="Ship", name="a", uid="u")
        metadata = ObjectMeta(name="cargo", namespace="default", owner_references=(reference,))
        await cluster.client.create(ConfigMap(metadata=metadata))
        await cluster.clock.sleep(600)
        assert names(cluster) == {"cargo"}

    play(scenario, nodes=())


def test_nothing_is_collected_while_the_api_cannot_be_read(play):
    async def scenario(cluster):
        first = await cluster.client.create(owned("first"))
        await cluster.clock.sleep(1)
        cluster.controllers.connected = False
        await cluster.client.create(owned("second"))
        await cluster.client.create(owned("child", first))
        await cluster.clock.sleep(60)
        cluster.controllers.connected = True
        await cluster.clock.sleep(30)
        assert names(cluster) == {"first", "second", "child"}

    play(scenario, nodes=())


def test_namespace_goes_after_all_that_is_in_it(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(Namespace(metadata=ObjectMeta(name="team")))
        web = deployment(3)
        await cluster.client.create(replace(web, metadata=replace(web.metadata, namespace="team")))
        await cluster.client.create(Secret(metadata=ObjectMeta(name="key", namespace="team")))
        held = ObjectMeta(name="held", namespace="team", finalizers=("example.com/hold",))
        await cluster.client.create(ConfigMap(metadata=held))
        await cluster.until(lambda: cluster.ready() == 3, within_s=10)

        await cluster.client.delete(Namespace, "team")
        await cluster.until(lambda: not cluster.pods(active=False), within_s=10)
        await cluster.until(lambda: not cluster.all(Secret) and not cluster.replicasets(), within_s=10)

        await cluster.clock.sleep(10)
        namespace = await cluster.client.get(Namespace, "team")
        assert namespace.status.phase == "Terminating"
        conditions = {each.type: each for each in namespace.status.conditions}
        assert conditions["NamespaceContentRemaining"].status == "True"
        assert "example.com/hold" in conditions["NamespaceFinalizersRemaining"].message

        present = await cluster.client.get(ConfigMap, "held", "team")
        await cluster.client.update(replace(present, metadata=replace(present.metadata, finalizers=())))
        await cluster.until(lambda: "team" not in {each.metadata.name for each in cluster.all(Namespace)}, within_s=10)
        assert not [each for each in cluster.all(Event) if each.metadata.namespace == "team"]
        assert not [each for each in cluster.all(Pod) if each.metadata.namespace == "team"]
        assert not [each for each in cluster.all(ReplicaSet) if each.metadata.namespace == "team"]

    play(scenario)


def test_events_are_forgotten_after_an_hour(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(2))
        await cluster.until(lambda: cluster.ready() == 2, within_s=10)
        await cluster.until(lambda: len(cluster.all(Event)) >= 3, within_s=5)
        await cluster.clock.sleep(3500)
        assert cluster.all(Event)
        await cluster.clock.sleep(500)
        assert not cluster.all(Event)

    play(scenario)
