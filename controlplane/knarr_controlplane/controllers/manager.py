"""Wires the controllers together; what the leader runs."""

from __future__ import annotations

import asyncio
import hashlib
import random

import structlog

from knarr_client.client import Client, Key
from knarr_client.clock import Clock
from knarr_client.event_recorder import EventRecorder
from knarr_client.queue_meter import QueueMeter
from knarr_client.reconcile import Log, run_reconciler
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

    def queue(name: str) -> WorkQueue[Key]:
        return WorkQueue(uniform=uniform, metrics=QueueMeter(name))

    deployments = DeploymentController(
        client, informers, recorder.named("deployment-controller"), clock, queue("deployment")
    )
    replicasets = ReplicaSetController(
        client, informers, recorder.named("replicaset-controller"), clock, queue("replicaset"), REPLICA_SET
    )
    replication = ReplicaSetController(
        client,
        informers,
        recorder.named("replication-controller"),
        clock,
        queue("replicationcontroller"),
        REPLICATION_CONTROLLER,
    )
    jobs = JobController(client, informers, recorder.named("job-controller"), clock, queue("job"))
    cronjobs = CronJobController(client, informers, recorder.named("cronjob-controller"), clock, queue("cronjob"))
    disruption = DisruptionController(
        client, informers, recorder.named("disruption-controller"), clock, queue("disruption")
    )
    daemonsets = DaemonSetController(
        client, informers, recorder.named("daemonset-controller"), clock, queue("daemonset")
    )
    stateful_sets = StatefulSetController(
        client, informers, recorder.named("statefulset-controller"), clock, queue("statefulset")
    )
    nodes = NodeLifecycleController(
        client,
        informers,
        recorder.named("node-controller"),
        clock,
        queue("node_lifecycle"),
        settings=HealthSettings(grace_s=settings.node_grace_s, all_silent_hold_s=settings.all_nodes_silent_hold_s),
        look_s=settings.node_look_s,
        stall_s=settings.node_stall_s,
    )
    ipam = NodeIpamController(
        client,
        informers,
        recorder.named("cidr-allocator"),
        queue("node_ipam"),
        cluster_cidr=settings.cluster_cidr,
        node_prefix_length=settings.node_prefix_length,
    )
    namespaces = NamespaceController(client, informers, clock, queue("namespace"))
    pods = PodCollector(
        client,
        informers,
        clock,
        interval_s=settings.pod_collect_s,
        quarantine_s=settings.node_missing_quarantine_s,
        ended_max=settings.ended_pods_max,
    )
    autoscaling = AutoscalingController(
        client, informers, recorder.named("horizontal-pod-autoscaler"), clock, queue("horizontalpodautoscaler")
    )
    accounts = ServiceAccountController(client, informers, queue("serviceaccount"), ca_pem=settings.ca_pem)
    quotas = ResourceQuotaController(client, informers, clock, queue("resource_quota"))
    events = EventExpiry(client, clock, ttl_s=settings.event_ttl_s, interval_s=settings.event_scan_s)
    garbage = GarbageCollector(
        client,
        informers,
        clock,
        WorkQueue(uniform=uniform, metrics=QueueMeter("garbage_collector")),
        followed_kinds(),
    )
    accounts.follow(informers)
    quotas.follow(informers, followed_kinds())

    async with asyncio.TaskGroup() as group:
        group.create_task(informers.run(), name="controllers/informers")
        await _synced(informers, log)
        log.info("controllers run", identity=identity)
        workers = settings.workers
        for name, work in {
            "events": recorder.run(),
            "deployments": run_reconciler("deployments", deployments, deployments.queue, workers=workers),
            "replicasets": run_reconciler("replicasets", replicasets, replicasets.queue, workers=workers),
            "replication": run_reconciler("replication", replication, replication.queue, workers=workers),
            "jobs": run_reconciler("jobs", jobs, jobs.queue, workers=workers),
            "cronjobs": run_reconciler("cronjobs", cronjobs, cronjobs.queue, workers=workers),
            "disruption": run_reconciler("disruption", disruption, disruption.queue, workers=1),
            "daemonsets": run_reconciler("daemonsets", daemonsets, daemonsets.queue, workers=workers),
            "statefulsets": run_reconciler("statefulsets", stateful_sets, stateful_sets.queue, workers=workers),
            "nodes": run_reconciler("nodes", nodes, nodes.queue, workers=workers),
            "node-health": nodes.watch_health(),
            "node-ipam": run_reconciler("node-ipam", ipam, ipam.queue, workers=1),
            "namespaces": run_reconciler("namespaces", namespaces, namespaces.queue, workers=workers),
            "autoscaling": run_reconciler("autoscaling", autoscaling, autoscaling.queue, workers=workers),
            "accounts": run_reconciler("accounts", accounts, accounts.queue, workers=workers),
            "quotas": run_reconciler("quotas", quotas, quotas.queue, workers=workers),
            "garbage": run_reconciler("garbage", garbage, garbage.queue, workers=2 * workers),
            "pods": pods.run(),
            "event-expiry": events.run(),
        }.items():
            group.create_task(work, name=f"controllers/{name}")


async def _synced(informers: SharedInformers, log: Log) -> None:
    """Nothing is decided before everything was read once, however long that takes."""
    while True:
        try:
            async with asyncio.timeout(SYNC_REMARK_S):
                return await informers.synced()
        except TimeoutError:
            log.warning("the first lists are not complete yet")
