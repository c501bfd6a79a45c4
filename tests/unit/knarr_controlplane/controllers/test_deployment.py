"""Rollouts decided step by step against ReplicaSets that lag and pods that fail."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.types.apps_v1 import (
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    ReplicaSet,
    ReplicaSetSpec,
    ReplicaSetStatus,
    RollingUpdateDeployment,
)
from knarr_api.types.core_v1 import Container, PodSpec, PodTemplateSpec
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.deployment import conditions, limits, revisions, scaling
from knarr_controlplane.controllers.deployment.decide import World, decide

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
replace = msgspec.structs.replace


def deployment(replicas=3, image="i:1", *, surge="25%", unavailable="25%", recreate=False, **spec):
    strategy = (
        DeploymentStrategy(type="Recreate")
        if recreate
        else DeploymentStrategy(
            type="RollingUpdate",
            rolling_update=RollingUpdateDeployment(max_surge=surge, max_unavailable=unavailable),
        )
    )
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "web"}), spec=PodSpec(containers=(Container(name="c", image=image),))
    )
    return Deployment(
        metadata=ObjectMeta(name="web", namespace="default", uid="d-uid", generation=1),
        spec=DeploymentSpec(
            replicas=replicas,
            selector=LabelSelector(match_labels={"app": "web"}),
            template=template,
            strategy=strategy,
            **spec,
        ),
    )


def existing(owner, image, size, available, *, max_replicas=None, desired=None, number=1):
    made = revisions.new_replicaset(deployment(limits.desired(owner), image), (), size)
    annotations = dict(made.metadata.annotations)
    annotations[revisions.REVISION] = str(number)
    if desired is not None:
        annotations[revisions.DESIRED_REPLICAS] = str(desired)
    if max_replicas is not None:
        annotations[revisions.MAX_REPLICAS] = str(max_replicas)
    metadata = replace(
        made.metadata,
        uid=f"rs-{image}",
        annotations=annotations,
        creation_timestamp=NOW + datetime.timedelta(seconds=number),
        generation=1,
    )
    status = ReplicaSetStatus(
        replicas=size, ready_replicas=available, available_replicas=available, observed_generation=1
    )
    return replace(made, metadata=metadata, status=status)


class Simulation:
    """The world around ``decide``: ReplicaSets that follow their spec when it suits them."""

    def __init__(self, owner):
        self.deployment = owner
        self.sets = {}
        self.pods = {}
        """Of each ReplicaSet: how many pods, and how many of them available."""
        self.time = NOW
        self.number = 0

    def step(self):
        """Decide and apply once. Returns whether anything but the status changed."""
        left = frozenset(self.sets[name].metadata.uid for name, (pods, _) in self.pods.items() if pods)
        world = World(deployment=self.deployment, replicasets=tuple(self.sets.values()), pods_left=left, now=self.time)
        plan = decide(world)
        assert decide(world) == plan
        if plan.create is not None:
            self.number += 1
            metadata = replace(
                plan.create.metadata,
                uid=f"rs-{self.number}",
                generation=1,
                creation_timestamp=NOW + datetime.timedelta(seconds=self.number),
            )
            self.sets[metadata.name] = replace(plan.create, metadata=metadata)
            self.pods[metadata.name] = (0, 0)
        for each in plan.update:
            metadata = replace(each.metadata, generation=(each.metadata.generation or 0) + 1)
            self.sets[metadata.name] = replace(each, metadata=metadata)
        for each in plan.delete:
            del self.sets[each.metadata.name], self.pods[each.metadata.name]
        annotations = self.deployment.metadata.annotations
        if plan.revision:
            annotations = {**annotations, revisions.REVISION: plan.revision}
        self.deployment = replace(
            self.deployment,
            metadata=replace(self.deployment.metadata, annotations=annotations),
            status=plan.status or self.deployment.status,
        )
        return bool(plan.create or plan.update or plan.delete or plan.revision)

    def scale_pods(self, name):
        """The ReplicaSet controller makes and deletes pods: the unavailable first."""
        _, available = self.pods[name]
        wanted = scaling.size(self.sets[name])
        self.pods[name] = (wanted, min(available, wanted))

    def become_available(self, name, count):
        pods, available = self.pods[name]
        self.pods[name] = (pods, min(pods, available + count))

    def fail(self, name, count):
        pods, available = self.pods[name]
        self.pods[name] = (pods, max(0, available - count))

    def report(self, name):
        """The ReplicaSet's status catches up."""
        pods, available = self.pods[name]
        status = ReplicaSetStatus(
            replicas=pods,
            ready_replicas=available or None,
            available_replicas=available or None,
            observed_generation=self.sets[name].metadata.generation,
        )
        self.sets[name] = replace(self.sets[name], status=status)

    def settle(self, steps=400):
        for _ in range(steps):
            changed = self.step()
            before = (dict(self.pods), dict(self.sets))
            for name in self.sets:
                self.scale_pods(name)
                self.become_available(name, 1000)
                self.report(name)
            if not changed and before == (self.pods, self.sets):
                return
        raise AssertionError("does not settle")

    def change_template(self, image):
        template = deployment(image=image).spec.template
        metadata = replace(self.deployment.metadata, generation=self.deployment.metadata.generation + 1)
        self.deployment = replace(
            self.deployment, metadata=metadata, spec=replace(self.deployment.spec, template=template)
        )

    def scale(self, replicas):
        metadata = replace(self.deployment.metadata, generation=self.deployment.metadata.generation + 1)
        self.deployment = replace(
            self.deployment, metadata=metadata, spec=replace(self.deployment.spec, replicas=replicas)
        )

    @property
    def total(self):
        return sum(pods for pods, _ in self.pods.values())

    @property
    def available(self):
        return sum(available for _, available in self.pods.values())


