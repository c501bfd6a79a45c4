"""Nodes that come, fall silent, return and are removed, to the virtual second."""

from __future__ import annotations

import msgspec

from knarr_api.types.core_v1 import Node, Pod, Toleration
from knarr_controlplane.controllers.nodes import taints

replace = msgspec.structs.replace


def node(cluster, name):
    return next(each for each in cluster.all(Node) if each.metadata.name == name)


def keys(cluster, name):
    return {taint.key for taint in node(cluster, name).spec.taints}


def test_lost_node_is_noticed_after_ten_seconds_and_emptied_after_thirty_more(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        lost = {pod.metadata.uid for pod in cluster.pods(node="n2")}
        assert len(lost) == 2
        killed = cluster.clock.monotonic()
        await cluster.nodes["n2"].kill()

        noticed = await cluster.until(lambda: taints.ready_status(node(cluster, "n2")) == "Unknown", within_s=15)
        assert 8 <= noticed - killed <= 10.5
        await cluster.until(lambda: keys(cluster, "n2") == {taints.UNREACHABLE}, within_s=0.1)
        await cluster.until(lambda: cluster.ready() == 4, within_s=0.1)

        evicted = await cluster.until(lambda: not cluster.pods(node="n2"), within_s=40)
        assert 28.9 <= evicted - noticed <= 30.5  # the taint's time has whole seconds
        await cluster.until(lambda: cluster.ready() == 6, within_s=5)
        assert cluster.clock.monotonic() - killed < 45

        # Nobody can say that the old ones have stopped, so they stay, terminating.
        await cluster.clock.sleep(300)
        assert {pod.metadata.uid for pod in cluster.pods(node="n2", active=False)} == lost

    play(scenario)


def test_node_that_returns_is_ready_again_and_stops_what_was_replaced(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        cluster.nodes["n2"].cut()
        await cluster.until(lambda: not cluster.pods(node="n2"), within_s=60)
        assert cluster.nodes["n2"].running == 2
        cluster.nodes["n2"].join()
        await cluster.until(lambda: not keys(cluster, "n2"), within_s=3)
        await cluster.until(lambda: not cluster.pods(node="n2", active=False), within_s=3)
        assert cluster.nodes["n2"].running == 0
        assert len(cluster.pods(active=False)) == 6

    play(scenario)


def test_short_silence_evicts_nothing(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        before = {pod.metadata.uid for pod in cluster.pods()}
        cluster.nodes["n2"].cut()
        await cluster.clock.sleep(25)
        assert keys(cluster, "n2") == {taints.UNREACHABLE}
        cluster.nodes["n2"].join()
        await cluster.until(lambda: not keys(cluster, "n2"), within_s=3)
        await cluster.clock.sleep(60)
        assert {pod.metadata.uid for pod in cluster.pods(active=False)} == before
        await cluster.until(lambda: cluster.ready() == 6, within_s=3)

    play(scenario)


def test_deleting_the_object_of_a_lost_node_removes_its_pods(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        await cluster.nodes["n2"].kill()
        await cluster.client.delete(Node, "n2")
        await cluster.until(lambda: not cluster.pods(node="n2", active=False), within_s=16)
        await cluster.until(lambda: cluster.ready() == 6, within_s=5)

    play(scenario)


def test_all_nodes_silent_at_once_is_not_believed_before_the_hold_is_over(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        before = {pod.metadata.uid for pod in cluster.pods()}
        cut = cluster.clock.monotonic()
        for each in cluster.nodes.values():
            each.cut()
        await cluster.until(lambda: all(keys(cluster, name) for name in cluster.nodes), within_s=12)
        await cluster.clock.until(cut + 120)
        assert {pod.metadata.uid for pod in cluster.pods()} == before
        for each in cluster.nodes.values():
            each.join()
        await cluster.clock.sleep(60)
        assert {pod.metadata.uid for pod in cluster.pods(active=False)} == before

    play(scenario)


def test_when_the_first_node_returns_the_others_get_their_tolerations_anew(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        for each in cluster.nodes.values():
            each.cut()
        await cluster.clock.sleep(100)
        cluster.nodes["n1"].join()
        back = await cluster.until(lambda: not keys(cluster, "n1"), within_s=3)
        evicted = await cluster.until(lambda: not cluster.pods(node="n2"), within_s=60)
        assert 29 <= evicted - back <= 31

    play(scenario)


def test_controllers_that_were_away_give_every_node_its_grace(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        before = {pod.metadata.uid for pod in cluster.pods()}
        await cluster.stop_controllers()
        for each in cluster.nodes.values():
            each.cut()
        await cluster.clock.sleep(600)
        cluster.start_controllers()
        await cluster.clock.sleep(5)
        for each in cluster.nodes.values():
            each.join()
        await cluster.clock.sleep(60)
        assert {pod.metadata.uid for pod in cluster.pods(active=False)} == before
        assert all(not keys(cluster, name) for name in cluster.nodes)

    play(scenario)


def test_api_outage_of_the_controllers_is_not_blamed_on_nodes(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(6))
        await cluster.until(lambda: cluster.ready() == 6, within_s=10)
        before = {pod.metadata.uid for pod in cluster.pods()}
        cluster.controllers.connected = False
        await cluster.clock.sleep(120)
        cluster.controllers.connected = True
        await cluster.clock.sleep(60)
        assert {pod.metadata.uid for pod in cluster.pods(active=False)} == before
        assert all(not keys(cluster, name) for name in cluster.nodes)

    play(scenario)


def test_every_node_gets_a_range_of_its_own(play):
    async def scenario(cluster):
        await cluster.until(lambda: all(each.spec.pod_cidr for each in cluster.all(Node)), within_s=1)
        ranges = [each.spec.pod_cidr for each in cluster.all(Node)]
        assert len(set(ranges)) == len(ranges) == 12
        assert all(each.startswith("10.244.") and each.endswith(".0/24") for each in ranges)

    play(scenario, nodes=tuple(f"n{number}" for number in range(12)))


def test_node_without_room_for_a_range_is_told(play):
    async def scenario(cluster):
        from knarr_api.types.core_v1 import Event

        await cluster.until(lambda: sum(bool(each.spec.pod_cidr) for each in cluster.all(Node)) == 2, within_s=1)
        await cluster.until(lambda: any(e.reason == "CIDRNotAvailable" for e in cluster.all(Event)), within_s=5)

    play(scenario, cluster_cidr="10.244.0.0/23")


def test_cordoned_node_is_tainted_and_keeps_its_pods(play, deployment):
    async def scenario(cluster):
        await cluster.client.create(deployment(3))
        await cluster.until(lambda: cluster.ready() == 3, within_s=10)
        present = node(cluster, "n1")
        await cluster.client.update(replace(present, spec=replace(present.spec, unschedulable=True)))
        await cluster.until(lambda: keys(cluster, "n1") == {taints.UNSCHEDULABLE}, within_s=1)
        await cluster.clock.sleep(60)
        assert cluster.ready() == 3
        present = node(cluster, "n1")
        await cluster.client.update(replace(present, spec=replace(present.spec, unschedulable=None)))
        await cluster.until(lambda: not keys(cluster, "n1"), within_s=1)

    play(scenario)


def test_pod_deleted_before_it_had_a_node_goes_at_once(play, deployment):
    async def scenario(cluster):
        pod = Pod(metadata=replace(deployment().metadata, name="lonely"), spec=deployment().spec.template.spec)
        await cluster.client.create(pod)
        await cluster.client.delete(Pod, "lonely", "default")
        assert not cluster.pods(active=False)

    play(scenario, nodes=())


def test_a_taint_of_an_admin_drives_pods_away_when_their_patience_ends(play, deployment):
    async def scenario(cluster):
        web = deployment(2)
        patient = Toleration(key="maintenance", operator="Exists", effect="NoExecute", toleration_seconds=20)
        template = web.spec.template
        spec = replace(template.spec, tolerations=(patient,))
        await cluster.client.create(replace(web, spec=replace(web.spec, template=replace(template, spec=spec))))
        await cluster.until(lambda: cluster.ready() == 2, within_s=30)
        name = cluster.pods()[0].spec.node_name
        taint = [{"key": "maintenance", "effect": "NoExecute"}]
        await cluster.client.patch(Node, name, patch={"spec": {"taints": taint}})
        began_s = cluster.clock.monotonic()
        await cluster.clock.sleep(18)
        assert len(cluster.pods(node=name)) == 1
        gone_s = await cluster.until(lambda: not cluster.pods(node=name), within_s=10)
        assert 19 <= gone_s - began_s <= 23
        await cluster.until(lambda: cluster.ready() == 2, within_s=30)

    play(scenario)
