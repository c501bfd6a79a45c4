"""Deployments from the first apply to rollback, seen from outside."""

from __future__ import annotations

import msgspec

from knarr_api.types.apps_v1 import Deployment, DeploymentStrategy, ReplicaSet, RollingUpdateDeployment
from knarr_api.types.core_v1 import Pod

replace = msgspec.structs.replace


def condition(deployment, type_):
    return next((each for each in deployment.status.conditions if each.type == type_), None)


def test_deployment_comes_up_and_reports_it(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=5)
        await cluster.until(lambda: cluster.deployment().status.available_replicas == 3, within_s=1)
        status = cluster.deployment().status
        assert (status.replicas, status.updated_replicas, status.ready_replicas) == (3, 3, 3)
        assert status.observed_generation == 1
        assert condition(cluster.deployment(), "Available").status == "True"
        assert condition(cluster.deployment(), "Progressing").reason == "NewReplicaSetAvailable"
        assert cluster.deployment().metadata.annotations["deployment.kubernetes.io/revision"] == "1"

    play(scenario)


def test_a_cluster_at_rest_writes_nothing(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: cluster.deployment().status.available_replicas == 3, within_s=10)
        await cluster.writes_nothing(for_s=1200)

    play(scenario)


def test_one_replica_more_costs_the_same_writes_whatever_the_size(play, deployment):
    costs = []

    async def scenario(cluster):
        present = len(cluster.nodes) * 5
        await cluster.client.create(deployment(present))
        await cluster.until(lambda: cluster.deployment().status.available_replicas == present, within_s=30)
        await cluster.clock.sleep(20)
        before = sum(cluster.controllers.writes.values())
        await cluster.client.patch(Deployment, "web", "default", patch={"spec": {"replicas": present + 1}})
        await cluster.until(lambda: cluster.deployment().status.available_replicas == present + 1, within_s=10)
        await cluster.clock.sleep(60)
        costs.append(sum(cluster.controllers.writes.values()) - before)

    for nodes in (2, 12):
        play(scenario, nodes=tuple(f"n{number}" for number in range(nodes)))
    few, many = costs
    assert few == many <= 12


def test_rolling_update_never_leaves_its_limits(play, deployment, image):
    async def scenario(cluster):
        strategy = DeploymentStrategy(
            type="RollingUpdate", rolling_update=RollingUpdateDeployment(max_surge=2, max_unavailable=1)
        )
        await cluster.client.create(deployment(6, strategy=strategy))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        await cluster.client.update(image(cluster.deployment(), "web:2"))
        most, least = 6, 6
        while True:
            most, least = max(most, len(cluster.pods())), min(least, cluster.ready())
            present = cluster.deployment()
            status = present.status
            if (
                status.observed_generation == present.metadata.generation
                and status.updated_replicas == status.replicas == status.available_replicas == 6
            ):
                break
            await cluster.clock.sleep(0.01)
            assert cluster.clock.monotonic() < 120
        assert most <= 8
        assert least >= 5
        assert {pod.spec.containers[0].image for pod in cluster.pods()} == {"web:2"}

    play(scenario)


def test_rollback_brings_back_the_old_replicaset_with_a_new_revision(play, deployment, image):
    async def scenario(cluster):
        await cluster.client.create(deployment(2))
        await cluster.until(lambda: cluster.ready() == 2, within_s=10)
        first = cluster.replicasets()[0]
        await cluster.client.update(image(cluster.deployment(), "web:2"))
        await cluster.until(lambda: {pod.spec.containers[0].image for pod in cluster.pods()} == {"web:2"}, within_s=30)
        await cluster.client.update(image(cluster.deployment(), "web:1"))
        await cluster.until(lambda: {pod.spec.containers[0].image for pod in cluster.pods()} == {"web:1"}, within_s=30)
        assert len(cluster.replicasets()) == 2
        again = await cluster.client.get(ReplicaSet, first.metadata.name, "default")
        assert again.metadata.uid == first.metadata.uid
        assert again.metadata.annotations["deployment.kubernetes.io/revision"] == "3"
        assert again.metadata.annotations["deployment.kubernetes.io/revision-history"] == "1"

    play(scenario)


def test_recreate_never_runs_old_and_new_together(play, deployment, image):
    async def scenario(cluster):
        await cluster.client.create(deployment(3, strategy=DeploymentStrategy(type="Recreate")))
        await cluster.until(lambda: cluster.ready() == 3, within_s=10)
        await cluster.client.update(image(cluster.deployment(), "web:2"))
        while cluster.ready() < 3 or len(cluster.replicasets()) < 2:
            assert len({pod.spec.containers[0].image for pod in cluster.pods(active=False)}) <= 1
            await cluster.clock.sleep(0.01)
            assert cluster.clock.monotonic() < 60

    play(scenario)


def test_a_rollout_that_does_not_progress_says_so(play, deployment, image):
    async def scenario(cluster):
        await cluster.client.create(deployment(2, progress_deadline_seconds=60))
        await cluster.until(lambda: cluster.ready() == 2, within_s=10)
        cluster.becomes_ready = lambda pod: pod.spec.containers[0].image != "web:broken"
        began = cluster.clock.monotonic()
        await cluster.client.update(image(cluster.deployment(), "web:broken"))
        when = await cluster.until(
            lambda: condition(cluster.deployment(), "Progressing").reason == "ProgressDeadlineExceeded", within_s=90
        )
        assert 60 <= when - began < 64
        assert cluster.ready() == 2

    play(scenario)


def test_paused_deployment_does_not_roll_but_scales(play, deployment, image):
    async def scenario(cluster):
        await cluster.client.create(deployment(2))
        await cluster.until(lambda: cluster.ready() == 2, within_s=10)
        present = cluster.deployment()
        changed = image(present, "web:2")
        await cluster.client.update(replace(changed, spec=replace(changed.spec, paused=True, replicas=4)))
        await cluster.until(lambda: cluster.ready() == 4, within_s=10)
        assert {pod.spec.containers[0].image for pod in cluster.pods()} == {"web:1"}
        assert condition(cluster.deployment(), "Progressing").reason == "DeploymentPaused"
        present = cluster.deployment()
        await cluster.client.update(replace(present, spec=replace(present.spec, paused=None)))
        await cluster.until(lambda: {pod.spec.containers[0].image for pod in cluster.pods()} == {"web:2"}, within_s=30)

    play(scenario)


def test_history_is_kept_to_its_limit(play, deployment, image):
    async def scenario(cluster):
        await cluster.client.create(deployment(1, revision_history_limit=2))
        for number in range(2, 7):
            await cluster.until(lambda: cluster.deployment().status.available_replicas == 1, within_s=10)
            await cluster.client.update(image(cluster.deployment(), f"web:{number}"))
            await cluster.until(
                lambda image=f"web:{number}": [p.spec.containers[0].image for p in cluster.pods()] == [image],
                within_s=30,
            )
        await cluster.until(lambda: len(cluster.replicasets()) == 3, within_s=5)

    play(scenario)


def test_deleted_pod_is_replaced_before_it_is_gone(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=10)
        doomed = cluster.pods()[0]
        await cluster.client.delete(Pod, doomed.metadata.name, "default")
        await cluster.until(lambda: len(cluster.pods()) == 3, within_s=0.2)
        assert any(pod.metadata.uid == doomed.metadata.uid for pod in cluster.pods(active=False))
        await cluster.until(lambda: cluster.ready() == 3, within_s=5)

    play(scenario)
