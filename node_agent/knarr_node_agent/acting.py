"""Carrying out what was decided of a pod: its volumes, sandboxes and containers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import assert_never

import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_client.client import title_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import EventRecorder
from knarr_node_agent.observing import target
from knarr_node_agent.pod_entry import Entry
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.decide import (
    Action,
    MakeSandbox,
    RemoveContainer,
    RemoveSandbox,
    Start,
    Stop,
    StopSandbox,
)
from knarr_node_agent.podmachine.world import Container, Problem, World
from knarr_node_agent.probes import Probes
from knarr_node_agent.runtime import Runtime
from knarr_node_agent.starting import Starter, StartProblem
from knarr_node_agent.stopping import Stopper
from knarr_node_agent.volumes import is_written

REFRESH_S = 10.0


class Actor:
    """What goes wrong is remembered as the pod's problem, and told as an event.

    again: has a pod looked at anew after so many seconds.
    """

    def __init__(
        self,
        runtime: Runtime,
        starter: Starter,
        stopper: Stopper,
        probes: Probes,
        events: EventRecorder,
        clock: Clock,
        *,
        host_ip: str,
        again: Callable[[str, float], None],
    ) -> None:
        self._runtime = runtime
        self._starter = starter
        self._stopper = stopper
        self._probes = probes
        self._events = events
        self._clock = clock
        self._host_ip = host_ip
        self._again = again
        self._log = structlog.get_logger("knarr.pods")

    async def carry_out(
        self, entry: Entry, world: World, actions: tuple[Action, ...], group: asyncio.TaskGroup
    ) -> bool:
        """Whether anything may be different now. group: where what takes long runs."""
        if any(isinstance(action, MakeSandbox | Start) for action in actions) and not await self._volumes(entry):
            return False
        starts = [action for action in actions if isinstance(action, Start)]
        changed = False
        for action in actions:
            match action:
                case Start():
                    continue
                case MakeSandbox():
                    changed |= await self._make_sandbox(entry, action.attempt)
                case Stop():
                    self._stop(entry, world, action, group)
                case StopSandbox():
                    await self._runtime.stop_sandbox(action.id)
                    changed = True
                case RemoveSandbox():
                    await self._runtime.remove_sandbox(action.id)
                    changed = True
                case RemoveContainer():
                    await self._remove(entry, action.container)
                    changed = True
                case _:
                    assert_never(action)
        if starts:
            starting = (self._start(entry, world, action, group) for action in starts)
            for done in await asyncio.gather(*starting, return_exceptions=True):
                if isinstance(done, BaseException):
                    raise done
                changed |= done
        return changed

    async def _volumes(self, entry: Entry) -> bool:
        if entry.volumes_ready:
            return True
        try:
            await self._starter.prepare(entry.pod)
        except (errors.NotFound, errors.Invalid, errors.Unavailable, OSError) as error:
            message = f"MountVolume.SetUp failed: {error}"
            entry.sandbox_problem = _counted(entry.sandbox_problem, "FailedMount", message, self._clock)
            self._events.warning(entry.pod, "FailedMount", message)
            self._again(entry.pod.metadata.uid, backoff.sandbox_delay_s(entry.sandbox_problem.count))
            return False
        entry.volumes_ready = True
        entry.sandbox_problem = None
        return True

    async def _make_sandbox(self, entry: Entry, attempt: int) -> bool:
        try:
            await self._starter.make_sandbox(entry.pod, attempt)
        except (errors.KnarrError, OSError) as error:
            message = f"Failed to create pod sandbox: {error}"
            entry.sandbox_problem = _counted(entry.sandbox_problem, "FailedCreatePodSandBox", message, self._clock)
            self._events.warning(entry.pod, "FailedCreatePodSandBox", message)
        else:
            entry.sandbox_problem = None
        return True

    async def _start(self, entry: Entry, world: World, action: Start, group: asyncio.TaskGroup) -> bool:
        name = action.container.name
        sandbox = next(sandbox for sandbox in world.sandboxes if sandbox.id == action.sandbox_id)
        if action.replaces:
            await self._runtime.remove(action.replaces)
        try:
            began = await self._starter.start(
                entry.pod, action.container, sandbox, action.attempt, group, retried=name in entry.problems
            )
        except StartProblem as problem:
            before = entry.problems.get(name)
            again = before is not None and before.reason in ("ErrImagePull", "ImagePullBackOff")
            if problem.reason == "ErrImagePull" and again:
                message = f'Back-off pulling image "{action.container.image}": {problem.message}'
                entry.problems[name] = _counted(before, "ImagePullBackOff", message, self._clock)
                self._events.normal(entry.pod, "BackOff", f'Back-off pulling image "{action.container.image}"')
            else:
                entry.problems[name] = _counted(before, problem.reason, problem.message, self._clock)
            self._events.warning(entry.pod, "Failed", f"Error: {problem.reason}: {problem.message}")
            return True
        if began:
            entry.problems.pop(name, None)
            before_run = world.newest(name)
            if before_run is not None and action.attempt > 1:
                self._events.warning(
                    entry.pod,
                    "BackOff",
                    f"Back-off restarting failed container {name} in pod {entry.pod.metadata.name}",
                )
        return began

    def _stop(self, entry: Entry, world: World, action: Stop, group: asyncio.TaskGroup) -> None:
        run = action.container
        spec = entry.pod.spec
        container = next((c for c in (*spec.containers, *spec.init_containers) if c.name == run.name), None)
        reached = target(entry.pod, container or ContainerSpec(name=run.name), run, world.sandboxes, self._host_ip)
        self._probes.forget(run.id)
        if spec.containers:
            self._events.normal(entry.pod, "Killing", action.message)
        self._stopper.stop(reached, action.grace_s, group)

    async def _remove(self, entry: Entry, run: Container) -> None:
        await self._runtime.remove(run.id)
        entry.last_words.pop(run.id, None)
        await asyncio.to_thread(self._starter.forget_run, entry.pod, run)

    async def clean_up(self, entry: Entry) -> None:
        """Nothing of the pod is left in the runtime; now its probes and volumes go."""
        self._probes.forget_pod(entry.pod.metadata.uid)
        await asyncio.to_thread(self._starter.remove, entry.pod)
        entry.volumes_ready = False

    async def refresh(self, entry: Entry) -> None:
        """Take changes of ConfigMaps, Secrets and the pod's own fields over into running volumes."""
        now_s, pod = self._clock.monotonic(), entry.pod
        if entry.seen is None or entry.seen.sandbox is None or pod.metadata.deletion_timestamp is not None:
            return
        if now_s - entry.refreshed_at_s < REFRESH_S or not any(is_written(volume) for volume in pod.spec.volumes):
            return
        entry.refreshed_at_s = now_s
        try:
            await self._starter.prepare(pod, age_s=REFRESH_S / 2)
        except (errors.KnarrError, OSError) as error:
            self._log.info("volumes not refreshed", object=title_of(pod), error=str(error))


def _counted(before: Problem | None, reason: str, message: str, clock: Clock) -> Problem:
    return Problem(reason=reason, message=message, at=clock.now(), count=before.count + 1 if before is not None else 1)
