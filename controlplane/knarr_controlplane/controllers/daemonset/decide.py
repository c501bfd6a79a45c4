"""What a DaemonSet needs: a pure function from what is to a plan.

.. code-block:: text

    adopt and release ──► per node: none there ──► make one
                                    ended ──► delete it (failed ones after a back-off), make one when it is gone
                                    too many ──► all but the oldest go
                                    none belongs there ──► delete
                      ──► rollout: see ``rolling``
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ControllerRevision, DaemonSet, DaemonSetStatus
from knarr_api.types.core_v1 import Node, Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.controllers import history, ownership
from knarr_controlplane.controllers.daemonset import placing, rolling
from knarr_controlplane.controllers.history import History
from knarr_controlplane.controllers.notes import Note
from knarr_controlplane.controllers.pods import state
from knarr_controlplane.controllers.replicaset import naming

AT_ONCE = 500
"""Pods made or deleted by one plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """pods, revisions: all of the namespace that this DaemonSet controls or might adopt. floor: the highest slot known
    to have been used, -1 for none. hold_s: for how long failed pods are not replaced, by node."""

    daemonset: DaemonSet
    pods: tuple[Pod, ...]
    nodes: tuple[Node, ...]
    revisions: tuple[ControllerRevision, ...] = ()
    floor: int = -1
    hold_s: Mapping[str, float] = field(default_factory=dict)
    now: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    adopt: tuple[Pod, ...] = ()
    release: tuple[Pod, ...] = ()
    adopt_revisions: tuple[ControllerRevision, ...] = ()
    history: History | None = None
    forget: tuple[ControllerRevision, ...] = ()
    notes: tuple[Note, ...] = ()
    failed_on: tuple[str, ...] = ()
    """Nodes whose failed pod is among ``delete``."""
    delete: tuple[Pod, ...] = ()
    create: tuple[Pod, ...] = ()
    status: DaemonSetStatus | None = None
    again_after_s: float | None = None


def decide(world: World) -> Plan:
    daemonset = world.daemonset
    selector = Selector.from_label_selector(daemonset.spec.selector)
    if daemonset.spec.selector is None or not str(selector):
        return Plan()
    claim = ownership.claim(daemonset, selector, world.pods)
    revisions = ownership.claim(daemonset, selector, world.revisions)
    if claim.adopt or claim.release or revisions.adopt:
        return Plan(adopt=claim.adopt, release=claim.release, adopt_revisions=revisions.adopt)
    past = history.history(
        daemonset, daemonset.spec.template, revisions.owned, collisions=daemonset.status.collision_count or 0
    )
    seen = _Seen(world, claim.owned, history.hash_of(past.current))
    status = seen.status()
    if daemonset.metadata.deletion_timestamp is not None:
        return Plan(status=status)
    managed = _manage(world, seen)
    rollout = rolling.Step()
    if not managed.delete and not managed.create:
        rollout = rolling.step(daemonset, seen.there, seen.is_new, seen.is_available)
    waits = [seconds for seconds in (managed.wait_s, seen.available_in_s()) if seconds]
    return Plan(
        history=past,
        forget=_forgotten(daemonset, past, claim.owned),
        notes=tuple(managed.notes),
        failed_on=tuple(managed.failed_on),
        delete=(*managed.delete, *rollout.delete)[:AT_ONCE],
        create=_new_pods(world, seen, (*managed.create, *rollout.create)[:AT_ONCE]),
        status=status,
        again_after_s=min(waits, default=None),
    )


class _Seen:
    """The pods, by node."""

    def __init__(self, world: World, owned: Sequence[Pod], hash_: str) -> None:
        self.daemonset = world.daemonset
        self.now = world.now
        self.hash = hash_
        self.fits = {node.metadata.name: placing.fit(world.daemonset, node) for node in world.nodes}
        self.pods: dict[str, list[Pod]] = {}
        for pod in sorted(owned, key=_age):
            if not (state.is_ended(pod) and pod.metadata.deletion_timestamp is not None):
                self.pods.setdefault(placing.node_of(pod), []).append(pod)
        self.there = {name: self.pods.get(name, []) for name, fit in self.fits.items() if fit.run}
        """Of the nodes that should run one."""

    def is_new(self, pod: Pod) -> bool:
        return pod.metadata.labels.get(history.REVISION_HASH) == self.hash

    def is_available(self, pod: Pod) -> bool:
        return state.available_in_s(pod, self.daemonset.spec.min_ready_seconds or 0, self.now) == 0.0

    def available_in_s(self) -> float | None:
        least_s = self.daemonset.spec.min_ready_seconds or 0
        waits = (state.available_in_s(pod, least_s, self.now) for pods in self.there.values() for pod in pods)
        return min((seconds for seconds in waits if seconds), default=None)

    def status(self) -> DaemonSetStatus:
        present = self.daemonset.status
        first = [pods[0] for pods in self.there.values() if pods]
        available = sum(self.is_available(pod) for pod in first)
        misplaced = [name for name, fit in self.fits.items() if not fit.run and self.pods.get(name)]
        return DaemonSetStatus(
            current_number_scheduled=len(first),
            number_misscheduled=len(misplaced),
            desired_number_scheduled=len(self.there),
            number_ready=sum(state.is_ready(pod) for pod in first),
            observed_generation=self.daemonset.metadata.generation,
            updated_number_scheduled=sum(self.is_new(pod) for pod in first) or None,
            number_available=available or None,
            number_unavailable=len(self.there) - available or None,
            collision_count=present.collision_count,
            conditions=present.conditions,
        )


