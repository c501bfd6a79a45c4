"""The loop that makes the node's pods what they should be: observe, decide, carry out, report.

One reconcile per pod at a time, many pods at once. Woken by the watch, by the runtime's events, by probes and by time;
a slow round over everything catches what any of them missed. What may take long (a pull, a stop with its grace) runs
beside the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import Pod, PodStatus
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_client.client import title_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import EventRecorder
from knarr_client.reconcile import Again, run_reconciler
from knarr_client.workqueue import WorkQueue
from knarr_node_agent.assignments import AssignmentStore, ObjectCache, same_wish
from knarr_node_agent.meter import Meter, NoMeter, StartClock
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.backoff import Streak
from knarr_node_agent.podmachine.decide import (
    Action,
    MakeSandbox,
    Plan,
    RemoveContainer,
    RemoveSandbox,
    Start,
    Stop,
    StopSandbox,
    decide,
)
from knarr_node_agent.podmachine.status import SCHEME, status
from knarr_node_agent.podmachine.world import (
    TERMINAL_PHASES,
    Container,
    ContainerState,
    Health,
    Problem,
    World,
    recalled,
)
from knarr_node_agent.probes import Probes, Target
from knarr_node_agent.runtime import PodState, Runtime
from knarr_node_agent.starting import Starter, StartProblem
from knarr_node_agent.stopping import Stopper
from knarr_node_agent.stream import PodReport
from knarr_node_agent.volumes import is_written
from knarr_telemetry import tracing

REFRESH_S = 10.0
ROUND_S = 15.0
UNSYNCED_ROUND_S = 0.5
LISTEN_AGAIN_S = 0.2
SAVE_S = 1.0
SLOW_S = 0.3
"""After so long the status is reported although the steps are not all done."""
REPORT_AGAIN_S = 1.0
WORKERS = 24
STEPS_MAX = 8
DEADLINE_S = 180.0
DEFAULT_GRACE_S = 30
ORPHAN_GRACE_S = 2


@dataclass(slots=True)
class Entry:
    """What is known of a pod beside what the runtime tells.

    withdrawn: it is not of this node any more; it is ended without a report. seen: what was seen of it last.
    """

    pod: Pod
    status: PodStatus
    withdrawn: bool = False
    problems: dict[str, Problem] = field(default_factory=dict)
    sandbox_problem: Problem | None = None
    streaks: dict[str, Streak] = field(default_factory=dict)
    last_words: dict[str, str] = field(default_factory=dict)
    """By container id: what it left when it ended."""
    ending_since_s: float | None = None
    refreshed_at_s: float = 0.0
    volumes_ready: bool = False
    told: tuple[PodStatus, bool] | None = None
    told_before: tuple[PodStatus, bool] | None = None
    """As ``told`` was a round ago."""
    seen: World | None = None
    starting: StartClock | None = None


class PodManager:
    """What runs on the node. A uid that the runtime has and nobody assigned is ended once ``synced``."""

    def __init__(
        self,
        runtime: Runtime,
        store: AssignmentStore,
        objects: ObjectCache,
        starter: Starter,
        events: EventRecorder,
        clock: Clock,
        *,
        host_ip: str,
        report: Callable[[PodReport], None],
        meter: Meter | None = None,
    ) -> None:
        self._meter: Meter = meter or NoMeter()
        self.queue: WorkQueue[str] = WorkQueue(metrics=self._meter.queue)
        self.synced = False
        """Whether every pod of the node has been assigned: only then are unknown ones ended."""
        self._runtime = runtime
        self._store = store
        self._objects = objects
        self._starter = starter
        self._events = events
        self._clock = clock
        self._host_ip = host_ip
        self._report = report
        self._entries: dict[str, Entry] = {}
        self._probes = Probes(runtime, clock, changed=self.queue.add, unhealthy=self._unhealthy)
        self._stopper = Stopper(runtime, clock, changed=self.queue.add, failed=self._pre_stop_failed)
        self._log = structlog.get_logger("knarr.pods")
        starter.images_changed = self.queue.add

    async def run(self) -> None:
        """Until cancelled; containers go on."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._listen(), name="runtime events")
                group.create_task(self._rounds(), name="rounds")
                group.create_task(self._keep_saved(), name="saving")
                looking = run_reconciler(
                    "pods",
                    self,
                    self.queue,
                    workers=WORKERS,
                    deadline_s=DEADLINE_S,
                    title=self._title,
                    trace=self._trace,
                )
                group.create_task(looking, name="pods")
        finally:
            self._probes.close()
            self._store.flush()

    # What should run

    @property
    def pods(self) -> Mapping[str, Pod]:
        """By uid, the pods that are this node's."""
        return {uid: entry.pod for uid, entry in self._entries.items() if not entry.withdrawn}

    def assign(self, pod: Pod) -> None:
        """A pod of this node appeared or changed."""
        uid = pod.metadata.uid
        self._store.save(pod)
        entry = self._entries.get(uid)
        if entry is None:
            self._entries[uid] = Entry(pod=pod, status=pod.status, starting=StartClock(self._meter))
        else:
            before, entry.pod = entry.pod, pod
            if same_wish(before, pod) and not entry.withdrawn and not pod.spec.readiness_gates:
                return  # the echo of a report
            entry.withdrawn = False
            entry.refreshed_at_s = 0.0
        self.queue.add(uid)

    def withdraw(self, uid: str) -> None:
        """A pod is not of this node any more: it is ended without a report."""
        entry = self._entries.get(uid)
        if entry is not None:
            entry.withdrawn = True
        self.queue.add(uid)

    def report_again(self, uid: str) -> None:
        """The server refused a report or has forgotten it."""
        entry = self._entries.get(uid)
        if entry is not None:
            entry.told = None
            self.queue.add_after(uid, REPORT_AGAIN_S)

    def resend(self) -> None:
        """After a reconnect: every pod's status once more."""
        for uid, entry in self._entries.items():
            if not entry.withdrawn:
                entry.told = None
                self.queue.add(uid)

    def look(self, uid: str) -> tuple[World, PodStatus] | None:
        """A pod as it was seen last, and its status; None when it is not here or was not looked at yet."""
        entry = self._entries.get(uid)
        return (entry.seen, entry.status) if entry is not None and entry.seen is not None else None

    def running(self) -> Iterator[tuple[Pod, Container]]:
        """All containers that ran when they were seen last."""
        for entry in self._entries.values():
            if entry.seen is not None:
                yield from ((entry.pod, run) for run in entry.seen.running)

    def worlds(self) -> list[World]:
        """Every pod as it was seen last. May be asked from another thread."""
        return [entry.seen for entry in list(self._entries.values()) if entry.seen is not None]

    # The loop

    async def reconcile(self, key: str, /) -> Again | None:
        """One pod by uid."""
        began_s, entry = self._clock.monotonic(), self._entries.get(key)
        new = entry is not None and entry.seen is None
        try:
            return await self._reconcile(key)
        finally:
            entry = self._entries.get(key, entry)
            ending = entry is None or (entry.seen is not None and entry.seen.ending)
            what = "kill" if ending else "create" if new else "sync"
            self._meter.pod_worked_on(what, self._clock.monotonic() - began_s)

    async def _reconcile(self, key: str) -> Again | None:
        state = await self._runtime.pod(key)
        entry = self._entries.get(key)
        if entry is None:
            if not self.synced:
                return None
            entry = self._adopt_orphan(key, state)
        if entry.withdrawn and not self.synced:
            return Again(UNSYNCED_ROUND_S)
        slow = asyncio.get_running_loop().call_later(SLOW_S, self._tell_seen, entry)
        try:
            world, plan = await self._steps(entry, state)
        finally:
            slow.cancel()
        if plan.gone:
            await self._clean_up(key, entry)
        if entry.withdrawn:
            return self._again(plan)
        self._tell(entry, world, gone=plan.gone)
        await self._refresh(entry)
        return self._again(plan, self._until_deadline_s(entry))

    async def _steps(self, entry: Entry, state: PodState) -> tuple[World, Plan]:
        """Decide and act until nothing is left to do now; the last world and plan."""
        for _ in range(STEPS_MAX):
            world = await self._world(entry, state)
            plan = decide(world, self._clock.now())
            if not plan.actions or not await self._carry_out(entry, world, plan.actions):
                break
            state = await self._runtime.pod(entry.pod.metadata.uid)
        else:
            self.queue.add(entry.pod.metadata.uid)
        world = await self._world(entry, state)
        return world, decide(world, self._clock.now())

    def _again(self, plan: Plan, deadline_s: float | None = None) -> Again | None:
        waits = [wait for wait in (plan.again_after_s, deadline_s) if wait is not None]
        return Again(min(waits)) if waits else None

    def _title(self, uid: str) -> str:
        entry = self._entries.get(uid)
        return title_of(entry.pod) if entry is not None else f"Pod/{uid}"

    def _trace(self, uid: str) -> str | None:
        """What made the pod, while it starts."""
        entry = self._entries.get(uid)
        if entry is None or entry.status.phase not in ("", "Pending"):
            return None
        return tracing.of_annotations(entry.pod.metadata.annotations)

    def _adopt_orphan(self, uid: str, state: PodState) -> Entry:
        """Of a pod that nobody assigned and that this agent never knew, only its name is known."""
        metadata = ObjectMeta(
            name=state.name, namespace=state.namespace, uid=uid, deletion_grace_period_seconds=ORPHAN_GRACE_S
        )
        if not state.empty:
            self._log.info(
                "ending a pod that is not of this node any more", object=f"Pod/{state.namespace}/{state.name}"
            )
        entry = self._entries[uid] = Entry(pod=Pod(metadata=metadata), status=PodStatus(), withdrawn=True)
        return entry

    # Observe

    async def _world(self, entry: Entry, state: PodState) -> World:
        pod, uid = entry.pod, entry.pod.metadata.uid
        ending = entry.withdrawn or pod.metadata.deletion_timestamp is not None
        if ending and entry.ending_since_s is None:
            entry.ending_since_s = self._clock.monotonic()
        containers = {c.name: c for c in (*pod.spec.init_containers, *pod.spec.containers)}
        runs = {name: tuple([await self._with_words(entry, run) for run in each]) for name, each in state.runs.items()}
        runs = dict(recalled(pod, entry.status, runs))
        running = {run.id for each in runs.values() for run in each if run.state is ContainerState.RUNNING}
        stopping = self._stopper.under_way()
        health: dict[str, Health] = {}
        for each in runs.values():
            entry.streaks[each[-1].name] = backoff.counted(entry.streaks.get(each[-1].name), each[-1])
            for run in each:
                container = containers.get(run.name)
                if run.id not in running or container is None or ending or run.id in stopping:
                    self._probes.forget(run.id)
                else:
                    health[run.id] = self._probes.watch(self._target(pod, container, run, state), _before(entry, run))
        for run_id in stopping:
            if run_id in running and run_id not in health:
                health[run_id] = Health(ready=False)
        world = World(
            pod=pod,
            phase=entry.status.phase if entry.status.phase in TERMINAL_PHASES else "",
            ending=ending,
            grace_s=_grace_s(pod),
            ending_for_s=self._clock.monotonic() - entry.ending_since_s if entry.ending_since_s is not None else 0.0,
            sandboxes=state.sandboxes,
            runs=runs,
            health=health,
            problems=dict(entry.problems),
            streaks={name: streak.count for name, streak in entry.streaks.items()},
            stopping={identifier: grace_s for identifier, grace_s in stopping.items() if identifier in running},
            pulling=frozenset(name for name, c in containers.items() if self._starter.is_pulling(uid, c.image)),
            sandbox_problem=entry.sandbox_problem,
            deadline_passed=self._until_deadline_s(entry) == 0.0,
        )
        entry.seen = world
        # What is seen now is remembered even if it is not there any more at the next look.
        before = entry.status
        entry.status = status(world, before, self._clock.now(), host_ip=self._host_ip)
        if entry.starting is not None:
            entry.starting.look(world, before, entry.status, self._clock)
        return world

    def _target(self, pod: Pod, container: ContainerSpec, run: Container, state: PodState) -> Target:
        ip = self._host_ip
        if not pod.spec.host_network:
            ip = next((sandbox.ip for sandbox in state.sandboxes if sandbox.id == run.sandbox_id), "")
        return Target(pod=pod, container=container, container_id=run.id, ip=ip, started_at=run.started_at)

    async def _with_words(self, entry: Entry, run: Container) -> Container:
        """A run that has ended, with what it left."""
        if run.state is not ContainerState.EXITED or run.message:
            return run
        words = entry.last_words.get(run.id)
        if words is None:
            words = await asyncio.to_thread(self._starter.last_words, entry.pod, run)
            entry.last_words[run.id] = words
        return replace(run, message=words) if words else run

    def _until_deadline_s(self, entry: Entry) -> float | None:
        """None without a deadline, and once it does not matter any more."""
        deadline_s, began = entry.pod.spec.active_deadline_seconds, entry.status.start_time
        if deadline_s is None or began is None or entry.status.phase in TERMINAL_PHASES:
            return None
        return max((began - self._clock.now()).total_seconds() + deadline_s, 0.0)

    # Carry out

    async def _carry_out(self, entry: Entry, world: World, actions: tuple[Action, ...]) -> bool:
        """Whether anything may be different now."""
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
                    self._stop(entry, world, action)
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
            starting = (self._start(entry, world, action) for action in starts)
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
            self.queue.add_after(entry.pod.metadata.uid, backoff.sandbox_delay_s(entry.sandbox_problem.count))
            return False
        entry.volumes_ready = True
        entry.sandbox_problem = None
        return True

    async def _make_sandbox(self, entry: Entry, attempt: int) -> bool:
        try:
            await self._starter.make_sandbox(entry.pod, attempt)
        except errors.KnarrError as error:
            message = f"Failed to create pod sandbox: {error}"
            entry.sandbox_problem = _counted(entry.sandbox_problem, "FailedCreatePodSandBox", message, self._clock)
            self._events.warning(entry.pod, "FailedCreatePodSandBox", message)
        else:
            entry.sandbox_problem = None
        return True

    async def _start(self, entry: Entry, world: World, action: Start) -> bool:
        name = action.container.name
        sandbox = next(sandbox for sandbox in world.sandboxes if sandbox.id == action.sandbox_id)
        if action.replaces:
            await self._runtime.remove(action.replaces)
        try:
            began = await self._starter.start(
                entry.pod, action.container, sandbox, action.attempt, self._group, retried=name in entry.problems
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

    def _stop(self, entry: Entry, world: World, action: Stop) -> None:
        run = action.container
        spec = entry.pod.spec
        container = next((c for c in (*spec.containers, *spec.init_containers) if c.name == run.name), None)
        ip = self._host_ip if spec.host_network else next((s.ip for s in world.sandboxes if s.id == run.sandbox_id), "")
        target = Target(pod=entry.pod, container=container or ContainerSpec(name=run.name), container_id=run.id, ip=ip)
        self._probes.forget(run.id)
        if spec.containers:
            self._events.normal(entry.pod, "Killing", action.message)
        self._stopper.stop(target, action.grace_s, self._group)

    async def _remove(self, entry: Entry, run: Container) -> None:
        await self._runtime.remove(run.id)
        entry.last_words.pop(run.id, None)
        await asyncio.to_thread(self._starter.forget_run, entry.pod, run)

    async def _clean_up(self, uid: str, entry: Entry) -> None:
        """Nothing of the pod is left in the runtime; what the agent has of it goes when the pod does."""
        self._probes.forget_pod(uid)
        await asyncio.to_thread(self._starter.remove, entry.pod)
        entry.volumes_ready = False
        if entry.withdrawn:
            self._objects.forget(uid)
            self._store.forget(uid)
            if self._entries.get(uid) is entry:
                del self._entries[uid]

    # Report

    def _tell_seen(self, entry: Entry) -> None:
        if entry.seen is not None and not entry.withdrawn:
            self._tell(entry, entry.seen, gone=False)

    def _tell(self, entry: Entry, world: World, *, gone: bool) -> None:
        new = status(world, entry.status, self._clock.now(), host_ip=self._host_ip)
        entry.status = new
        if entry.told == (new, gone):
            return
        entry.told = (new, gone)
        metadata = entry.pod.metadata
        self._report(
            PodReport(namespace=metadata.namespace, name=metadata.name, uid=metadata.uid, status=new, terminated=gone)
        )

    def _compare(self, entry: Entry) -> None:
        """Say again what was told a round ago and is not what the API shows: somebody has overwritten it."""
        if entry.told is None or entry.told is not entry.told_before:
            entry.told_before = entry.told
        elif not _shows(entry.pod.status, entry.told[0]):
            self._log.info("telling a status again that was overwritten", object=title_of(entry.pod))
            entry.told = None

    def _unhealthy(self, target: Target, kind: str, why: str) -> None:
        self._events.warning(target.pod, "Unhealthy", f"{kind.capitalize()} probe failed: {why}")

    def _pre_stop_failed(self, target: Target, why: str) -> None:
        self._events.warning(target.pod, "FailedPreStopHook", f"container {target.container.name}: {why}")

    # Wake

    async def _listen(self) -> None:
        while True:
            try:
                async for uid in self._runtime.events():
                    self.queue.add(uid)
            except errors.KnarrError as error:
                self._log.info("the runtime's events broke off", error=str(error))
            await self._clock.sleep(LISTEN_AGAIN_S)
            for uid in self._entries:
                self.queue.add(uid)

    async def _rounds(self) -> None:
        """Everything now and then, and what the runtime or the disk has and nobody assigned."""
        last_s: float | None = None
        while True:
            began_s = self._clock.monotonic()
            try:
                for uid in await self._runtime.pods():
                    self.queue.add(uid)
                took_s = self._clock.monotonic() - began_s
                self._meter.looked_at_all(took_s, began_s - last_s if last_s is not None else None)
                last_s = began_s
            except errors.KnarrError as error:
                self._log.info("the runtime does not answer", error=str(error))
            for entry in self._entries.values():
                self._compare(entry)
            for uid in (*self._entries, *self._starter.known_pods()):
                self.queue.add(uid)
            await self._clock.sleep(ROUND_S if self.synced else UNSYNCED_ROUND_S)

    async def _keep_saved(self) -> None:
        """What the API says of the pods' statuses is where a successor of this agent begins."""
        while True:
            await self._clock.sleep(SAVE_S)
            self._store.flush()

    async def _refresh(self, entry: Entry) -> None:
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


def _grace_s(pod: Pod) -> int:
    given = pod.metadata.deletion_grace_period_seconds
    if given is None:
        given = pod.spec.termination_grace_period_seconds
    return DEFAULT_GRACE_S if given is None else max(given, 0)


def _counted(before: Problem | None, reason: str, message: str, clock: Clock) -> Problem:
    return Problem(reason=reason, message=message, at=clock.now(), count=before.count + 1 if before is not None else 1)


def _before(entry: Entry, run: Container) -> Health | None:
    """What was reported last of the very same run."""
    for told in (*entry.status.container_statuses, *entry.status.init_container_statuses):
        if told.container_id == f"{SCHEME}{run.id}" and told.state is not None and told.state.running is not None:
            return Health(started=bool(told.started), ready=bool(told.ready))
    return None


def _shows(stored: PodStatus, told: PodStatus) -> bool:
    """Whether a status in the API is what was told of a pod, as far as that is the agent's to say."""
    conditions = {condition.type: condition.status for condition in stored.conditions}
    return (
        stored.phase == told.phase
        and stored.pod_ip == told.pod_ip
        and stored.container_statuses == told.container_statuses
        and stored.init_container_statuses == told.init_container_statuses
        and all(conditions.get(condition.type) == condition.status for condition in told.conditions)
    )
