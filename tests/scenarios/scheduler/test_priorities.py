"""Priority classes and preemption, from the create call to the binding."""

from __future__ import annotations

import pytest

from knarr_api.errors import Conflict, Forbidden, Invalid
from knarr_api.types.core_v1 import Affinity, Node, Pod, PodAffinityTerm, PodAntiAffinity, PodSchedulingGate
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetSpec
from knarr_api.types.scheduling_v1 import PriorityClass


def a_class(name, value, **more):
    return PriorityClass(metadata=ObjectMeta(name=name), value=value, **more)


def test_a_pod_gets_the_priority_of_its_class(play):
    async def scenario(world):
        await world.client.create(a_class("high", 1000, preemption_policy="Never"))
        await world.add_pod("named", priority_class_name="high")
        await world.add_pod("plain")
        named, plain = world.pod("named").spec, world.pod("plain").spec
        assert (named.priority, named.preemption_policy) == (1000, "Never")
        assert (plain.priority, plain.preemption_policy) == (0, "PreemptLowerPriority")
        await world.client.create(a_class("usual", 7, global_default=True))
        await world.add_pod("later")
        assert (world.pod("later").spec.priority, world.pod("later").spec.priority_class_name) == (7, "usual")
        await world.add_pod("system", priority_class_name="system-node-critical")
        assert world.pod("system").spec.priority == 2_000_001_000

    play(scenario)


def test_classes_that_are_not_there_or_not_theirs_are_refused(play):
    async def scenario(world):
        with pytest.raises(Forbidden, match="no PriorityClass with name missing was found"):
            await world.add_pod("a", priority_class_name="missing")
        with pytest.raises(Forbidden, match="must not be provided in pod spec"):
            await world.add_pod("a", priority=5)
        with pytest.raises(Invalid, match="reserved"):
            await world.client.create(a_class("system-mine", 5))
        with pytest.raises(Invalid, match="reserved for system use only"):
            await world.client.create(a_class("system-node-critical", 5))
        with pytest.raises(Invalid, match="value: Forbidden: maximum allowed value of a user defined priority is 1000"):
            await world.client.create(a_class("above-all", 1_000_000_001))
        await world.client.create(a_class("high", 1_000_000_000))

    play(scenario)


def test_the_important_pod_takes_the_place_of_the_unimportant(play):
    async def scenario(world):
        await world.client.create(a_class("high", 1000))
        await world.add_node("n1", cpu="2")
        await world.add_pod("victim", cpu="1")
        await world.add_pod("bystander", cpu="1", priority_class_name="high")
        await world.until(lambda: bool(world.node_of("victim") and world.node_of("bystander")))
        await world.add_pod("important", cpu="1", priority_class_name="high")
        await world.until(lambda: world.condition("victim", "DisruptionTarget") is not None)
        assert world.condition("victim", "DisruptionTarget").reason == "PreemptionByScheduler"
        await world.until(lambda: bool(world.pod("important").status.nominated_node_name))
        assert not world.node_of("important"), "the victim has its time to end"
        await world.until(lambda: world.node_of("important") == "n1", within_s=10)
        assert world.pod("victim") is None and world.node_of("bystander") == "n1"
        await world.until(lambda: bool(world.events("Preempted")))

    play(scenario)


def test_a_place_being_freed_is_not_given_to_the_less_important(play):
    async def scenario(world):
        await world.client.create(a_class("high", 1000))
        await world.add_node("n1", cpu="2")
        await world.add_pod("victim", cpu="2")
        await world.until(lambda: bool(world.node_of("victim")))
        await world.add_pod("important", cpu="2", priority_class_name="high")
        await world.until(lambda: bool(world.pod("important").status.nominated_node_name))
        await world.add_pod("small", cpu="1")
        await world.until(lambda: world.node_of("important") == "n1", within_s=15)
        assert not world.node_of("small")

    play(scenario)


def test_never_preempting_waits(play):
    async def scenario(world):
        await world.client.create(a_class("patient", 1000, preemption_policy="Never"))
        await world.add_node("n1", cpu="1")
        await world.add_pod("first", cpu="1")
        await world.until(lambda: bool(world.node_of("first")))
        await world.add_pod("waiting", cpu="1", priority_class_name="patient")
        await world.until(lambda: world.condition("waiting", "PodScheduled") is not None)
        await world.clock.sleep(60)
        assert world.node_of("first") and not world.node_of("waiting")
        await world.client.delete(Pod, "first", "default")
        await world.until(lambda: world.node_of("waiting") == "n1")

    play(scenario)


def test_budgets_choose_the_victim(play):
    async def scenario(world):
        await world.client.create(a_class("high", 1000))
        for name in ("n1", "n2"):
            await world.add_node(name, cpu="1")
        for name in ("guarded", "free"):
            await world.add_pod(name, cpu="1", labels={"app": name})
        selector = LabelSelector(match_labels={"app": "guarded"})
        spec = PodDisruptionBudgetSpec(selector=selector)
        await world.client.create(PodDisruptionBudget(metadata=ObjectMeta(name="b", namespace="default"), spec=spec))
        await world.until(lambda: bool(world.node_of("guarded") and world.node_of("free")))
        await world.add_pod("important", cpu="1", priority_class_name="high")
        await world.until(lambda: bool(world.node_of("important")), within_s=15)
        assert world.pod("free") is None and world.pod("guarded") is not None

    play(scenario)