PERCENT = st.integers(0, 100).map(lambda number: f"{number}%")
LIMIT = st.one_of(st.integers(0, 8), PERCENT)


@pytest.mark.parametrize(
    ("value", "total", "up", "down"),
    [(3, 10, 3, 3), ("25%", 10, 3, 2), ("25%", 3, 1, 0), ("0%", 5, 0, 0), ("100%", 7, 7, 7), ("1%", 1, 1, 0)],
)
def test_percentages_round_surge_up_and_unavailability_down(value, total, up, down):
    assert limits.absolute(value, total, round_up=True) == up
    assert limits.absolute(value, total, round_up=False) == down


def test_both_limits_zero_still_move():
    owner = deployment(3, surge=0, unavailable="10%")
    assert (limits.max_surge(owner), limits.max_unavailable(owner)) == (0, 1)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 15),
    LIMIT,
    LIMIT,
    st.lists(st.tuples(st.sampled_from(["decide", "pods", "ready", "report"]), st.integers(0, 4)), max_size=120),
)
def test_a_rollout_never_leaves_its_limits_however_the_rest_lags(replicas, surge, unavailable, schedule):
    world = Simulation(deployment(replicas, surge=surge, unavailable=unavailable))
    world.settle()
    assert world.available == replicas
    world.change_template("i:2")
    most = replicas + limits.max_surge(world.deployment)
    least = replicas - limits.max_unavailable(world.deployment)
    for what, number in schedule:
        names = sorted(world.sets)
        name = names[number % len(names)]
        if what == "decide":
            world.step()
        elif what == "pods":
            world.scale_pods(name)
        elif what == "ready":
            world.become_available(name, number)
        else:
            world.report(name)
        assert sum(scaling.size(each) for each in world.sets.values()) <= most
        assert world.total <= most
        assert world.available >= least
    world.settle()
    (new,) = [each for each in world.sets.values() if scaling.size(each)]
    assert new.spec.template.spec.containers[0].image == "i:2"
    assert world.available == replicas
    assert world.deployment.status.updated_replicas == replicas


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 12),
    st.lists(st.one_of(st.integers(0, 20), st.sampled_from(["i:1", "i:2", "i:3"]), st.just("step")), max_size=15),
)
def test_whatever_is_asked_in_the_end_is_what_comes(replicas, changes):
    world = Simulation(deployment(replicas))
    for change in changes:
        if change == "step":
            for name in world.sets:
                world.scale_pods(name)
                world.become_available(name, 1)
                world.report(name)
        elif isinstance(change, int):
            world.scale(change)
        else:
            world.change_template(change)
        world.step()
    world.settle()
    desired = world.deployment.spec.replicas
    image = world.deployment.spec.template.spec.containers[0].image
    assert world.total == world.available == desired
    running = [each for each in world.sets.values() if scaling.size(each)]
    assert all(each.spec.template.spec.containers[0].image == image for each in running)
    present = world.deployment
    assert not world.step()
    assert world.deployment == present


@given(
    st.integers(0, 40),
    st.integers(0, 10),
    st.lists(st.integers(1, 30), min_size=2, max_size=6),
    st.integers(0, 60),
)
def test_proportional_scaling_adds_up(replicas, surge, sizes, before):
    owner = deployment(replicas, surge=surge)
    alive = [
        existing(owner, f"i:{number}", size, size, max_replicas=before, number=number)
        for number, size in enumerate(sizes)
    ]
    result = scaling.proportional(owner, alive)
    allowed = replicas + limits.max_surge(owner) if replicas else 0
    assert sum(result.values()) == allowed
    assert all(size >= 0 for size in result.values())
    if allowed >= sum(sizes):
        assert all(result[each.metadata.name] >= scaling.size(each) for each in alive)
    else:
        assert all(result[each.metadata.name] <= scaling.size(each) for each in alive)


