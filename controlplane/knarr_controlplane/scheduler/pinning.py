"""Pods that name the nodes they may go to: by node affinity's matchFields, as DaemonSets' pods do. Pure.

Source: Kubernetes "Assigning Pods to Nodes", node affinity; NodeSelectorTerm of core/v1.
"""

from __future__ import annotations

from knarr_api.types.core_v1 import NodeSelectorTerm, PodSpec

PLUGIN = "NodeAffinity"
CONFLICT = "pod affinity terms conflict"


def names(spec: PodSpec) -> frozenset[str] | None:
    """None where it may go to nodes of any name; empty where its demands contradict each other."""
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity is not None else None
    if required is None or not required.node_selector_terms:
        return None
    found: frozenset[str] = frozenset()
    for term in required.node_selector_terms:
        of_term = _of_term(term)
        if of_term is None:
            return None
        found |= of_term
    return found


def _of_term(term: NodeSelectorTerm) -> frozenset[str] | None:
    found: frozenset[str] | None = None
    for requirement in term.match_fields:
        if requirement.key == "metadata.name" and requirement.operator == "In":
            named = frozenset(requirement.values)
            found = named if found is None else found & named
    return found
