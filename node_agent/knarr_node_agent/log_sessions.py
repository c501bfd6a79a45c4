"""Answers the control plane's requests for a container's log."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from knarr_api.errors import Invalid, NotFound
from knarr_api.types.core_v1 import ContainerStatus, PodStatus
from knarr_client.clock import Clock
from knarr_node_agent import configs, logs
from knarr_node_agent.podmachine.world import Container, ContainerState, World
from knarr_node_agent.pods import PodManager
from knarr_node_agent.starting import pod_logs


class LogSessions:
    def __init__(self, pods: PodManager, log_root: Path, clock: Clock) -> None:
        self._pods = pods
        self._log_root = log_root
        self._clock = clock

    async def serve(self, opened: Any) -> AsyncIterator[bytes]:
        """opened: knarr.v1.OpenSession. Raises NotFound, Invalid."""
        uid, request = opened.logs.uid, opened.logs.request
        seen = self._pods.look(uid)
        if seen is None:
            raise NotFound("the pod is not on this node any more")
        world, status = seen
        run = wanted_run(world, status, request.container, previous=request.previous)
        since = None
        if request.HasField("since_seconds"):
            since = self._clock.now() - datetime.timedelta(seconds=request.since_seconds)
        asked = logs.Asked(
            follow=request.follow,
            timestamps=request.timestamps,
            tail_lines=request.tail_lines if request.HasField("tail_lines") else None,
            since=since,
            limit_bytes=request.limit_bytes if request.HasField("limit_bytes") else None,
        )
        path = pod_logs(self._log_root, world.pod) / configs.log_path(run.name, run.attempt)
        async for data in logs.read(path, asked, lambda: self._has_ended(uid, run.id), self._clock):
            yield data

    def _has_ended(self, uid: str, run_id: str) -> bool:
        seen = self._pods.look(uid)
        return seen is None or all(run.id != run_id for run in seen[0].running)


def wanted_run(world: World, status: PodStatus, container: str, *, previous: bool) -> Container:
    """The run whose log is asked for: the newest, or the one reported as the last state. Raises NotFound, Invalid."""
    pod = world.pod.metadata.name
    if previous:
        told = _told(status, container)
        last = told.last_state.terminated if told is not None and told.last_state is not None else None
        identifier = last.container_id.partition("://")[2] if last is not None else ""
        for run in world.runs.get(container, ()):
            if run.id == identifier and not run.recalled:
                return run
        raise NotFound(f'previous terminated container "{container}" in pod "{pod}" not found')
    for run in reversed(world.runs.get(container, ())):
        if run.state in (ContainerState.RUNNING, ContainerState.EXITED) and not run.recalled:
            return run
    told = _told(status, container)
    waiting = told.state.waiting if told is not None and told.state is not None else None
    why = waiting.reason if waiting is not None and waiting.reason else "ContainerCreating"
    raise Invalid(f'container "{container}" in pod "{pod}" is waiting to start: {why}')


def _told(status: PodStatus, container: str) -> ContainerStatus | None:
    return next((s for s in (*status.container_statuses, *status.init_container_statuses) if s.name == container), None)
