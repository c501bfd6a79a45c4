"""Spreads pods over domains (nodes, zones): a filter for DoNotSchedule, a score for ScheduleAnyway.

A pod without constraints of its own whose controller has other pods is spread over nodes by score, as Kubernetes'
default constraints do. Source: Kubernetes "Pod Topology Spread Constraints".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from knarr_api.labels import Selector
from knarr_api.types.core_v1 import Pod, TopologySpreadConstraint
from knarr_api.types.meta_v1 import LabelSelector
from knarr_controlplane.scheduler.columns import (
    Columns,
    CountKey,
    IntColumn,
    Mask,
    PodRecord,
    Scores,
    of_namespace,
    of_owner,
)
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Refusal
from knarr_controlplane.scheduler.plugins.node_affinity import eligible
from knarr_controlplane.scheduler.tolerations import first_untolerated

ORDER = 40


class PodTopologySpread:
    name = "PodTopologySpread"
    weight = 2.0
    wakes_on = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABELS | ClusterEvent.POD_REMOVED | ClusterEvent.POD_ADDED

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        for constraint in pod.pod.spec.topology_spread_constraints:
            if constraint.when_unsatisfiable == "ScheduleAnyway":
                continue
            domains, number_of_domains = columns.domains(constraint.topology_key)
            yield Refusal(
                "didn't have the label of the pod's topology spread constraints", domains < 0, resolvable=False
            )
            considered = _considered(pod.pod, constraint, columns) & (domains >= 0)
            if not considered.any():
                continue
            selector = _selector(pod.pod, constraint)
            per_domain = _per_domain(_counts(pod.pod, selector, columns), domains, number_of_domains, considered)
            in_play = np.unique(domains[considered])
            least = int(per_domain[in_play].min())
            if constraint.min_domains is not None and len(in_play) < constraint.min_domains:
                least = 0
            own = int(selector.matches(pod.pod.metadata.labels))
            skew = per_domain[domains] + own - least
            yield Refusal(
                "didn't match the pod's topology spread constraints",
                (domains >= 0) & (skew > (constraint.max_skew or 1)),
            )

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        soft = [c for c in pod.pod.spec.topology_spread_constraints if c.when_unsatisfiable == "ScheduleAnyway"]
        if not pod.pod.spec.topology_spread_constraints:
            return self._default_score(pod, columns, feasible)
        total = np.zeros(columns.capacity)
        for constraint in soft:
            domains, number_of_domains = columns.domains(constraint.topology_key)
            known = domains >= 0
            if number_of_domains < 2:
                continue
            counts = _counts(pod.pod, _selector(pod.pod, constraint), columns)
            considered = _considered(pod.pod, constraint, columns) & known
            crowd = _per_domain(counts, domains, number_of_domains, considered)[domains].astype(float)
            crowd[~known] = crowd.max(initial=0.0) + 1
            total += crowd
        return _fewer_is_better(total, feasible) if soft else None

    def _default_score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        owner = next((o.uid for o in pod.pod.metadata.owner_references if o.controller), "")
        if not owner:
            return None
        key = CountKey(of_owner(owner), "all")
        return _fewer_is_better(columns.counts(key, lambda record: True).astype(float), feasible)


def _selector(pod: Pod, constraint: TopologySpreadConstraint) -> Selector:
    """The constraint's selector with its matchLabelKeys filled in from the pod."""
    selector = constraint.label_selector or LabelSelector()
    extra = {key: pod.metadata.labels[key] for key in constraint.match_label_keys if key in pod.metadata.labels}
    if extra:
        selector = LabelSelector(
            match_labels={**selector.match_labels, **extra}, match_expressions=selector.match_expressions
        )
    return Selector.from_label_selector(selector)


def _counts(pod: Pod, selector: Selector, columns: Columns) -> IntColumn:
    return columns.counts(CountKey(of_namespace(pod.metadata.namespace), f"labels {selector}"), _matcher(selector))


def _matcher(selector: Selector) -> Callable[[PodRecord], bool]:
    return lambda record: selector.matches(record.labels)


def _considered(pod: Pod, constraint: TopologySpreadConstraint, columns: Columns) -> Mask:
    """Nodes whose domains count: those the pod's affinity admits and, where asked for, whose taints it tolerates."""
    mask = columns.present
    if constraint.node_affinity_policy != "Ignore":
        admitted = eligible(pod.spec, columns)
        mask = mask if admitted is None else mask & admitted
    if constraint.node_taints_policy == "Honor":
        tolerated = [first_untolerated(taints, pod.spec.tolerations) is None for taints in columns.taint_sets]
        mask = mask & np.array(tolerated, dtype=np.bool_)[columns.taint_set]
    return mask


def _per_domain(counts: IntColumn, domains: IntColumn, number_of_domains: int, considered: Mask) -> IntColumn:
    """Sum of the counts of each domain's considered nodes; the last entry, for rows without a domain, is 0."""
    sums = np.zeros(number_of_domains + 1, dtype=np.int64)
    np.add.at(sums, domains[considered], counts[considered])
    sums[-1] = 0
    return sums


def _fewer_is_better(crowd: Scores, feasible: Mask) -> Scores | None:
    least, most = crowd[feasible].min(), crowd[feasible].max()
    if most <= least:
        return None
    scores: Scores = np.clip(MAX_SCORE * (most - crowd) / (most - least), 0.0, MAX_SCORE)
    return scores


PLUGIN = PodTopologySpread()
