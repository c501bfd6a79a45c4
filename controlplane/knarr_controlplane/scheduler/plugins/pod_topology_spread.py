"""Spreads pods over domains (nodes, zones): a filter for DoNotSchedule, a score for ScheduleAnyway.

A pod without constraints of its own whose ReplicaSet, StatefulSet or ReplicationController has other pods is spread by
score over nodes and zones, as Kubernetes' default constraints do. Source: Kubernetes "Pod Topology Spread Constraints".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knarr_api.labels import Requirement, Selector
from knarr_api.types.core_v1 import Pod, TopologySpreadConstraint
from knarr_api.types.meta_v1 import OwnerReference
from knarr_controlplane.scheduler.columns import Columns, IntColumn, Mask, Rows, Scores
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Reach, Refusal, Scorer
from knarr_controlplane.scheduler.plugins.node_affinity import eligible
from knarr_controlplane.scheduler.records import CountKey, PodRecord, of_namespace, of_owner
from knarr_controlplane.scheduler.tolerations import first_untolerated

ORDER = 40
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
SPREAD_OWNERS = ("ReplicaSet", "StatefulSet", "ReplicationController")
ANYWAY = "ScheduleAnyway"
NOT_MATCHED = "node(s) didn't match pod topology spread constraints"


@dataclass(frozen=True, slots=True)
class Wish:
    """A constraint to be met as well as possible: pods per row, and which rows they are counted on."""

    topology_key: str
    max_skew: int
    pods: Callable[[], IntColumn]
    counted: Mask


@dataclass(frozen=True, slots=True)
class Demand:
    """A constraint with the pods it counts, per row, and whether the pod itself would be one of them."""

    constraint: TopologySpreadConstraint
    pods: Callable[[], IntColumn]
    own: int


class PodTopologySpread:
    """defaults: the constraints of pods that have none, on those of the same owner; None: Kubernetes' own ones."""

    def __init__(self, defaults: tuple[TopologySpreadConstraint, ...] | None = None) -> None:
        self._defaults = defaults

    name = "PodTopologySpread"
    weight = 2.0
    by_node = False
    wakes_on = (
        ClusterEvent.NODE_ADDED
        | ClusterEvent.NODE_REMOVED
        | ClusterEvent.NODE_LABELS
        | ClusterEvent.NODE_TAINTS
        | ClusterEvent.POD_REMOVED
        | ClusterEvent.POD_ADDED
    )

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.ALL

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        hard = [each for each in self._demands(pod.pod, columns) if each.constraint.when_unsatisfiable != ANYWAY]
        located = _located([each.constraint.topology_key for each in hard], columns)
        rest = columns.present
        for demand in hard:
            constraint = demand.constraint
            domains, number_of_domains = columns.domains(constraint.topology_key)
            yield Refusal(f"{NOT_MATCHED} (missing required label)", rest & (domains < 0), resolvable=False)
            considered = _considered(pod.pod, constraint, columns) & located
            per_domain = _per_domain(demand.pods(), domains, number_of_domains, considered)
            in_play = np.unique(domains[considered])
            enough = len(in_play) >= (constraint.min_domains or 1)
            least = int(per_domain[in_play].min()) if enough else 0
            crowded = rest & (domains >= 0) & (per_domain[domains] + demand.own - least > (constraint.max_skew or 1))
            yield Refusal(NOT_MATCHED, crowded)
            rest = rest & (domains >= 0) & ~crowded

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        if self._defaults is None and not pod.pod.spec.topology_spread_constraints:
            wishes = _default_wishes(pod.pod, columns)
            return _scores(wishes, columns, feasible, feasible) if wishes and wishes[0].pods().any() else None
        soft = [each for each in self._demands(pod.pod, columns) if each.constraint.when_unsatisfiable == ANYWAY]
        located = _located([each.constraint.topology_key for each in soft], columns)
        wishes = [
            Wish(
                each.constraint.topology_key,
                each.constraint.max_skew or 1,
                each.pods,
                _considered(pod.pod, each.constraint, columns) & located,
            )
            for each in soft
        ]
        return _scores(wishes, columns, feasible, feasible & located)

    def _demands(self, pod: Pod, columns: Columns) -> list[Demand]:
        found = []
        for constraint in pod.spec.topology_spread_constraints:
            selector = _selector(pod, constraint)
            pods = functools.partial(_counts, pod, selector, columns)
            found.append(Demand(constraint, pods, int(selector.matches(pod.metadata.labels))))
        if found or not self._defaults or (owner := _owner(pod)) is None:
            return found
        siblings = functools.partial(columns.counts, CountKey(of_owner(owner.uid), "all"), lambda record: True)
        return [Demand(constraint, siblings, 1) for constraint in self._defaults]

    def prepare(self, pod: PodToPlace, columns: Columns, rows: Rows) -> Scorer | None:
        if self._defaults is not None or pod.pod.spec.topology_spread_constraints:
            return None
        wishes = _default_wishes(pod.pod, columns)
        return Apart(wishes[0], wishes[1], columns, rows).scores if wishes else lambda placed: None


