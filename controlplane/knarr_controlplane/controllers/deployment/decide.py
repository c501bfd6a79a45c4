"""What a Deployment needs: a pure function from what is to a plan.

.. code-block:: text

    adopt and release ReplicaSets ──► anything to do? do only that
    paused, or its number changed ──► fit sizes, no rollout step
    Recreate ──► old to 0 ──► wait until no old pod is left ──► new ReplicaSet, full size
    RollingUpdate ──► new ReplicaSet ──► make it larger, else make old ones smaller
    complete ──► forget history beyond its limit

Each plan makes one step; the change it causes leads to the next. Deciding twice on one state gives one plan.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import Deployment, DeploymentStatus, ReplicaSet
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.deployment import conditions, limits, revisions, scaling
from knarr_controlplane.controllers.notes import Note


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """replicasets: all of the namespace that this Deployment controls or might adopt. pods_left: ReplicaSets, by uid,
    whose pods have not all ended (pods being deleted count)."""

    deployment: Deployment
    replicasets: tuple[ReplicaSet, ...]
    pods_left: frozenset[str]
    now: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    adopt: tuple[ReplicaSet, ...] = ()
    release: tuple[ReplicaSet, ...] = ()
    create: ReplicaSet | None = None
    update: tuple[ReplicaSet, ...] = ()
    delete: tuple[ReplicaSet, ...] = ()
    revision: str = ""
    """What the Deployment's revision annotation must become; empty: as it is."""
    status: DeploymentStatus | None = None
    notes: tuple[Note, ...] = ()
    again_after_s: float | None = None


def decide(world: World) -> Plan:
    deployment = world.deployment
    selector = Selector.from_label_selector(deployment.spec.selector)
    if deployment.spec.selector is None or not str(selector):
        return Plan()
    claim = ownership.claim(deployment, selector, world.replicasets)
    if claim.adopt or claim.release:
        return Plan(adopt=claim.adopt, release=claim.release)
    new, old = revisions.split(deployment, claim.owned)
    status = conditions.counts(deployment, new, old, world.now)
    if deployment.metadata.deletion_timestamp is not None:
        return Plan(status=status)
    paused = conditions.with_pause(deployment, status.conditions, world.now)
    status = msgspec.structs.replace(status, conditions=paused)
    if deployment.spec.paused or scaling.is_scaling(deployment, claim.owned):
        return _fit(world, new, old, status)
    plan = _recreate(world, new, old) if limits.is_recreate(deployment) else _roll(world, new, old)
    return _with_status(plan, world, new, old, status)


def _fit(world: World, new: ReplicaSet | None, old: Sequence[ReplicaSet], status: DeploymentStatus) -> Plan:
    """Sizes follow the asked number; no new ReplicaSet, no rollout step."""
    deployment = world.deployment
    everything = (*old, new) if new is not None else tuple(old)
    if new is not None:
        current = revisions.brought_up_to_date(deployment, new, old)
        if current != new:
            return Plan(update=(current,), revision=_revision(deployment, current), status=status)
    update, notes = _resized(deployment, everything, scaling.rescale(deployment, new, old))
    delete = () if update else revisions.to_forget(deployment, old)
    revision = _revision(deployment, new) if new is not None else ""
    return Plan(update=update, delete=delete, notes=notes, status=status, revision=revision)


