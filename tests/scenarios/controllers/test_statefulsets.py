"""StatefulSets: order, names that last, claims, rollouts."""

from __future__ import annotations

from typing import Any

from knarr_api.quantity import Quantity
from knarr_api.types.apps_v1 import (
    ControllerRevision,
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetUpdateStrategy,
)
from knarr_api.types.core_v1 import (
    Container,
    Event,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    Pod,
    PodSpec,
    PodTemplateSpec,
    VolumeResourceRequirements,
)
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_client.client import Propagation


def db(replicas: int = 3, **spec: Any) -> StatefulSet:
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "db"}), spec=PodSpec(containers=(Container(name="main", image="db:1"),))
    )
    selector = LabelSelector(match_labels={"app": "db"})
    return StatefulSet(
        metadata=ObjectMeta(name="db", namespace="default"),
        spec=StatefulSetSpec(replicas=replicas, service_name="db", selector=selector, template=template, **spec),
    )


def rolling(**fields: Any) -> StatefulSetUpdateStrategy:
    return StatefulSetUpdateStrategy(type="RollingUpdate", rolling_update=RollingUpdateStatefulSetStrategy(**fields))


def data(**policy: str) -> dict[str, Any]:
    wanted = VolumeResourceRequirements(requests={"storage": Quantity("1Gi")})
    claim = PersistentVolumeClaim(
        metadata=ObjectMeta(name="data"),
        spec=PersistentVolumeClaimSpec(access_modes=("ReadWriteOnce",), resources=wanted),
    )
    return {
        "volume_claim_templates": (claim,),
        "persistent_volume_claim_retention_policy": StatefulSetPersistentVolumeClaimRetentionPolicy(**policy),
    }


def the_set(cluster: Any) -> StatefulSet:
    return next(iter(cluster.all(StatefulSet)))


def names(cluster: Any) -> list[str]:
    return sorted(pod.metadata.name for pod in cluster.pods())


def images(cluster: Any) -> dict[str, str]:
    return {pod.metadata.name: pod.spec.containers[0].image[-1] for pod in cluster.pods()}


def claims(cluster: Any) -> list[str]:
    return sorted(claim.metadata.name for claim in cluster.all(PersistentVolumeClaim))


async def ready(cluster: Any, count: int, *, within_s: float = 30) -> None:
    def are() -> bool:
        return the_set(cluster).status.ready_replicas == (count or None) and cluster.ready() == count

    await cluster.until(are, within_s=within_s)


async def change(cluster: Any, **spec: Any) -> None:
    await cluster.client.patch(StatefulSet, "db", "default", patch={"spec": spec})


def image(name: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "main", "image": name}]}}


def test_pods_come_one_after_the_other_and_go_in_reverse(play):
    async def scenario(cluster):
        await cluster.client.create(db())
        seen: list[list[str]] = []
        while the_set(cluster).status.ready_replicas != 3:
            if not seen or seen[-1] != names(cluster):
                seen.append(names(cluster))
                assert cluster.ready() >= len(names(cluster)) - 1
            await cluster.clock.sleep(0.05)
        assert [each for each in seen if each] == [["db-0"], ["db-0", "db-1"], ["db-0", "db-1", "db-2"]]
        for pod in cluster.pods():
            labels = pod.metadata.labels
            assert labels["statefulset.kubernetes.io/pod-name"] == pod.metadata.name == pod.spec.hostname
            assert labels["apps.kubernetes.io/pod-index"] == pod.metadata.name[-1]
            assert labels["controller-revision-hash"] == the_set(cluster).status.update_revision
            assert pod.spec.subdomain == "db"
        await change(cluster, replicas=1)
        await cluster.until(lambda: names(cluster) == ["db-0", "db-1"], within_s=5)
        await cluster.until(lambda: names(cluster) == ["db-0"], within_s=10)
        await cluster.clock.sleep(1)
        messages = {each.message for each in cluster.all(Event)}
        assert "create Pod db-2 in StatefulSet db successful" in messages
        assert "delete Pod db-2 in StatefulSet db successful" in messages

    play(scenario)


def test_who_goes_comes_back_under_the_same_name(play):
    async def scenario(cluster):
        await cluster.client.create(db())
        await ready(cluster, 3)
        before = {pod.metadata.name: pod.metadata.uid for pod in cluster.pods()}
        await cluster.client.delete(Pod, "db-1", "default")
        await cluster.until(lambda: cluster.ready() == 2, within_s=5)
        await ready(cluster, 3)
        after = {pod.metadata.name: pod.metadata.uid for pod in cluster.pods()}
        assert after.keys() == before.keys() and after["db-1"] != before["db-1"]
        assert after["db-0"] == before["db-0"]

    play(scenario)


