"""From workloads to the pods that their controllers would make. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import kinds
from knarr_api.types.core_v1 import (
    Affinity,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodTemplateSpec,
    Toleration,
)
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference

replace = msgspec.structs.replace

SCALED = ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController")
DAEMON_TOLERATIONS = tuple(
    Toleration(key=f"node.kubernetes.io/{name}", operator="Exists", effect=effect)
    for name, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
)


@dataclass(frozen=True, slots=True)
class Workload:
    """An object that has pods. name: ``deployment/web``, with its namespace unless that is ``default``.

    follows_nodes: one pod a node; they end with their node. replaced: a pod whose node is lost is made anew.
    """

    name: str
    pods: tuple[Pod, ...]
    follows_nodes: bool = False
    replaced: bool = True


def workload(obj: Any, nodes: tuple[Node, ...], replicas: int | None = None) -> Workload | None:
    """None for what has no pods. replicas: instead of its own number."""
    kind, metadata = kinds.of(obj).kind, obj.metadata
    name = f"{kind.lower()}/{metadata.name}"
    if metadata.namespace not in ("", "default"):
        name = f"{metadata.namespace}/{name}"
    if isinstance(obj, Pod):
        pod = replace(obj, metadata=_placed(metadata, metadata.name))
        return Workload(name, (pod,), replaced=False)
    if kind == "DaemonSet":
        return Workload(name, tuple(_daemons(obj, nodes)), follows_nodes=True)
    if kind in SCALED:
        own = obj.spec.replicas
        count = replicas if replicas is not None else 1 if own is None else own
    elif kind == "Job":
        together = obj.spec.parallelism if obj.spec.parallelism is not None else 1
        needed = obj.spec.completions if obj.spec.completions is not None else together
        count = replicas if replicas is not None else min(together, needed)
    else:
        return None
    return Workload(name, tuple(_pod(obj, obj.spec.template, number) for number in range(count)))


def _daemons(obj: Any, nodes: tuple[Node, ...]) -> Iterator[Pod]:
    for number, node in enumerate(nodes):
        pod = _pod(obj, obj.spec.template, number)
        affinity = pod.spec.affinity or Affinity()
        own = affinity.node_affinity or NodeAffinity()
        required = own.required_during_scheduling_ignored_during_execution
        terms = required.node_selector_terms if required is not None else (NodeSelectorTerm(),)
        here = NodeSelectorRequirement(key="metadata.name", operator="In", values=(node.metadata.name,))
        pinned = NodeSelector(
            node_selector_terms=tuple(replace(term, match_fields=(*term.match_fields, here)) for term in terms)
        )
        own = replace(own, required_during_scheduling_ignored_during_execution=pinned)
        spec = replace(
            pod.spec,
            affinity=replace(affinity, node_affinity=own),
            tolerations=(*pod.spec.tolerations, *DAEMON_TOLERATIONS),
        )
        yield replace(pod, spec=spec)


def _pod(owner: Any, template: PodTemplateSpec | None, number: int) -> Pod:
    template = template or PodTemplateSpec()
    metadata = owner.metadata
    reference = OwnerReference(
        api_version=kinds.of(owner).api_version,
        kind=kinds.of(owner).kind,
        name=metadata.name,
        uid=f"{kinds.of(owner).kind}/{metadata.namespace}/{metadata.name}",
        controller=True,
    )
    named = _placed(metadata, f"{metadata.name}-{number}")
    return Pod(
        metadata=replace(named, labels=template.metadata.labels, owner_references=(reference,)), spec=template.spec
    )


def _placed(metadata: ObjectMeta, name: str) -> ObjectMeta:
    namespace = metadata.namespace or "default"
    return ObjectMeta(name=name, namespace=namespace, uid=f"{namespace}/{name}", labels=metadata.labels)