def _roll(world: World, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> Plan:
    deployment = world.deployment
    if new is None:
        return _create(deployment, old, scaling.new_size(deployment, None, old))
    current = revisions.brought_up_to_date(deployment, new, old)
    if current != new:
        return Plan(update=(current,), revision=_revision(deployment, current))
    wanted = scaling.new_size(deployment, new, old)
    sizes: Mapping[str, int] = {}
    if wanted != scaling.size(new):
        sizes = {new.metadata.name: wanted}
    elif scaling.total(old) > 0:
        sizes = scaling.shrink_old(deployment, new, old)
    update, notes = _resized(deployment, (*old, new), sizes)
    return Plan(update=update, notes=notes, revision=_revision(deployment, new))


def _recreate(world: World, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> Plan:
    deployment = world.deployment
    if scaling.total(old) > 0:
        update, notes = _resized(deployment, old, {each.metadata.name: 0 for each in old if scaling.size(each) > 0})
        return Plan(update=update, notes=notes)
    if any(each.metadata.uid in world.pods_left for each in old):
        return Plan()
    if new is None:
        return _create(deployment, old, limits.desired(deployment))
    current = revisions.brought_up_to_date(deployment, new, old)
    if current != new:
        return Plan(update=(current,), revision=_revision(deployment, current))
    desired = limits.desired(deployment)
    sizes = {new.metadata.name: desired} if scaling.size(new) != desired else {}
    update, notes = _resized(deployment, (new,), sizes)
    return Plan(update=update, notes=notes, revision=_revision(deployment, new))


def _create(deployment: Deployment, old: Sequence[ReplicaSet], replicas: int) -> Plan:
    created = revisions.new_replicaset(deployment, old, replicas)
    notes = (_scaled(created.metadata.name, 0, replicas),) if replicas else ()
    return Plan(create=created, notes=notes, revision=_revision(deployment, created))


def _with_status(
    plan: Plan, world: World, new: ReplicaSet | None, old: Sequence[ReplicaSet], status: DeploymentStatus
) -> Plan:
    deployment = world.deployment
    if conditions.deadline_s(deployment) is not None:
        status = _announced(plan, new, status, world.now)
    status = conditions.with_progress(deployment, status, new, old, world.now)
    delete = revisions.to_forget(deployment, old) if conditions.is_complete(deployment, status) else ()
    again_after_s = conditions.until_deadline_s(deployment, status, world.now)
    return replace(plan, status=status, delete=delete, again_after_s=again_after_s)


def _announced(
    plan: Plan, new: ReplicaSet | None, status: DeploymentStatus, now: datetime.datetime
) -> DeploymentStatus:
    """Progress begins: a new ReplicaSet is made, or an old one becomes the new one again."""
    if plan.create is not None:
        message = f'Created new replica set "{plan.create.metadata.name}"'
        condition = conditions.make(conditions.PROGRESSING, "True", conditions.NEW_CREATED, message, now)
    elif new is not None and (
        conditions.find(status.conditions, conditions.PROGRESSING) is None or _becomes_new(plan, new)
    ):
        message = f'Found new replica set "{new.metadata.name}"'
        condition = conditions.make(conditions.PROGRESSING, "True", conditions.NEW_FOUND, message, now)
    else:
        return status
    return msgspec.structs.replace(status, conditions=conditions.put(status.conditions, condition))


def _becomes_new(plan: Plan, new: ReplicaSet) -> bool:
    return any(
        each.metadata.uid == new.metadata.uid and revisions.revision(each) != revisions.revision(new)
        for each in plan.update
    )


def _resized(
    deployment: Deployment, replicasets: Sequence[ReplicaSet], sizes: Mapping[str, int]
) -> tuple[tuple[ReplicaSet, ...], tuple[Note, ...]]:
    """New values of the ReplicaSets that get another size, or whose memory of the Deployment's size is old."""
    update: list[ReplicaSet] = []
    notes: list[Note] = []
    wanted = revisions.replica_annotations(deployment)
    for each in replicasets:
        before = scaling.size(each)
        after = sizes.get(each.metadata.name, before)
        stale = any(each.metadata.annotations.get(name) != value for name, value in wanted.items())
        if after == before and not (stale and after > 0):
            continue
        metadata = msgspec.structs.replace(each.metadata, annotations={**each.metadata.annotations, **wanted})
        spec = msgspec.structs.replace(each.spec, replicas=after)
        update.append(msgspec.structs.replace(each, metadata=metadata, spec=spec))
        if after != before:
            notes.append(_scaled(each.metadata.name, before, after))
    return tuple(update), tuple(notes)


def _scaled(name: str, before: int, after: int) -> Note:
    direction = "up" if after > before else "down"
    return Note(reason="ScalingReplicaSet", message=f"Scaled {direction} replica set {name} from {before} to {after}")


def _revision(deployment: Deployment, new: ReplicaSet) -> str:
    wanted = new.metadata.annotations.get(revisions.REVISION, "")
    return wanted if deployment.metadata.annotations.get(revisions.REVISION) != wanted else ""
