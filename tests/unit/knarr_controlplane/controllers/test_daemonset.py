"""Where daemons belong, and what a rollout may take away."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api import defaults
from knarr_api.types.apps_v1 import ControllerRevision, DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy
from knarr_api.types.apps_v1 import RollingUpdateDaemonSet as Rolling
from knarr_api.types.core_v1 import (
    Affinity,
    Container,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    NodeSpec,
    Pod,
    PodSpec,
    PodTemplateSpec,
    Taint,
    Toleration,
)
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_controlplane.controllers import history
from knarr_controlplane.controllers.daemonset import placing, rolling
from knarr_controlplane.controllers.daemonset.decide import World, decide

replace = msgspec.structs.replace


def daemons(*, surge=0, unavailable=1, type_="RollingUpdate", **pod):
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "a"}), spec=PodSpec(containers=(Container(name="c", image="i:1"),), **pod)
    )
    inner = Rolling(max_surge=surge, max_unavailable=unavailable) if type_ == "RollingUpdate" else None
    return defaults.apply(
        DaemonSet(
            metadata=ObjectMeta(name="agent", namespace="default", uid="ds-uid"),
            spec=DaemonSetSpec(
                selector=LabelSelector(match_labels={"app": "a"}),
                template=template,
                update_strategy=DaemonSetUpdateStrategy(type=type_, rolling_update=inner),
            ),
        )
    )


def node(name="n1", *taints, **labels):
    return Node(metadata=ObjectMeta(name=name, labels=labels), spec=NodeSpec(taints=taints))


def needs(key, value):
    requirement = NodeSelectorRequirement(key=key, operator="In", values=(value,))
    required = NodeSelector(node_selector_terms=(NodeSelectorTerm(match_expressions=(requirement,)),))
    return Affinity(node_affinity=NodeAffinity(required_during_scheduling_ignored_during_execution=required))


@pytest.mark.parametrize(
    ("pod", "there", "run", "stay"),
    [
        ({}, node(), True, True),
        ({"node_name": "n2"}, node(), False, False),
        ({"node_selector": {"a": "b"}}, node(), False, False),
        ({"node_selector": {"a": "b"}}, node("n1", a="b"), True, True),
        ({"affinity": needs("a", "b")}, node("n1", a="c"), False, False),
        ({"affinity": needs("a", "b")}, node("n1", a="b"), True, True),
        ({}, node("n1", Taint(key="x", effect="NoSchedule")), False, True),
        ({}, node("n1", Taint(key="x", effect="NoExecute")), False, False),
        ({}, node("n1", Taint(key="x", effect="PreferNoSchedule")), True, True),
        ({"tolerations": (Toleration(operator="Exists"),)}, node("n1", Taint(key="x", effect="NoExecute")), True, True),
        ({}, node("n1", Taint(key="node.kubernetes.io/not-ready", effect="NoExecute")), True, True),
        ({}, node("n1", Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")), True, True),
        ({}, node("n1", Taint(key="node.kubernetes.io/network-unavailable", effect="NoSchedule")), False, True),
        (
            {"host_network": True},
            node("n1", Taint(key="node.kubernetes.io/network-unavailable", effect="NoSchedule")),
            True,
            True,
        ),
    ],
)
def test_where_a_daemon_belongs(pod, there, run, stay):
    assert placing.fit(daemons(**pod), there) == placing.Fit(run, stay)


def test_a_pod_is_pinned_to_its_node_whatever_else_it_needs():
    spec = placing.pinned(PodSpec(affinity=needs("a", "b")), "n7")
    assert placing.node_of(Pod(spec=spec)) == "n7"
    assert placing.node_of(Pod(spec=replace(spec, node_name="n8"))) == "n8"
    assert placing.node_of(Pod()) == ""


def revision_of(owner, number, template):
    made = history.history(owner, template, (), collisions=0).current
    return replace(made, revision=number)


def test_a_pod_that_waits_for_a_node_that_is_gone_goes_as_well():
    daemonset, now = daemons(), datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    (waiting,) = decide(World(daemonset=daemonset, pods=(), nodes=(node(),), now=now)).create
    placed = replace(waiting, spec=replace(waiting.spec, node_name="n1"))
    assert decide(World(daemonset=daemonset, pods=(waiting,), nodes=(node("n2"),), now=now)).delete == (waiting,)
    anywhere = replace(waiting, spec=replace(waiting.spec, affinity=None))
    assert decide(World(daemonset=daemonset, pods=(placed, anywhere), nodes=(node("n2"),), now=now)).delete == ()


def test_a_template_that_was_there_before_gets_the_next_number():
    owner = daemons()
    other = replace(owner.spec.template, metadata=ObjectMeta(labels={"app": "a", "v": "2"}))
    first, second = revision_of(owner, 1, owner.spec.template), revision_of(owner, 2, other)
    now = history.history(owner, other, (first, second), collisions=0)
    assert (now.current, now.create, now.renumber) == (second, False, False)
    back = history.history(owner, owner.spec.template, (first, second), collisions=0)
    assert (back.current.revision, back.renumber) == (3, True)
    assert history.template_of(back.current) == owner.spec.template
    third = replace(other, metadata=ObjectMeta(labels={"app": "a", "v": "3"}))
    new = history.history(owner, third, (first, second), collisions=0)
    assert (new.current.revision, new.create) == (3, True)
    again = history.history(owner, third, (first, second), collisions=1)
    assert again.current.metadata.name != new.current.metadata.name


def test_revisions_in_use_are_kept():
    old = [ControllerRevision(metadata=ObjectMeta(name=f"r{number}"), revision=number) for number in range(5)]
    assert [each.metadata.name for each in history.superfluous(old, {"r0"}, 2)] == ["r1", "r2"]
    assert history.superfluous(old, set(), None) == ()


STATES = st.lists(st.sampled_from(["new", "new-unavailable", "old", "old-unavailable", "both", "both-waiting", "none"]))


def pods_of(states):
    pods = {}
    for number, what in enumerate(states):
        names = {"none": (), "both": ("old", "new"), "both-waiting": ("old", "new-unavailable")}.get(what, (what,))
        pods[f"n{number}"] = [Pod(metadata=ObjectMeta(name=f"{name}-{number}")) for name in names]
    return pods


def is_new(pod):
    return pod.metadata.name.startswith("new")


def is_available(pod):
    return "unavailable" not in pod.metadata.name


@given(STATES, st.integers(1, 5))
def test_a_rollout_never_takes_more_than_it_may(states, limit):
    pods = pods_of(states)
    step = rolling.step(daemons(unavailable=limit), pods, is_new, is_available)
    assert not any(is_new(pod) for pod in step.delete) and step.create == ()
    taken = [pod for pod in step.delete if is_available(pod)]
    down = sum(not any(is_available(pod) for pod in there) for there in pods.values())
    assert not taken or len(taken) + down <= limit


@given(STATES, st.integers(1, 5))
def test_a_rollout_with_surge_takes_nothing_before_its_successor_is_there(states, limit):
    pods = pods_of(states)
    step = rolling.step(daemons(surge=limit, unavailable=0), pods, is_new, is_available)
    for pod in step.delete:
        there = next(each for each in pods.values() if pod in each)
        assert any(is_new(other) and is_available(other) for other in there)
    doubled = [name for name in step.create if is_available(pods[name][0])]
    waiting = sum(len(each) == 2 and not is_available(each[1]) for each in pods.values())
    assert not doubled or len(doubled) + waiting <= limit


@given(STATES)
def test_on_delete_does_nothing(states):
    assert rolling.step(daemons(type_="OnDelete"), pods_of(states), is_new, is_available) == rolling.Step()