def test_a_pod_on_a_silent_node_is_not_made_twice(play):
    async def scenario(cluster):
        await cluster.client.create(db())
        await ready(cluster, 3)
        node = next(pod.spec.node_name for pod in cluster.pods() if pod.metadata.name == "db-1")
        cluster.nodes[node].cut()
        await cluster.clock.sleep(120)
        # It is to be evicted, but nobody knows whether it still runs.
        assert len([pod for pod in cluster.pods(active=False) if pod.metadata.name == "db-1"]) == 1
        assert cluster.ready() <= 2
        cluster.nodes[node].join()
        await ready(cluster, 3, within_s=60)

    play(scenario)


def test_an_unready_pod_holds_the_next_ones_back_unless_parallel(play):
    async def scenario(cluster):
        cluster.becomes_ready = lambda pod: pod.metadata.name != "db-1"
        await cluster.client.create(db())
        await cluster.clock.sleep(20)
        assert names(cluster) == ["db-0", "db-1"]
        cluster.becomes_ready = lambda pod: True
        await ready(cluster, 3)

    async def parallel(cluster):
        cluster.becomes_ready = lambda pod: pod.metadata.name != "db-1"
        await cluster.client.create(db(pod_management_policy="Parallel"))
        await cluster.until(lambda: names(cluster) == ["db-0", "db-1", "db-2"], within_s=2)
        await change(cluster, replicas=0)
        await cluster.until(lambda: cluster.pods() == (), within_s=2)

    play(scenario)
    play(parallel)


def test_a_rollout_goes_from_the_last_to_the_first(play):
    async def scenario(cluster):
        await cluster.client.create(db())
        await ready(cluster, 3)
        first = the_set(cluster).status.current_revision
        await change(cluster, template=image("db:2"))
        seen: list[str] = []
        while the_set(cluster).status.current_revision == first:
            assert cluster.ready() >= 2
            seen += [name for name, tag in sorted(images(cluster).items()) if tag == "2" and name not in seen]
            await cluster.clock.sleep(0.05)
        assert seen == ["db-2", "db-1", "db-0"]
        status = the_set(cluster).status
        assert status.current_revision == status.update_revision and status.updated_replicas == 3
        assert sorted(each.revision for each in cluster.all(ControllerRevision)) == [1, 2]

    play(scenario)


def test_a_partition_keeps_the_lower_ones_as_they_are(play):
    async def scenario(cluster):
        await cluster.client.create(db(update_strategy=rolling(partition=2)))
        await ready(cluster, 3)
        await change(cluster, template=image("db:2"))
        await cluster.until(lambda: images(cluster).get("db-2") == "2", within_s=10)
        await ready(cluster, 3)
        await cluster.clock.sleep(10)
        assert images(cluster) == {"db-0": "1", "db-1": "1", "db-2": "2"}
        status = the_set(cluster).status
        assert (status.current_replicas, status.updated_replicas) == (2, 1)
        # Who comes back below the partition comes back as it was.
        await cluster.client.delete(Pod, "db-0", "default")
        await cluster.until(lambda: cluster.ready() == 2, within_s=5)
        await ready(cluster, 3)
        assert images(cluster)["db-0"] == "1"
        await change(cluster, updateStrategy={"rollingUpdate": {"partition": 0}})
        await cluster.until(lambda: set(images(cluster).values()) == {"2"} and cluster.ready() == 3, within_s=30)

    play(scenario)


def test_several_may_go_at_once(play):
    async def scenario(cluster):
        await cluster.client.create(db(4, pod_management_policy="Parallel", update_strategy=rolling(max_unavailable=2)))
        await ready(cluster, 4)
        await change(cluster, template=image("db:2"))
        least = 4
        while not (set(images(cluster).values()) == {"2"} and cluster.ready() == 4):
            least = min(least, cluster.ready())
            await cluster.clock.sleep(0.05)
        assert least == 2

    play(scenario)


def test_on_delete_waits_for_the_user(play):
    async def scenario(cluster):
        await cluster.client.create(db(update_strategy=StatefulSetUpdateStrategy(type="OnDelete")))
        await ready(cluster, 3)
        await change(cluster, template=image("db:2"))
        await cluster.clock.sleep(10)
        assert set(images(cluster).values()) == {"1"}
        await cluster.client.delete(Pod, "db-0", "default")
        await cluster.until(lambda: images(cluster).get("db-0") == "2", within_s=5)

    play(scenario)


def test_ordinals_may_start_elsewhere(play):
    async def scenario(cluster):
        await cluster.client.create(db(2, ordinals=StatefulSetOrdinals(start=5)))
        await ready(cluster, 2)
        assert names(cluster) == ["db-5", "db-6"]
        await change(cluster, ordinals={"start": 6})
        await cluster.until(lambda: names(cluster) == ["db-6", "db-7"], within_s=20)

    play(scenario)


