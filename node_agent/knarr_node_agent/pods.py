"""The loop that makes the node's pods what they should be: observe, decide, carry out, report.

One reconcile per pod at a time, many pods at once. Woken by the watch, by the runtime's events, by probes and by time;
a slow round over everything catches what any of them missed. Stopping a container may take its whole grace period and
runs beside the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, assert_never

import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import LifecycleHandler, Pod, PodStatus
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.clock import Clock
from knarr_client.event_recorder import EventRecorder
from knarr_client.reconcile import Again, run_reconciler
from knarr_client.workqueue import WorkQueue
from knarr_node_agent import configs
from knarr_node_agent import environment as environments
from knarr_node_agent.assignments import AssignmentStore, ObjectCache
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.decide import (
    Action,
    MakeSandbox,
    RemoveContainer,
    RemoveSandbox,
    Start,
    Stop,
    StopSandbox,
    decide,
)
from knarr_node_agent.podmachine.status import status
from knarr_node_agent.podmachine.world import Container, ContainerState, Health, Problem, World
from knarr_node_agent.probes import Probes, Target, http_status
from knarr_node_agent.runtime import PodState, Runtime
from knarr_node_agent.stream import PodReport
from knarr_node_agent.volumes import Volumes

REFRESH_S = 10.0
ROUND_S = 15.0
WORKERS = 24
DEADLINE_S = 120.0
PRE_STOP_MARGIN_S = 2.0


@dataclass(slots=True)
class Remembered:
    """What is known of a pod beside what the runtime tells."""

    status: PodStatus = field(default_factory=PodStatus)
    problems: dict[str, Problem] = field(default_factory=dict)
    sandbox_problem: Problem | None = None
    streaks: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By container: (attempt counted last, quick ends in a row)."""
    stopping: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    refreshed_at: float = 0.0
    volumes_ready: bool = False
    reported_gone: bool = False


