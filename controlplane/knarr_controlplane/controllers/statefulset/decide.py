"""What a StatefulSet needs: a pure function from what is to a plan.

.. code-block:: text

    adopt and release ──► each ordinal, from the lowest: ended ──► delete it
                                                         missing ──► make it, its claims first
                                                         not available yet ──► wait
                      ──► ordinals above the asked number, from the highest ──► delete
                      ──► rollout: see ``rolling``

With podManagementPolicy OrderedReady each step waits for the one before; with Parallel nobody waits.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ControllerRevision, StatefulSet, StatefulSetStatus
from knarr_api.types.core_v1 import PersistentVolumeClaim, Pod
from knarr_controlplane.controllers import history, ownership
from knarr_controlplane.controllers.history import History
from knarr_controlplane.controllers.notes import Note
from knarr_controlplane.controllers.pods import state
from knarr_controlplane.controllers.statefulset import claims, identity, rolling

CLAIMS_GO_S = 0.5
"""When to look again whether the claims of a pod before are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """pods, revisions: all of the namespace that this StatefulSet controls or might adopt. claims: of the namespace,
    by name."""

    stateful: StatefulSet
    pods: tuple[Pod, ...]
    revisions: tuple[ControllerRevision, ...] = ()
    claims: Mapping[str, PersistentVolumeClaim] = field(default_factory=dict)
    now: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """In the order of its fields."""

    adopt: tuple[Pod, ...] = ()
    release: tuple[Pod, ...] = ()
    adopt_revisions: tuple[ControllerRevision, ...] = ()
    history: History | None = None
    forget: tuple[ControllerRevision, ...] = ()
    notes: tuple[Note, ...] = ()
    identify: tuple[Pod, ...] = ()
    """Pods that get the labels of their identity."""
    own_claims: tuple[PersistentVolumeClaim, ...] = ()
    """Claims that get other owners."""
    create_claims: tuple[PersistentVolumeClaim, ...] = ()
    delete: tuple[Pod, ...] = ()
    create: tuple[Pod, ...] = ()
    status: StatefulSetStatus | None = None
    again_after_s: float | None = None


def decide(world: World) -> Plan:
    stateful = world.stateful
    selector = Selector.from_label_selector(stateful.spec.selector)
    if stateful.spec.selector is None or not str(selector):
        return Plan()
    members = tuple(pod for pod in world.pods if _may_be_ours(pod, stateful))
    claim = ownership.claim(stateful, selector, members)
    revisions = ownership.claim(stateful, selector, world.revisions)
    if claim.adopt or claim.release or revisions.adopt:
        return Plan(adopt=claim.adopt, release=claim.release, adopt_revisions=revisions.adopt)
    past = history.history(
        stateful, stateful.spec.template, revisions.owned, collisions=stateful.status.collision_count or 0
    )
    seen = _Seen(world, claim.owned, past)
    status = seen.status()
    if stateful.metadata.deletion_timestamp is not None:
        return Plan(status=status)
    step = _step(world, seen)
    waits = [seconds for seconds in (seen.available_in_s(), step.again_after_s) if seconds is not None]
    return Plan(
        history=past,
        forget=_forgotten(stateful, past, claim.owned, status),
        notes=tuple(step.notes),
        identify=tuple(
            changed
            for ordinal, pod in seen.replicas.items()
            if pod.metadata.deletion_timestamp is None and (changed := identity.identified(pod, ordinal)) is not pod
        ),
        own_claims=seen.disowned(),
        create_claims=_claims(world, seen, step.create),
        delete=tuple(step.delete),
        create=tuple(step.create),
        status=status,
        again_after_s=min(waits, default=None),
    )


