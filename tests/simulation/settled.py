"""What a cluster must be like once nothing breaks any more: everything as it was asked for, and nothing left over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from knarr_api.types.apps_v1 import Deployment, ReplicaSet
from knarr_api.types.batch_v1 import Job
from knarr_api.types.core_v1 import ConfigMap, Node, Pod
from tests.simulation.cluster import Cluster
from tests.simulation.invariants import ENDED, Invariants
from tests.simulation.users import People


def unsettled(cluster: Cluster, invariants: Invariants, people: People) -> list[str]:
    """What is not yet as it should be; empty when all is."""
    return [
        *_deployments(invariants, people),
        *_jobs(invariants, people),
        *_pods(cluster, invariants),
        *_owners(invariants),
        *_nodes(cluster, invariants),
        *(
            f"ConfigMap {name} is still there"
            for name in invariants.released
            if any(each.metadata.name == name for each in invariants.of(ConfigMap))
        ),
    ]


def _deployments(invariants: Invariants, people: People) -> Iterator[str]:
    present = {each.metadata.name: each for each in invariants.of(Deployment)}
    for name, wanted in people.wanted.items():
        if not name.startswith("web"):
            continue
        deployment = present.get(name)
        if wanted is None:
            if deployment is not None:
                yield f"Deployment {name} was deleted and is still there"
            continue
        if deployment is None:
            yield f"Deployment {name} was acknowledged and is not there"
            continue
        image = deployment.spec.template.spec.containers[0].image
        if (deployment.spec.replicas, image) != wanted:
            yield f"Deployment {name} is {(deployment.spec.replicas, image)}, acknowledged was {wanted}"
        status, count = deployment.status, wanted[0]
        numbers = (status.replicas or 0, status.updated_replicas or 0, status.available_replicas or 0)
        if numbers != (count, count, count) or status.observed_generation != deployment.metadata.generation:
            yield f"Deployment {name} has {numbers} pods (all, updated, available) of {count}"


def _jobs(invariants: Invariants, people: People) -> Iterator[str]:
    for job in invariants.of(Job):
        wanted = people.wanted.get(job.metadata.name)
        complete = any(c.type == "Complete" and c.status == "True" for c in job.status.conditions)
        if wanted is None:
            yield f"Job {job.metadata.name} was deleted and is still there"
        elif not complete or (job.status.succeeded or 0) != wanted:
            yield f"Job {job.metadata.name}: {job.status.succeeded} of {wanted} succeeded, complete: {complete}"


def _pods(cluster: Cluster, invariants: Invariants) -> Iterator[str]:
    running = {uid: machine.name for machine in cluster.machines for uid in machine.running()}
    for pod in invariants.of(Pod):
        name, uid = pod.metadata.name, pod.metadata.uid
        where = running.pop(uid, "")
        if pod.metadata.deletion_timestamp is not None:
            yield f"pod {name} is still being deleted"
        elif pod.status.phase in ENDED:
            if where:
                yield f"pod {name} is {pod.status.phase} and runs on {where}"
        elif not pod.spec.node_name:
            yield f"pod {name} is on no node"
        elif where != pod.spec.node_name or pod.status.phase != "Running" or not _is_ready(pod):
            yield f"pod {name} of {pod.spec.node_name} is {pod.status.phase}, ready: {_is_ready(pod)}, runs: {where!r}"
    for uid, where in running.items():
        yield f"containers of pod {uid}, which is not there, run on {where}"


def _owners(invariants: Invariants) -> Iterator[str]:
    uids = {obj.metadata.uid for obj in invariants.objects.values()}
    for key, obj in invariants.objects.items():
        owners: tuple[Any, ...] = obj.metadata.owner_references
        if owners and not any(owner.uid in uids for owner in owners):
            yield f"{key} is an orphan: its owner {owners[0].kind} {owners[0].name} is gone"
        if isinstance(obj, ReplicaSet) and obj.metadata.deletion_timestamp is not None:
            yield f"{key} is still being deleted"


def _nodes(cluster: Cluster, invariants: Invariants) -> Iterator[str]:
    nodes = {node.metadata.name: node for node in invariants.of(Node)}
    for machine in cluster.machines:
        node = nodes.get(machine.name)
        if node is None:
            yield f"node {machine.name} is not registered"
        elif node.spec.taints or not any(c.type == "Ready" and c.status == "True" for c in node.status.conditions):
            yield f"node {machine.name} is not ready: {[taint.key for taint in node.spec.taints]}"


def _is_ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)
