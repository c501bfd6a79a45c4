"""``python -m knarr_controlplane.simulate``: a question as JSON on standard input, the stages as JSON on its output.

The question: ``nodes`` (Node objects), ``objects`` (manifests), ``pods`` (running ones), ``scale`` (numbers by an
object's name or Kind/name), ``kill`` (names of nodes, lost one after the other), ``there`` (what else the cluster has:
namespaces, priority classes, budgets, ReplicaSets). An answer ``{"error": …}`` says what is wrong with it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from knarr_api import defaults, errors, json, kinds
from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ReplicaSet
from knarr_api.types.core_v1 import Namespace, Node, Pod
from knarr_api.types.policy_v1 import PodDisruptionBudget
from knarr_api.types.scheduling_v1 import PriorityClass
from knarr_controlplane.registry import priorities
from knarr_controlplane.scheduler.preemption import Budget
from knarr_controlplane.scheduler.profile import load_plugins
from knarr_controlplane.simulate.expand import Workload, has_pods, name_of, workload
from knarr_controlplane.simulate.run import Simulation, Stage
from knarr_controlplane.simulate.running import by_workload, others

MAX_LISTED = 20


def answer(question: dict[str, Any]) -> list[Stage]:
    """Raises Invalid for what can't be read, or a node that is not there."""
    nodes = tuple(json.from_builtins(each, Node) for each in question["nodes"])
    asked = [_defaulted(each) for each in question["objects"]]
    named = {(type(each), each.metadata.namespace, each.metadata.name) for each in asked}
    there = [_read(each) for each in question.get("there", ())]
    there = [each for each in there if (type(each), each.metadata.namespace, each.metadata.name) not in named]
    objects = [*there, *asked]
    classes = {each.metadata.name: each for each in objects if isinstance(each, PriorityClass)}
    budgets = tuple(_budget(each) for each in objects if isinstance(each, PodDisruptionBudget))
    simulation = Simulation(load_plugins(), budgets)
    for each in objects:
        if isinstance(each, Namespace):
            simulation.columns.set_namespace(each.metadata.name, each.metadata.labels)
    simulation.add_nodes(nodes)
    running = by_workload(
        (json.from_builtins(each, Pod) for each in question.get("pods", ())),
        (each for each in there if isinstance(each, ReplicaSet)),
    )
    workloads = list(_workloads(asked, nodes, question.get("scale", {}), running, classes))
    stages = [simulation.place([*workloads, *others(running, (each.name for each in workloads))])]
    for name in question.get("kill", ()):
        if name not in simulation.columns.rows:
            known = sorted(simulation.columns.rows)
            listed = ", ".join(known[:MAX_LISTED]) + (", …" if len(known) > MAX_LISTED else "")
            raise errors.Invalid(f"--kill-node {name}: no such node: there are {listed or 'none'}")
        stages.append(simulation.lose(name))
    return stages


def _workloads(
    objects: Sequence[Any],
    nodes: tuple[Node, ...],
    scale: dict[str, int],
    running: dict[str, list[Pod]],
    classes: dict[str, PriorityClass],
) -> Iterator[Workload]:
    unused = set(scale)
    for each in objects:
        kind, name = kinds.of(each).kind, each.metadata.name
        asked = [key for key in (f"{kind}/{name}", name) if key in scale]
        there = running.get(name_of(kind, each.metadata.namespace, name), ())
        found = workload(each, nodes, scale[asked[0]] if asked else None, there) if asked or has_pods(each) else None
        if found is not None:
            unused -= set(asked)
            yield _prioritised(found, classes)
    if unused:
        raise errors.Invalid(f"--scale {min(unused)}: no such object in the manifests")


def _defaulted(document: dict[str, Any]) -> Any:
    obj = defaults.apply(_read(document))
    if kinds.of(obj).namespaced and not obj.metadata.namespace:
        return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, namespace="default"))
    return obj


def _read(document: dict[str, Any]) -> Any:
    kind = kinds.by_kind(str(document.get("apiVersion", "")), str(document.get("kind", "")))
    return json.from_builtins(document, kind.type)


def _budget(budget: PodDisruptionBudget) -> Budget:
    selector = Selector.from_label_selector(budget.spec.selector)
    return Budget(budget.metadata.namespace or "default", selector, budget.status.disruptions_allowed or 0)


def _prioritised(found: Workload, classes: dict[str, PriorityClass]) -> Workload:
    """Those that run have their priorities."""
    new = (priorities.prioritised(pod, classes) for pod in found.pods[found.running :])
    return dataclasses.replace(found, pods=(*found.pods[: found.running], *new))


def main() -> None:
    try:
        result: Any = {"stages": answer(msgspec.json.decode(sys.stdin.buffer.read()))}
    except errors.KnarrError as error:
        result = {"error": str(error)}
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
