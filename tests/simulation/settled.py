"""What a cluster must be like once nothing breaks any more: everything as it was asked for, and nothing left over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from knarr_api import kinds
from knarr_api.kinds import KINDS
from knarr_api.types.apps_v1 import DaemonSet, Deployment, ReplicaSet
from knarr_api.types.batch_v1 import CronJob, Job
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import ConfigMap, Node, Pod
from knarr_api.types.policy_v1 import PodDisruptionBudget
from knarr_controlplane.store.revision import same_write
from tests.simulation import load
from tests.simulation.cluster import Cluster
from tests.simulation.invariants import Invariants
from tests.simulation.moment import IMAGES
from tests.simulation.state import ENDED, is_ready
from tests.simulation.users import TYPES, People

LEASES = kinds.of(Lease).key_prefix


def unsettled(cluster: Cluster, invariants: Invariants, people: People) -> list[str]:
    """What is not yet as it should be; empty when all is."""
    return [
        *_owned(invariants, people),
        *_autoscaled(cluster, invariants),
        *_jobs(invariants, people),
        *_others(invariants, people),
        *_pods(cluster, invariants),
        *_owners(invariants),
        *_nodes(cluster, invariants),
        *invariants.claims.left(),
        *(
            f"ConfigMap {name} is still there"
            for name in invariants.released
            if any(each.metadata.name == name for each in invariants.of(ConfigMap))
        ),
    ]


def behind(cluster: Cluster, invariants: Invariants) -> list[str]:
    """What control planes would show that is not so, when nothing was written for a while but Leases."""
    stored = {key: revision for key, revision in invariants.revisions.items() if not key.startswith(LEASES)}
    found = []
    for control_plane in cluster.control_planes:
        if control_plane.cache is None:
            continue
        by_prefix = {kind.key_prefix: kind for kind in reversed(KINDS) if kind.key_prefix != LEASES}
        shown = {
            key: entry.revision
            for kind in by_prefix.values()
            for key, entry in control_plane.cache.of(kind).entries.items()
        }
        found += [
            f"{control_plane.name} shows {key} at {at}" for key, at in shown.items() if not _same(stored, key, at)
        ]
        found += [f"{control_plane.name} does not show {key}" for key in stored.keys() - shown.keys()]
    return found


def _same(stored: dict[str, int], key: str, at: int) -> bool:
    return key in stored and same_write(stored[key], at)


def _owned(invariants: Invariants, people: People) -> Iterator[str]:
    """Deployments, StatefulSets and DaemonSets."""
    for name, wanted in people.wanted.items():
        type_ = TYPES.get(name.split("-")[0])
        if type_ is None:
            continue
        what = f"{type_.__name__} {name}"
        present = next((each for each in invariants.of(type_) if each.metadata.name == name), None)
        if wanted is None:
            if present is not None:
                yield f"{what} was deleted and is still there"
        elif present is None:
            yield f"{what} was acknowledged and is not there"
        else:
            yield from _as_wanted(invariants, what, present, wanted)


def _autoscaled(cluster: Cluster, invariants: Invariants) -> Iterator[str]:
    for deployment in invariants.of(Deployment):
        if deployment.metadata.name == load.NAME:
            wanted = (load.wanted(cluster.demand_m), IMAGES[0])
            yield from _as_wanted(invariants, f"Deployment {load.NAME}", deployment, wanted)


def _as_wanted(invariants: Invariants, what: str, obj: Any, wanted: tuple[int | None, str]) -> Iterator[str]:
    image, status = obj.spec.template.spec.containers[0].image, obj.status
    if isinstance(obj, DaemonSet):
        count = len(invariants.of(Node))
        numbers = (status.current_number_scheduled, status.updated_number_scheduled, status.number_available)
        asked: tuple[int | None, str] = (None, image)
    else:
        count = wanted[0] or 0
        numbers = (status.replicas, status.updated_replicas, status.available_replicas)
        asked = (obj.spec.replicas, image)
    if asked != wanted:
        yield f"{what} is {asked}, acknowledged was {wanted}"
    shown = tuple(number or 0 for number in numbers)
    if shown != (count, count, count) or status.observed_generation != obj.metadata.generation:
        yield f"{what} has {shown} pods (all, updated, available) of {count}"


def _jobs(invariants: Invariants, people: People) -> Iterator[str]:
    for job in invariants.of(Job):
        if job.metadata.name in POLICIES:
            yield from _as_policy(job)
            continue
        by_hand = not job.metadata.owner_references
        wanted = people.wanted.get(job.metadata.name) if by_hand else 1
        complete = any(c.type == "Complete" and c.status == "True" for c in job.status.conditions)
        if wanted is None:
            yield f"Job {job.metadata.name} was deleted and is still there"
        elif not complete or (job.status.succeeded or 0) != wanted:
            yield f"Job {job.metadata.name}: {job.status.succeeded} of {wanted} succeeded, complete: {complete}"
    for cron_job in invariants.of(CronJob):
        if cron_job.status.active:
            yield f"CronJob {cron_job.metadata.name} names active Jobs: {[job.name for job in cron_job.status.active]}"


POLICIES = {"hopeless": ("Failed", "PodFailurePolicy"), "enough": ("Complete", "SuccessPolicy")}
"""Jobs that end early: how, and why."""


def _as_policy(job: Job) -> Iterator[str]:
    outcome, reason = POLICIES[job.metadata.name]
    if not any((c.type, c.status, c.reason) == (outcome, "True", reason) for c in job.status.conditions):
        shown = [(c.type, c.status, c.reason) for c in job.status.conditions]
        yield f"Job {job.metadata.name} is not {outcome} for {reason}: {shown}"


def _others(invariants: Invariants, people: People) -> Iterator[str]:
    for budget in invariants.of(PodDisruptionBudget):
        if budget.status.disrupted_pods:
            yield f"budget {budget.metadata.name} waits for {sorted(budget.status.disrupted_pods)} to go"
    for namespace in people.deleted:
        for key, obj in invariants.objects.items():
            if namespace in (obj.metadata.namespace, obj.metadata.name):
                yield f"{key} is still there, its namespace was deleted"


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
        elif where != pod.spec.node_name or pod.status.phase != "Running" or not is_ready(pod):
            yield f"pod {name} of {pod.spec.node_name} is {pod.status.phase}, ready: {is_ready(pod)}, runs: {where!r}"
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
