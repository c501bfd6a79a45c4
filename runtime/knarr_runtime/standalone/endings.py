"""What happens when a container of ``run`` ends: it is removed (``--rm``), started again (``--restart``), or stays.

The daemon does it, also for what ended while none ran. Pauses between restarts double from 0.1 s to a minute, and begin
anew after a run of ten seconds. Who stops or kills a container by hand keeps it from coming back until it is started
again, or with ``always`` until the next daemon starts.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cri import standalone
from knarr_runtime.cri.events import Event
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import ContainerRecord
from knarr_runtime.errors import RuntimeFailure
from knarr_runtime.launcher import Container, ContainerState
from knarr_runtime.standalone.removal import Removal
from knarr_runtime.standalone.renewal import Renewal

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 60.0
FINE_S = 10.0


class Endings:
    def __init__(self, pods: Pods, renewal: Renewal, removal: Removal) -> None:
        self._pods = pods
        self._renewal = renewal
        self._removal = removal
        self._pauses_s: dict[str, float] = {}
        self.waiting: set[str] = set()
        """Containers that will be started again."""
        self._log = structlog.get_logger("knarr.standalone")

    async def follow(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            with self._pods.following() as events:
                for record in list(self._pods.containers.values()):
                    launched = self._pods.launched(record)
                    if launched is not None and launched.state is ContainerState.EXITED:
                        self._ended(group, self._forgiven(record), launched)
                async for event in events:
                    self._happened(group, event)

    def _happened(self, group: asyncio.TaskGroup, event: Event) -> None:
        found = event.container()
        if event.kind == cri.CONTAINER_DELETED_EVENT:
            self._pauses_s.pop(event.container_id, None)
        if event.kind != cri.CONTAINER_STOPPED_EVENT or found is None or found[1] is None:
            return
        record = self._pods.containers.get(event.container_id)
        if record is not None and found[1].state is ContainerState.EXITED:
            self._ended(group, record, found[1])

    def _forgiven(self, record: ContainerRecord) -> ContainerRecord:
        """``always`` means: also what was stopped by hand, when a daemon starts."""
        if standalone.policy_of(record.config).name == "always" and standalone.STOPPED in record.config.annotations:
            return self._pods.change_container(record, lambda config: config.annotations.pop(standalone.STOPPED))
        return record

    def _ended(self, group: asyncio.TaskGroup, record: ContainerRecord, launched: Container) -> None:
        config = record.config
        if not standalone.is_own(config) or launched.exit is None:
            return
        if config.annotations.get(standalone.AUTO_REMOVE) == "true":
            group.create_task(self._remove(record.id))
        elif self._comes_back(record, launched) and record.id not in self.waiting:
            self.waiting.add(record.id)
            group.create_task(self._restart(record.id, self._pause_s(record.id, launched)))

    def _comes_back(self, record: ContainerRecord, launched: Container) -> bool:
        """One that never ran has a command that can't be executed: trying again would not help."""
        policy, annotations = standalone.policy_of(record.config), record.config.annotations
        if launched.exit is None or not launched.started_at_ns or standalone.STOPPED in annotations:
            return False
        return policy.wants(launched.exit.exit_code, standalone.restarts(record.config))

    def _pause_s(self, identifier: str, launched: Container) -> float:
        assert launched.exit is not None
        ran_s = (launched.exit.finished_at_ns - launched.started_at_ns) / 1e9
        before_s = self._pauses_s.get(identifier, 0.0)
        pause_s = FIRST_PAUSE_S if ran_s >= FINE_S or not before_s else min(2 * before_s, LONGEST_PAUSE_S)
        self._pauses_s[identifier] = pause_s
        return pause_s

    async def _remove(self, identifier: str) -> None:
        try:
            await self._removal.remove(identifier, volumes=True)
        except RuntimeFailure as error:
            self._log.warning("not removed", container=identifier, error=str(error))

    async def _restart(self, identifier: str, pause_s: float) -> None:
        """One that cannot be started now (its network is not there yet) is tried again."""
        try:
            while True:
                await asyncio.sleep(pause_s)
                record = self._pods.containers.get(identifier)
                launched = self._pods.launched(record) if record is not None else None
                if record is None or launched is None or launched.state is not ContainerState.EXITED:
                    return
                if not self._comes_back(record, launched):
                    return
                self._pods.change_container(record, _count)
                try:
                    self.waiting.discard(identifier)
                    await self._renewal.prepare(identifier)
                    await self._pods.start_container(identifier)
                except RuntimeFailure as error:
                    self._log.warning("not restarted", container=identifier, error=str(error), at=time.time())
                    pause_s = min(max(2 * pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
                    self.waiting.add(identifier)
                else:
                    return
        finally:
            self.waiting.discard(identifier)


def _count(config: Any) -> None:
    config.annotations[standalone.RESTARTS] = str(standalone.restarts(config) + 1)
