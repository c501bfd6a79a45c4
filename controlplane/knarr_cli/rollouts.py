"""How far rollouts are, in kubectl's sentences, and what there is to go back to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from knarr_api.errors import Invalid
from knarr_api.kinds import Kind
from knarr_cli.cells import at

Document = Mapping[str, Any]
REVISION, CAUSE = "deployment.kubernetes.io/revision", "kubernetes.io/change-cause"
HASH = "pod-template-hash"
KINDS = ("Deployment", "DaemonSet", "StatefulSet")


def check(kind: Kind) -> None:
    """Raises Invalid for kinds that have no rollouts."""
    if kind.kind not in KINDS:
        raise Invalid(f"{kind.qualified} have no rollouts: only deployments, daemonsets and statefulsets have")


def check_revision(item: Document, wanted: int) -> None:
    """Raises Invalid where another revision rolls out. 0: whichever it is."""
    text = at(item, "metadata.annotations", {}).get(REVISION) or ""
    if wanted and text and int(text) != wanted:
        raise Invalid(f"desired revision ({wanted}) is different from the running revision ({text})")


def state(kind: Kind, item: Document) -> tuple[bool, str]:
    """(is it done, the sentence). Raises Invalid when it has failed or cannot be followed."""
    match kind.kind:
        case "DaemonSet":
            return _daemon_set(item)
        case "StatefulSet":
            return _stateful_set(item)
        case _:
            return _deployment(item)


def _is_unseen(item: Document) -> bool:
    return bool(at(item, "metadata.generation", 0) > at(item, "status.observedGeneration", 0))


def _check_rolling(item: Document) -> None:
    if at(item, "spec.updateStrategy.type", "RollingUpdate") != "RollingUpdate":
        raise Invalid("rollout status is only available for RollingUpdate strategy type")


def _deployment(item: Document) -> tuple[bool, str]:
    name = at(item, "metadata.name")
    if _is_unseen(item):
        return False, "Waiting for deployment spec update to be observed..."
    conditions = {c["type"]: c for c in at(item, "status.conditions", [])}
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        raise Invalid(f'deployment "{name}" exceeded its progress deadline')
    wanted = at(item, "spec.replicas", 1)
    updated = at(item, "status.updatedReplicas", 0)
    total = at(item, "status.replicas", 0)
    available = at(item, "status.availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if updated < wanted:
        return False, f"{waiting}{updated} out of {wanted} new replicas have been updated..."
    if total > updated:
        return False, f"{waiting}{total - updated} old replicas are pending termination..."
    if available < updated:
        return False, f"{waiting}{available} of {updated} updated replicas are available..."
    return True, f'deployment "{name}" successfully rolled out'


def _daemon_set(item: Document) -> tuple[bool, str]:
    _check_rolling(item)
    name = at(item, "metadata.name")
    if _is_unseen(item):
        return False, "Waiting for daemon set spec update to be observed..."
    wanted = at(item, "status.desiredNumberScheduled", 0)
    updated = at(item, "status.updatedNumberScheduled", 0)
    available = at(item, "status.numberAvailable", 0)
    waiting = f'Waiting for daemon set "{name}" rollout to finish: '
    if updated < wanted:
        return False, f"{waiting}{updated} out of {wanted} new pods have been updated..."
    if available < wanted:
        return False, f"{waiting}{available} of {wanted} updated pods are available..."
    return True, f'daemon set "{name}" successfully rolled out'


def _stateful_set(item: Document) -> tuple[bool, str]:
    _check_rolling(item)
    if _is_unseen(item):
        return False, "Waiting for statefulset spec update to be observed..."
    wanted = at(item, "spec.replicas", 1)
    ready = at(item, "status.readyReplicas", 0)
    updated = at(item, "status.updatedReplicas", 0)
    if ready < wanted:
        return False, f"Waiting for {wanted - ready} pods to be ready..."
    partition = at(item, "spec.updateStrategy.rollingUpdate.partition", 0)
    if partition:
        needed = wanted - partition
        if updated < needed:
            text = (
                f"Waiting for partitioned roll out to finish: {updated} out of {needed} new pods have been updated..."
            )
            return False, text
        return True, f"partitioned roll out complete: {updated} new pods have been updated..."
    revision = at(item, "status.updateRevision", "")
    if revision != at(item, "status.currentRevision", ""):
        return False, f"waiting for statefulset rolling update to complete {updated} pods at revision {revision}..."
    current = at(item, "status.currentReplicas", 0)
    return True, f"statefulset rolling update complete {current} pods at revision {revision}..."


def revisions(kind: Kind, uid: str, items: Iterable[Document]) -> dict[int, Document]:
    """A deployment's ReplicaSets, or the ControllerRevisions of another, by number."""
    found: dict[int, Document] = {}
    for item in items:
        if not any(owner.get("uid") == uid for owner in at(item, "metadata.ownerReferences", [])):
            continue
        if kind.kind == "Deployment":
            text = at(item, "metadata.annotations", {}).get(REVISION, "")
        else:
            text = str(item.get("revision", ""))
        if text.isdecimal():
            found[int(text)] = item
    return found


def cause(revision: Document) -> str:
    return str(at(revision, "metadata.annotations", {}).get(CAUSE, ""))


def template(revision: Document) -> dict[str, Any]:
    """The template of a ReplicaSet or a ControllerRevision."""
    if revision.get("kind") == "ControllerRevision":
        kept = at(revision, "data.spec.template", {})
        return {key: value for key, value in kept.items() if key != "$patch"}
    return without_hash(at(revision, "spec.template", {}))


def without_hash(given: Document) -> dict[str, Any]:
    metadata = dict(given.get("metadata") or {})
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH}
    if labels or "labels" in metadata:
        metadata["labels"] = labels
    return {**given, "metadata": metadata}