def test_what_is_said_of_a_pod_that_nobody_makes_room_for(play):
    async def scenario(world):
        await world.client.create(a_class("patient", 1000, preemption_policy="Never"))
        await world.add_node("n1", cpu="1")
        await world.add_pod("first", cpu="1")
        await world.until(lambda: bool(world.node_of("first")))
        await world.add_pod("equal", cpu="1")
        await world.add_pod("patient", cpu="1", priority_class_name="patient")
        await world.add_pod("large", cpu="9")
        said = {}
        for name in ("equal", "patient", "large"):
            await world.until(lambda name=name: world.condition(name, "PodScheduled") is not None)
            said[name] = world.condition(name, "PodScheduled").message
        short = "0/1 nodes are available: 1 Insufficient cpu. preemption: "
        assert said == {
            "equal": f"{short}0/1 nodes are available: 1 No preemption victims found for incoming pod.",
            "patient": f"{short}not eligible due to preemptionPolicy=Never.",
            "large": f"{short}0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        }
        assert all(world.condition(name, "PodScheduled").reason == "Unschedulable" for name in said)

    play(scenario)


def test_the_more_important_takes_the_place_that_was_being_freed(play):
    async def scenario(world):
        await world.client.create(a_class("high", 1000))
        await world.client.create(a_class("higher", 2000))
        await world.add_node("n1", cpu="1")
        await world.add_pod("victim", cpu="1")
        await world.until(lambda: bool(world.node_of("victim")))
        await world.add_pod("high", cpu="1", priority_class_name="high")
        await world.until(lambda: world.pod("high").status.nominated_node_name == "n1")
        await world.add_pod("higher", cpu="1", priority_class_name="higher")
        await world.until(lambda: world.pod("higher").status.nominated_node_name == "n1")
        await world.until(lambda: world.pod("high").status.nominated_node_name == "")
        await world.until(lambda: world.node_of("higher") == "n1", within_s=15)
        assert not world.node_of("high") and not world.pod("higher").status.nominated_node_name

    play(scenario)


def test_a_pod_that_is_kept_out_for_its_labels_goes_in_when_they_change(play):
    async def scenario(world):
        apart = PodAffinityTerm(
            topology_key="kubernetes.io/hostname", label_selector=LabelSelector(match_labels={"app": "noisy"})
        )
        alone = Affinity(
            pod_anti_affinity=PodAntiAffinity(required_during_scheduling_ignored_during_execution=(apart,))
        )
        await world.add_node("n1")
        await world.client.patch(Node, "n1", patch={"metadata": {"labels": {"kubernetes.io/hostname": "n1"}}})
        await world.add_pod("quiet", affinity=alone)
        await world.until(lambda: world.node_of("quiet") == "n1")
        await world.add_pod("late", labels={"app": "noisy"})
        await world.until(lambda: world.condition("late", "PodScheduled") is not None)
        assert not world.node_of("late")
        await world.client.patch(Pod, "late", "default", patch={"metadata": {"labels": {"app": "calm"}}})
        await world.until(lambda: world.node_of("late") == "n1", within_s=20)

    play(scenario)


def test_gated_pods_say_so_and_go_on_when_the_gates_are_gone(play):
    async def scenario(world):
        await world.add_node("n1")
        await world.add_pod("gated", scheduling_gates=(PodSchedulingGate(name="example.com/wait"),))
        condition = world.condition("gated", "PodScheduled")
        assert (condition.status, condition.reason, condition.message) == (
            "False",
            "SchedulingGated",
            "Scheduling is blocked due to non-empty scheduling gates",
        )
        with pytest.raises(Conflict, match="schedulingGates"):
            await world.client.bind(namespace="default", name="gated", uid=world.pod("gated").metadata.uid, node="n1")
        await world.clock.sleep(30)
        assert not world.node_of("gated")
        await world.client.patch(Pod, "gated", "default", patch={"spec": {"schedulingGates": None}})
        await world.until(lambda: world.node_of("gated") == "n1")
        assert world.condition("gated", "PodScheduled").status == "True"

    play(scenario)


def test_a_nominated_pod_that_is_deleted_gives_its_place_to_those_who_wait(play):
    async def scenario(world):
        await world.client.create(a_class("high", 1000, preemption_policy="PreemptLowerPriority"))
        await world.add_node("n1", cpu="2")
        await world.add_pod("victim", cpu="1")
        await world.until(lambda: bool(world.node_of("victim")))
        await world.add_pod("high", cpu="2", priority_class_name="high")
        await world.until(lambda: world.pod("high").status.nominated_node_name == "n1")
        await world.add_pod("waiting", cpu="1")
        await world.until(lambda: world.condition("waiting", "PodScheduled") is not None)
        await world.client.delete(Pod, "high", "default")
        await world.until(lambda: world.node_of("waiting") == "n1", within_s=15)
        assert world.pod("victim") is not None, "it still has time to end: there was room beside it"

    play(scenario)
