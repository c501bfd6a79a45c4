"""Which ReplicaSet is which: the template's hash, revision numbers, annotations, history. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from knarr_api import json as api_json
from knarr_api.types.apps_v1 import Deployment, ReplicaSet, ReplicaSetSpec
from knarr_api.types.core_v1 import PodTemplateSpec
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.deployment import limits

TEMPLATE_HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CHANGE_CAUSE = "kubernetes.io/change-cause"

NOT_COPIED = frozenset(
    {
        LAST_APPLIED,
        REVISION,
        REVISION_HISTORY,
        DESIRED_REPLICAS,
        MAX_REPLICAS,
        "deprecated.deployment.rollback.to",
    }
)
HISTORY_LIMIT_DEFAULT = 10
HISTORY_TEXT_MAX = 2000
NAME_MAX = 63
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_HASH_LENGTH = 10
_replace = msgspec.structs.replace


def template_hash(template: PodTemplateSpec, collisions: int) -> str:
    """Ten characters that stand for the template; ``collisions`` makes others of the same one."""
    text = msgspec.json.encode(api_json.to_builtins(_unlabelled(template)), order="sorted")
    number = int.from_bytes(hashlib.sha256(text + b"/%d" % collisions).digest(), "big")
    characters = []
    for _ in range(_HASH_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return "".join(characters)


def same_template(first: PodTemplateSpec, second: PodTemplateSpec) -> bool:
    """Equal but for the hash label."""
    return _unlabelled(first) == _unlabelled(second)


def oldest_first(replicasets: Iterable[ReplicaSet]) -> tuple[ReplicaSet, ...]:
    return tuple(sorted(replicasets, key=_age))


def split(
    deployment: Deployment, replicasets: Sequence[ReplicaSet]
) -> tuple[ReplicaSet | None, tuple[ReplicaSet, ...]]:
    """The ReplicaSet of the present template (the oldest, should there be two), and all others, oldest first."""
    ordered = oldest_first(replicasets)
    template = deployment.spec.template
    new = next((each for each in ordered if same_template(each.spec.template, template)), None)
    return new, tuple(each for each in ordered if each is not new)


def revision(obj: Deployment | ReplicaSet) -> int:
    """0 where it has none."""
    text = obj.metadata.annotations.get(REVISION, "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def next_revision(old: Sequence[ReplicaSet]) -> int:
    return max((revision(each) for each in old), default=0) + 1


def new_replicaset(deployment: Deployment, old: Sequence[ReplicaSet], replicas: int) -> ReplicaSet:
    """The ReplicaSet that the present template asks for; its name follows from the template."""
    template = deployment.spec.template
    digest = template_hash(template, deployment.status.collision_count or 0)
    labels = {**template.metadata.labels, TEMPLATE_HASH: digest}
    selector = deployment.spec.selector or LabelSelector()
    annotations = {
        **_copied(deployment.metadata.annotations),
        REVISION: str(next_revision(old)),
        **replica_annotations(deployment),
    }
    metadata = ObjectMeta(
        name=f"{deployment.metadata.name[: NAME_MAX - _HASH_LENGTH - 1]}-{digest}",
        namespace=deployment.metadata.namespace,
        labels=labels,
        annotations=annotations,
        owner_references=(ownership.controller_reference(deployment),),
    )
    spec = ReplicaSetSpec(
        replicas=replicas,
        min_ready_seconds=deployment.spec.min_ready_seconds,
        selector=_replace(selector, match_labels={**selector.match_labels, TEMPLATE_HASH: digest}),
        template=_replace(template, metadata=_replace(template.metadata, labels=labels)),
    )
    return ReplicaSet(metadata=metadata, spec=spec)


def brought_up_to_date(deployment: Deployment, new: ReplicaSet, old: Sequence[ReplicaSet]) -> ReplicaSet:
    """The new ReplicaSet with the annotations and minReadySeconds that the Deployment asks for; itself if it has them.

    A ReplicaSet that becomes the new one again (a rollback) gets the next revision and remembers those it had.
    """
    present = new.metadata.annotations
    annotations = {**present, **_copied(deployment.metadata.annotations)}
    wanted = next_revision(old)
    if revision(new) < wanted:
        if REVISION in present:
            history = [entry for entry in present.get(REVISION_HISTORY, "").split(",") if entry]
            text = ",".join([*history, present[REVISION]])
            while len(text) > HISTORY_TEXT_MAX:
                text = text.partition(",")[2]
            annotations[REVISION_HISTORY] = text
        annotations[REVISION] = str(wanted)
    min_ready_s = deployment.spec.min_ready_seconds
    if annotations == present and (new.spec.min_ready_seconds or 0) == (min_ready_s or 0):
        return new
    return _replace(
        new,
        metadata=_replace(new.metadata, annotations=annotations),
        spec=_replace(new.spec, min_ready_seconds=min_ready_s),
    )


def replica_annotations(deployment: Deployment) -> dict[str, str]:
    """What a ReplicaSet remembers of the Deployment's size, so that a change of it can be told from a rollout."""
    desired = limits.desired(deployment)
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(desired + limits.max_surge(deployment))}


def to_forget(deployment: Deployment, old: Sequence[ReplicaSet]) -> tuple[ReplicaSet, ...]:
    """Old ReplicaSets beyond the history limit, lowest revisions first; only such as are empty and have settled."""
    limit = deployment.spec.revision_history_limit
    limit = HISTORY_LIMIT_DEFAULT if limit is None else limit
    kept = [each for each in old if each.metadata.deletion_timestamp is None]
    excess = len(kept) - limit
    if excess <= 0:
        return ()
    candidates = sorted(kept, key=lambda each: (revision(each), _age(each)))[:excess]
    return tuple(each for each in candidates if _is_settled_empty(each))


def _is_settled_empty(replicaset: ReplicaSet) -> bool:
    return (
        not replicaset.status.replicas
        and replicaset.spec.replicas == 0
        and (replicaset.metadata.generation or 0) <= (replicaset.status.observed_generation or 0)
    )


def _age(replicaset: ReplicaSet) -> tuple[float, str]:
    created = replicaset.metadata.creation_timestamp
    return (created.timestamp() if created is not None else 0.0, replicaset.metadata.name)


def _copied(annotations: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in annotations.items() if name not in NOT_COPIED}


def _unlabelled(template: PodTemplateSpec) -> PodTemplateSpec:
    labels = template.metadata.labels
    if TEMPLATE_HASH not in labels:
        return template
    rest = {name: value for name, value in labels.items() if name != TEMPLATE_HASH}
    return _replace(template, metadata=_replace(template.metadata, labels=rest))
