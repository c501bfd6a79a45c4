"""Pods that must, or had better, be near others or apart from them, within a domain (node, zone).

What placed pods demand counts as well: a pod that wants nobody like this one in its zone keeps it out. Source:
Kubernetes "Assigning Pods to Nodes", inter-pod affinity and anti-affinity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from knarr_controlplane.scheduler.affinity import NO_WISHES, Term, wishes
from knarr_controlplane.scheduler.columns import Columns, IntColumn, Mask, Scores, per_domain
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Reach, Refusal
from knarr_controlplane.scheduler.records import EVERYWHERE, CountKey, of_namespace

ORDER = 45


class InterPodAffinity:
    """hard_weight: what a required affinity of a pod that is placed counts for, for those it wants near.
    ignores_preferred: pods that prefer no others themselves go anywhere, whatever those that are placed want near."""

    def __init__(self, hard_weight: int = 1, *, ignores_preferred: bool = False) -> None:
        self._hard_weight = hard_weight
        self._ignores_preferred = ignores_preferred

    name = "InterPodAffinity"
    weight = 2.0
    by_node = False
    wakes_on = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABELS | ClusterEvent.POD_REMOVED | ClusterEvent.POD_ADDED

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return (
            Reach.ALL
            if wishes(pod.pod) is not NO_WISHES or columns.apart or columns.near or columns.soft
            else Reach.NOTHING
        )

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        wanted = wishes(pod.pod)
        others = np.ones(columns.capacity, dtype=np.bool_)
        if wanted.near:
            others = _near(pod, wanted.near, columns)
            yield Refusal("node(s) didn't match pod affinity rules", ~others, resolvable=False)
        if wanted.apart:
            crowded = np.zeros(columns.capacity, dtype=np.bool_)
            for term in wanted.apart:
                domains, number = columns.domains(term.topology_key)
                crowded |= per_domain(_counts((term,), columns), domains, number) > 0
            yield Refusal("node(s) didn't match pod anti-affinity rules", crowded & others)
            others = others & ~crowded
        metadata = pod.pod.metadata
        unwelcome = np.zeros(columns.capacity, dtype=np.bool_)
        for term, column in columns.apart.items():
            if term.matches(metadata.namespace, metadata.labels, columns.namespaces):
                domains, number = columns.domains(term.topology_key)
                unwelcome |= per_domain(column, domains, number) > 0
        if unwelcome.any():
            yield Refusal("node(s) didn't satisfy existing pods anti-affinity rules", unwelcome & others)

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        metadata, own = pod.pod.metadata, wishes(pod.pod).soft
        if self._ignores_preferred and not own:
            return None
        total = np.zeros(columns.capacity, dtype=np.int64)
        for weighted in own:
            domains, number = columns.domains(weighted.term.topology_key)
            total += weighted.weight * per_domain(_counts((weighted.term,), columns), domains, number)
        for weight, terms in ((1, columns.soft), (self._hard_weight, columns.near)):
            for term, column in terms.items():
                if weight and term.matches(metadata.namespace, metadata.labels, columns.namespaces):
                    domains, number = columns.domains(term.topology_key)
                    total += weight * per_domain(column, domains, number)
        least, most = int(total[feasible].min()), int(total[feasible].max())
        if most <= least:
            return None
        scores: Scores = np.clip(MAX_SCORE * (total - least) / (most - least), 0.0, MAX_SCORE)
        return scores


def _near(pod: PodToPlace, terms: tuple[Term, ...], columns: Columns) -> Mask:
    """Rows whose domains have pods that match all terms; every row with such domains for the first of its kind."""
    counts = _counts(terms, columns)
    located = columns.present.copy()
    near = columns.present.copy()
    alone = True
    for term in terms:
        domains, number = columns.domains(term.topology_key)
        located &= domains >= 0
        near &= per_domain(counts, domains, number) > 0
        alone = alone and not counts[domains >= 0].any()
    if alone and _matches_all(terms, columns.namespaces)(pod.pod.metadata.namespace, pod.pod.metadata.labels):
        return located
    return near & located


def _counts(terms: tuple[Term, ...], columns: Columns) -> IntColumn:
    """Per row, the pods that all terms match."""
    scope = EVERYWHERE
    namespaces = {name for term in terms for name in term.namespaces}
    if len(namespaces) == 1 and all(term.namespace_selector is None for term in terms):
        scope = of_namespace(*namespaces)
    matches = _matches_all(terms, columns.namespaces)
    key = CountKey(scope, " and ".join(map(_text, terms)), terminating=True)
    return columns.counts(key, lambda record: matches(record.namespace, record.labels))


def _matches_all(
    terms: tuple[Term, ...], namespaces: Mapping[str, Mapping[str, str]]
) -> Callable[[str, Mapping[str, str]], bool]:
    return lambda namespace, labels: all(term.matches(namespace, labels, namespaces) for term in terms)


def _text(term: Term) -> str:
    return f"{sorted(term.namespaces)} {term.namespace_selector} {term.selector}"


PLUGIN = InterPodAffinity()
