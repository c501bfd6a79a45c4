"""Which plugins decide. By default every module in ``plugins/``; a configuration file may say otherwise, for pods that
name one of its schedulers.

The file is Kubernetes' KubeSchedulerConfiguration, of which ``profiles`` is read: ``schedulerName``, ``plugins`` with
``enabled`` and ``disabled`` of multiPoint, filter and score, and ``pluginConfig`` of NodeResourcesFit's scoringStrategy
type. Anything else in it is refused. Source: Kubernetes "Scheduler Configuration".
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from knarr_api.errors import Invalid
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.scheduler import plugins
from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import ClusterEvent, Plugin, PodToPlace, Reach, Refusal
from knarr_controlplane.scheduler.plugins.node_resources_fit import NodeResourcesFit

DEFAULT_NAME = "default-scheduler"
API_VERSIONS = ("kubescheduler.config.k8s.io/v1",)
POINTS = ("multiPoint", "filter", "score")
STRATEGIES = ("LeastAllocated", "MostAllocated")
Profiles = Mapping[str, tuple[Plugin, ...]]
"""By scheduler name."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A plugin as a profile wants it."""

    plugin: Plugin
    weight: float
    filters: bool = True

    @property
    def name(self) -> str:
        return self.plugin.name

    @property
    def wakes_on(self) -> ClusterEvent:
        return self.plugin.wakes_on

    @property
    def by_node(self) -> bool:
        return self.plugin.by_node

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return self.plugin.reach(pod, columns)

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        return self.plugin.filter(pod, columns) if self.filters else iter(())

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        return self.plugin.score(pod, columns, feasible)


def scheduler_of(pod: Pod) -> str:
    """The name of the scheduler it asks for."""
    return pod.spec.scheduler_name or DEFAULT_NAME


def load_plugins() -> tuple[Plugin, ...]:
    """The PLUGIN of every module in ``plugins/``, cheap filters first (by module constant ORDER, then name)."""
    found: list[tuple[int, str, Plugin]] = []
    for module_info in pkgutil.iter_modules(plugins.__path__):
        module = importlib.import_module(f"{plugins.__name__}.{module_info.name}")
        found.append((module.ORDER, module_info.name, module.PLUGIN))
    return tuple(plugin for _, _, plugin in sorted(found, key=lambda entry: entry[:2]))


def default_profiles() -> Profiles:
    return {DEFAULT_NAME: load_plugins()}


def read(document: Any) -> Profiles:
    """Raises Invalid with the path of what is wrong."""
    given = _mapping(document, "", {"apiVersion", "kind", "profiles"})
    if given.get("apiVersion") not in API_VERSIONS or given.get("kind") != "KubeSchedulerConfiguration":
        raise Invalid(f"apiVersion, kind: expected {API_VERSIONS[0]}, KubeSchedulerConfiguration")
    found: dict[str, tuple[Plugin, ...]] = {}
    for index, profile in enumerate(_list(given.get("profiles"), "profiles")):
        path = f"profiles[{index}]"
        fields = _mapping(profile, path, {"schedulerName", "plugins", "pluginConfig"})
        name = str(fields.get("schedulerName") or DEFAULT_NAME)
        if name in found:
            raise Invalid(f'{path}.schedulerName: Duplicate value: "{name}"')
        found[name] = tuple(_profile(fields, path))
    return found or default_profiles()


def _profile(fields: Mapping[str, Any], path: str) -> Iterator[Plugin]:
    known = {plugin.name: plugin for plugin in load_plugins()}
    strategy = _strategy(fields.get("pluginConfig"), f"{path}.pluginConfig")
    chosen = {name: Chosen(plugin, plugin.weight) for name, plugin in known.items()}
    sets = _mapping(fields.get("plugins") or {}, f"{path}.plugins", set(POINTS))
    for point in POINTS:
        at = f"{path}.plugins.{point}"
        of_point = _mapping(sets.get(point) or {}, at, {"enabled", "disabled"})
        for place, name, _ in _named(of_point.get("disabled"), f"{at}.disabled"):
            for each in _known(known, name, place):
                chosen[each] = _without(chosen[each], point)
        for place, name, weight in _named(of_point.get("enabled"), f"{at}.enabled"):
            for each in _known(known, name, place):
                chosen[each] = _with(chosen[each], point, weight)
    for name, one in chosen.items():
        if name == "NodeResourcesFit" and strategy:
            one = replace(one, plugin=NodeResourcesFit(most=strategy == "MostAllocated"))
        if one.filters or one.weight:
            yield one


def _without(one: Chosen, point: str) -> Chosen:
    return replace(
        one,
        filters=one.filters and point == "score",
        weight=one.weight if point == "filter" else 0.0,
    )


def _with(one: Chosen, point: str, weight: float) -> Chosen:
    usual = weight or one.plugin.weight
    return replace(
        one,
        filters=one.filters or point != "score",
        weight=one.weight if point == "filter" else usual,
    )


def _strategy(given: Any, path: str) -> str:
    """Of NodeResourcesFit, empty where nothing is said."""
    found = ""
    for index, config in enumerate(_list(given, path)):
        at = f"{path}[{index}]"
        fields = _mapping(config, at, {"name", "args"})
        if fields.get("name") != "NodeResourcesFit":
            raise Invalid(f'{at}.name: Unsupported value: "{fields.get("name")}": supported values: "NodeResourcesFit"')
        arguments = _mapping(fields.get("args") or {}, f"{at}.args", {"apiVersion", "kind", "scoringStrategy"})
        strategy = _mapping(arguments.get("scoringStrategy") or {}, f"{at}.args.scoringStrategy", {"type"})
        found = str(strategy.get("type") or STRATEGIES[0])
        if found not in STRATEGIES:
            listed = ", ".join(f'"{each}"' for each in STRATEGIES)
            raise Invalid(f'{at}.args.scoringStrategy.type: Unsupported value: "{found}": supported values: {listed}')
    return found


def _named(given: Any, path: str) -> Iterator[tuple[str, str, float]]:
    for index, item in enumerate(_list(given, path)):
        at = f"{path}[{index}]"
        fields = _mapping(item, at, {"name", "weight"})
        weight = fields.get("weight") or 0
        if isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= 100:
            raise Invalid(f"{at}.weight: Invalid value: {weight!r}: must be a number from 1 to 100")
        yield f"{at}.name", str(fields.get("name") or ""), float(weight)


def _known(known: Mapping[str, Plugin], name: str, path: str) -> tuple[str, ...]:
    if name == "*":
        return tuple(known)
    if name not in known:
        raise Invalid(f'{path}: Unsupported value: "{name}": supported values: "*", {", ".join(sorted(known))}')
    return (name,)


def _mapping(given: Any, path: str, fields: set[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise Invalid(f"{path or 'document'}: expected object")
    unknown = sorted(str(name) for name in given if name not in fields)
    if unknown:
        where = f"{path}.{unknown[0]}" if path else unknown[0]
        raise Invalid(f"{where}: not supported; supported are {', '.join(sorted(fields))}")
    return given


def _list(given: Any, path: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise Invalid(f"{path}: expected list")
    return given
