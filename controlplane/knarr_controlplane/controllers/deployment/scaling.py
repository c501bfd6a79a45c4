"""How many replicas each ReplicaSet of a Deployment gets. Pure.

A rollout keeps two promises, however far the ReplicaSets lag behind what was asked of them:
- never more pods than the asked number and maxSurge (those being deleted don't count);
- never fewer available than the asked number without maxUnavailable, as far as that is the rollout's doing.

Every function returns new sizes by the ReplicaSet's name, only of those that change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knarr_api.types.apps_v1 import Deployment, ReplicaSet
from knarr_controlplane.controllers.deployment import limits, revisions

Sizes = Mapping[str, int]


def size(replicaset: ReplicaSet) -> int:
    return 1 if replicaset.spec.replicas is None else replicaset.spec.replicas


def available(replicaset: ReplicaSet) -> int:
    """Of the pods that will stay: a ReplicaSet just made smaller may still report the larger number."""
    return min(replicaset.status.available_replicas or 0, size(replicaset))


def total(replicasets: Sequence[ReplicaSet]) -> int:
    return sum(size(each) for each in replicasets)


def active(replicasets: Sequence[ReplicaSet]) -> tuple[ReplicaSet, ...]:
    return tuple(each for each in replicasets if size(each) > 0)


def occupied(replicaset: ReplicaSet) -> int:
    """How many pods it may have: after it was made smaller, as many as it still reports."""
    return max(size(replicaset), replicaset.status.replicas or 0)


def is_observed(replicaset: ReplicaSet) -> bool:
    """Its status is about its present spec."""
    return (replicaset.status.observed_generation or 0) >= (replicaset.metadata.generation or 0)


def new_size(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> int:
    """What the new ReplicaSet may have now; as long as one has not looked at its last change, no more than before."""
    desired = limits.desired(deployment)
    present = 0 if new is None else size(new)
    if limits.is_recreate(deployment) or present > desired:
        return desired
    everything = (*old, new) if new is not None else tuple(old)
    if not all(is_observed(each) for each in everything):
        return present
    room = desired + limits.max_surge(deployment) - sum(occupied(each) for each in everything)
    return present + max(0, min(room, desired - present))


def shrink_old(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> Sizes:
    """Take away old pods as far as availability allows: the unavailable first, of each ReplicaSet, oldest first."""
    everything = (*old, new)
    minimum = limits.desired(deployment) - limits.max_unavailable(deployment)
    new_unavailable = size(new) - available(new)
    budget = total(everything) - minimum - new_unavailable
    if budget <= 0:
        return {}
    sizes = {each.metadata.name: size(each) for each in old}
    for each in old:
        unhealthy = size(each) - available(each)
        taken = min(budget, unhealthy)
        sizes[each.metadata.name] -= taken
        budget -= taken
    spare = min(budget, sum(available(each) for each in everything) - minimum)
    for each in old:
        taken = max(0, min(spare, sizes[each.metadata.name]))
        sizes[each.metadata.name] -= taken
        spare -= taken
    return {each.metadata.name: sizes[each.metadata.name] for each in old if sizes[each.metadata.name] != size(each)}


def is_scaling(deployment: Deployment, replicasets: Sequence[ReplicaSet]) -> bool:
    """The asked number changed since the ReplicaSets got their sizes."""
    desired = str(limits.desired(deployment))
    return any(
        each.metadata.annotations.get(revisions.DESIRED_REPLICAS, desired) != desired for each in active(replicasets)
    )


def rescale(deployment: Deployment, new: ReplicaSet | None, old: Sequence[ReplicaSet]) -> Sizes:
    """Fit the ReplicaSets to a changed number, or to a pause in the middle of a rollout."""
    everything = (*old, new) if new is not None else tuple(old)
    desired = limits.desired(deployment)
    alive = active(everything)
    if len(alive) <= 1:
        only = alive[0] if alive else new if new is not None else (old[-1] if old else None)
        return {} if only is None or size(only) == desired else {only.metadata.name: desired}
    if new is not None and _is_saturated(deployment, new):
        return {each.metadata.name: 0 for each in active(old)}
    if limits.is_recreate(deployment):
        return {}
    return _changed(alive, proportional(deployment, alive))


def proportional(deployment: Deployment, alive: Sequence[ReplicaSet]) -> Sizes:
    """Share the asked number and maxSurge among ReplicaSets in proportion to their sizes.

    The sizes returned, of all of ``alive``, add up to what is allowed; rounding goes to the largest.
    """
    desired = limits.desired(deployment)
    allowed = desired + limits.max_surge(deployment) if desired > 0 else 0
    change = allowed - total(alive)
    newest_first = tuple(reversed(revisions.oldest_first(alive)))
    order = newest_first if change > 0 else tuple(reversed(newest_first))
    order = tuple(sorted(order, key=size, reverse=True))
    sizes: dict[str, int] = {}
    given = 0
    for each in order:
        share = _share(deployment, each, allowed)
        share = max(0, min(share, change - given)) if change > 0 else min(0, max(share, change - given))
        given += share
        sizes[each.metadata.name] = size(each) + share
    leftover = change - given
    for each in order:
        name = each.metadata.name
        corrected = max(0, sizes[name] + leftover)
        leftover -= corrected - sizes[name]
        sizes[name] = corrected
    return sizes


def _share(deployment: Deployment, replicaset: ReplicaSet, allowed: int) -> int:
    """By how much this ReplicaSet should change to keep its part of the whole."""
    present = size(replicaset)
    if limits.desired(deployment) == 0:
        return -present
    text = replicaset.metadata.annotations.get(revisions.MAX_REPLICAS, "")
    before = int(text) if text.isascii() and text.isdecimal() else deployment.status.replicas or 0
    if before <= 0:
        return 0
    return (2 * present * allowed + before) // (2 * before) - present


def _is_saturated(deployment: Deployment, new: ReplicaSet) -> bool:
    """The rollout is over as far as the new ReplicaSet is concerned."""
    desired = limits.desired(deployment)
    return (
        new.metadata.annotations.get(revisions.DESIRED_REPLICAS) == str(desired)
        and size(new) == desired
        and available(new) == desired
    )


def _changed(replicasets: Sequence[ReplicaSet], sizes: Sizes) -> Sizes:
    return {
        each.metadata.name: sizes[each.metadata.name] for each in replicasets if sizes[each.metadata.name] != size(each)
    }
