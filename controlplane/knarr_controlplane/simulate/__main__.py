"""``python -m knarr_controlplane.simulate``: a question as JSON on standard input, the stages as JSON on its output.

The question: ``nodes`` (Node objects), ``objects`` (manifests), ``pods`` (running ones), ``scale`` (numbers by object
name), ``kill`` (names of nodes, lost one after the other). An answer ``{"error": …}`` says what is wrong with it.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import msgspec

from knarr_api import defaults, errors, json, kinds
from knarr_api.labels import Selector
from knarr_api.types.core_v1 import Namespace, Node, Pod
from knarr_api.types.policy_v1 import PodDisruptionBudget
from knarr_api.types.scheduling_v1 import PriorityClass
from knarr_controlplane.registry import priorities
from knarr_controlplane.scheduler.preemption import Budget
from knarr_controlplane.scheduler.profile import load_plugins
from knarr_controlplane.simulate.expand import Workload, workload
from knarr_controlplane.simulate.run import Simulation, Stage


def answer(question: dict[str, Any]) -> list[Stage]:
    """Raises Invalid for what can't be read, or a node that is not there."""
    nodes = tuple(json.from_builtins(each, Node) for each in question["nodes"])
    objects = [defaults.apply(_read(each)) for each in question["objects"]]
    classes = {each.metadata.name: each for each in objects if isinstance(each, PriorityClass)}
    budgets = tuple(_budget(each) for each in objects if isinstance(each, PodDisruptionBudget))
    simulation = Simulation(load_plugins(), budgets)
    for each in objects:
        if isinstance(each, Namespace):
            simulation.columns.set_namespace(each.metadata.name, each.metadata.labels)
    simulation.add_nodes(nodes)
    simulation.add_running(json.from_builtins(each, Pod) for each in question.get("pods", ()))
    scale: dict[str, int] = question.get("scale", {})
    known = {each.metadata.name for each in objects}
    for name in scale:
        if name not in known:
            raise errors.Invalid(f"--scale {name}: no such object in the manifests")
    workloads = [
        _prioritised(found, classes)
        for each in objects
        if (found := workload(each, nodes, scale.get(each.metadata.name))) is not None
    ]
    stages = [simulation.place(workloads)]
    for name in question.get("kill", ()):
        if name not in simulation.columns.rows:
            raise errors.Invalid(f"--kill-node {name}: no such node")
        stages.append(simulation.lose(name))
    return stages


def _read(document: dict[str, Any]) -> Any:
    kind = kinds.by_kind(str(document.get("apiVersion", "")), str(document.get("kind", "")))
    return json.from_builtins(document, kind.type)


def _budget(budget: PodDisruptionBudget) -> Budget:
    selector = Selector.from_label_selector(budget.spec.selector)
    return Budget(budget.metadata.namespace or "default", selector, budget.status.disruptions_allowed or 0)


def _prioritised(found: Workload, classes: dict[str, PriorityClass]) -> Workload:
    return dataclasses.replace(found, pods=tuple(priorities.prioritised(pod, classes) for pod in found.pods))


def main() -> None:
    try:
        result: Any = {"stages": answer(msgspec.json.decode(sys.stdin.buffer.read()))}
    except errors.KnarrError as error:
        result = {"error": str(error)}
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
