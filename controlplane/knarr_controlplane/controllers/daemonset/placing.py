"""Which nodes a DaemonSet's pods belong on, and what pins a pod to its node. Pure.

Source: Kubernetes documentation, "DaemonSet", "How Daemon Pods are scheduled" and "Taints and tolerations".
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from knarr_api.types.apps_v1 import DaemonSet
from knarr_api.types.core_v1 import (
    Affinity,
    Node,
    NodeAffinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    Toleration,
)
from knarr_controlplane.scheduler.plugins.node_affinity import matches_term
from knarr_controlplane.scheduler.tolerations import KEEPS_OUT, tolerated

NAME_FIELD = "metadata.name"
_replace = msgspec.structs.replace


def _exists(name: str, effect: str) -> Toleration:
    return Toleration(key=f"node.kubernetes.io/{name}", operator="Exists", effect=effect)


TOLERATIONS = (
    _exists("not-ready", "NoExecute"),
    _exists("unreachable", "NoExecute"),
    _exists("disk-pressure", "NoSchedule"),
    _exists("memory-pressure", "NoSchedule"),
    _exists("pid-pressure", "NoSchedule"),
    _exists("unschedulable", "NoSchedule"),
)
ON_HOST_NETWORK = (_exists("network-unavailable", "NoSchedule"),)


@dataclass(frozen=True, slots=True)
class Fit:
    """run: a pod belongs there. stay: one that is there may go on."""

    run: bool
    stay: bool


def fit(daemonset: DaemonSet, node: Node) -> Fit:
    spec = daemonset.spec.template.spec
    if not _selected(spec, node):
        return Fit(False, False)
    if not node.spec.taints:
        return Fit(True, True)
    tolerations = with_tolerations(spec).tolerations
    out = [each.effect for each in node.spec.taints if each.effect in KEEPS_OUT and not tolerated(each, tolerations)]
    return Fit(not out, "NoExecute" not in out)


def _selected(spec: PodSpec, node: Node) -> bool:
    name, labels = node.metadata.name, node.metadata.labels
    if spec.node_name not in ("", name) or any(labels.get(key) != value for key, value in spec.node_selector.items()):
        return False
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity is not None else None
    return required is None or any(matches_term(term, name, labels) for term in required.node_selector_terms)


def with_tolerations(spec: PodSpec) -> PodSpec:
    """Nodes' own troubles don't keep daemons away."""
    more = TOLERATIONS + (ON_HOST_NETWORK if spec.host_network else ())
    return _replace(spec, tolerations=(*spec.tolerations, *(each for each in more if each not in spec.tolerations)))


def pinned(spec: PodSpec, node: str) -> PodSpec:
    """To be scheduled there and nowhere else."""
    requirement = NodeSelectorRequirement(key=NAME_FIELD, operator="In", values=(node,))
    required = NodeSelector(node_selector_terms=(NodeSelectorTerm(match_fields=(requirement,)),))
    affinity = spec.affinity or Affinity()
    inner = _replace(
        affinity.node_affinity or NodeAffinity(), required_during_scheduling_ignored_during_execution=required
    )
    return _replace(spec, affinity=_replace(affinity, node_affinity=inner))


def node_of(pod: Pod) -> str:
    """The node it is on, or is pinned to; empty where it is neither."""
    if pod.spec.node_name:
        return pod.spec.node_name
    affinity = pod.spec.affinity.node_affinity if pod.spec.affinity is not None else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity is not None else None
    for term in required.node_selector_terms if required is not None else ():
        for requirement in term.match_fields:
            if requirement.key == NAME_FIELD and len(requirement.values) == 1:
                return requirement.values[0]
    return ""
