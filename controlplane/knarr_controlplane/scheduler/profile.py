"""Which plugins decide. By default every module in ``plugins/``; a configuration file may say otherwise, for pods that
name one of its schedulers.

The file is Kubernetes' KubeSchedulerConfiguration, of which ``profiles`` is read: ``schedulerName``, ``plugins`` with
``enabled`` and ``disabled`` of multiPoint, filter and score, and ``pluginConfig`` as far as ``arguments`` knows it.
Anything else in it is refused. Source: Kubernetes "Scheduler Configuration".
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from knarr_api.errors import Invalid
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.scheduler import arguments, plugins
from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import ClusterEvent, Plugin, PodToPlace, Reach, Refusal

DEFAULT_NAME = "default-scheduler"
API_VERSIONS = ("kubescheduler.config.k8s.io/v1",)
POINTS = ("multiPoint", "filter", "score")
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
    given = arguments.mapping(document, "", {"apiVersion", "kind", "profiles"})
    if given.get("apiVersion") not in API_VERSIONS or given.get("kind") != "KubeSchedulerConfiguration":
        raise Invalid(f"apiVersion, kind: expected {API_VERSIONS[0]}, KubeSchedulerConfiguration")
    found: dict[str, tuple[Plugin, ...]] = {}
    for index, profile in enumerate(arguments.items(given.get("profiles"), "profiles")):
        path = f"profiles[{index}]"
        fields = arguments.mapping(profile, path, {"schedulerName", "plugins", "pluginConfig"})
        name = str(fields.get("schedulerName") or DEFAULT_NAME)
        if name in found:
            raise Invalid(f'{path}.schedulerName: Duplicate value: "{name}"')
        found[name] = tuple(_profile(fields, path))
    return found or default_profiles()


def _profile(fields: Mapping[str, Any], path: str) -> Iterator[Plugin]:
    known = {plugin.name: plugin for plugin in load_plugins()}
    configured = _configured(fields.get("pluginConfig"), f"{path}.pluginConfig")
    chosen = {name: Chosen(plugin, plugin.weight) for name, plugin in known.items()}
    sets = arguments.mapping(fields.get("plugins") or {}, f"{path}.plugins", set(POINTS))
    for point in POINTS:
        at = f"{path}.plugins.{point}"
        of_point = arguments.mapping(sets.get(point) or {}, at, {"enabled", "disabled"})
        for place, name, _ in _named(of_point.get("disabled"), f"{at}.disabled"):
            for each in _known(known, name, place):
                chosen[each] = _without(chosen[each], point)
        for place, name, weight in _named(of_point.get("enabled"), f"{at}.enabled"):
            for each in _known(known, name, place):
                chosen[each] = _with(chosen[each], point, weight)
    for name, one in chosen.items():
        if name in configured:
            one = replace(one, plugin=configured[name])
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


def _configured(given: Any, path: str) -> dict[str, Plugin]:
    """Plugins with arguments, by name."""
    found: dict[str, Plugin] = {}
    for index, config in enumerate(arguments.items(given, path)):
        at = f"{path}[{index}]"
        fields = arguments.mapping(config, at, {"name", "args"})
        name = str(fields.get("name") or "")
        if name in found:
            raise Invalid(f'{at}.name: Duplicate value: "{name}"')
        found[name] = arguments.plugin(name, fields.get("args") or {}, at)
    return found


def _named(given: Any, path: str) -> Iterator[tuple[str, str, float]]:
    for index, item in enumerate(arguments.items(given, path)):
        at = f"{path}[{index}]"
        fields = arguments.mapping(item, at, {"name", "weight"})
        weight = arguments.whole(fields.get("weight") or 0, 0, 100, f"{at}.weight")
        yield f"{at}.name", str(fields.get("name") or ""), float(weight)


def _known(known: Mapping[str, Plugin], name: str, path: str) -> tuple[str, ...]:
    if name == "*":
        return tuple(known)
    if name not in known:
        raise Invalid(f'{path}: Unsupported value: "{name}": supported values: "*", {", ".join(sorted(known))}')
    return (name,)
