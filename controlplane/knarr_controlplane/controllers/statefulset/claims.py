"""Who owns the claims of a StatefulSet's pods, and so what becomes of them: persistentVolumeClaimRetentionPolicy. Pure.

A claim that the StatefulSet owns goes with it, one that a pod owns goes when the pod has been scaled away.

==========  ===========  ==============================================
whenScaled  whenDeleted  owner
==========  ===========  ==============================================
Retain      Retain       nobody
Retain      Delete       the StatefulSet
Delete      Retain       the pod, once it is above the asked number
Delete      Delete       the StatefulSet; the pod, once it is above it
==========  ===========  ==============================================
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from knarr_api.types.apps_v1 import StatefulSet
from knarr_api.types.core_v1 import PersistentVolumeClaim, Pod
from knarr_api.types.meta_v1 import OwnerReference
from knarr_controlplane.controllers.statefulset import identity

_replace = msgspec.structs.replace


def changed(
    stateful: StatefulSet, pod: Pod, present: Mapping[str, PersistentVolumeClaim], *, condemned: bool
) -> tuple[PersistentVolumeClaim, ...]:
    """The pod's claims whose owners must change, with the owners they should have."""
    policy = stateful.spec.persistent_volume_claim_retention_policy
    scaled = policy is not None and policy.when_scaled == "Delete" and condemned
    deleted = _goes_with_it(stateful) and not scaled
    found: list[PersistentVolumeClaim] = []
    for template in stateful.spec.volume_claim_templates:
        claim = present.get(identity.claim_name(template, pod.metadata.name))
        if claim is None or claim.metadata.deletion_timestamp is not None:
            continue
        owners = [
            owner
            for owner in claim.metadata.owner_references
            if not _is(owner, "StatefulSet", stateful.metadata.name) and not _is(owner, "Pod", pod.metadata.name)
        ]
        if deleted:
            owners.append(_itself(stateful))
        if scaled:
            owners.append(_reference("v1", "Pod", pod.metadata.name, pod.metadata.uid))
        if tuple(owners) != claim.metadata.owner_references:
            found.append(_replace(claim, metadata=_replace(claim.metadata, owner_references=tuple(owners))))
    return tuple(found)


def missing(
    stateful: StatefulSet, pod: str, present: Mapping[str, PersistentVolumeClaim]
) -> tuple[PersistentVolumeClaim, ...]:
    """The claims to make for a pod of that name. What goes with the StatefulSet is owned by it from the start: the pod
    may be gone before anybody looks again."""
    owners = (_itself(stateful),) if _goes_with_it(stateful) else ()
    return tuple(
        _replace(claim, metadata=_replace(claim.metadata, owner_references=owners))
        for claim in identity.make_claims(stateful, pod)
        if claim.metadata.name not in present
    )


def are_going(stateful: StatefulSet, pod: str, present: Mapping[str, PersistentVolumeClaim]) -> bool:
    """Whether a claim of that pod, which is not there, belongs to one before it that was scaled away, and so is about
    to be removed: a new pod would lose it while it runs."""
    names = [identity.claim_name(template, pod) for template in stateful.spec.volume_claim_templates]
    return any(
        claim.metadata.deletion_timestamp is not None
        or any(_is(owner, "Pod", pod) for owner in claim.metadata.owner_references)
        for name in names
        if (claim := present.get(name)) is not None
    )


def _goes_with_it(stateful: StatefulSet) -> bool:
    policy = stateful.spec.persistent_volume_claim_retention_policy
    return policy is not None and policy.when_deleted == "Delete"


def _itself(stateful: StatefulSet) -> OwnerReference:
    return _reference("apps/v1", "StatefulSet", stateful.metadata.name, stateful.metadata.uid)


def _is(owner: OwnerReference, kind: str, name: str) -> bool:
    return owner.kind == kind and owner.name == name


def _reference(api_version: str, kind: str, name: str, uid: str) -> OwnerReference:
    return OwnerReference(api_version=api_version, kind=kind, name=name, uid=uid)