def test_scaling_in_the_middle_of_a_rollout_keeps_the_proportions():
    owner = deployment(20, surge=5, unavailable=5, image="i:2")
    old = existing(owner, "i:1", 8, 8, max_replicas=15, desired=10, number=1)
    new = existing(owner, "i:2", 7, 3, max_replicas=15, desired=10, number=2)
    sizes = scaling.rescale(owner, new, (old,))
    assert sum(sizes.values()) == 25
    assert sizes[old.metadata.name] == 13
    assert sizes[new.metadata.name] == 12


def test_broken_new_pods_stop_the_rollout():
    world = Simulation(deployment(4, surge=1, unavailable=1))
    world.settle()
    world.change_template("i:broken")
    for _ in range(50):
        world.step()
        for name, each in world.sets.items():
            world.scale_pods(name)
            if each.spec.template.spec.containers[0].image != "i:broken":
                world.become_available(name, 100)
            world.report(name)
    assert world.available == 3
    assert world.total == 5


def test_unavailable_old_pods_go_first():
    owner = deployment(4, surge=1, unavailable=1, image="i:2")
    old = existing(owner, "i:1", 4, 2)
    new = existing(owner, "i:2", 1, 1, number=2)
    assert scaling.shrink_old(owner, new, (old,)) == {old.metadata.name: 2}


def test_recreate_waits_for_the_last_old_pod():
    world = Simulation(deployment(3, recreate=True))
    world.settle()
    (old,) = world.sets
    world.change_template("i:2")
    world.step()
    assert scaling.size(world.sets[old]) == 0
    world.step()
    assert len(world.sets) == 1
    world.scale_pods(old)
    world.step()
    assert len(world.sets) == 2


def test_template_hash_does_not_depend_on_the_order_of_labels():
    first = PodTemplateSpec(metadata=ObjectMeta(labels={"a": "1", "b": "2"}))
    second = PodTemplateSpec(metadata=ObjectMeta(labels={"b": "2", "a": "1"}))
    assert revisions.template_hash(first, 0) == revisions.template_hash(second, 0)
    assert revisions.template_hash(first, 0) != revisions.template_hash(first, 1)


def test_change_cause_is_kept_with_its_revision():
    world = Simulation(deployment(1))
    world.settle()
    annotations = {**world.deployment.metadata.annotations, revisions.CHANGE_CAUSE: "because"}
    annotations["kubectl.kubernetes.io/last-applied-configuration"] = "{}"
    world.deployment = replace(world.deployment, metadata=replace(world.deployment.metadata, annotations=annotations))
    world.change_template("i:2")
    world.settle()
    causes = {
        each.metadata.annotations[revisions.REVISION]: each.metadata.annotations.get(revisions.CHANGE_CAUSE)
        for each in world.sets.values()
    }
    assert causes == {"1": None, "2": "because"}
    assert all(revisions.LAST_APPLIED not in each.metadata.annotations for each in world.sets.values())


def test_orphaned_replicaset_is_adopted_before_anything_else():
    owner = deployment(3)
    orphan = ownership.without_owner(existing(owner, "i:1", 3, 3), ("d-uid",))
    plan = decide(World(deployment=owner, replicasets=(orphan,), pods_left=frozenset(), now=NOW))
    assert plan.adopt == (orphan,)
    assert plan.create is None


def test_progress_deadline_counts_from_the_last_progress():
    world = Simulation(deployment(2, progress_deadline_seconds=100))
    world.step()
    world.time += datetime.timedelta(seconds=60)
    for name in world.sets:
        world.scale_pods(name)
        world.report(name)
    world.step()
    assert conditions.find(world.deployment.status.conditions, "Progressing").reason == "ReplicaSetUpdated"
    world.time += datetime.timedelta(seconds=90)
    world.step()
    assert conditions.find(world.deployment.status.conditions, "Progressing").reason == "ReplicaSetUpdated"
    world.time += datetime.timedelta(seconds=20)
    world.step()
    late = conditions.find(world.deployment.status.conditions, "Progressing")
    assert (late.status, late.reason) == ("False", "ProgressDeadlineExceeded")


def test_deployment_without_a_selector_does_nothing():
    empty = Deployment(metadata=ObjectMeta(name="x", namespace="default", uid="u"), spec=DeploymentSpec())
    plan = decide(
        World(deployment=empty, replicasets=(ReplicaSet(spec=ReplicaSetSpec()),), pods_left=frozenset(), now=NOW)
    )
    assert plan.create is None
    assert plan.status is None
