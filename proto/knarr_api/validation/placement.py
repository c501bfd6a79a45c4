"""Where a pod may run: node selection, affinity, topology spread, tolerations."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knarr_api.errors import FieldError, Invalid
from knarr_api.labels import Selector
from knarr_api.types.core_v1 import (
    NodeAffinity,
    NodeSelectorTerm,
    PodAffinityTerm,
    PodSpec,
    Toleration,
    WeightedPodAffinityTerm,
)
from knarr_api.types.meta_v1 import LabelSelector
from knarr_api.validation import names
from knarr_api.validation.names import duplicate, forbidden, invalid, one_of, positive, required

NEEDED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
OPERATORS = ("Equal", "Exists", "Lt", "Gt")
WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def placement(spec: PodSpec, path: str) -> Iterator[FieldError]:
    """Everything wrong with where a pod wants to be."""
    yield from names.label_map(f"{path}.nodeSelector", spec.node_selector)
    for index, toleration in enumerate(spec.tolerations):
        yield from _toleration(toleration, f"{path}.tolerations[{index}]")
    affinity = spec.affinity
    if affinity is not None and affinity.node_affinity is not None:
        yield from _node_affinity(affinity.node_affinity, f"{path}.affinity.nodeAffinity")
    if affinity is not None and affinity.pod_affinity is not None:
        pods = affinity.pod_affinity
        at = f"{path}.affinity.podAffinity"
        yield from _pod_terms(pods.required_during_scheduling_ignored_during_execution, at)
        yield from _weighted_terms(pods.preferred_during_scheduling_ignored_during_execution, at)
    if affinity is not None and affinity.pod_anti_affinity is not None:
        others = affinity.pod_anti_affinity
        at = f"{path}.affinity.podAntiAffinity"
        yield from _pod_terms(others.required_during_scheduling_ignored_during_execution, at)
        yield from _weighted_terms(others.preferred_during_scheduling_ignored_during_execution, at)
    yield from _spread(spec, path)


def label_selector(selector: LabelSelector | None, path: str) -> Iterator[FieldError]:
    """Keys, operators and values of a selector. Source: Kubernetes API reference, "LabelSelector"."""
    if selector is None:
        return
    yield from names.label_map(f"{path}.matchLabels", selector.match_labels)
    for index, expression in enumerate(selector.match_expressions):
        at = f"{path}.matchExpressions[{index}]"
        yield from names.qualified_name(f"{at}.key", expression.key)
        match expression.operator:
            case "In" | "NotIn":
                if not expression.values:
                    yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
            case "Exists" | "DoesNotExist":
                if expression.values:
                    text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                    yield forbidden(f"{at}.values", text)
            case _:
                yield invalid(f"{at}.operator", expression.operator, "not a valid selector operator")
        for number, value in enumerate(expression.values):
            yield from names.label_value(f"{at}.values[{number}]", value)


def _toleration(toleration: Toleration, path: str) -> Iterator[FieldError]:
    if toleration.key:
        yield from names.qualified_name(f"{path}.key", toleration.key)
    yield from one_of(f"{path}.operator", toleration.operator, OPERATORS, may_be_empty=True)
    if not toleration.key and toleration.operator != "Exists":
        yield invalid(
            f"{path}.operator",
            toleration.operator,
            'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        )
    if toleration.operator == "Exists" and toleration.value:
        yield invalid(f"{path}.operator", toleration.operator, "value must be empty when `operator` is 'Exists'")
    elif toleration.operator in ("Lt", "Gt"):
        if not WHOLE.fullmatch(toleration.value) or not -(2**63) <= int(toleration.value) < 2**63:
            text = "must be an integer of 64 bits, without leading zeros, when `operator` is 'Lt' or 'Gt'"
            yield invalid(f"{path}.value", toleration.value, text)
    elif toleration.value:
        yield from names.label_value(f"{path}.operator", toleration.value)
    yield from one_of(f"{path}.effect", toleration.effect, TAINT_EFFECTS, may_be_empty=True)
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        yield invalid(f"{path}.effect", toleration.effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")


def _node_affinity(node: NodeAffinity, path: str) -> Iterator[FieldError]:
    needed = node.required_during_scheduling_ignored_during_execution
    if needed is not None:
        terms = f"{path}.{NEEDED}.nodeSelectorTerms"
        if not needed.node_selector_terms:
            yield required(terms, "must have at least one node selector term")
        for index, term in enumerate(needed.node_selector_terms):
            yield from _node_term(term, f"{terms}[{index}]")
    for index, preferred in enumerate(node.preferred_during_scheduling_ignored_during_execution):
        item = f"{path}.{PREFERRED}[{index}]"
        yield from _weight(f"{item}.weight", preferred.weight)
        if preferred.preference is None:
            yield required(f"{item}.preference")
        else:
            yield from _node_term(preferred.preference, f"{item}.preference")


def _node_term(term: NodeSelectorTerm, path: str) -> Iterator[FieldError]:
    for index, expression in enumerate(term.match_expressions):
        at = f"{path}.matchExpressions[{index}]"
        yield from names.qualified_name(f"{at}.key", expression.key)
        match expression.operator:
            case "In" | "NotIn":
                if not expression.values:
                    yield required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
            case "Exists" | "DoesNotExist":
                if expression.values:
                    text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                    yield forbidden(f"{at}.values", text)
            case "Gt" | "Lt":
                if len(expression.values) != 1:
                    text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                    yield required(f"{at}.values", text)
                elif not expression.values[0].removeprefix("-").isdecimal():
                    yield invalid(f"{at}.values[0]", expression.values[0], "must be an integer")
            case _:
                yield invalid(f"{at}.operator", expression.operator, "not a valid selector operator")
    for index, field in enumerate(term.match_fields):
        at = f"{path}.matchFields[{index}]"
        if field.key != "metadata.name":
            yield invalid(f"{at}.key", field.key, "not a valid field selector key")
        if field.operator not in ("In", "NotIn"):
            yield invalid(f"{at}.operator", field.operator, "not a valid selector operator")
        elif len(field.values) != 1:
            yield required(f"{at}.values", "must be only one value when `operator` is 'In' or 'NotIn' for node field")


def _pod_terms(terms: tuple[PodAffinityTerm, ...], path: str) -> Iterator[FieldError]:
    for index, term in enumerate(terms):
        yield from _pod_term(term, f"{path}.{NEEDED}[{index}]")


def _weighted_terms(terms: tuple[WeightedPodAffinityTerm, ...], path: str) -> Iterator[FieldError]:
    for index, weighted in enumerate(terms):
        at = f"{path}.{PREFERRED}[{index}]"
        yield from _weight(f"{at}.weight", weighted.weight)
        if weighted.pod_affinity_term is not None:
            yield from _pod_term(weighted.pod_affinity_term, f"{at}.podAffinityTerm")


def _pod_term(term: PodAffinityTerm, path: str) -> Iterator[FieldError]:
    yield from label_selector(term.label_selector, f"{path}.labelSelector")
    yield from label_selector(term.namespace_selector, f"{path}.namespaceSelector")
    for namespace in term.namespaces:
        yield from names.dns_label(f"{path}.namespaces", namespace)
    if not term.topology_key:
        yield required(f"{path}.topologyKey", "can not be empty")
    else:
        yield from names.qualified_name(f"{path}.topologyKey", term.topology_key)


def _weight(path: str, weight: int | None) -> Iterator[FieldError]:
    if not 1 <= (weight or 0) <= 100:
        yield invalid(path, weight or 0, "must be in the range 1-100")


def _spread(spec: PodSpec, path: str) -> Iterator[FieldError]:
    seen: set[tuple[str, str]] = set()
    for index, constraint in enumerate(spec.topology_spread_constraints):
        at = f"{path}.topologySpreadConstraints[{index}]"
        if constraint.max_skew is None or constraint.max_skew <= 0:
            yield invalid(f"{at}.maxSkew", constraint.max_skew or 0, "must be greater than zero")
        if not constraint.topology_key:
            yield required(f"{at}.topologyKey", "can not be empty")
        else:
            yield from names.qualified_name(f"{at}.topologyKey", constraint.topology_key)
        yield from one_of(f"{at}.whenUnsatisfiable", constraint.when_unsatisfiable, ("DoNotSchedule", "ScheduleAnyway"))
        identity = (constraint.topology_key, constraint.when_unsatisfiable)
        if identity in seen:
            yield duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{identity[0]}, {identity[1]}}}")
        seen.add(identity)
        yield from positive(f"{at}.minDomains", constraint.min_domains)
        if constraint.min_domains is not None and constraint.when_unsatisfiable != "DoNotSchedule":
            text = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"
            yield invalid(f"{at}.minDomains", constraint.min_domains, text)
        for field, policy in (
            ("nodeAffinityPolicy", constraint.node_affinity_policy),
            ("nodeTaintsPolicy", constraint.node_taints_policy),
        ):
            yield from one_of(f"{at}.{field}", policy or "", ("Honor", "Ignore"), may_be_empty=True)
        yield from label_selector(constraint.label_selector, f"{at}.labelSelector")


def parsed(selector: LabelSelector) -> Selector | None:
    """The selector, or None when ``label_selector`` has something to say about it."""
    try:
        return Selector.from_label_selector(selector)
    except Invalid:
        return None
