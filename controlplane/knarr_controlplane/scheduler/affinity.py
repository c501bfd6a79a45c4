"""Terms of pod affinity and anti-affinity as values that can be counted and matched. Pure.

Source: Kubernetes "Assigning Pods to Nodes", inter-pod affinity; PodAffinityTerm of core/v1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from knarr_api.labels import Requirement, Selector
from knarr_api.types.core_v1 import Pod, PodAffinityTerm

NamespaceLabels = Mapping[str, Mapping[str, str]]
"""By the namespace's name."""


@dataclass(frozen=True, slots=True)
class Term:
    """Pods of these namespaces (or of those the selector matches) with these labels, and in what they are near."""

    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: Selector | None
    selector: Selector

    def matches(self, namespace: str, labels: Mapping[str, str], known: NamespaceLabels) -> bool:
        if namespace not in self.namespaces:
            chosen = self.namespace_selector
            if chosen is None or not chosen.matches(known.get(namespace, {})):
                return False
        return self.selector.matches(labels)


@dataclass(frozen=True, slots=True)
class Weighted:
    """weight: negative for what is to be kept away from."""

    term: Term
    weight: int


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a pod says about its neighbours."""

    near: tuple[Term, ...] = ()
    apart: tuple[Term, ...] = ()
    soft: tuple[Weighted, ...] = ()


NO_WISHES = Wishes()


def wishes(pod: Pod) -> Wishes:
    """Of its spec. Raises Invalid for selectors that validation does not let pass."""
    affinity = pod.spec.affinity
    if affinity is None or (affinity.pod_affinity is None and affinity.pod_anti_affinity is None):
        return NO_WISHES
    near: tuple[Term, ...] = ()
    apart: tuple[Term, ...] = ()
    soft: list[Weighted] = []
    for part, sign in ((affinity.pod_affinity, 1), (affinity.pod_anti_affinity, -1)):
        if part is None:
            continue
        required = tuple(term(pod, one) for one in part.required_during_scheduling_ignored_during_execution)
        near, apart = (required, apart) if sign > 0 else (near, required)
        for preferred in part.preferred_during_scheduling_ignored_during_execution:
            if preferred.pod_affinity_term is not None:
                soft.append(Weighted(term(pod, preferred.pod_affinity_term), sign * (preferred.weight or 0)))
    return Wishes(near, apart, tuple(soft))


def term(pod: Pod, given: PodAffinityTerm) -> Term:
    """Its namespaces and label keys filled in from the pod."""
    selector = Selector.from_label_selector(given.label_selector)
    more = []
    for operator, keys in (("In", given.match_label_keys), ("NotIn", given.mismatch_label_keys)):
        more += [Requirement(key, operator, (pod.metadata.labels[key],)) for key in keys if key in pod.metadata.labels]
    if more and not selector.nothing:
        selector = Selector((*selector.requirements, *more))
    own = not given.namespaces and given.namespace_selector is None
    return Term(
        topology_key=given.topology_key,
        namespaces=frozenset((pod.metadata.namespace,)) if own else frozenset(given.namespaces),
        namespace_selector=(
            None if given.namespace_selector is None else Selector.from_label_selector(given.namespace_selector)
        ),
        selector=selector,
    )