@dataclass(slots=True)
class _Managed:
    delete: list[Pod] = field(default_factory=list)
    create: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    failed_on: list[str] = field(default_factory=list)
    wait_s: float | None = None


def _manage(world: World, seen: _Seen) -> _Managed:
    """One pod where one belongs, none elsewhere."""
    managed = _Managed()
    for name, fit in seen.fits.items():
        pods = seen.pods.get(name, [])
        if fit.run and not pods:
            managed.create.append(name)
        elif fit.stay:
            _keep_one(world, seen, name, pods, managed)
        else:
            managed.delete += [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    managed.delete += _of_no_node(seen)
    return managed


def _of_no_node(seen: _Seen) -> list[Pod]:
    """Pods that wait for a node that is gone; those that were on it are collected as any other pod there."""
    return [
        pod
        for name, pods in seen.pods.items()
        for pod in pods
        if name and name not in seen.fits and not pod.spec.node_name and pod.metadata.deletion_timestamp is None
    ]


def _keep_one(world: World, seen: _Seen, node: str, pods: Sequence[Pod], managed: _Managed) -> None:
    running: list[Pod] = []
    for pod in pods:
        if pod.metadata.deletion_timestamp is not None:
            continue
        at = f"{pod.metadata.namespace}/{pod.metadata.name} on node {node}"
        if pod.status.phase == "Failed":
            hold_s = world.hold_s.get(node, 0.0)
            if hold_s > 0:
                managed.wait_s = min(hold_s, managed.wait_s or hold_s)
                continue
            text = f"Found failed daemon pod {at}, will try to kill it"
            managed.notes.append(Note(reason="FailedDaemonPod", message=text, warning=True))
            managed.failed_on.append(node)
            managed.delete.append(pod)
        elif pod.status.phase == "Succeeded":
            text = f"Found succeeded daemon pod {at}, will try to delete it"
            managed.notes.append(Note(reason="SucceededDaemonPod", message=text))
            managed.delete.append(pod)
        else:
            running.append(pod)
    if rolling.max_surge(world.daemonset, len(seen.there)):
        managed.delete += _above_one_of_each(seen, running)
    else:
        managed.delete += running[1:]


def _above_one_of_each(seen: _Seen, running: Sequence[Pod]) -> list[Pod]:
    """With surge there may be one old and one new pod, until the new one is available or the old one is of no use."""
    new = [pod for pod in running if seen.is_new(pod)]
    old = [pod for pod in running if not seen.is_new(pod)]
    done = bool(new and old) and (seen.is_available(new[0]) or not state.is_ready(old[0]))
    return [*new[1:], *(old if done else old[1:])]


def _new_pods(world: World, seen: _Seen, nodes: Sequence[str]) -> tuple[Pod, ...]:
    if not nodes:
        return ()
    daemonset = world.daemonset
    uid, name = daemonset.metadata.uid, daemonset.metadata.name
    slots = (naming.slot_of(pod.metadata.name, name, uid) for pods in seen.pods.values() for pod in pods)
    first = max(world.floor, max((slot for slot in slots if slot is not None), default=-1)) + 1
    return tuple(
        _pod(daemonset, naming.pod_name(name, uid, (first + number) % naming.SLOTS), node, seen.hash)
        for number, node in enumerate(nodes)
    )


def _pod(daemonset: DaemonSet, name: str, node: str, hash_: str) -> Pod:
    template = daemonset.spec.template
    metadata = ObjectMeta(
        name=name,
        generate_name=f"{daemonset.metadata.name}-",
        namespace=daemonset.metadata.namespace,
        labels={**template.metadata.labels, history.REVISION_HASH: hash_},
        annotations=template.metadata.annotations,
        finalizers=template.metadata.finalizers,
        owner_references=(ownership.controller_reference(daemonset),),
    )
    return Pod(metadata=metadata, spec=placing.pinned(placing.with_tolerations(template.spec), node))


def _forgotten(daemonset: DaemonSet, past: History, pods: Sequence[Pod]) -> tuple[ControllerRevision, ...]:
    hashes = {pod.metadata.labels.get(history.REVISION_HASH, "") for pod in pods}
    used = {each.metadata.name for each in past.old if history.hash_of(each) in hashes}
    return history.superfluous(past.old, used, daemonset.spec.revision_history_limit)


def _age(pod: Pod) -> tuple[float, str]:
    created = pod.metadata.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, pod.metadata.name)
