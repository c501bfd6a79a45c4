"""Looking at a pod: what the runtime tells, what probes say and what is remembered, as the world to decide on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from knarr_api.types.core_v1 import Container as ContainerSpec
from knarr_api.types.core_v1 import Pod
from knarr_client.clock import Clock
from knarr_node_agent.pod_entry import Entry
from knarr_node_agent.podmachine import backoff
from knarr_node_agent.podmachine.status import SCHEME, status
from knarr_node_agent.podmachine.world import (
    TERMINAL_PHASES,
    Container,
    ContainerState,
    Health,
    Sandbox,
    World,
    recalled,
)
from knarr_node_agent.probes import Probes, Target
from knarr_node_agent.runtime import PodState
from knarr_node_agent.starting import Starter
from knarr_node_agent.stopping import Stopper

DEFAULT_GRACE_S = 30


class Observer:
    """Also has what runs probed, and what does not run left alone."""

    def __init__(self, starter: Starter, stopper: Stopper, probes: Probes, clock: Clock, *, host_ip: str) -> None:
        self._starter = starter
        self._stopper = stopper
        self._probes = probes
        self._clock = clock
        self._host_ip = host_ip

    async def look(self, entry: Entry, state: PodState) -> World:
        """Remembered in the entry, as is the status that follows from it."""
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
                    reached = target(pod, container, run, state.sandboxes, self._host_ip)
                    health[run.id] = self._probes.watch(reached, _before(entry, run))
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
            deadline_passed=self.until_deadline_s(entry) == 0.0,
        )
        entry.seen = world
        # What is seen now is remembered even if it is not there any more at the next look.
        before = entry.status
        entry.status = status(world, before, self._clock.now(), host_ip=self._host_ip)
        if entry.starting is not None:
            entry.starting.look(world, before, entry.status, self._clock)
        return world

    def until_deadline_s(self, entry: Entry) -> float | None:
        """None without a deadline, and once it does not matter any more."""
        deadline_s, began = entry.pod.spec.active_deadline_seconds, entry.status.start_time
        if deadline_s is None or began is None or entry.status.phase in TERMINAL_PHASES:
            return None
        return max((began - self._clock.now()).total_seconds() + deadline_s, 0.0)

    async def _with_words(self, entry: Entry, run: Container) -> Container:
        """A run that has ended, with what it left."""
        if run.state is not ContainerState.EXITED or run.message:
            return run
        words = entry.last_words.get(run.id)
        if words is None:
            words = await asyncio.to_thread(self._starter.last_words, entry.pod, run)
            entry.last_words[run.id] = words
        return replace(run, message=words) if words else run


def target(pod: Pod, container: ContainerSpec, run: Container, sandboxes: Iterable[Sandbox], host_ip: str) -> Target:
    """Where a run is reached: at its sandbox's address, or at the node's."""
    ip = host_ip
    if not pod.spec.host_network:
        ip = next((sandbox.ip for sandbox in sandboxes if sandbox.id == run.sandbox_id), "")
    return Target(pod=pod, container=container, container_id=run.id, ip=ip, started_at=run.started_at)


def _grace_s(pod: Pod) -> int:
    given = pod.metadata.deletion_grace_period_seconds
    if given is None:
        given = pod.spec.termination_grace_period_seconds
    return DEFAULT_GRACE_S if given is None else max(given, 0)


def _before(entry: Entry, run: Container) -> Health | None:
    """What was reported last of the very same run."""
    for told in (*entry.status.container_statuses, *entry.status.init_container_statuses):
        if told.container_id == f"{SCHEME}{run.id}" and told.state is not None and told.state.running is not None:
            return Health(started=bool(told.started), ready=bool(told.ready))
    return None
