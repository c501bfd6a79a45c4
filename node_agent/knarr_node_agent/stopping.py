"""Stopping containers beside the loop: the preStop hook, the stop signal, SIGKILL once the grace is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from knarr_api import errors
from knarr_client.client import title_of
from knarr_client.clock import Clock
from knarr_node_agent.hooks import run_hook
from knarr_node_agent.probes import Target
from knarr_node_agent.runtime import Runtime

PRE_STOP_MARGIN_S = 2
"""Left for the stop signal when the hook has used the grace up."""
RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class _Stopping:
    grace_s: int
    task: asyncio.Task[None]


class Stopper:
    """changed: called with the pod's uid when a stop has ended. failed: with a target and why its preStop hook did."""

    def __init__(
        self, runtime: Runtime, clock: Clock, *, changed: Callable[[str], None], failed: Callable[[Target, str], None]
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._changed = changed
        self._failed = failed
        self._stopping: dict[str, _Stopping] = {}

    def stop(self, target: Target, grace_s: int, group: asyncio.TaskGroup) -> None:
        """Begin; a shorter grace takes the place of a longer one. group: where it runs."""
        present = self._stopping.get(target.container_id)
        if present is not None:
            if present.grace_s <= grace_s:
                return
            present.task.cancel()
        name = f"stop {target.container_id[:12]}"
        self._stopping[target.container_id] = _Stopping(
            grace_s, group.create_task(self._stop(target, grace_s), name=name)
        )

    def under_way(self) -> dict[str, int]:
        """The grace in seconds of each container that is being stopped, by id."""
        return {identifier: stopping.grace_s for identifier, stopping in self._stopping.items()}

    async def _stop(self, target: Target, grace_s: int) -> None:
        me = asyncio.current_task()
        try:
            left_s = await self._hook(target, grace_s)
            await self._runtime.stop(target.container_id, left_s)
        except errors.NotFound:
            pass
        except errors.KnarrError as error:
            log = structlog.get_logger("knarr.pods")
            log.warning(
                "a container could not be stopped, trying again",
                object=title_of(target.pod),
                id=target.container_id,
                error=str(error),
            )
            await self._clock.sleep(RETRY_S)
        finally:
            present = self._stopping.get(target.container_id)
            if present is not None and present.task is me:
                del self._stopping[target.container_id]
                self._changed(target.pod.metadata.uid)

    async def _hook(self, target: Target, grace_s: int) -> int:
        """Run the preStop hook; the seconds of grace that are left."""
        lifecycle = target.container.lifecycle
        hook = lifecycle.pre_stop if lifecycle is not None else None
        if hook is None or grace_s <= 0:
            return grace_s
        began_s = self._clock.monotonic()
        why = await run_hook(self._runtime, self._clock, target, hook, timeout_s=float(grace_s))
        if why:
            self._failed(target, why)
        spent_s = self._clock.monotonic() - began_s
        return max(grace_s - int(spent_s), min(PRE_STOP_MARGIN_S, grace_s))
