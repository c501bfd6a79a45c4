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
    deleted = policy is not None and policy.when_deleted == "Delete" and not scaled
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
            owners.append(_reference("apps/v1", "StatefulSet", stateful.metadata.name, stateful.metadata.uid))
        if scaled:
            owners.append(_reference("v1", "Pod", pod.metadata.name, pod.metadata.uid))
        if tuple(owners) != claim.metadata.owner_references:
            found.append(_replace(claim, metadata=_replace(claim.metadata, owner_references=tuple(owners))))
    return tuple(found)


def _is(owner: OwnerReference, kind: str, name: str) -> bool:
    return owner.kind == kind and owner.name == name


def _reference(api_version: str, kind: str, name: str, uid: str) -> OwnerReference:
    return OwnerReference(api_version=api_version, kind=kind, name=name, uid=uid)
