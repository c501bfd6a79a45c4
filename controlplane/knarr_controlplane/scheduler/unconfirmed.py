"""Bindings of which nobody knows whether they were done: the store did not say, and may do them seconds later.

Their room stays taken until they were, or can't be any more: a write to the pod moves its revision, so that a binding
which comes after it is refused. What is written is the condition that Kubernetes' scheduler leaves after a binding that
failed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import msgspec
import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Pod, PodCondition
from knarr_client.client import Client, Key, outcomes
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder

UNSURE = (errors.Unavailable, errors.DeadlineExceeded, errors.Internal)
"""Any other error says that nothing was done. Internal is made of answers of a store that nobody has thought of: some
come of a connection that broke."""
RETRY_S = 1.0
AT_A_TIME = 64


@dataclass(slots=True)
class Unconfirmed:
    """given_up: called with the pod and the node once a binding can't be done any more, not if it was done."""

    client: Client
    clock: Clock
    recorder: Callable[[Pod], ComponentRecorder]
    given_up: Callable[[Pod, str], None]
    _waiting: dict[Key, tuple[Pod, str, errors.KnarrError]] = field(default_factory=dict)
    _work: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, pod: Pod, node: str, error: errors.KnarrError) -> None:
        self._waiting[Key(pod.metadata.namespace, pod.metadata.name)] = pod, node, error
        self._work.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            keys = iter(tuple(self._waiting))
            while part := tuple(islice(keys, AT_A_TIME)):
                await outcomes(self._settle(key, *self._waiting[key]) for key in part)
            if self._waiting:
                await self.clock.sleep(RETRY_S)
                self._work.set()

    async def _settle(self, key: Key, pod: Pod, node: str, error: errors.KnarrError) -> None:
        """Stays waiting where the store does not take the write either."""
        refuted = False
        try:
            live = await self.client.get(Pod, key.name, key.namespace)
            if live.metadata.uid == pod.metadata.uid and not live.spec.node_name:
                written = await self.client.update_status(self._told(live, error), field_manager="scheduler")
                refuted = written.metadata.resource_version != live.metadata.resource_version
                if not refuted:
                    return
        except errors.NotFound:
            pass
        except errors.KnarrError as failed:
            log = structlog.get_logger("knarr.scheduler")
            log.info("binding still unconfirmed", object=f"Pod/{key}", node=node, error=str(failed))
            return
        if self._waiting[key][0] is pod:
            del self._waiting[key]
        if refuted:
            self.recorder(pod).warning(pod, "FailedScheduling", _message(error))
            self.given_up(pod, node)

    def _told(self, live: Pod, error: errors.KnarrError) -> Pod:
        """last_probe_time makes it differ from what was written after an earlier binding."""
        now = self.clock.now()
        present = next((c for c in live.status.conditions if c.type == "PodScheduled"), None)
        since = present.last_transition_time if present is not None and present.status == "False" else now
        condition = PodCondition(
            type="PodScheduled",
            status="False",
            reason="SchedulerError",
            message=_message(error),
            last_probe_time=now,
            last_transition_time=since,
        )
        others = tuple(c for c in live.status.conditions if c.type != "PodScheduled")
        status = msgspec.structs.replace(live.status, conditions=(*others, condition))
        return msgspec.structs.replace(live, status=status)


def _message(error: errors.KnarrError) -> str:
    return f"binding rejected: {error}"