class _Seen:
    """The pods: those in the asked range by ordinal, and the others, highest first."""

    def __init__(self, world: World, owned: Sequence[Pod], past: History) -> None:
        self.stateful = stateful = world.stateful
        self.world = world
        self.past = past
        self.revision = past.current.metadata.name
        known = {each.metadata.name: each for each in (*past.old, past.current)}
        self.current = known.get(stateful.status.current_revision, past.current)
        first = identity.start(stateful)
        self.range = range(first, first + identity.desired(stateful))
        by_ordinal = sorted(((identity.ordinal_of(pod, stateful) or 0, pod) for pod in owned), key=lambda pair: pair[0])
        self.owned = tuple(pod for _, pod in by_ordinal)
        self.replicas = {ordinal: pod for ordinal, pod in by_ordinal if ordinal in self.range}
        self.condemned = tuple(pod for ordinal, pod in reversed(by_ordinal) if ordinal not in self.range)

    def is_available(self, pod: Pod) -> bool:
        least_s = self.stateful.spec.min_ready_seconds or 0
        return is_healthy(pod) and state.available_in_s(pod, least_s, self.world.now) == 0.0

    def available_in_s(self) -> float | None:
        least_s = self.stateful.spec.min_ready_seconds or 0
        waits = (state.available_in_s(pod, least_s, self.world.now) for pod in self.owned)
        return min((seconds for seconds in waits if seconds), default=None)

    def make(self, ordinal: int) -> Pod:
        """Below the partition of the template that was current before."""
        kept = rolling.is_rolling(self.stateful) and ordinal < rolling.partition(self.stateful)
        revision = self.current if kept else self.past.current
        template = history.template_of(revision) if kept else self.stateful.spec.template
        return identity.make_pod(self.stateful, template, revision.metadata.name, ordinal)

    def disowned(self) -> tuple[PersistentVolumeClaim, ...]:
        both = [(pod, False) for pod in self.replicas.values()] + [(pod, True) for pod in self.condemned]
        return tuple(
            claim
            for pod, condemned in both
            for claim in claims.changed(self.stateful, pod, self.world.claims, condemned=condemned)
        )

    def status(self) -> StatefulSetStatus:
        present = self.stateful.status
        staying = [pod for pod in self.owned if pod.metadata.deletion_timestamp is None]
        updated = sum(identity.revision_of(pod) == self.revision for pod in staying)
        ready = sum(state.is_ready(pod) for pod in self.owned)
        current = self.current.metadata.name
        wanted = identity.desired(self.stateful)
        if rolling.is_rolling(self.stateful) and updated == ready == len(self.owned) == wanted:
            current = self.revision
        return StatefulSetStatus(
            observed_generation=self.stateful.metadata.generation,
            replicas=len(self.owned),
            ready_replicas=ready or None,
            current_replicas=sum(identity.revision_of(pod) == current for pod in staying) or None,
            updated_replicas=updated or None,
            current_revision=current,
            update_revision=self.revision,
            collision_count=present.collision_count,
            conditions=present.conditions,
            available_replicas=sum(self.is_available(pod) for pod in self.owned),
        )


@dataclass(slots=True)
class _Step:
    delete: list[Pod] = field(default_factory=list)
    create: list[Pod] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    again_after_s: float | None = None


def is_healthy(pod: Pod) -> bool:
    return pod.status.phase == "Running" and state.is_ready(pod) and pod.metadata.deletion_timestamp is None


def _step(world: World, seen: _Seen) -> _Step:
    step = _Step()
    ordered = identity.is_ordered(world.stateful)
    for ordinal in seen.range:
        waits = _keep(seen, ordinal, step)
        if waits and ordered:
            return step
    if _condemn(seen, step, ordered=ordered) and ordered:
        return step
    if rolling.is_rolling(world.stateful) and not step.create and not step.delete:
        step.delete += rolling.outdated(world.stateful, seen.replicas, seen.revision, seen.is_available)
    return step


def _keep(seen: _Seen, ordinal: int, step: _Step) -> bool:
    """Whether the ordinals after this one must wait."""
    pod = seen.replicas.get(ordinal)
    if pod is None:
        name = identity.pod_name(seen.stateful, ordinal)
        if claims.are_going(seen.stateful, name, seen.world.claims):
            step.again_after_s = CLAIMS_GO_S
        else:
            step.create.append(seen.make(ordinal))
        return True
    if pod.metadata.deletion_timestamp is not None:
        return True
    if state.is_ended(pod):
        stateful = seen.stateful.metadata
        failed = pod.status.phase == "Failed"
        what = "failed" if failed else "terminated"
        text = f"StatefulSet {stateful.namespace}/{stateful.name} is recreating {what} Pod {pod.metadata.name}"
        step.notes.append(Note(reason=f"Recreating{what.capitalize()}Pod", message=text, warning=failed))
        step.delete.append(pod)
        return True
    return not seen.is_available(pod)


def _condemn(seen: _Seen, step: _Step, *, ordered: bool) -> bool:
    """Whether the rollout must wait for pods above the asked number to go."""
    if not ordered:
        step.delete += [pod for pod in seen.condemned if pod.metadata.deletion_timestamp is None]
        return bool(seen.condemned)
    if not seen.condemned:
        return False
    highest = seen.condemned[0]
    sick = [pod for pod in reversed(seen.condemned) if not is_healthy(pod)]
    blocked = highest.metadata.deletion_timestamp is not None or (not is_healthy(highest) and highest is not sick[0])
    if not blocked:
        step.delete.append(highest)
    return True


def _claims(world: World, seen: _Seen, created: Sequence[Pod]) -> tuple[PersistentVolumeClaim, ...]:
    """Missing claims of new pods, and of such as wait for theirs."""
    waiting = [pod for pod in seen.replicas.values() if pod.status.phase == "Pending"]
    return tuple(
        claim
        for pod in (*created, *waiting)
        for claim in claims.missing(world.stateful, pod.metadata.name, world.claims)
    )


def _may_be_ours(pod: Pod, stateful: StatefulSet) -> bool:
    """By its name; a pod that it controls is looked at whatever its name."""
    controller = ownership.controller_of(pod)
    return identity.ordinal_of(pod, stateful) is not None or (
        controller is not None and controller.uid == stateful.metadata.uid
    )


def _forgotten(
    stateful: StatefulSet, past: History, pods: Sequence[Pod], status: StatefulSetStatus
) -> tuple[ControllerRevision, ...]:
    used = {identity.revision_of(pod) for pod in pods} | {status.current_revision, stateful.status.current_revision}
    return history.superfluous(past.old, used, stateful.spec.revision_history_limit)
