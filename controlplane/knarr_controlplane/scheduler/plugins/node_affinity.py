"""nodeSelector, required node affinity (a filter) and preferred node affinity (a score).

Source: Kubernetes "Assigning Pods to Nodes": terms are or-ed, the requirements of a term and-ed; an empty term
matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from knarr_api.types import core_v1
from knarr_api.types.core_v1 import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec
from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Reach, Refusal

ORDER = 20
WHOLE = re.compile(r"[+-]?[0-9]{1,19}")


class NodeAffinity:
    """added: what the scheduler demands besides, of every pod."""

    def __init__(self, added: core_v1.NodeAffinity | None = None) -> None:
        self._added = added

    name = "NodeAffinity"
    weight = 2.0
    by_node = True
    wakes_on = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABELS

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.NOTHING

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        mask = eligible(pod.pod.spec, columns)
        enforced = self._added.required_during_scheduling_ignored_during_execution if self._added is not None else None
        if enforced is not None:
            admitted = _admitted(enforced, columns)
            yield Refusal("node(s) didn't match scheduler-enforced node affinity", ~admitted, resolvable=False)
            mask = mask if mask is None else mask | ~admitted
        if mask is not None:
            yield Refusal("node(s) didn't match Pod's node affinity/selector", ~mask, resolvable=False)

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        affinity = pod.pod.spec.affinity
        own = affinity.node_affinity if affinity is not None else None
        wanted = [
            each
            for given in (self._added, own)
            if given is not None
            for each in given.preferred_during_scheduling_ignored_during_execution
        ]
        if not wanted:
            return None
        total = np.zeros(columns.capacity)
        for preferred in wanted:
            if preferred.preference is not None:
                total += (preferred.weight or 0) * _term_mask(preferred.preference, columns)
        most = total[feasible].max(initial=0.0)
        return total * (MAX_SCORE / most) if most > 0 else None


def eligible(spec: PodSpec, columns: Columns) -> Mask | None:
    """Rows that the pod's nodeSelector and required affinity admit; None where it has neither."""
    mask: Mask | None = None
    if spec.node_selector:
        wanted = spec.node_selector
        key = ("selector", *sorted(f"{name}={value}" for name, value in wanted.items()))
        mask = columns.label_mask(key, lambda _, labels: all(labels.get(k) == v for k, v in wanted.items()))
    affinity = spec.affinity.node_affinity if spec.affinity is not None else None
    required = affinity.required_during_scheduling_ignored_during_execution if affinity is not None else None
    if required is not None:
        admitted = _admitted(required, columns)
        mask = admitted if mask is None else mask & admitted
    return mask


def _admitted(required: NodeSelector, columns: Columns) -> Mask:
    admitted = np.zeros(columns.capacity, dtype=np.bool_)
    for term in required.node_selector_terms:
        admitted |= _term_mask(term, columns)
    return admitted


def _term_mask(term: NodeSelectorTerm, columns: Columns) -> Mask:
    return columns.label_mask(_term_key(term), lambda name, labels: matches_term(term, name, labels))


def _term_key(term: NodeSelectorTerm) -> tuple[str, ...]:
    parts = ["term"]
    for requirement in term.match_expressions:
        parts.append("\0".join((requirement.key, requirement.operator, *requirement.values)))
    parts.append("fields")
    for requirement in term.match_fields:
        parts.append("\0".join((requirement.key, requirement.operator, *requirement.values)))
    return tuple(parts)


def matches_term(term: NodeSelectorTerm, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a node of that name and labels satisfies all of the term."""
    if not term.match_expressions and not term.match_fields:
        return False
    return all(matches(requirement, labels) for requirement in term.match_expressions) and all(
        matches(requirement, {"metadata.name": name}) for requirement in term.match_fields
    )


def matches(requirement: NodeSelectorRequirement, labels: Mapping[str, str]) -> bool:
    """One requirement; operators In, NotIn, Exists, DoesNotExist, Gt, Lt."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            have, bound = _whole(value or ""), _whole(requirement.values[0] if requirement.values else "")
            if have is None or bound is None:
                return False
            return have > bound if requirement.operator == "Gt" else have < bound
        case _:
            return False


def _whole(text: str) -> int | None:
    """A whole number of 64 bits in plain digits."""
    number = int(text) if WHOLE.fullmatch(text) else None
    return number if number is not None and -(1 << 63) <= number < 1 << 63 else None


PLUGIN = NodeAffinity()
