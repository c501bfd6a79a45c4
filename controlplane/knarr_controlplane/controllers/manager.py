"""Wires the controllers together; what the leader runs."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from knarr_client.client import Client, Key
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder, EventRecorder
from knarr_client.queue_meter import QueueMeter
from knarr_client.reconcile import Again, Log, run_reconciler
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers.autoscaling.controller import AutoscalingController
from knarr_controlplane.controllers.cronjob.controller import CronJobController
from knarr_controlplane.controllers.daemonset.controller import DaemonSetController
from knarr_controlplane.controllers.deployment.controller import DeploymentController
from knarr_controlplane.controllers.disruption.controller import DisruptionController
from knarr_controlplane.controllers.events.expiry import EventExpiry
from knarr_controlplane.controllers.garbage.collector import GarbageCollector, followed_kinds
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.job.controller import JobController
from knarr_controlplane.controllers.namespaces.controller import NamespaceController
from knarr_controlplane.controllers.nodes.health import HealthSettings
from knarr_controlplane.controllers.nodes.ipam import NodeIpamController
from knarr_controlplane.controllers.nodes.lifecycle import NodeLifecycleController
from knarr_controlplane.controllers.podcollection.controller import PodCollector
from knarr_controlplane.controllers.replicaset.controller import REPLICA_SET, ReplicaSetController
from knarr_controlplane.controllers.replicationcontroller import REPLICATION_CONTROLLER
from knarr_controlplane.controllers.resourcequota.controller import ResourceQuotaController
from knarr_controlplane.controllers.serviceaccounts.controller import ServiceAccountController
from knarr_controlplane.controllers.settings import ControllerSettings
from knarr_controlplane.controllers.statefulset.controller import StatefulSetController

SYNC_REMARK_S = 30.0
Work = Callable[[], Coroutine[Any, Any, None]]
Common = tuple[Client, SharedInformers, ComponentRecorder, Clock, WorkQueue[Key]]


async def run(
    client: Client,
    *,
    settings: ControllerSettings,
    clock: Clock,
    identity: str,
    informers: SharedInformers | None = None,
) -> None:
    """Run all controllers until cancelled. Only one process of a cluster may do so at a time: see ``leader``.

    identity: of this process, in events; also seeds the jitter of its retries. informers: those that others ask as
    well, which is done before this starts; they are run here.
    """
    log: Log = structlog.get_logger("knarr.controllers")
    uniform = random.Random(hashlib.sha256(identity.encode()).digest()).random
    informers = informers or SharedInformers(client, clock, uniform=uniform)
    recorder = EventRecorder(client, component="knarr-controller-manager", instance=identity, clock=clock)
    parts = _Parts(client, informers, recorder, clock, settings, uniform)
    works = {"events": recorder.run, **_workloads(parts), **_nodes(parts), **_surroundings(parts)}
    async with asyncio.TaskGroup() as group:
        group.create_task(informers.run(), name="controllers/informers")
        await _synced(informers, log)
        log.info("controllers run", identity=identity)
        for name, work in works.items():
            group.create_task(work(), name=f"controllers/{name}")


class _Controller(Protocol):
    queue: WorkQueue[Key]

    async def reconcile(self, key: Key, /) -> Again | None: ...


@dataclass(frozen=True, slots=True)
class _Parts:
    """What controllers are made of."""

    client: Client
    informers: SharedInformers
    recorder: EventRecorder
    clock: Clock
    settings: ControllerSettings
    uniform: Callable[[], float]

    def queue(self, name: str) -> WorkQueue[Key]:
        return WorkQueue(uniform=self.uniform, metrics=QueueMeter(name))

    def common(self, component: str, queue: str) -> Common:
        """Of nearly all; component: whose events they are."""
        return self.client, self.informers, self.recorder.named(component), self.clock, self.queue(queue)

    def works(self, controllers: Mapping[str, _Controller], workers: int = 0) -> dict[str, Work]:
        """workers: of each; default: as set."""
        workers = workers or self.settings.workers
        return {
            name: functools.partial(run_reconciler, name, controller, controller.queue, workers=workers)
            for name, controller in controllers.items()
        }


def _workloads(parts: _Parts) -> dict[str, Work]:
    """Who makes pods, or says how many there are to be."""
    common = parts.common
    replicasets = common("replicaset-controller", "replicaset")
    replication = common("replication-controller", "replicationcontroller")
    return parts.works(
        {
            "deployments": DeploymentController(*common("deployment-controller", "deployment")),
            "replicasets": ReplicaSetController(*replicasets, REPLICA_SET),
            "replication": ReplicaSetController(*replication, REPLICATION_CONTROLLER),
            "jobs": JobController(*common("job-controller", "job")),
            "cronjobs": CronJobController(*common("cronjob-controller", "cronjob")),
            "daemonsets": DaemonSetController(*common("daemonset-controller", "daemonset")),
            "statefulsets": StatefulSetController(*common("statefulset-controller", "statefulset")),
            "autoscaling": AutoscalingController(*common("horizontal-pod-autoscaler", "horizontalpodautoscaler")),
        }
    )


def _nodes(parts: _Parts) -> dict[str, Work]:
    """Who looks after nodes, and the pods that lost theirs."""
    settings = parts.settings
    lifecycle = NodeLifecycleController(
        *parts.common("node-controller", "node_lifecycle"),
        settings=HealthSettings(grace_s=settings.node_grace_s, all_silent_hold_s=settings.all_nodes_silent_hold_s),
        look_s=settings.node_look_s,
        stall_s=settings.node_stall_s,
    )
    ipam = NodeIpamController(
        parts.client,
        parts.informers,
        parts.recorder.named("cidr-allocator"),
        parts.queue("node_ipam"),
        cluster_cidr=settings.cluster_cidr,
        node_prefix_length=settings.node_prefix_length,
    )
    pods = PodCollector(
        parts.client,
        parts.informers,
        parts.clock,
        interval_s=settings.pod_collect_s,
        quarantine_s=settings.node_missing_quarantine_s,
        ended_max=settings.ended_pods_max,
    )
    return {
        **parts.works({"nodes": lifecycle}),
        **parts.works({"node-ipam": ipam}, workers=1),
        "node-health": lifecycle.watch_health,
        "pods": pods.run,
    }


def _surroundings(parts: _Parts) -> dict[str, Work]:
    """Who looks after namespaces and what is in them. Last: some follow what no other has asked to see whole."""
    client, informers, clock, settings = parts.client, parts.informers, parts.clock, parts.settings
    disruption = DisruptionController(*parts.common("disruption-controller", "disruption"))
    namespaces = NamespaceController(client, informers, clock, parts.queue("namespace"))
    accounts = ServiceAccountController(client, informers, parts.queue("serviceaccount"), ca_pem=settings.ca_pem)
    quotas = ResourceQuotaController(client, informers, clock, parts.queue("resource_quota"))
    events = EventExpiry(client, clock, ttl_s=settings.event_ttl_s, interval_s=settings.event_scan_s)
    queue = WorkQueue[str](uniform=parts.uniform, metrics=QueueMeter("garbage_collector"))
    garbage = GarbageCollector(client, informers, clock, queue, followed_kinds())
    accounts.follow(informers)
    quotas.follow(informers, followed_kinds())
    return {
        **parts.works({"disruption": disruption}, workers=1),
        **parts.works({"namespaces": namespaces, "accounts": accounts, "quotas": quotas}),
        "garbage": functools.partial(run_reconciler, "garbage", garbage, queue, workers=2 * settings.workers),
        "event-expiry": events.run,
    }


async def _synced(informers: SharedInformers, log: Log) -> None:
    """Nothing is decided before everything was read once, however long that takes."""
    while True:
        try:
            async with asyncio.timeout(SYNC_REMARK_S):
                return await informers.synced()
        except TimeoutError:
            log.warning("the first lists are not complete yet")
