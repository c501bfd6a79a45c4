"""Carries out what ``decide`` plans for a DaemonSet."""

from __future__ import annotations

import msgspec

from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ControllerRevision, DaemonSet, DaemonSetStatus
from knarr_api.types.core_v1 import Node, Pod
from knarr_client.client import Client, Key, key_of, meta_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import notes, ownership
from knarr_controlplane.controllers.daemonset.decide import Plan, World, decide
from knarr_controlplane.controllers.history_writes import HistoryWrites
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.own_writes import OwnWrites
from knarr_controlplane.controllers.pods.controlled import Controller
from knarr_controlplane.controllers.pods.writes import PodWrites
from knarr_controlplane.controllers.replicaset import naming

LOOK_AGAIN_S = 1.0
HOLD_FIRST_S, HOLD_MAX_S = 1.0, 900.0
HOLD_FORGOTTEN_S = 2 * HOLD_MAX_S


class DaemonSetController:
    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        recorder: ComponentRecorder,
        clock: Clock,
        queue: WorkQueue[Key],
    ) -> None:
        self.queue = queue
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._daemonsets = informers.of(DaemonSet)
        self._nodes = informers.of(Node)
        self._pods = informers.of(Pod)
        self._revisions = informers.of(ControllerRevision)
        self._pods.add_index("controller", ownership.controller_uid)
        self._pods.add_index("orphans", ownership.orphan_namespace)
        self._revisions.add_index("controller", ownership.controller_uid)
        self._revisions.add_index("orphans", ownership.orphan_namespace)
        self._writes = PodWrites(client, self._pods, recorder, clock, taken=self._taken)
        self._history = HistoryWrites(client, self._revisions, clock)
        self._own_status: OwnWrites[Key, DaemonSet] = OwnWrites(self._daemonsets, clock)
        self._floors: dict[str, int] = {}
        """The highest slot ever seen, by the DaemonSet's uid."""
        self._failures: dict[tuple[str, str], tuple[float, float]] = {}
        """By uid and node: the time to wait after the last failure, and until when."""
        self._daemonsets.add_handler(self._daemonset_changed)
        informers.controlled.tell("DaemonSet", self._pod_changed, self._orphan_changed)
        self._nodes.add_handler(self._node_changed)

    async def reconcile(self, key: Key) -> Again | None:
        daemonset = self._daemonsets.by_key(key)
        if daemonset is None:
            self._writes.forget(key)
            self._history.forget(key)
            self._own_status.forget(key)
            return None
        caught_up = await self._writes.caught_up(key) and await self._history.caught_up(key)
        if not caught_up or not self._own_status.seen(key):
            return Again(LOOK_AGAIN_S)
        plan = decide(self._observe(daemonset))
        await self._apply(key, daemonset, plan)
        return Again(plan.again_after_s) if plan.again_after_s is not None else None

    def _observe(self, daemonset: DaemonSet) -> World:
        uid, namespace = daemonset.metadata.uid, daemonset.metadata.namespace
        now_s = self._clock.monotonic()
        return World(
            daemonset=daemonset,
            pods=(*self._pods.by_index("controller", uid), *self._pods.by_index("orphans", namespace)),
            nodes=self._nodes.items(),
            revisions=(*self._revisions.by_index("controller", uid), *self._revisions.by_index("orphans", namespace)),
            floor=self._floors.get(uid, -1),
            hold_s={node: until_s - now_s for (owner, node), (_, until_s) in self._failures.items() if owner == uid},
            now=self._clock.now(),
        )

    async def _apply(self, key: Key, daemonset: DaemonSet, plan: Plan) -> None:
        await self._writes.adopt(key, daemonset, plan.adopt)
        await self._writes.release(key, daemonset, plan.release)
        await self._history.adopt(key, daemonset, plan.adopt_revisions)
        if plan.history is not None and not await self._history.write(key, daemonset, plan.history):
            await self._write_status(key, daemonset, _with_collision(daemonset.status))
            return
        notes.record(self._recorder, daemonset, plan.notes)
        for node in plan.failed_on:
            self._note_failure(daemonset.metadata.uid, node)
        failures = await self._writes.delete(key, daemonset, plan.delete)
        failures += await self._writes.create(key, daemonset, plan.create)
        if plan.status is not None:
            await self._write_status(key, daemonset, plan.status)
        if failures:
            raise failures[0][1]
        await self._history.delete(key, plan.forget)

    async def _write_status(self, key: Key, daemonset: DaemonSet, status: DaemonSetStatus) -> None:
        if status != daemonset.status:
            written = await self._client.update_status(msgspec.structs.replace(daemonset, status=status))
            self._own_status.wrote(key, written)

    def _note_failure(self, uid: str, node: str) -> None:
        """The next failed pod of that node stays a while, longer each time."""
        now_s = self._clock.monotonic()
        wait_s, until_s = self._failures.get((uid, node), (0.0, now_s))
        wait_s = min(2 * wait_s, HOLD_MAX_S) if wait_s and now_s - until_s < HOLD_FORGOTTEN_S else HOLD_FIRST_S
        self._failures[uid, node] = (wait_s, now_s + wait_s)

    # What concerns whom

    def _daemonset_changed(self, change: Change[DaemonSet]) -> None:
        if change.new is None and change.old is not None:
            uid = change.old.metadata.uid
            self._floors.pop(uid, None)
            for key in [key for key in self._failures if key[0] == uid]:
                del self._failures[key]
        self.queue.add(change.key)

    def _node_changed(self, change: Change[Node]) -> None:
        old, new = change.old, change.new
        if old is not None and new is not None and _placing_facts(old) == _placing_facts(new):
            return
        if new is None:
            for key in [key for key in self._failures if key[1] == change.key.name]:
                del self._failures[key]
        for daemonset in self._daemonsets.items():
            self.queue.add(key_of(daemonset))

    def _pod_changed(self, change: Change[Pod], before: Controller, after: Controller) -> None:
        for controller in (before, after):
            if controller is None or controller.kind != "DaemonSet":
                continue
            owner = self._daemonsets.get(controller.name, change.key.namespace)
            if owner is not None and owner.metadata.uid == controller.uid:
                self._note_slot(change.newest, owner)
            self.queue.add(Key(change.key.namespace, controller.name))

    def _orphan_changed(self, pod: Pod) -> None:
        if pod.metadata.labels:
            for daemonset in self._daemonsets.items(pod.metadata.namespace):
                selector = Selector.from_label_selector(daemonset.spec.selector)
                if str(selector) and selector.matches(pod.metadata.labels):
                    self.queue.add(key_of(daemonset))

    def _taken(self, owner: msgspec.Struct, pod: Pod) -> None:
        self._note_slot(pod, owner)

    def _note_slot(self, pod: Pod, owner: msgspec.Struct) -> None:
        uid = meta_of(owner).uid
        slot = naming.slot_of(pod.metadata.name, meta_of(owner).name, uid)
        if slot is not None and slot > self._floors.get(uid, -1):
            self._floors[uid] = slot


def _placing_facts(node: Node) -> tuple[object, ...]:
    return node.metadata.labels, node.spec.taints, node.spec.unschedulable


def _with_collision(status: DaemonSetStatus) -> DaemonSetStatus:
    return msgspec.structs.replace(status, collision_count=(status.collision_count or 0) + 1)