def test_new_pods_are_available_after_a_while(play):
    async def scenario(cluster):
        await cluster.client.create(db(2, min_ready_seconds=10))
        await cluster.until(lambda: cluster.ready() == 1, within_s=5)
        await cluster.clock.sleep(8)
        assert names(cluster) == ["db-0"] and the_set(cluster).status.available_replicas == 0
        await cluster.until(lambda: the_set(cluster).status.available_replicas == 2, within_s=20)

    play(scenario)


def test_claims_stay_when_pods_go(play):
    async def scenario(cluster):
        await cluster.client.create(db(2, **data()))
        await ready(cluster, 2)
        assert claims(cluster) == ["data-db-0", "data-db-1"]
        volume = cluster.pods()[0].spec.volumes[0]
        assert (volume.name, volume.persistent_volume_claim.claim_name[:8]) == ("data", "data-db-")
        assert cluster.all(PersistentVolumeClaim)[0].metadata.labels == {"app": "db"}
        await cluster.client.delete(StatefulSet, "db", "default")
        await cluster.until(lambda: cluster.pods(active=False) == (), within_s=20)
        await cluster.clock.sleep(5)
        assert claims(cluster) == ["data-db-0", "data-db-1"]

    play(scenario)


def test_claims_go_with_pods_that_were_scaled_away(play):
    async def scenario(cluster):
        await cluster.client.create(db(2, **data(when_scaled="Delete", when_deleted="Retain")))
        await ready(cluster, 2)
        await cluster.client.delete(Pod, "db-1", "default")
        await cluster.until(lambda: cluster.ready() == 1, within_s=5)
        await ready(cluster, 2)
        assert claims(cluster) == ["data-db-0", "data-db-1"]
        await change(cluster, replicas=1)
        await cluster.until(lambda: claims(cluster) == ["data-db-0"], within_s=20)
        await cluster.client.delete(StatefulSet, "db", "default")
        await cluster.until(lambda: cluster.pods(active=False) == (), within_s=20)
        await cluster.clock.sleep(5)
        assert claims(cluster) == ["data-db-0"]

    play(scenario)


def test_claims_go_with_the_set(play):
    async def scenario(cluster):
        await cluster.client.create(db(2, **data(when_scaled="Retain", when_deleted="Delete")))
        await ready(cluster, 2)
        await change(cluster, replicas=1)
        await cluster.until(lambda: names(cluster) == ["db-0"], within_s=20)
        await cluster.clock.sleep(5)
        assert claims(cluster) == ["data-db-0", "data-db-1"]
        await cluster.client.delete(StatefulSet, "db", "default")
        await cluster.until(lambda: "data-db-0" not in claims(cluster), within_s=20)

    play(scenario)


def test_orphans_are_adopted_without_a_rollout(play):
    async def scenario(cluster):
        await cluster.client.create(db())
        await ready(cluster, 3)
        before = {pod.metadata.uid for pod in cluster.pods()}
        await cluster.client.delete(StatefulSet, "db", "default", propagation=Propagation.ORPHAN)
        await cluster.until(lambda: cluster.all(StatefulSet) == (), within_s=20)
        await cluster.client.create(db())
        await ready(cluster, 3)
        await cluster.clock.sleep(10)
        assert {pod.metadata.uid for pod in cluster.pods()} == before

    play(scenario)


def test_failed_pods_are_made_anew(play):
    async def scenario(cluster):
        await cluster.client.create(db(1))
        await ready(cluster, 1)
        cluster.exit_code = lambda pod: 1 if cluster.clock.monotonic() < 15 else None
        await cluster.until(lambda: any(e.reason == "RecreatingFailedPod" for e in cluster.all(Event)), within_s=15)
        await cluster.until(lambda: cluster.ready() == 1 and cluster.clock.monotonic() > 15, within_s=40)

    play(scenario)


def test_a_set_at_rest_writes_nothing(play):
    async def scenario(cluster):
        await cluster.client.create(db(2, **data(when_scaled="Delete", when_deleted="Delete")))
        await ready(cluster, 2)
        await cluster.writes_nothing()

    play(scenario)


def test_order_is_kept_whatever_fails(play):
    async def scenario(cluster):
        cluster.controllers.lose_every(7)
        await cluster.client.create(db(3, **data()))
        for number in range(300):
            missing = [name for name in ("db-0", "db-1", "db-2") if name not in names(cluster)]
            assert number > 150 or sorted(missing) == ["db-0", "db-1", "db-2"][3 - len(missing) :]
            if number in (60, 200):
                await cluster.stop_controllers()
                cluster.start_controllers()
            if number == 150:
                await change(cluster, template=image("db:2"))
            if number > 150:
                assert cluster.ready() >= 1
            await cluster.clock.sleep(0.1)
        await cluster.until(lambda: set(images(cluster).values()) == {"2"} and cluster.ready() == 3, within_s=120)
        assert claims(cluster) == ["data-db-0", "data-db-1", "data-db-2"]

    play(scenario)
