"""What makes a pod the n-th of its StatefulSet: name, host name, labels, claims. Pure."""

from __future__ import annotations

import msgspec

from knarr_api.types.apps_v1 import StatefulSet
from knarr_api.types.core_v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource,
    Pod,
    PodTemplateSpec,
    Volume,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.controllers import history, ownership

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
_replace = msgspec.structs.replace


def desired(stateful: StatefulSet) -> int:
    return 1 if stateful.spec.replicas is None else stateful.spec.replicas


def start(stateful: StatefulSet) -> int:
    """The first ordinal."""
    return (stateful.spec.ordinals.start or 0) if stateful.spec.ordinals is not None else 0


def is_ordered(stateful: StatefulSet) -> bool:
    return stateful.spec.pod_management_policy != "Parallel"


def pod_name(stateful: StatefulSet, ordinal: int) -> str:
    return f"{stateful.metadata.name}-{ordinal}"


def ordinal_of(pod: Pod, stateful: StatefulSet) -> int | None:
    """None for a pod that is none of this StatefulSet's by its name."""
    text = pod.metadata.name.removeprefix(f"{stateful.metadata.name}-")
    if text == pod.metadata.name or not text.isascii() or not text.isdecimal() or len(text) > 10:
        return None
    return int(text) if text == str(int(text)) else None


def revision_of(pod: Pod) -> str:
    return pod.metadata.labels.get(history.REVISION_HASH, "")


def claim_name(template: PersistentVolumeClaim, pod: str) -> str:
    return f"{template.metadata.name}-{pod}"


def make_pod(stateful: StatefulSet, template: PodTemplateSpec, revision: str, ordinal: int) -> Pod:
    name = pod_name(stateful, ordinal)
    metadata = ObjectMeta(
        name=name,
        generate_name=f"{stateful.metadata.name}-",
        namespace=stateful.metadata.namespace,
        labels={**template.metadata.labels, **_labels(name, ordinal), history.REVISION_HASH: revision},
        annotations=template.metadata.annotations,
        finalizers=template.metadata.finalizers,
        owner_references=(ownership.controller_reference(stateful),),
    )
    claimed = {each.metadata.name: claim_name(each, name) for each in stateful.spec.volume_claim_templates}
    volumes = tuple(
        Volume(name=volume, persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=claim))
        for volume, claim in claimed.items()
    )
    spec = _replace(
        template.spec,
        hostname=name,
        subdomain=stateful.spec.service_name,
        volumes=(*volumes, *(each for each in template.spec.volumes if each.name not in claimed)),
    )
    return Pod(metadata=metadata, spec=spec)


def make_claims(stateful: StatefulSet, pod: str) -> tuple[PersistentVolumeClaim, ...]:
    selector = stateful.spec.selector
    labels = selector.match_labels if selector is not None else {}
    return tuple(
        PersistentVolumeClaim(
            metadata=ObjectMeta(
                name=claim_name(template, pod),
                namespace=stateful.metadata.namespace,
                labels={**template.metadata.labels, **labels},
                annotations=template.metadata.annotations,
            ),
            spec=template.spec,
        )
        for template in stateful.spec.volume_claim_templates
    )


def identified(pod: Pod, ordinal: int) -> Pod:
    """With the labels of its identity; itself where it has them."""
    labels = {**pod.metadata.labels, **_labels(pod.metadata.name, ordinal)}
    if labels == pod.metadata.labels:
        return pod
    return _replace(pod, metadata=_replace(pod.metadata, labels=labels))


def _labels(name: str, ordinal: int) -> dict[str, str]:
    return {POD_NAME: name, POD_INDEX: str(ordinal)}
