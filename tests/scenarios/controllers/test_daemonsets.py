"""DaemonSets: nodes come and go, templates change."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from knarr_api.types.apps_v1 import (
    ControllerRevision,
    DaemonSet,
    DaemonSetSpec,
    DaemonSetUpdateStrategy,
    RollingUpdateDaemonSet,
)
from knarr_api.types.core_v1 import Container, Event, Node, PodSpec, PodTemplateSpec, Taint
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_client.client import Propagation
from knarr_controlplane.controllers.daemonset import placing

replace = msgspec.structs.replace
NODES = ("n1", "n2", "n3", "n4")


def agent(*, image: str = "agent:1", pod: dict[str, Any] | None = None, **spec: Any) -> DaemonSet:
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "agent"}),
        spec=PodSpec(containers=(Container(name="main", image=image),), **(pod or {})),
    )
    return DaemonSet(
        metadata=ObjectMeta(name="agent", namespace="default"),
        spec=DaemonSetSpec(selector=LabelSelector(match_labels={"app": "agent"}), template=template, **spec),
    )


def rolling(**fields: Any) -> DaemonSetUpdateStrategy:
    return DaemonSetUpdateStrategy(type="RollingUpdate", rolling_update=RollingUpdateDaemonSet(**fields))


def the_set(cluster: Any) -> DaemonSet:
    return next(iter(cluster.all(DaemonSet)))


def there(cluster: Any) -> Counter[str]:
    return Counter(placing.node_of(pod) for pod in cluster.pods())


def images(cluster: Any) -> set[str]:
    return {pod.spec.containers[0].image for pod in cluster.pods()}


async def new_image(cluster: Any, image: str) -> None:
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    await cluster.client.patch(DaemonSet, "agent", "default", patch=patch)


def is_rolled_out(cluster: Any) -> bool:
    present = the_set(cluster)
    status, wanted = present.status, len(cluster.all(Node))
    return (
        status.observed_generation == present.metadata.generation
        and status.updated_number_scheduled == status.number_available == wanted
    )


async def ready(cluster: Any, count: int) -> None:
    await cluster.until(lambda: the_set(cluster).status.number_available == count, within_s=20)


def test_every_node_gets_one_and_new_ones_too(play):
    async def scenario(cluster):
        await cluster.client.create(agent())
        await ready(cluster, 3)
        assert there(cluster) == {"n1": 1, "n2": 1, "n3": 1}
        status = the_set(cluster).status
        assert (status.desired_number_scheduled, status.current_number_scheduled, status.number_ready) == (3, 3, 3)
        assert (status.number_misscheduled, status.number_unavailable, status.updated_number_scheduled) == (0, None, 3)
        await cluster.add_nodes("n4")
        await ready(cluster, 4)
        assert there(cluster)["n4"] == 1
        (revision,) = cluster.all(ControllerRevision)
        assert revision.revision == 1
        hashes = {pod.metadata.labels["controller-revision-hash"] for pod in cluster.pods()}
        assert hashes == {revision.metadata.name.removeprefix("agent-")}

    play(scenario)


def test_selectors_and_taints_decide_where(play):
    async def scenario(cluster):
        await cluster.client.patch(Node, "n2", patch={"metadata": {"labels": {"disk": "ssd"}}})
        await cluster.client.create(agent(pod={"node_selector": {"disk": "ssd"}}))
        await ready(cluster, 1)
        assert there(cluster) == {"n2": 1}
        await cluster.client.patch(Node, "n3", patch={"metadata": {"labels": {"disk": "ssd"}}})
        await ready(cluster, 2)
        await cluster.client.patch(Node, "n2", patch={"metadata": {"labels": {"disk": "hdd"}}})
        await cluster.until(lambda: there(cluster) == {"n3": 1}, within_s=10)

    play(scenario)


def test_cordoned_and_silent_nodes_keep_theirs(play):
    async def scenario(cluster):
        await cluster.client.create(agent())
        await ready(cluster, 3)
        before = {pod.metadata.uid for pod in cluster.pods()}
        await cluster.client.patch(Node, "n1", patch={"spec": {"unschedulable": True}})
        cluster.nodes["n2"].cut()
        await cluster.clock.sleep(120)
        assert {pod.metadata.uid for pod in cluster.pods()} == before
        # The silent node is tainted: no place for new ones.
        status = the_set(cluster).status
        assert (status.desired_number_scheduled, status.number_misscheduled) == (2, 1)

    play(scenario)


def test_a_taint_keeps_new_ones_out_and_lets_old_ones_stay(play):
    async def scenario(cluster):
        await cluster.client.create(agent())
        await ready(cluster, 3)
        node = next(node for node in cluster.all(Node) if node.metadata.name == "n1")
        taint = Taint(key="mine", effect="NoSchedule")
        await cluster.client.update(replace(node, spec=replace(node.spec, taints=(taint,))))
        await cluster.until(lambda: the_set(cluster).status.number_misscheduled == 1, within_s=5)
        assert there(cluster)["n1"] == 1 and the_set(cluster).status.desired_number_scheduled == 2

    play(scenario)


def test_a_rollout_takes_one_node_at_a_time(play):
    async def scenario(cluster):
        await cluster.client.create(agent())
        await ready(cluster, 4)
        await new_image(cluster, "agent:2")
        least = 4
        while not is_rolled_out(cluster):
            least = min(least, cluster.ready())
            assert all(count <= 1 for count in there(cluster).values())
            await cluster.clock.sleep(0.05)
        assert least == 3 and images(cluster) == {"agent:2"}
        assert sorted(each.revision for each in cluster.all(ControllerRevision)) == [1, 2]

    play(scenario, nodes=NODES)


def test_a_rollout_with_surge_is_never_short_of_one(play):
    async def scenario(cluster):
        await cluster.client.create(agent(update_strategy=rolling(max_surge="50%", max_unavailable=0)))
        await ready(cluster, 4)
        await new_image(cluster, "agent:2")
        most = 4
        while not is_rolled_out(cluster):
            assert cluster.ready() >= 4
            most = max(most, len(cluster.pods()))
            await cluster.clock.sleep(0.05)
        assert most == 6
        await cluster.until(lambda: images(cluster) == {"agent:2"} and len(cluster.pods()) == 4, within_s=5)

    play(scenario, nodes=NODES)


def test_a_broken_template_stops_at_the_limit(play):
    async def scenario(cluster):
        await cluster.client.create(agent())
        await ready(cluster, 4)
        cluster.becomes_ready = lambda pod: pod.spec.containers[0].image != "agent:bad"
        await new_image(cluster, "agent:bad")
        await cluster.clock.sleep(60)
        assert cluster.ready() == 3
        await new_image(cluster, "agent:1")
        await cluster.until(lambda: is_rolled_out(cluster), within_s=30)
        # Going back uses the first revision again, with a number of its own.
        assert sorted(each.revision for each in cluster.all(ControllerRevision)) == [2, 3]

    play(scenario, nodes=NODES)


def test_on_delete_waits_for_the_user(play):
    async def scenario(cluster):
        await cluster.client.create(agent(update_strategy=DaemonSetUpdateStrategy(type="OnDelete")))
        await ready(cluster, 3)
        await new_image(cluster, "agent:2")
        await cluster.clock.sleep(10)
        assert images(cluster) == {"agent:1"}
        assert not the_set(cluster).status.updated_number_scheduled
        pod = cluster.pods(node="n1")[0]
        await cluster.client.delete(type(pod), pod.metadata.name, "default")
        await cluster.until(lambda: the_set(cluster).status.updated_number_scheduled == 1, within_s=10)

    play(scenario)


def test_failed_pods_are_replaced_more_and_more_slowly(play):
    async def scenario(cluster):
        cluster.exit_code = lambda pod: 1
        await cluster.client.create(agent())
        await cluster.clock.sleep(120)
        kills = [each for each in cluster.all(Event) if each.reason == "FailedDaemonPod"]
        assert 3 * 3 <= sum(each.count or 1 for each in kills) <= 3 * 7

    play(scenario)


def test_old_revisions_go_and_those_in_use_stay(play):
    async def scenario(cluster):
        await cluster.client.create(agent(revision_history_limit=2))
        await ready(cluster, 3)
        for number in range(2, 7):
            await new_image(cluster, f"agent:{number}")
            await cluster.until(lambda: is_rolled_out(cluster), within_s=60)
        await cluster.until(lambda: len(cluster.all(ControllerRevision)) == 3, within_s=5)
        assert sorted(each.revision for each in cluster.all(ControllerRevision)) == [4, 5, 6]

    play(scenario)


def test_orphans_are_adopted_without_a_rollout(play):
    async def scenario(cluster):
        await cluster.client.create(agent())
        await ready(cluster, 3)
        before = {pod.metadata.uid for pod in cluster.pods()}
        await cluster.client.delete(DaemonSet, "agent", "default", propagation=Propagation.ORPHAN)
        await cluster.until(lambda: cluster.all(DaemonSet) == (), within_s=20)
        await cluster.client.create(agent())
        await ready(cluster, 3)
        await cluster.clock.sleep(10)
        assert {pod.metadata.uid for pod in cluster.pods()} == before
        assert len(cluster.all(ControllerRevision)) == 1

    play(scenario)


def test_a_set_at_rest_writes_nothing(play):
    async def scenario(cluster):
        await cluster.client.create(agent())
        await ready(cluster, 3)
        await cluster.writes_nothing()

    play(scenario)


def test_no_node_gets_two_whatever_fails(play):
    async def scenario(cluster):
        cluster.controllers.lose_every(7)
        await cluster.client.create(agent())
        for number in range(600):
            assert all(count <= 1 for count in there(cluster).values())
            if number in (60, 200, 300):
                await cluster.stop_controllers()
                cluster.start_controllers()
            if number in (150, 250):
                await new_image(cluster, f"agent:{number}")
            await cluster.clock.sleep(0.1)
        await cluster.until(lambda: is_rolled_out(cluster) and images(cluster) == {"agent:250"}, within_s=120)

    play(scenario, nodes=NODES)