class Apart:
    """What ``_scores`` gives for default wishes, kept up to date while siblings are placed one by one: to count them
    all again for each would take most of the time of a decision."""

    def __init__(self, by_node: Wish, by_zone: Wish, columns: Columns, rows: Rows) -> None:
        pods = by_node.pods()
        self._any = bool(pods.any())
        located = columns.domains(HOSTNAME)[0][rows] >= 0
        self._weight = np.where(located, math.log(len(rows) + 2), 0.0)
        """Per row of ``rows``, of each sibling there."""
        self._base = np.where(located, by_node.max_skew - 1, 0.0)
        self._pods = pods[rows]
        self._cost = self._pods * self._weight + self._base
        zones, number_of_zones = columns.domains(ZONE)
        counted = by_zone.counted & (zones >= 0)
        self._crowds = np.bincount(zones + 1, weights=pods * counted, minlength=number_of_zones + 1)
        """Siblings per zone; the first is no zone."""
        self._zones, self._counted = zones[rows] + 1, counted[rows]
        self._members: dict[int, Rows] = {}
        self._zone_weight = math.log(np.count_nonzero(np.bincount(self._zones)[1:]) + 2)
        self._zone_base = by_zone.max_skew - 1
        self._total: Scores = np.zeros(len(rows))
        for zone in np.unique(self._zones):
            self._count(int(zone))

    def scores(self, placed: int | None) -> Scores | None:
        if placed is not None:
            self._any = True
            self._pods[placed] += 1
            self._cost[placed] = self._pods[placed] * self._weight[placed] + self._base[placed]
            zone = int(self._zones[placed])
            self._crowds[zone] += self._counted[placed]
            self._count(zone)
        total = self._total
        least, most = float(total.min()), float(total.max())
        return (MAX_SCORE / most) * (most + least - total) if most > least and self._any else None

    def _count(self, zone: int) -> None:
        members = self._members.get(zone)
        if members is None:
            members = self._members[zone] = np.flatnonzero(self._zones == zone)
        cost = self._crowds[zone] * self._zone_weight + self._zone_base if zone else 0.0
        self._total[members] = np.rint(self._cost[members] + cost)


def _owner(pod: Pod) -> OwnerReference | None:
    return next((o for o in pod.metadata.owner_references if o.controller and o.kind in SPREAD_OWNERS), None)


def _default_wishes(pod: Pod, columns: Columns) -> list[Wish]:
    """Of those who make no demands: apart from those of the same owner, once there are any."""
    owner = _owner(pod)
    if owner is None:
        return []
    key = CountKey(of_owner(owner.uid), "all")
    admitted = eligible(pod.spec, columns)
    counted = columns.present if admitted is None else columns.present & admitted

    def pods() -> IntColumn:
        return columns.counts(key, lambda record: True)

    return [Wish(HOSTNAME, 3, pods, counted), Wish(ZONE, 5, pods, counted)]


def _scores(wishes: Sequence[Wish], columns: Columns, feasible: Mask, rated: Mask) -> Scores | None:
    """Fewer is better, the more domains a key has the more it weighs. rated: of the feasible nodes those that have all
    keys."""
    if not wishes or not rated.any():
        return None
    total = np.zeros(columns.capacity)
    for wish in wishes:
        total += _cost(wish, columns, rated)
    total = np.rint(total)
    compared = total[rated]
    least, most = float(compared.min()), float(compared.max())
    if most <= least and rated is feasible:
        return None
    found = np.full(columns.capacity, MAX_SCORE) if most == 0 else (MAX_SCORE / most) * (most + least - total)
    return found if rated is feasible else np.where(rated, found, 0.0)


def _cost(wish: Wish, columns: Columns, rated: Mask) -> NDArray[Any]:
    """Of another pod on each node, by one wish; 0 where its key is missing."""
    domains, number_of_domains = columns.domains(wish.topology_key)
    known = domains >= 0
    pods: NDArray[Any] = wish.pods()
    if wish.topology_key == HOSTNAME:
        weight = math.log(np.count_nonzero(rated) + 2)
    else:
        weight = math.log(np.count_nonzero(np.bincount(domains[rated & known], minlength=1)) + 2)
        numbers = domains + 1  # so that what has no domain (-1) is counted first
        crowd = np.bincount(numbers, weights=pods * (wish.counted & known), minlength=number_of_domains + 1)
        pods = crowd[numbers]
    return known * (pods * weight + (wish.max_skew - 1))


def _located(keys: Sequence[str], columns: Columns) -> Mask:
    """Nodes that have all of these labels."""
    mask = columns.present
    for key in keys:
        mask = mask & (columns.domains(key)[0] >= 0)
    return mask


def _selector(pod: Pod, constraint: TopologySpreadConstraint) -> Selector:
    """The constraint's selector with its matchLabelKeys filled in from the pod."""
    selector = Selector.from_label_selector(constraint.label_selector)
    labels = pod.metadata.labels
    extra = tuple(Requirement(key, "In", (labels[key],)) for key in constraint.match_label_keys if key in labels)
    return Selector((*selector.requirements, *extra)) if extra and not selector.nothing else selector


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
    # One place further on, so that what has no domain (-1) is counted first, and left out.
    sums = np.bincount(domains + 1, weights=counts * considered, minlength=number_of_domains + 1).astype(np.int64)
    return np.append(sums[1:], 0)


PLUGIN = PodTopologySpread()