class PodManager:
    """pods: by uid, what should run. A uid that is in the runtime and not here is ended."""

    def __init__(
        self,
        runtime: Runtime,
        store: AssignmentStore,
        objects: ObjectCache,
        volumes: Volumes,
        events: EventRecorder,
        clock: Clock,
        *,
        log_root: Path,
        host_ip: str,
        memory_bytes: int,
        report: Callable[[PodReport], None],
    ) -> None:
        self.pods: dict[str, Pod] = {}
        self.queue: WorkQueue[str] = WorkQueue()
        self.synced = False
        """Whether ``pods`` is complete: only then are unknown pods ended."""
        self.probes = Probes(runtime, clock, changed=self.queue.add, unhealthy=self._unhealthy)
        self._runtime = runtime
        self._store = store
        self._objects = objects
        self._volumes = volumes
        self._events = events
        self._clock = clock
        self._log_root = log_root
        self._host_ip = host_ip
        self._memory_bytes = memory_bytes
        self._report = report
        self._remembered: dict[str, Remembered] = {}
        self._log = structlog.get_logger("knarr.pods")

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._rounds())
            group.create_task(run_reconciler("pods", self, self.queue, workers=WORKERS, deadline_s=DEADLINE_S))

    def assign(self, pod: Pod) -> None:
        """A pod of this node appeared or changed."""
        uid = pod.metadata.uid
        self._store.save(pod)
        self.pods[uid] = pod
        remembered = self._remembered.get(uid)
        if remembered is None:
            self._remembered[uid] = Remembered(status=pod.status)
        elif pod.status.conditions and not remembered.status.conditions:
            remembered.status = pod.status
        self.queue.add(uid)

    def withdraw(self, uid: str) -> None:
        """A pod is not of this node any more: it is ended without a report."""
        self.pods.pop(uid, None)
        self.queue.add(uid)

    def report_again(self, uid: str) -> None:
        """The server refused or forgot a report."""
        if uid not in self.pods:
            return
        self.queue.add_after(uid, 1.0)

    def resend(self) -> None:
        """After a reconnect: every pod's status once more."""
        for uid, pod in self.pods.items():
            remembered = self._remembered.get(uid)
            if remembered is not None and remembered.status.start_time is not None:
                self._report(_report(pod, remembered.status, terminated=remembered.reported_gone))
            self.queue.add(uid)

    async def reconcile(self, key: str, /) -> Again | None:
        """One pod by uid."""
        state = await self._runtime.pod(key)
        pod = self.pods.get(key)
        if pod is None:
            return await self._end_unknown(key, state)
        remembered = self._remembered.setdefault(key, Remembered(status=pod.status))
        world = await self._world(pod, remembered, state)
        now = self._clock.now()
        plan = decide(world, now)
        if any(isinstance(action, MakeSandbox | Start) for action in plan.actions):
            failure = await self._prepare(pod, remembered)
            if failure is not None:
                self._tell(pod, remembered, replace(world, sandbox_problem=failure), gone=False)
                return Again(1.0)
        for action in plan.actions:
            await self._carry_out(pod, remembered, world, action)
        if plan.gone:
            await self._clean_up(key)
        if plan.actions and not all(isinstance(action, Stop) for action in plan.actions):
            state = await self._runtime.pod(key)
            world = await self._world(pod, remembered, state)
            plan = decide(world, self._clock.now())
            if plan.actions:
                self.queue.add(key)
        self._tell(pod, remembered, world, gone=plan.gone)
        await self._refresh(pod, remembered)
        waits = [wait for wait in (plan.again_after_s, self._until_deadline(pod, world)) if wait is not None]
        return Again(min(waits)) if waits else None

    # Observe

    async def _world(self, pod: Pod, remembered: Remembered, state: PodState) -> World:
        containers = {c.name: c for c in (*pod.spec.init_containers, *pod.spec.containers)}
        sandbox = max((s for s in state.sandboxes if s.ready), key=lambda s: s.attempt, default=None)
        ip = self._host_ip if pod.spec.host_network else (sandbox.ip if sandbox is not None else "")
        health: dict[str, Health] = {}
        running = {run.id for runs in state.runs.values() for run in runs if run.state is ContainerState.RUNNING}
        for runs in state.runs.values():
            for run in runs:
                container = containers.get(run.name)
                if run.id in running and container is not None and pod.metadata.deletion_timestamp is None:
                    target = Target(pod=pod, container=container, container_id=run.id, ip=ip)
                    health[run.id] = self.probes.watch(target)
                elif run.id in self.probes.known():
                    self.probes.forget(run.id)
            if runs:
                _count_ends(remembered, runs[-1])
        for identifier in [i for i in remembered.stopping if i not in running]:
            remembered.stopping.pop(identifier)
        ending = pod.metadata.deletion_timestamp is not None
        return World(
            pod=pod,
            ending=ending,
            grace_s=self._grace_s(pod),
            sandboxes=state.sandboxes,
            runs=state.runs,
            health=health,
            problems=dict(remembered.problems),
            streaks={name: streak for name, (_, streak) in remembered.streaks.items()},
            stopping=frozenset(i for i, task in remembered.stopping.items() if not task.done()),
            sandbox_problem=remembered.sandbox_problem,
            deadline_passed=self._until_deadline_s(pod, remembered.status) == 0.0,
        )

    def _grace_s(self, pod: Pod) -> int:
        given = pod.metadata.deletion_grace_period_seconds
        if given is None:
            given = pod.spec.termination_grace_period_seconds
        return 30 if given is None else max(given, 0)

    def _until_deadline_s(self, pod: Pod, reported: PodStatus) -> float | None:
        deadline = pod.spec.active_deadline_seconds
        if deadline is None or reported.start_time is None:
            return None
        return max((reported.start_time - self._clock.now()).total_seconds() + deadline, 0.0)

    def _until_deadline(self, pod: Pod, world: World) -> float | None:
        if world.deadline_passed:
            return None
        return self._until_deadline_s(pod, self._remembered[pod.metadata.uid].status)

    # Carry out

    async def _prepare(self, pod: Pod, remembered: Remembered) -> Problem | None:
        """The volumes; a problem when they can't be made (yet)."""
        try:
            sources = await self._objects.of(pod, fresh=not remembered.volumes_ready)
            sources = replace(sources, host_ip=self._host_ip)
            await asyncio.to_thread(self._volumes.prepare, pod, sources)
        except (errors.NotFound, errors.Invalid, OSError) as error:
            message = f"MountVolume.SetUp failed: {error}"
            self._events.warning(pod, "FailedMount", message)
            return Problem(reason="ContainerCreating", message=message, at=self._clock.now())
        remembered.volumes_ready = True
        return None

    async def _carry_out(self, pod: Pod, remembered: Remembered, world: World, action: Action) -> None:
        match action:
            case MakeSandbox():
                await self._make_sandbox(pod, remembered, action.attempt)
            case Start():
                await self._start(pod, remembered, world, action)
            case Stop():
                self._stop(pod, remembered, action)
            case StopSandbox():
                await self._runtime.stop_sandbox(action.id)
            case RemoveSandbox():
                await self._runtime.remove_sandbox(action.id)
            case RemoveContainer():
                await self._runtime.remove(action.id)
            case _:
                assert_never(action)

    async def _make_sandbox(self, pod: Pod, remembered: Remembered, attempt: int) -> None:
        try:
            await self._runtime.make_sandbox(configs.sandbox_config(pod, attempt, str(self._logs_of(pod))))
            remembered.sandbox_problem = None
        except errors.KnarrError as error:
            count = remembered.sandbox_problem.count + 1 if remembered.sandbox_problem is not None else 1
            message = f"Failed to create pod sandbox: {error}"
            remembered.sandbox_problem = Problem(
                reason="ContainerCreating", message=message, at=self._clock.now(), count=count
            )
            self._events.warning(pod, "FailedCreatePodSandBox", message)

    async def _start(self, pod: Pod, remembered: Remembered, world: World, action: Start) -> None:
        container = action.container
        try:
            await self._have_image(pod, container)
            sandbox = next(s for s in world.sandboxes if s.id == action.sandbox_id)
            sources = await self._objects.of(pod, fresh=container.name in remembered.problems)
            ip = self._host_ip if pod.spec.host_network else sandbox.ip
            sources = replace(sources, host_ip=self._host_ip, pod_ip=ip)
            config = self._container_config(pod, container, action.attempt, sources)
        except _NotStarted as problem:
            self._failed(pod, remembered, container, problem.reason, problem.message)
            return
        except (errors.NotFound, errors.Invalid) as error:
            self._failed(pod, remembered, container, "CreateContainerConfigError", str(error))
            return
        try:
            directory = self._logs_of(pod)
            sandbox_config = configs.sandbox_config(pod, sandbox.attempt, str(directory))
            identifier = await self._runtime.create(action.sandbox_id, config, sandbox_config)
            self._events.normal(pod, "Created", f"Created container: {container.name}")
        except errors.KnarrError as error:
            self._failed(pod, remembered, container, "CreateContainerError", str(error))
            return
        try:
            await self._runtime.start(identifier)
            self._events.normal(pod, "Started", f"Started container {container.name}")
            remembered.problems.pop(container.name, None)
        except errors.KnarrError as error:
            self._failed(pod, remembered, container, "RunContainerError", str(error))
            return
        hook = container.lifecycle.post_start if container.lifecycle is not None else None
        if hook is not None:
            await self._hook(pod, container, identifier, hook, ip, "PostStart", 30.0)

    def _container_config(self, pod: Pod, container: ContainerSpec, attempt: int, sources: environments.Sources) -> Any:
        variables = environments.environment(pod, container, sources)
        mounts = self._volumes.mounts(pod, container, variables)
        return configs.container_config(pod, container, attempt, variables, mounts, memory_bytes=self._memory_bytes)

    async def _have_image(self, pod: Pod, container: ContainerSpec) -> None:
        """Raises _NotStarted."""
        try:
            present = await self._runtime.image(container.image)
        except errors.Invalid as error:
            raise _NotStarted("InvalidImageName", str(error)) from error
        policy = container.image_pull_policy
        if present and policy != "Always":
            self._events.normal(pod, "Pulled", f'Container image "{container.image}" already present on machine')
            return
        if policy == "Never":
            text = f'Container image "{container.image}" is not present with pull policy of Never'
            raise _NotStarted("ErrImageNeverPull", text)
        self._events.normal(pod, "Pulling", f'Pulling image "{container.image}"')
        try:
            await self._runtime.pull(container.image)
            self._events.normal(pod, "Pulled", f'Successfully pulled image "{container.image}"')
        except errors.KnarrError as error:
            if present:
                return  # as good as it gets: what is here is used
            raise _NotStarted("ErrImagePull", str(error)) from error

    def _failed(self, pod: Pod, remembered: Remembered, container: ContainerSpec, reason: str, message: str) -> None:
        before = remembered.problems.get(container.name)
        count = before.count + 1 if before is not None else 1
        if reason == "ErrImagePull" and count > 1:
            reason = "ImagePullBackOff"
            message = f'Back-off pulling image "{container.image}": {message}'
        remembered.problems[container.name] = Problem(reason=reason, message=message, at=self._clock.now(), count=count)
        self._events.warning(pod, "BackOff" if reason == "ImagePullBackOff" else "Failed", f"Error: {message}")

    def _stop(self, pod: Pod, remembered: Remembered, action: Stop) -> None:
        run = action.container
        older = remembered.stopping.get(run.id)
        if older is not None and not older.done():
            if action.grace_s > 0:
                return
            older.cancel()
        self._events.normal(pod, "Killing", action.message)
        self.probes.forget(run.id)
        remembered.stopping[run.id] = asyncio.create_task(self._stopping(pod, run, action.grace_s))

    async def _stopping(self, pod: Pod, run: Container, grace_s: int) -> None:
        began = self._clock.monotonic()
        container = next((c for c in (*pod.spec.containers, *pod.spec.init_containers) if c.name == run.name), None)
        hook = container.lifecycle.pre_stop if container is not None and container.lifecycle is not None else None
        try:
            if hook is not None and container is not None and grace_s > 0:
                await self._hook(pod, container, run.id, hook, self._host_ip, "PreStop", float(grace_s))
            spent_s = self._clock.monotonic() - began
            left_s = max(grace_s - int(spent_s), int(PRE_STOP_MARGIN_S) if hook is not None else 0)
            await self._runtime.stop(run.id, 0 if grace_s == 0 else left_s)
        except errors.NotFound:
            pass
        except errors.KnarrError as error:
            self._log.warning("stopping failed", container=run.id, error=str(error))
        self.queue.add(pod.metadata.uid)

    async def _hook(
        self,
        pod: Pod,
        container: ContainerSpec,
        identifier: str,
        hook: LifecycleHandler,
        ip: str,
        name: str,
        timeout_s: float,
    ) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                if hook.exec_ is not None:
                    code, output = await self._runtime.exec(identifier, hook.exec_.command, timeout_s)
                    if code:
                        text = output.decode(errors="replace")[:512]
                        self._events.warning(pod, f"Failed{name}Hook", f"exit code {code}: {text}")
                elif hook.http_get is not None:
                    target = Target(pod=pod, container=container, container_id=identifier, ip=ip)
                    await http_status(target, hook.http_get)
                elif hook.sleep is not None:
                    await self._clock.sleep(float(hook.sleep.seconds or 0))
        except (TimeoutError, OSError, ValueError, LookupError, errors.KnarrError) as error:
            self._events.warning(pod, f"Failed{name}Hook", str(error) or "timed out")

    # Report

    def _tell(self, pod: Pod, remembered: Remembered, world: World, *, gone: bool) -> None:
        # Names of what is gone stay as they were reported last.
        base = remembered.status
        new = base if gone and not world.runs else status(world, base, self._clock.now(), host_ip=self._host_ip)
        if new != base or gone != remembered.reported_gone or base.start_time is None:
            remembered.status = new
            remembered.reported_gone = gone
            self._report(_report(pod, new, terminated=gone))

    # Ending

    async def _end_unknown(self, uid: str, state: PodState) -> Again | None:
        if not self.synced:
            return Again(1.0)
        remembered = self._remembered.get(uid)
        if remembered is None:
            remembered = self._remembered[uid] = Remembered()
        if not state.sandboxes and not state.runs:
            await self._clean_up(uid)
            self._remembered.pop(uid, None)
            return None
        metadata = ObjectMeta(name=state.name, namespace=state.namespace, uid=uid)
        pod = Pod(metadata=metadata)
        world = World(
            pod=pod,
            ending=True,
            grace_s=2,
            sandboxes=state.sandboxes,
            runs=state.runs,
            stopping=frozenset(i for i, task in remembered.stopping.items() if not task.done()),
        )
        plan = decide(world, self._clock.now())
        if not plan.actions and not plan.gone and world.running:
            return Again(0.5)
        for action in plan.actions:
            await self._carry_out(pod, remembered, world, action)
        if not world.sandboxes:
            for runs in world.runs.values():
                for run in runs:
                    await self._runtime.remove(run.id)
        return Again(0.05)

    async def _clean_up(self, uid: str) -> None:
        self._objects.forget(uid)
        for run_id in self.probes.known():
            if run_id.startswith(uid):
                self.probes.forget(run_id)
        await asyncio.to_thread(self._volumes.remove, uid)
        if uid not in self.pods:
            self._store.remove(uid)

    # Wake

    async def _listen(self) -> None:
        while True:
            try:
                async for uid in self._runtime.events():
                    self.queue.add(uid)
            except errors.KnarrError as error:
                self._log.info("the runtime's events broke off", error=str(error))
            await self._clock.sleep(0.2)
            for uid in self.pods:
                self.queue.add(uid)

    async def _rounds(self) -> None:
        """Everything now and then, and what the runtime has and nobody assigned."""
        while True:
            try:
                for uid in await self._runtime.pods():
                    if uid not in self.pods:
                        self.queue.add(uid)
            except errors.KnarrError as error:
                self._log.info("the runtime does not answer", error=str(error))
            for uid in self._volumes.uids():
                if uid not in self.pods:
                    self.queue.add(uid)
            for uid in self.pods:
                self.queue.add(uid)
            await self._clock.sleep(ROUND_S if self.synced else 0.5)

    async def _refresh(self, pod: Pod, remembered: Remembered) -> None:
        """Take changes of ConfigMaps and Secrets over into running volumes."""
        now = self._clock.monotonic()
        if not remembered.volumes_ready or now - remembered.refreshed_at < REFRESH_S:
            return
        remembered.refreshed_at = now
        if pod.metadata.deletion_timestamp is not None:
            return
        try:
            sources = replace(await self._objects.of(pod, fresh=True), host_ip=self._host_ip)
            await asyncio.to_thread(self._volumes.prepare, pod, sources)
        except (errors.KnarrError, OSError) as error:
            self._log.info("volumes not refreshed", pod=pod.metadata.name, error=str(error))

    def _unhealthy(self, target: Target, kind: str, why: str) -> None:
        self._events.warning(target.pod, "Unhealthy", f"{kind.capitalize()} probe failed: {why}")

    def _logs_of(self, pod: Pod) -> Path:
        return pod_logs(self._log_root, pod)


class _NotStarted(Exception):
    """reason: the container's waiting reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def pod_logs(root: Path, pod: Pod) -> Path:
    """Directory of a pod's logs, named as the kubelet names it."""
    metadata = pod.metadata
    return root / f"{metadata.namespace}_{metadata.name}_{metadata.uid}"


def _report(pod: Pod, value: PodStatus, *, terminated: bool) -> PodReport:
    metadata = pod.metadata
    return PodReport(
        namespace=metadata.namespace, name=metadata.name, uid=metadata.uid, status=value, terminated=terminated
    )


def _count_ends(remembered: Remembered, run: Container) -> None:
    """Keep the number of quick ends in a row up to date with the newest run."""
    known = remembered.streaks.get(run.name)
    if known is None:
        # After a restart of the agent: a run that began late had many before it.
        remembered.streaks[run.name] = (run.attempt, run.attempt)
        return
    attempt, streak = known
    if run.attempt > attempt:
        remembered.streaks[run.name] = (run.attempt, streak + 1)
    elif run.state is ContainerState.EXITED and backoff.was_steady(run.started_at, run.finished_at):
        remembered.streaks[run.name] = (run.attempt, 0)
