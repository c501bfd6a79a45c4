"""Carries out what ``health``, ``taints`` and ``eviction`` decide.

A loop looks at the Leases, in memory, and hands nodes whose health changed to the queue; the reconciler then writes
conditions and taints, marks the node's pods as not ready, and deletes those whose toleration has ended. On a silent
node a deleted pod stays, terminating, until the node returns or is deleted; its replacement does not wait for that.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import msgspec
import structlog

from knarr_api import errors
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import Node, Pod
from knarr_client.client import Client, Key, title_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.nodes import health, taints
from knarr_controlplane.controllers.nodes.eviction import Eviction, evictions
from knarr_controlplane.controllers.pods import state

LEASE_NAMESPACE = "kube-node-lease"


class NodeLifecycleController:
    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        recorder: ComponentRecorder,
        clock: Clock,
        queue: WorkQueue[Key],
        *,
        settings: health.HealthSettings,
        look_s: float,
        stall_s: float,
    ) -> None:
        """look_s: how often the Leases are looked at. stall_s: a look later than that says we were away."""
        self.queue = queue
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._settings = settings
        self._look_s = look_s
        self._stall_s = stall_s
        self._nodes = informers.of(Node)
        self._pods = informers.of(Pod)
        self._leases = informers.of(Lease)
        self._pods.add_index("node", node_name)
        self._health = health.Health()
        self._silent: Mapping[str, None] = {}
        """The nodes that were silent at the last look."""
        self._renewals: dict[str, str] = {}
        """Of each Lease, by its name: what tells this renewal from the next."""
        self._changed: dict[str, None] = {}
        """The nodes that came, went or renewed since the last look."""
        self._leases.add_handler(self._lease_changed)
        self._log = structlog.get_logger("knarr.nodes")
        self._nodes.enqueue_to(queue)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)

    async def watch_health(self) -> None:
        """Look at the Leases until cancelled. The informers must have synced."""
        looked_s = self._clock.monotonic()
        failure_s = self._leases.last_failure_s
        self._look(looked_s, looked_s)
        self._health = health.forgiven(self._health, looked_s)
        while True:
            now_s = self._clock.monotonic()
            if now_s - looked_s > self._look_s + self._stall_s or self._leases.last_failure_s != failure_s:
                self._log.warning("was away, nodes get their full grace period anew", away_s=round(now_s - looked_s, 1))
                self._health = health.forgiven(self._health, now_s)
            before_s, looked_s, failure_s = looked_s, now_s, self._leases.last_failure_s
            self._look(now_s, before_s)
            await self._clock.sleep(self._look_s)

    def _look(self, now_s: float, before_s: float) -> None:
        before = self._health
        could_evict = health.may_evict(before, before_s, self._settings)
        changed, self._changed = self._changed, {}
        renewals = {name: self._renewals.get(name, "") if self._nodes.get(name) else None for name in changed}
        self._health = health.looked(before, renewals, now_s, self._settings)
        released = health.may_evict(self._health, now_s, self._settings) and not could_evict
        silent = health.silent(self._health, now_s, self._settings)
        for name in silent:
            node = self._nodes.get(name)
            unknown = node is not None and taints.silenced(node, self._clock.now()) is node.status
            if released or name not in self._silent or not unknown:
                self.queue.add(Key("", name))
        for name in self._silent:
            if name not in silent:
                self.queue.add(Key("", name))
        self._silent = silent

    def _node_changed(self, change: Change[Node]) -> None:
        if change.old is None or change.new is None:
            self._changed[change.key.name] = None

    def _lease_changed(self, change: Change[Lease]) -> None:
        lease, name = change.new, change.key.name
        if change.key.namespace != LEASE_NAMESPACE:
            return
        self._changed[name] = None
        if lease is None or lease.spec.renew_time is None:
            self._renewals.pop(name, None)
        else:
            self._renewals[name] = f"{lease.metadata.uid} {lease.spec.renew_time.isoformat()}"

    async def reconcile(self, key: Key) -> Again | None:
        node = self._nodes.by_key(key)
        if node is None:
            return None
        now, now_s = self._clock.now(), self._clock.monotonic()
        silent = health.is_silent(self._health, key.name, now_s, self._settings)
        if silent:
            node = await self._silence(node, now)
        node = await self._taint(node, now)
        if taints.ready_status(node) not in ("", "True"):
            await self._mark_pods(node, now)
        return await self._evict(node, now, now_s, silent=silent)

    async def _silence(self, node: Node, now: datetime.datetime) -> Node:
        status = taints.silenced(node, now)
        if status is node.status:
            return node
        self._log.warning("node is unreachable", object=title_of(node), grace_s=self._settings.grace_s)
        written = await self._client.update_status(msgspec.structs.replace(node, status=status))
        self._recorder.normal(node, "NodeNotReady", f"Node {node.metadata.name} status is now: NodeNotReady")
        return written

    async def _taint(self, node: Node, now: datetime.datetime) -> Node:
        wanted = taints.wanted(node, now)
        if wanted == node.spec.taints:
            return node
        spec = msgspec.structs.replace(node.spec, taints=wanted)
        return await self._client.update(msgspec.structs.replace(node, spec=spec))

    async def _mark_pods(self, node: Node, now: datetime.datetime) -> None:
        """Nobody can tell that these pods are ready; what sends them traffic must know."""
        for pod in self._pods.by_index("node", node.metadata.name):
            status = state.unready(pod, "NodeNotReady", now)
            if status is pod.status:
                continue
            try:
                await self._client.update_status(msgspec.structs.replace(pod, status=status))
            except errors.NotFound:
                continue
            self._recorder.warning(pod, "NodeNotReady", "Node is not ready")

    async def _evict(self, node: Node, now: datetime.datetime, now_s: float, *, silent: bool) -> Again | None:
        calm = now - datetime.timedelta(seconds=now_s - self._health.calm_since_s)
        counted = tuple(taint for taint in node.spec.taints if self._counts(taint.key, now_s, silent=silent))
        pods = self._pods.by_index("node", node.metadata.name)
        later: list[float] = []
        for eviction in evictions(pods, counted, now, not_before=calm):
            if eviction.in_s > 0:
                later.append(eviction.in_s)
            else:
                await self._delete(eviction)
        return Again(min(later)) if later else None

    def _counts(self, key: str, now_s: float, *, silent: bool) -> bool:
        """An unreachable node's taint counts while we hear nothing from it ourselves and that is its own fault."""
        return key != taints.UNREACHABLE or (silent and health.may_evict(self._health, now_s, self._settings))

    async def _delete(self, eviction: Eviction) -> None:
        pod = eviction.pod
        metadata = pod.metadata
        text = "Taint manager: deleting due to NoExecute taint"
        status = state.disrupted(pod, "DeletionByTaintManager", text, self._clock.now())
        try:
            if status is not pod.status:
                await self._client.update_status(msgspec.structs.replace(pod, status=status))
        except errors.NotFound:
            return
        try:
            await self._client.delete(Pod, metadata.name, metadata.namespace, uid=metadata.uid)
        except (errors.NotFound, errors.Conflict):
            return
        self._recorder.normal(
            pod,
            "TaintManagerEviction",
            f"Marking for deletion Pod {metadata.namespace}/{metadata.name}: "
            f"does not tolerate {eviction.taint.key}:{eviction.taint.effect} any longer",
        )

    def _pod_changed(self, change: Change[Pod]) -> None:
        """A pod that comes to a node with taints may have to leave it."""
        if change.new is not None and change.new.spec.node_name:
            node = self._nodes.get(change.new.spec.node_name)
            if node is not None and any(taint.effect == taints.NO_EXECUTE for taint in node.spec.taints):
                self.queue.add(Key("", node.metadata.name))


def node_name(pod: Pod) -> tuple[str, ...]:
    """Index function."""
    return (pod.spec.node_name,) if pod.spec.node_name else ()
