"""What follows when no node will have a pod: it is told so, and those who make room for it are asked to go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Pod, PodCondition
from knarr_client.client import Client, Key
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_controlplane.scheduler import preemption
from knarr_controlplane.scheduler.framework import Unschedulable
from knarr_controlplane.scheduler.preemption import NoRoom, Preemption
from knarr_controlplane.scheduler.profile import scheduler_of
from knarr_controlplane.scheduler.records import PodRecord


@dataclass(frozen=True, slots=True)
class Refusals:
    """nominated: the scheduler's own, of pods for which others were asked to go. again: has a pod tried anew."""

    client: Client
    clock: Clock
    recorder: Callable[[Pod], ComponentRecorder]
    nominated: dict[Key, Pod]
    again: Callable[[Key], None]

    async def tell(self, pod: Pod, verdict: Unschedulable, room: Preemption | NoRoom) -> None:
        """Write the verdict into the pod's condition when it says something new; ask those to go who make room."""
        metadata = pod.metadata
        key = Key(metadata.namespace, metadata.name)
        nominated, message = _outcome(pod, verdict, room)
        present = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
        said = present is not None and (present.status, present.message) == ("False", message)
        if said and nominated == pod.status.nominated_node_name:
            await self._evict(pod, room)
            return
        if not said:
            self.recorder(pod).warning(pod, "FailedScheduling", message)
        since = self.clock.now().replace(microsecond=0)
        if present is not None and present.status == "False" and present.last_transition_time is not None:
            since = present.last_transition_time
        condition = PodCondition(
            type="PodScheduled",
            status="False",
            reason="Unschedulable",
            message=message,
            last_transition_time=since,
        )
        others = tuple(c for c in pod.status.conditions if c.type != "PodScheduled")
        status = msgspec.structs.replace(
            pod.status, phase="Pending", conditions=(*others, condition), nominated_node_name=nominated
        )
        told = msgspec.structs.replace(pod, status=status)
        if isinstance(room, Preemption):
            self.nominated[key] = told
        try:
            await self.client.update_status(told, field_manager="scheduler")
        except errors.KnarrError as error:
            if not isinstance(error, errors.Conflict | errors.NotFound):
                log = structlog.get_logger("knarr.scheduler")
                log.warning("cannot report", object=f"Pod/{key}", error=str(error))
            if self.nominated.get(key) is told:
                del self.nominated[key]
            self.again(key)
        else:
            await self._evict(pod, room)

    async def _evict(self, pod: Pod, room: Preemption | NoRoom) -> None:
        """The victims are told why, and deleted with the time they have to end; lesser pods give up that place."""
        if isinstance(room, NoRoom):
            return
        for key, other in tuple(self.nominated.items()):
            if other.status.nominated_node_name == room.node and _priority(other) < _priority(pod):
                await self._denominate(key)
        for victim in room.victims:
            if victim.terminating:
                continue
            try:
                await self._evict_one(pod, victim, room.node)
            except errors.NotFound:
                continue
            except errors.KnarrError as error:
                log = structlog.get_logger("knarr.scheduler")
                log.warning("cannot preempt", object=f"Pod/{victim.namespace}/{victim.name}", error=str(error))
                self.again(Key(pod.metadata.namespace, pod.metadata.name))

    async def _evict_one(self, pod: Pod, victim: PodRecord, node: str) -> None:
        live = await self.client.get(Pod, victim.name, victim.namespace)
        if live.metadata.uid != victim.uid:
            return
        if not live.spec.node_name:
            # On its way there, and nobody knows whether it arrives: if it does it is asked then, else there is room.
            self.again(Key(pod.metadata.namespace, pod.metadata.name))
            return
        message = f"{scheduler_of(pod)}: preempting to accommodate a higher priority pod"
        now = self.clock.now().replace(microsecond=0)
        condition = PodCondition(
            type="DisruptionTarget",
            status="True",
            reason="PreemptionByScheduler",
            message=message,
            last_transition_time=now,
        )
        others = tuple(c for c in live.status.conditions if c.type != "DisruptionTarget")
        status = msgspec.structs.replace(live.status, conditions=(*others, condition))
        await self.client.update_status(msgspec.structs.replace(live, status=status), field_manager="scheduler")
        await self.client.delete(Pod, victim.name, victim.namespace, uid=victim.uid)
        self.recorder(pod).normal(live, "Preempted", f"Preempted by pod {pod.metadata.uid} on node {node}")

    async def _denominate(self, key: Key) -> None:
        """The place that is being freed for a pod goes to a more important one: it looks for another."""
        self.nominated.pop(key, None)
        try:
            await self.client.patch(
                Pod, key.name, key.namespace, patch={"status": {"nominatedNodeName": None}}, subresource="status"
            )
        except errors.KnarrError as error:
            structlog.get_logger("knarr.scheduler").info("cannot clear", object=f"Pod/{key}", error=str(error))
        self.again(key)


def _priority(pod: Pod) -> int:
    return pod.spec.priority or 0


def _outcome(pod: Pod, verdict: Unschedulable, room: Preemption | NoRoom) -> tuple[str, str]:
    """The node that is being freed for the pod, if any, and what is said of it."""
    if isinstance(room, Preemption):
        return room.node, verdict.message
    kept = pod.status.nominated_node_name if room in (preemption.NEVER, preemption.WAITING) else ""
    if not verdict.nodes:
        return kept, verdict.message
    return kept, f"{verdict.message} preemption: {room.why}"
