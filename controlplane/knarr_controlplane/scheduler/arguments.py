"""Arguments of plugins, as ``pluginConfig`` of a KubeSchedulerConfiguration has them. Pure.

Known are NodeResourcesFit's scoringStrategy, ignoredResources and ignoredResourceGroups, the resources that
NodeResourcesBalancedAllocation compares, PodTopologySpread's defaultConstraints and defaultingType, NodeAffinity's
addedAffinity, and InterPodAffinity's hardPodAffinityWeight and ignorePreferredTermsOfExistingPods. Anything else is
refused. Source: Kubernetes "Scheduler Configuration", v1.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from knarr_api import json
from knarr_api.errors import Invalid
from knarr_api.types.core_v1 import NodeAffinity, TopologySpreadConstraint
from knarr_controlplane.scheduler.framework import Plugin
from knarr_controlplane.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from knarr_controlplane.scheduler.plugins.node_affinity import NodeAffinity as NodeAffinityPlugin
from knarr_controlplane.scheduler.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from knarr_controlplane.scheduler.plugins.node_resources_fit import NodeResourcesFit, Strategy
from knarr_controlplane.scheduler.plugins.pod_topology_spread import PodTopologySpread

LEAST, MOST, RATIO = "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"
SYSTEM, LIST = "System", "List"
WHEN = ("DoNotSchedule", "ScheduleAnyway")
ALWAYS = {"apiVersion", "kind"}


def plugin(name: str, given: Any, path: str) -> Plugin:
    """The plugin with these arguments. Raises Invalid with the path of what is wrong."""
    maker = MAKERS.get(name)
    if maker is None:
        listed = ", ".join(f'"{each}"' for each in MAKERS)
        raise Invalid(f'{path}.name: Unsupported value: "{name}": supported values: {listed}')
    return maker(given, f"{path}.args")


def _fit(given: Any, path: str) -> Plugin:
    fields = mapping(given, path, {"scoringStrategy", "ignoredResources", "ignoredResourceGroups", *ALWAYS})
    at = f"{path}.scoringStrategy"
    strategy = mapping(fields.get("scoringStrategy") or {}, at, {"type", "resources", "requestedToCapacityRatio"})
    kind = one_of(strategy.get("type") or LEAST, (LEAST, MOST, RATIO), f"{at}.type")
    ratio = strategy.get("requestedToCapacityRatio")
    if (kind == RATIO) != (ratio is not None):
        raise Invalid(f"{at}.requestedToCapacityRatio: {'Required value' if kind == RATIO else f'not with {kind}'}")
    shape = tuple(_shape(ratio, f"{at}.requestedToCapacityRatio")) if ratio is not None else ()
    resources = tuple(_resources(strategy.get("resources"), f"{at}.resources")) or Strategy().resources
    return NodeResourcesFit(
        Strategy(kind == LEAST, shape, resources),
        ignored=frozenset(_texts(fields.get("ignoredResources"), f"{path}.ignoredResources")),
        ignored_groups=frozenset(_texts(fields.get("ignoredResourceGroups"), f"{path}.ignoredResourceGroups")),
    )


def _balanced(given: Any, path: str) -> Plugin:
    fields = mapping(given, path, {"resources", *ALWAYS})
    names = tuple(name for name, _ in _resources(fields.get("resources"), f"{path}.resources"))
    return NodeResourcesBalancedAllocation(names) if names else NodeResourcesBalancedAllocation()


def _spread(given: Any, path: str) -> Plugin:
    fields = mapping(given, path, {"defaultConstraints", "defaultingType", *ALWAYS})
    kind = one_of(fields.get("defaultingType") or SYSTEM, (SYSTEM, LIST), f"{path}.defaultingType")
    at = f"{path}.defaultConstraints"
    constraints = items(fields.get("defaultConstraints"), at)
    if kind == SYSTEM:
        if constraints:
            raise Invalid(f'{at}: not with defaultingType "{SYSTEM}": use "{LIST}"')
        return PodTopologySpread()
    return PodTopologySpread(tuple(_constraint(each, f"{at}[{index}]") for index, each in enumerate(constraints)))


def _constraint(given: Any, path: str) -> TopologySpreadConstraint:
    found: TopologySpreadConstraint = _typed(given, TopologySpreadConstraint, path)
    one_of(found.when_unsatisfiable, WHEN, f"{path}.whenUnsatisfiable")
    if (found.max_skew or 0) < 1:
        raise Invalid(f"{path}.maxSkew: Invalid value: {found.max_skew}: must be greater than zero")
    if not found.topology_key:
        raise Invalid(f"{path}.topologyKey: Required value")
    if found.label_selector is not None:
        raise Invalid(
            f"{path}.labelSelector: Forbidden: constraint must not define a selector, as they deduced for each pod"
        )
    return found


def _affinity(given: Any, path: str) -> Plugin:
    fields = mapping(given, path, {"addedAffinity", *ALWAYS})
    if not fields.get("addedAffinity"):
        return NodeAffinityPlugin()
    return NodeAffinityPlugin(_typed(fields["addedAffinity"], NodeAffinity, f"{path}.addedAffinity"))


def _neighbours(given: Any, path: str) -> Plugin:
    fields = mapping(given, path, {"hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods", *ALWAYS})
    weight = fields.get("hardPodAffinityWeight")
    ignores = fields.get("ignorePreferredTermsOfExistingPods", False)
    if not isinstance(ignores, bool):
        raise Invalid(f"{path}.ignorePreferredTermsOfExistingPods: expected boolean")
    hard_weight = 1 if weight is None else whole(weight, 0, 100, f"{path}.hardPodAffinityWeight")
    return InterPodAffinity(hard_weight, ignores_preferred=ignores)


MAKERS: Mapping[str, Callable[[Any, str], Plugin]] = {
    "NodeResourcesFit": _fit,
    "NodeResourcesBalancedAllocation": _balanced,
    "PodTopologySpread": _spread,
    "NodeAffinity": _affinity,
    "InterPodAffinity": _neighbours,
}


def _shape(given: Any, path: str) -> Iterator[tuple[float, float]]:
    """Points (share in use, score), both from 0 to 1."""
    points = items(mapping(given, path, {"shape"}).get("shape"), f"{path}.shape")
    if not points:
        raise Invalid(f"{path}.shape: Required value: at least one point must be specified")
    found = []
    for index, point in enumerate(points):
        at = f"{path}.shape[{index}]"
        fields = mapping(point, at, {"utilization", "score"})
        share = whole(fields.get("utilization") or 0, 0, 100, f"{at}.utilization")
        found.append((share / 100, whole(fields.get("score") or 0, 0, 10, f"{at}.score") / 10))
    if any(one >= other for (one, _), (other, _) in itertools.pairwise(found)):
        raise Invalid(f"{path}.shape: utilization values must be sorted in increasing order")
    yield from found


def _resources(given: Any, path: str) -> Iterator[tuple[str, float]]:
    seen = set()
    for index, item in enumerate(items(given, path)):
        at = f"{path}[{index}]"
        fields = mapping(item, at, {"name", "weight"})
        name = fields.get("name")
        if not isinstance(name, str) or not name:
            raise Invalid(f"{at}.name: Required value")
        if name in seen:
            raise Invalid(f'{at}.name: Duplicate value: "{name}"')
        seen.add(name)
        yield name, float(whole(fields.get("weight") or 1, 1, 100, f"{at}.weight"))


def _texts(given: Any, path: str) -> Iterator[str]:
    for index, item in enumerate(items(given, path)):
        if not isinstance(item, str):
            raise Invalid(f"{path}[{index}]: expected string")
        yield item


def _typed(given: Any, type_: Any, path: str) -> Any:
    try:
        return json.decode_strict(mapping(given, path, None), type_)
    except Invalid as error:
        raise Invalid(f"{path}.{error}") from None


def one_of(given: Any, allowed: tuple[str, ...], path: str) -> str:
    if given not in allowed:
        listed = ", ".join(f'"{each}"' for each in allowed)
        raise Invalid(f'{path}: Unsupported value: "{given}": supported values: {listed}')
    return str(given)


def whole(given: Any, least: int, most: int, path: str) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
        raise Invalid(f"{path}: Invalid value: {given!r}: must be a number from {least} to {most}")
    return given


def mapping(given: Any, path: str, fields: set[str] | None) -> Mapping[str, Any]:
    """An object with no other fields than these, where they are named."""
    if not isinstance(given, Mapping):
        raise Invalid(f"{path or 'document'}: expected object")
    unknown = sorted(str(name) for name in given if fields is not None and name not in fields)
    if unknown:
        where = f"{path}.{unknown[0]}" if path else unknown[0]
        raise Invalid(f"{where}: not supported; supported are {', '.join(sorted(fields or ()))}")
    return given


def items(given: Any, path: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise Invalid(f"{path}: expected list")
    return given
