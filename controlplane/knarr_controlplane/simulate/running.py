"""Whose the pods are that run already: what would be done about them if their node were lost. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from knarr_api.types.apps_v1 import ReplicaSet
from knarr_api.types.core_v1 import Pod
from knarr_controlplane.controllers.ownership import controller_of
from knarr_controlplane.simulate.expand import Workload, name_of


def by_workload(pods: Iterable[Pod], replicasets: Iterable[ReplicaSet]) -> dict[str, list[Pod]]:
    """By the workload's name, of which a bare pod is one itself. A ReplicaSet's pods are its Deployment's."""
    deployments = {one.metadata.uid: found for one in replicasets if (found := controller_of(one)) is not None}
    sorted_out: defaultdict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        owner = controller_of(pod)
        if owner is None:
            sorted_out[name_of("Pod", pod.metadata.namespace, pod.metadata.name)].append(pod)
            continue
        owner = deployments.get(owner.uid, owner)
        sorted_out[name_of(owner.kind, pod.metadata.namespace, owner.name)].append(pod)
    return dict(sorted_out)


def others(found: dict[str, list[Pod]], asked: Iterable[str]) -> list[Workload]:
    """Those that are not asked about."""
    known = set(asked)
    return [
        Workload(
            name,
            tuple(pods),
            follows_nodes=(kind := name.split("/")[-2]) == "daemonset",
            replaced=kind not in ("pod", "node"),
            asked=False,
            running=len(pods),
        )
        for name, pods in found.items()
        if name not in known
    ]
